"""How fast zkrpc is beside what else a user could take, and how that is measured.

Run it with ``scripts/bench``. For each *row* (a peer's client against a peer's server) and each *cell* of a row (a
workload at a number of callers) a server process on one core answers a client process on the other. All servers and
clients of a round live at the same time, idle but for the pair whose turn it is; a round takes the rows of each cell in
an order that dice give, so that whatever slows the machine down for a while slows down all of them. A figure is the
median of the rounds; its spread is their minimum and maximum; a ratio is one of medians.

=============  ======================================================================================================
module         knows
=============  ======================================================================================================
``plan``       rows and cells, and which of them a run takes
``run``        rounds: who is measured when
``children``   the processes, from outside
``process``    a process, from inside: one line of JSON is one order
``load``       closed and open loops of threads or greenlets, and ``load_aio`` of tasks
``pacing``     how a call starts at its moment, to a few microseconds, on every kind of loop
``sample``     what one cell of one round came to
``values``     what is sent
``peers``      a module for each peer: its server and its client, written as its users write them
``checks``     what has to hold
``table``      figures for people, and ``picture`` the same to look at
``floor.c``    what is left when there is no Python in it
``codecs``     the codec by itself, beside other libraries' codecs
=============  ======================================================================================================

The closed loop measures throughput and CPU: every caller calls again at once. Latencies come from an open loop, where
calls have their moments whether or not earlier ones were answered, at half of what the same peer can do; a latency
counts from the moment at which the call was meant to start, so that a pause of the server is seen by every call that it
kept waiting ("coordinated omission").
"""
