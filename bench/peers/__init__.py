"""A module for each peer, written as the peer's own users would: ``serve(ready)`` and ``make_client(port)``.

``serve`` tells ``ready`` its port and never returns. A process imports one of these modules and no other.

====================  =======================================================  ==================================
module                server                                                   client
====================  =======================================================  ==================================
``zkrpc_stack``       ``zkrpc.serve``                                          ``zkrpc.connect``: one connection
``zkrpc_bare``        the same                                                 one ``Connection``, no client, no stub
``grpcio_sync``       a pool of threads                                        threads on one channel
``grpcio_aio``        asyncio                                                  tasks on one channel
``thriftpy2_peer``    what ``make_server`` makes, on gevent                    greenlets, a connection each
``thriftpy2_framed``  the same, framed
``apache``            ``TThreadedServer`` with the C module, on gevent         greenlets, a connection each
``apache_threads``    the same on threads                                      threads, a connection each
``thriftpy2_one``     ``thriftpy2_peer``                                       greenlets take turns on one
``apache_one``        ``apache``                                               greenlets take turns on one
``plain``                                                                      canned bytes on many connections
``gevent_floor``      sends back what one read brought, in the hub             greenlets on one connection
``c_floor``           the same in C                                            the same in C
====================  =======================================================  ==================================
"""

from __future__ import annotations

PATCHED = frozenset({"thriftpy2_peer", "thriftpy2_framed", "thriftpy2_one", "apache", "apache_one"})
"""Those that become gevent's by ``monkey.patch_all()``, which a process does before it imports anything else."""
