"""One primary at a time, each with an epoch of its own. Imports nothing, so that the pure half stays importable alone.

The promise is Zab's: a primary has an epoch greater than every epoch before it; what a primary of epoch e did comes
before anything that a later one does; a new primary first synchronises (``on_elected`` has returned) and only then
serves. Three things carry it, and each covers what the one before cannot:

*The order of claims.* ZooKeeper makes one primary. Whoever wants to lead enrols an ephemeral sequential node and
watches the one before it. The first takes the epoch in one transaction: my candidate is still there, nobody's
``primary`` node is, and the epoch is the one I read. Two cannot win, and a session that has ended cannot win.
``procedures`` holds these conversations, ``machine`` decides when to have them.

*The lease.* Losing the session is learnt late: never during a partition, and not at all while a process is frozen. So a
primary believes in itself only for a while after ZooKeeper last *committed* something it sent, measured on its own
monotonic clock, and always a shorter while than the one after which ZooKeeper would let another lead. ``lease`` is the
arithmetic and the machine that writes. The lease is asked before a handler runs and before its reply
leaves. Being disconnected is no reason to step down: every change of ZooKeeper's own leader disconnects everybody for
about a second.

*The epoch where it is written.* A process can be frozen between asking the lease and writing. What protects the written
state is the store that remembers the highest epoch it has seen and refuses lower ones: ``fencing``.

Every epoch is above what the epoch's node says, above what the process has seen since it began, and above the time, by
ZooKeeper's clock, at which its candidate was made; so none comes again, not even when ZooKeeper has lost them. Whoever
knows of a higher one than ZooKeeper says so there. ``docs/fencing.md`` has what remains.

Nobody keeps others from leading for ever. Who has claimed must have a lease in half a session timeout; who cannot keep
one, or fails to begin, lets go and stands again last, ever later; those behind one that does not come go first in the
end; and a look that failed is repeated. Only who is listed in the registry stands.

Stepping down runs in one order, which is the safety argument: shut the gate, stop the application (``on_deposed``), and
only then delete the ``primary`` node. An operator who deletes that node by hand takes the second thing away for as long
as a watch needs to arrive; the third remains.

====================================  =================================================================================
``tree``                              what lies where in ZooKeeper, and what is written there
``machine``, ``states``, ``effects``  decides when to stand, lead and stop: its states and what leads from one to the
                                      next, and the orders it gives
``candidate_state``                   which node is ours and which epoch comes next; whether to stand, when to stand
                                      back, and when to look again
``procedures``, ``conversation``      the dialogues with ZooKeeper, and the one that runs: begun again if it failed
``campaign``, ``request_executor``    carries out what a group's machine decides, and its requests
``elections``                         all campaigns of one instance
``lease``, ``lease_keeper``           how long a primary may believe in itself and the machine that earns it, and the
                                      greenlet that writes
``leadership``                        ``on_elected`` and ``on_deposed``, and what the application holds between the two
``primary``                           which methods are the primary's, and the gate in front of them
``fencing``                           epochs compared where something is written: in general, and in SQL
``placement``, ``spread``             spreads the groups over the replicas: the machine, and what carries it out
``inspection``                        what can be seen from outside, and an operator's request that a primary step down
``observing``                         which orders of a machine are events to those who observe
``history``                           what people are told: who led, and who could not and why
====================================  =================================================================================
"""
