"""What can be seen of a running zkrpc: events, as they happen, and the state of things, when somebody asks.

============  ==========================================================================================================
``events``    what can be observed: one class for each kind of event
``observer``  who listens, and how they are told
``status``    the state of clients, servers, sessions and elections as values
============  ==========================================================================================================

Metrics, traces, logs for machines, pages and commands read these values and nothing else: whoever measures must not
depend on how a connection or an election is built, and whoever rebuilds one must not have to look for who reads its
attributes. So the values stand below everything that makes them, and know nothing of it: clients, servers, the
registry and elections import this package, and it imports none of them.

An event is told by the object that knows it, at the moment it happens and after the object's own bookkeeping is done.
Layers below this package (codecs, wire machines, policies) tell nothing; who runs them does.
"""
