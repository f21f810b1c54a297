"""What can be observed of a running zkrpc: events, as they happen, and states, when they are asked for.

============  ==========================================================================================================
``events``    what can be observed: one class for each kind of event
``observer``  who listens, and how they are told
``status``    the state of clients, servers, sessions and elections as values
============  ==========================================================================================================

Metrics, traces, structured logs, pages and commands read these values and nothing else: what measures must not depend
on how a connection or an election is built, and rebuilding one must not break what measures. So this package is in a
layer below everything that makes the values: clients, servers, the registry and elections import it, and it imports
none of them.

An event is told by the object that knows it, at the moment it happens and after the object's own bookkeeping is done.
Layers below this package (codecs, wire machines, policies) tell no events; the layers that run them do.
"""
