"""What can be observed of a running zkrpc: events, as they happen, and states, when they are asked for.

===============  =======================================================================================================
``events``       what can be observed: one class for each kind of event
``observer``     the base class of observers, and how events are passed to them
``recording``    durations of calls that went well, which are passed on many at a time
``status``       the state of clients, servers, sessions and elections as values, and who can be asked for it
``log_records``  records of a log for machines, and the counting of records that repeat
``call_log``     lines in the log about calls that were slow or failed
``tracer``       the tracer of this process, and the trace that is current
``callers``      who calls a service, as all its instances tell it together
===============  =======================================================================================================

Metrics, traces, structured logs, pages and commands read these values and nothing else: code that measures must not
depend on how a connection or an election is built, and must not break when one is rebuilt. So this package is in a
layer below everything that makes the values: clients, servers, the registry and elections import it, and it imports
none of them.

An event is emitted by the object to which it happens, at that moment and after the object's own bookkeeping is done.
Layers below this package (codecs, wire machines, policies) emit no events; the layers that run them do.
"""
