"""Tools for testing services built on zkrpc: a whole service in memory, faults on demand, a real ZooKeeper.

Nothing here imitates zkrpc: tests run the same code as production. Only what is below it is replaced (sockets,
ZooKeeper's elections, the clock), or what is around it (a fault, a network). So a test may be wrong about the network,
and not about zkrpc. ``docs/testing.md`` shows how each tool is used.

===========================  =================================================================================
``loopback``, ``memory``     a service and its clients in one process, over sockets that are only memory
``threads``, ``aio``         the same for programs that call by :mod:`zkrpc.threads` or :mod:`zkrpc.aio`
``electorate``, ``referee``  its elections: the real campaigns, and what answers them where ZooKeeper would be
``faults``, ``fault_rules``  an interceptor that delays, aborts and drops calls, and which of them
``plugin``                   pytest fixtures with a real ZooKeeper
``proxy``                    a TCP proxy that fails on demand
``clock``                    a clock that moves when told to, for machines
===========================  =================================================================================
"""
