"""Serving calls: from accepted bytes to a handler and back.

::

    Server ── accepts ──▶ ServerConnection ── bytes ──▶ wire.ServerProtocol ── Request ──▶ Dispatcher ──▶ handler
       │                        ▲                                                               │
       └── Lifecycle            └──────────────── reply bytes, one send per turn ◀──────────────┘

*Reading.* One greenlet per connection leads: it reads, and runs each request of what it read in place. Most handlers
answer without ever giving up the hub, so a read of fifty requests costs no greenlet switch at all. When a handler does
block, the hub runs a callback that the leader armed before the batch; it finds the leader inside a handler and starts
another one, which takes over reading and the rest of the batch. A slow handler therefore never delays its neighbours.

*Stopping.* :class:`~zkrpc.server.lifecycle.Lifecycle` owns the order of a graceful stop as data; the shell executes its
steps and reports what happened. Nothing else decides when to close what.

*Workers.* :mod:`zkrpc.server.supervision` decides and :mod:`zkrpc.server.supervisor` acts: worker processes are
spawned, never forked from a process that has a hub or a ZooKeeper session, and a dead worker's session is closed at
once.
"""
