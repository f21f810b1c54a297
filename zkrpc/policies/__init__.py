"""What to do when a call fails: small composable values that decide, and interceptors that act on the decision.

Nothing here sleeps, reads a clock or throws dice by itself; whoever builds the stack hands those in.

==============  ==========================================================================  ========================
module          question                                                                    kept per
==============  ==========================================================================  ========================
``retry``       is this call sent again?                                                    call
``backoff``     after which pause?                                                          call
``budget``      is one more attempt affordable, all calls taken together?                   client
``hedge``       after which time is a second copy worth sending?                            method
``breaker``     is this endpoint worth a call at all?                                       endpoint
``limit``       how many calls should run at once?                                          server
==============  ==========================================================================  ========================

They run beside every call, and nearly every call is a success that changes no decision. So a success may cost its
caller the increment of one public integer; what it means is worked out when somebody asks, which ``decay`` explains.
"""
