"""Serving calls: from accepted bytes to a handler and back.

::

    Server ── accepts ──▶ ServerConnection ── bytes ──▶ wire.ServerProtocol ── Request ──▶ Dispatcher ──▶ handler
       │                        ▲                                                               │
       └── Lifecycle            └──────────────── reply bytes, a few at a time  ◀──────────────┘

*Reading.* The hub itself reads, and switches into a worker greenlet of the server's :mod:`~zkrpc.server.greenlet_pool`,
which runs the requests that were read one after another. Most handlers answer without ever waiting, so a read of fifty
requests costs two greenlet switches. When a handler does block, the hub runs again before the worker is done, and gives
the remaining requests to another worker. A slow handler therefore never delays its neighbours, an idle connection needs
no greenlet, and nothing has to be armed or woken for any of this.

*Turns.* All of this happens in one hub, so one connection may use it for a slice of some milliseconds at a time; then
the others are served first, and it goes on with its next turn (:mod:`~zkrpc.server.turns`). What cannot be cut into
slices, one body to decode, is bounded by :class:`~zkrpc.config.WireLimits`; handlers that compute for long should use
``zkrpc.offload``.

*Threads.* Handlers that are ``async def`` run on an event loop in a native thread, and those that ``zkrpc.offload``
marks in a pool of such threads. The greenlet that serves the call stays in charge, with its interceptors around, and
waits; which handlers these are is settled when the server is made, so that the others run as if there were none.

*Writing.* All replies of one read leave in one send, unless running the requests takes longer than a fraction of a
millisecond: then those that are there leave first, so that client and server work at the same time and not in turns.

*Stopping.* :class:`~zkrpc.server.lifecycle.Lifecycle` owns the order of a graceful stop as data; the shell executes its
steps and reports what happened. No other module decides what is closed when.

*Workers.* :mod:`zkrpc.server.supervision` decides and :mod:`zkrpc.server.supervisor` acts: worker processes are
spawned, never forked from a process that has a hub or a ZooKeeper session, and a dead worker's session is closed at
once.

=======================================================  ===============================================================
``server``, ``lifecycle``, ``stopping``                  the server, the order in which it starts and stops, and who
                                                         walks it down
``acceptor``, ``accepting``                              taking connections, and pausing when that fails
``handshakes``                                           those of TLS, which come before a connection is served
``connection``, ``crew``                                 one connection, and how its requests are run
``host``, ``intake``, ``turns``                          what it uses of its server, when it is read, how much at once,
                                                         and whose turn on the hub it is
``greenlet_pool``, ``call_queue``                        greenlets that run requests, and one connection's requests that
                                                         wait for a place
``admission``, ``shares``                                how many handlers run, who waits, and how addresses share
                                                         places and connections
``accounts``                                             who calls, and what: counts for each caller and method
``handler_threads``, ``crossing``                        handlers in native threads: the greenlets that wait for them,
                                                         and how calls and outcomes cross
``event_loop``, ``native_threads``                       the threads: asyncio's for ``async def``, and a pool
``dispatch``, ``compiled``, ``failures``                 from request to answer, what of it is C, and what the log says
                                                         when a handler fails
``signatures``                                           whether a handler fits its interface, asked once before
                                                         anything is served
``handlers``                                             the handlers of several interfaces as one
``permissions``                                          who may call what, by the identities that certificates prove
``built_in``, ``allowance``                              services that every server answers beside its own, and what
                                                         they may cost
``health``                                               whether it is ready and live, and how ``zkrpc.Health`` tells it
``health_check``                                         asking the service's ``is_healthy``
``introspection``, ``tap``                               how ``zkrpc.Introspection`` tells the state and the callers,
                                                         and a sample of the requests
``bodies``                                               what such a sample may show of arguments and results
``connection_age``, ``buffers``                          connections' age and silence, and what all of them hold
``resources``                                            descriptors enough, and memory given back to the system
``complaints``                                           how often the log speaks of one address
``observing``                                            what observers are told of requests
``watched_files``                                        the source files whose changes replace the workers
``watchdog``, ``blockage``                               a thread that sees when the hub is blocked, and what it makes
                                                         of that
``supervisor``, ``supervision``, ``supervisor_channel``  the parent of the workers, what it decides, and what a worker
                                                         and it tell each other
``worker_process``                                       one worker, as its supervisor holds it
``wear``                                                 when a worker has served long enough
``service_manager``                                      what the supervisor tells systemd
``port``, ``startup``                                    an address to listen on, bound or held for workers, and why one
                                                         of them could not serve
=======================================================  ===============================================================
"""
