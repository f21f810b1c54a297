"""The calling side: from ``stub.get(42)`` to bytes on one connection, and back.

==========================  ============================================================================================
``stub``                    one method per IDL method; binds arguments
``client``                  makes a Call of it, with a deadline that never exceeds that of the call being served
``policy``                  pure: which value is in effect of all that says how calls are made, and which source set it
``stack``                   deadline, retry, hedge, attempt: the order of the interceptors, each with its reason;
                            and the plan of a method, which is made before its first call
``observing``               what observers are told of calls, members and connections
``hedging``                 two copies of one call, and which of them counts
``primary_router``          which calls go to a primary instead, of which group, and what each answer teaches of it
``primaries``               pure: who leads, as far as registry, redirects and replies together tell
``load_balancer``           pure: who is a member, who is avoided, who is picked, and whether to believe a list that has
                            lost most of its members
``member``                  pure: what one instance says of itself, what it costs, what speaks against it
``resolver``                what a client asks of whoever knows the members, and a list that never changes
``channel``                 makes and retires subchannels as the list changes, and tells the balancer what becomes of
                            calls
``subchannel``              the way to one member: obeys the connectivity machine, and keeps the connections
``connectivity``            pure: whether calls can get to an endpoint, when to dial it again, and what the balancer is
                            told
``connection``              moves bytes between a socket and the wire machine, and wakes who waits
``pulse``                   what follows for a connection when its server gives no sign of life, and who is told
``waiting``                 the greenlets that wait for replies, and one timer for all their deadlines
``replies``                 what went wrong with a call, in words that name its method
``explanation``, ``probe``  how calls are made and why an instance is picked or not, for people; and a look at one from
                            outside of any client
==========================  ============================================================================================

A call may wait in four places only, each bounded by its deadline: for the first list of members, for a connection, for
the reply, and between attempts. Nothing here knows where the list of members comes from.
"""
