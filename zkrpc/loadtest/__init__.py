"""An open loop of calls, and what is learnt of the service by it. Theory of operation.

Callers of a real service do not wait for each other: whoever is late does not keep the next one from coming. So calls
are due at fixed moments, whether or not earlier ones were answered, and a call's latency counts from the moment it was
*due*. A service that stands still for a second thus has a second's worth of slow calls, as its users would; a
loop in which each caller waits for its answer would have seen one slow call (*coordinated omission*).

- :mod:`~zkrpc.loadtest.open_loop` says which calls are due, and holds back what would be too many at once; pure.
- :mod:`~zkrpc.loadtest.histogram` counts latencies in a fixed amount of memory, each to within a hundredth; pure.
- :mod:`~zkrpc.loadtest.tally` sums up latencies and outcomes, as text and as values; pure.
- :mod:`~zkrpc.loadtest.generator` makes the calls, each in a greenlet of its own and at its moment.

How late the generator itself was is told beside the latencies: what it adds to them is not the service's.
"""
