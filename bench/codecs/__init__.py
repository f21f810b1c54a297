"""The codec by itself, beside those that other libraries use: ``scripts/bench codec``.

Each *contestant* (a library's codec) is a process of its own, so that what one imports or is told by the environment
is nothing to the others; all have the same core. A round gives each of them a turn, in an order that dice give, for
each value and each way; a turn is some milliseconds of the same call again and again, by the processor's time of its
thread. What counts is the fastest turn: a codec waits for nothing, so whatever is slower was disturbed. The collector
is on, as it is in programs, without what was there before.

=================  ===================================================================================================
module             knows
=================  ===================================================================================================
``values``         the seven values, as dicts
``ours``           zkrpc's codec
``others``         those of Apache Thrift, thriftpy2, protobuf and msgspec
``contestant``     a process: one line of JSON is one order
``contest``        rounds, and what they come to
``verdict``        what has to hold, and the table
=================  ===================================================================================================
"""
