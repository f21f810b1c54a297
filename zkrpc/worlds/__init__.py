"""Calls from any thread and from any event loop: one thread runs a hub for all of them, with the clients in it.

What a program holds is a stub whose client is here only in name: it hands each call, as an *errand*, to the *hub
thread*, where the ordinary client of :mod:`zkrpc.client` makes it in a greenlet, with the caller's context.

==============  ========================================================================================================
``errand``      pure: one call on its way in and out: waiting, running, done; given up or not
``queues``      pure: where errands enter, many for each wake-up of the hub thread, with a bound; and where they leave,
                many for each wake-up of an event loop
``life``        pure: when the hub thread is started and ended, by who is connected, forks, and the end of the program
``hub_thread``  the thread itself, and the greenlets in it that run errands
``waits``       how a caller waits for its errand: in a thread, in a thread that has a hub, in an event loop
``remote``      the client that a stub has instead of the ordinary one
==============  ========================================================================================================

The fronts are :mod:`zkrpc.threads` and :mod:`zkrpc.aio`. Three rules hold it together:

- Queues between threads are deques, whose single steps are atomic, and flags that are set after a step or before it, as
  the comments there say; there is a lock for starting and ending the hub thread, and none on the way of a call.
- All that a client has (connections, session, greenlets, timers) is made, used and closed in the hub thread. Its state
  changes nowhere else, and it has no part in a fork: the child starts a hub thread of its own when it first calls.
- Whoever waits is woken exactly once for each errand, whatever becomes of it; to give an errand up is an errand, too.
"""
