"""What a process does and how it stands, as metrics for Prometheus.

==============  ========================================================================================================
``table``       every metric: its name, its kind, its labels, and what it says
``durations``   a histogram of durations, which takes them one by one or many at a time
``store``       counters and histograms by their labels, of which there are never more than a fixed number
``counting``    from events to counters and histograms
``states``      from states, as they are when somebody asks, to gauges
``metrics``     :class:`~zkrpc.metrics.metrics.Metrics`: the observer that puts these together, one for a process
``prometheus``  the door to prometheus_client, which writes them
==============  ========================================================================================================

Calls are named as OpenTelemetry names them (semantic conventions 1.45: ``rpc.client.call.duration`` and
``rpc.server.call.duration``, in seconds), spelt as Prometheus spells it. A call of a client is a logical one, with all
its retries; what OpenTelemetry has no name for begins with ``zkrpc_``.

*What is counted is bounded before it is counted.* A label's value may come from a peer, or from a program that connects
to ever new addresses; each label has a number of values after which ``_OTHER`` stands for all further ones, and each
metric a number of series. So a peer that makes up names costs one series, and a scrape has a largest size.

*What is counted at every call is counted by hand.* prometheus_client's histograms take a lock and some microseconds for
an observation; two of them would cost a small call half of its time again. So a call only notes how long it took
(:mod:`zkrpc.telemetry.recording`); what was noted is put into buckets many at a time, and prometheus_client only writes
them down.
"""
