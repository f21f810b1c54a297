"""The calling side: from ``stub.get(42)`` to bytes on one connection, and back.

==========================  ============================================================================================
``stub``                    one method per IDL method; binds arguments
``client``                  makes a Call of it, with a deadline that never exceeds that of the call being served
``invoking``                what each call is made with, and the hot part of ``client``, which is compiled
``policy``                  pure: the settings in effect for calls, and which source set each
``stack``                   deadline, retry, hedge, attempt: the order of the interceptors, each with its reason;
                            and the plan of a method, which is made before its first call
``attempting``              the hot part of an attempt, which is compiled
``observing``               the events of calls
``member_observing``        the events of members and connections, and the state of a member
``hedging``                 sends a second copy of a slow call, and takes the answer that comes first
``primary_router``          which calls go to a primary, of which group, and what each answer tells of it
``primaries``               pure: each group's primary, from the registry, redirects and replies
``load_balancer``           pure: which instances are members, avoided, and picked, and what is done with a list that
                            has lost most of its members
``member``                  pure: one instance with its registration, load, breaker and connectivity
``resolver``                the protocols of resolvers, and the resolver of a fixed list
``naming``                  pure: what the methods of an interface are called where several are served
``channel``                 makes and retires subchannels as the list changes, and passes the outcomes of calls to the
                            balancer
``subchannel``              the way to one member: carries out the connectivity machine, and keeps the connections
``plain_subchannel``        the same for plain Thrift: a few connections, with one call at a time each
``dialect_search``          finds out what a member speaks whose record does not say, and which kind of way each gets
``connectivity``            pure: whether calls can get to an endpoint, when to dial it again, and its standing for the
                            balancer
``connection``              moves bytes between a socket and the wire machine, and wakes the calls that wait
``exchange``                the hot part of ``connection``, which is compiled
``secured``                 opens connections with TLS, for clients that do it
``pulse``                   what is done about a connection whose server gives no sign of life
``waiting``                 the greenlets that wait for replies, and one timer for all their deadlines
``replies``                 the texts of a call's errors, which name its method
``inquiry``                 asks every instance what it tells of itself, such as who calls it
``explanation``, ``probe``  how calls are made and why an instance is picked or not, for people; and a check of one
                            instance without a client
==========================  ============================================================================================

A call may wait in four places only, each bounded by its deadline: for the first list of members, for a connection, for
the reply, and between attempts. No module of this package knows where the list of members comes from.
"""
