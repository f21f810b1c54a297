"""What to do when a call fails: small composable values that decide, and interceptors that act on the decision.

Nothing here sleeps, reads a clock or throws dice by itself; whoever builds the stack hands those in.

============  =============================================================  ============
module        question                                                       kept per
============  =============================================================  ============
``retry``     is this call sent again?                                       call
``backoff``   after which pause?                                             call
``budget``    is one more attempt affordable, all calls taken together?      client
``hedge``     after which time is a second copy worth sending?               method
``breaker``   is this endpoint worth a call at all?                          endpoint
``limit``     how many calls should run at once?                             server
============  =============================================================  ============

How they go together. Each looks at one thing, and what it does to the load is another's business: ``retry`` and
``hedge`` make more calls of one, so both ask ``budget``; ``breaker`` moves calls from one endpoint to the others, which
is no help when all are overloaded, so there ``limit`` refuses early what could not be done in time. An endpoint that
fails is for the breaker; one that refuses is spared for as long as it asks for, which is the client's roster's affair.

They run beside every call, and nearly every call is a success that changes no decision. So a success may cost its
caller the increment of one public integer; what it means is worked out when somebody asks, which ``decay`` explains.
"""
