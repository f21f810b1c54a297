"""What to do when a call fails: small composable values that decide, and interceptors that act on the decision.

Nothing here sleeps, reads a clock or draws random numbers by itself; whoever builds the stack hands those in.

============  =============================================================  ============
module        question                                                       kept per
============  =============================================================  ============
``retry``     is this call sent again?                                       call
``backoff``   after which pause?                                             call
``budget``    is one more attempt affordable, all calls taken together?      client
``budget``    may this caller make one more call in this second?             caller
``hedge``     after which time is a second copy worth sending?               method
``breaker``   is this endpoint worth a call at all?                          endpoint
``limit``     how many calls should run at once?                             server
============  =============================================================  ============

How they work together. Each decides one thing, and another bounds what that does to the load: ``retry`` and ``hedge``
send a call more than once, so both ask ``budget``; ``breaker`` moves calls from one endpoint to the others, which is no
help when all are overloaded, so there ``limit`` refuses early what could not be done in time. The breaker is for an
endpoint that fails. One that refuses calls is spared for as long as it asks to be, by
:mod:`zkrpc.client.load_balancer`.

They run beside every call, and nearly every call is a success that changes no decision. So a success costs the
increment of one public integer; what the count means is worked out when a decision is due, as ``decay`` explains.
"""
