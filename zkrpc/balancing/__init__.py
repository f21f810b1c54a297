"""Which instance gets the next call: one algorithm a module, all of them pure functions or machines.

A balancer is handed candidates, dice and the time, and names one candidate. It does not know what a connection is, how
the list of candidates came about, or why an instance should be avoided: :mod:`zkrpc.client` decides that.

The steps from all members to the one that gets a call; each step chooses among what the one before leaves:

=============  =========================================================  ==========================================
module         says                                                       when it is asked
=============  =========================================================  ==========================================
``warmup``     which part of its weight an instance has by its age        about once a second while one is young
``zones``      whether the own zone will do                               when members, weights or health change
``subset``     which few of many this client talks to                     the same
``picker``     which gets this call: makes ``p2c``, ``round_robin`` or    made when the above change; asked for every
               ``consistent_hash``                                        call
=============  =========================================================  ==========================================

Steps before the picker may look at every member; the picker may not, as it runs tens of thousands of times a second.
``load`` estimates what one more call to an instance costs. ``candidate`` says what the algorithms need to know of an
instance, and how they avoid some instances while there are others. ``rendezvous`` hashing lets clients that never talk
to each other agree on an order, on which both ``consistent_hash`` and ``subset`` rest.

Two things survive a change of the list. The load belongs to the instance and outlives every picker; and a picker takes
over the state of the one it replaces, so that a list that changes every second does not begin every second with the
same instance.
"""
