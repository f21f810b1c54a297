"""Which instance gets the next call: one algorithm a module, all of them pure.

A balancer is handed candidates, dice and the time, and names one candidate. It does not know what a connection is, how
the list of candidates came about, or why somebody should be avoided; that is the client's business.

From everybody to one, each step on what the one before leaves:

=============  =========================================================  ==========================================
module         says                                                       when it is asked
=============  =========================================================  ==========================================
``warmup``     which part of its weight an instance has by its age        about once a second while one is young
``zones``      whether the own zone will do                               when members, weights or health change
``subset``     which few of many this client talks to                     the same
``picker``     who gets this call: makes ``p2c``, ``round_robin`` or      made when the above change; asked for every
               ``consistent_hash``                                        call
=============  =========================================================  ==========================================

Steps before the picker may look at everybody; the picker may not, as it runs tens of thousands of times a second.
``load`` is what an instance costs, ``candidate`` what all algorithms ask of one, and how they keep away from those that
they are told to avoid: while there is anybody else. ``rendezvous`` is how clients that never talk come to agree, which
both ``consistent_hash`` and ``subset`` rest on.

Two kinds of forgetting are avoided. Load belongs to the instance and outlives every picker; and a picker takes over
from the one it replaces, so that a list that changes every second does not begin every second with the same instance.
"""
