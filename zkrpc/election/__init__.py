"""Elects one primary at a time, each with an epoch of its own. Imports nothing, so that the pure modules can be
imported without gevent and kazoo.

The guarantee is Zab's: a primary has an epoch greater than every epoch before it; everything that a primary of epoch e
does comes before anything that a later one does; a new primary first synchronises (``on_elected`` has returned) and
only then serves. It rests on three mechanisms, and each covers what the one before cannot:

*The order of claims.* ZooKeeper decides which instance is the primary. Each candidate creates an ephemeral sequential
node and watches the one before it. The first claims the epoch in one transaction, with three conditions: its candidate
still exists, there is no ``primary`` node, and the epoch's node is unchanged. Two cannot win, and a session that has
ended cannot win. ``procedures`` has these sequences of requests, ``machine`` decides when to begin them.

*The lease.* A process learns late that its session has ended: not during a partition, and not while it is frozen. So a
primary serves only for a limited time after ZooKeeper last *committed* a write of its session, measured on its own
monotonic clock, and that time is always shorter than the one after which ZooKeeper would let another instance lead.
``lease`` has the arithmetic and the heartbeat's machine. The lease is checked before a handler runs and before its
reply leaves. A lost connection is no reason to step down: every change of ZooKeeper's own leader disconnects all
clients for about a second.

*Fencing.* A process can be frozen between checking the lease and writing to a store. The store is protected if it
remembers the highest epoch that it has seen and refuses lower ones: ``fencing``.

Every epoch is greater than the one in the epoch's node, than any that the process has seen since it began, and than the
time, by ZooKeeper's clock, at which its candidate was created; so no epoch is used twice, even if ZooKeeper has lost
the earlier ones. A candidate that knows a higher epoch than ZooKeeper writes it there. ``docs/fencing.md`` describes
the remaining cases.

No instance can block the others for ever. After a claim there must be a lease within half a session timeout. An
instance that cannot keep a lease, or whose ``on_elected`` fails, gives up and enrols again at the queue's end, after a
pause that grows. If the first in the queue does not claim, those behind it claim after a while; and a failed read is
repeated. Only instances that are registered are candidates.

Stepping down has one order, on which safety depends: refuse calls, stop the application (``on_deposed``), and only then
delete the ``primary`` node. If an operator deletes that node by hand, the lease does not protect until the watch has
fired; fencing still does.

====================================  =================================================================================
``tree``                              the paths and records in ZooKeeper
``machine``, ``states``, ``effects``  decides when to stand, lead and stop: its states and what leads from one to the
                                      next, and the orders it gives
``candidate_state``                   which node is ours and which epoch comes next; whether to be a candidate, when to
                                      stand back, and when to read again
``procedures``, ``conversation``      sequences of requests to ZooKeeper, and the one that runs, repeated if it failed
``campaign``, ``request_executor``    carries out what a group's machine decides, and its requests
``elections``                         all campaigns of one instance
``lease``, ``lease_keeper``           the lease and the heartbeat's machine, and the greenlet that writes
``leadership``, ``hooks``             the Leadership that a primary is given, and ``on_elected`` and ``on_deposed``,
                                      which are given it
``primary``                           which methods are the primary's, and the gate in front of them
``fencing``                           epochs as fencing tokens: in general, and in SQL
``placement``, ``spread``             spreads the groups over the replicas: the machine, and what carries it out
``inspection``                        the state of elections, and requests to step down, from outside
``observing``                         the events and the status of a campaign
``history``                           for people: the former primaries, and which instances could not lead and why
====================================  =================================================================================
"""
