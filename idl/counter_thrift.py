"""counter.thrift, loaded by zkrpc when this module is imported; counter_thrift.pyi has its types.

Written by ``zkrpc stubs``, which writes both anew.
"""

import zkrpc as _zkrpc

_zkrpc.load_into(globals(), "counter.thrift")
