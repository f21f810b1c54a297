"""A module for each peer, written as the peer's own users would: ``serve(ready)`` and ``make_client(port)``.

``serve`` tells ``ready`` its port and never returns. A process imports one of these modules and no other.

=====================  =======================================================  ==================================
module                 server                                                   client
=====================  =======================================================  ==================================
``zkrpc_stack``        ``zkrpc.serve``                                          ``zkrpc.connect``: one connection
``zkrpc_bare``         the same                                                 one ``Connection``, no client, no stub
``zkrpc_threads``      the same                                                 threads on one stub
``zkrpc_aio``          the same                                                 tasks on one stub
``zkrpc_tasks``        as ``zkrpc_stack``, with handlers that are ``async``     as ``zkrpc_stack``
``zkrpc_offload``      as ``zkrpc_stack``, with handlers in native threads      as ``zkrpc_stack``
``grpcio_sync``        a pool of threads                                        threads on one channel
``grpcio_aio``         asyncio                                                  tasks on one channel
``zkrpc_tls``          as ``zkrpc_stack``, with TLS                             the same
``grpcio_tls``         as ``grpcio_sync``, with TLS                             the same
``thriftpy2_peer``     what ``make_server`` makes, on gevent                    greenlets, a connection each
``thriftpy2_framed``   the same, framed
``thriftpy2_threads``  the same on threads                                      threads, a connection each
``apache``             ``TThreadedServer`` with the C module, on gevent         greenlets, a connection each
``apache_framed``      the same on threads, framed
``apache_threads``     the same on threads                                      threads, a connection each
``thriftpy2_one``      ``thriftpy2_peer``                                       greenlets take turns on one
``apache_one``         ``apache``                                               greenlets take turns on one
``plain``                                                                       canned bytes on many connections
``gevent_floor``       sends back what one read brought, in the hub             greenlets on one connection
``c_floor``            the same in C                                            the same in C
=====================  =======================================================  ==================================
"""

from __future__ import annotations

PATCHED = frozenset({"thriftpy2_peer", "thriftpy2_framed", "thriftpy2_one", "apache", "apache_one"})
"""Those that become gevent's by ``monkey.patch_all()``, which a process does before it imports anything else."""
