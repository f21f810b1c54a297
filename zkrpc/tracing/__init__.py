"""Distributed traces by OpenTelemetry: spans of calls and requests, their way through the services, and their export.

===============  =====================================================================================================
``start``        turns tracing on in a process
``settings``     what OpenTelemetry's environment variables say, and which traces are recorded
``calls``        which calls, attempts and requests have spans, what those say, and what travels
``choosing``     what calls and requests cost that are not recorded, partly compiled
``own``          these spans, made by ourselves
``provided``     the same, made by the program's own tracer provider
``propagation``  the context that travels: W3C's headers, and the argument field of OpenTelemetry's Java agent
``spans``        spans, tracer and provider behind OpenTelemetry's API
``records``      finished spans as bytes
``channel``      their way to the exporting process, and its start
``exporter``     the process that exports them
===============  =====================================================================================================

Clients and servers know nothing of this package: they ask :mod:`zkrpc.telemetry.tracer` for the process's tracer, and
have code for spans in their way only if there is one. OpenTelemetry's API is needed for spans, its SDK and its OTLP
exporter in the exporting process alone; ``docs/decisions/`` says why the export has a process of its own.
"""
