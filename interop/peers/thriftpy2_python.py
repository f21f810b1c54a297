"""Speaks for thriftpy2: ``python -m interop.peers.thriftpy2_python client|server ...``. Binary is in Cython."""

from __future__ import annotations

import socket
import sys
from typing import Any

import thriftpy2
from thriftpy2.protocol import TBinaryProtocolFactory, TCyBinaryProtocolFactory, TMultiplexedProtocolFactory
from thriftpy2.protocol.compact import TCompactProtocolFactory
from thriftpy2.rpc import make_client
from thriftpy2.server import TThreadedServer
from thriftpy2.thrift import TApplicationException, TMultiplexedProcessor, TProcessor
from thriftpy2.transport import (
    TBufferedTransportFactory,
    TCyBufferedTransportFactory,
    TCyFramedTransportFactory,
    TFramedTransportFactory,
    TServerSocket,
)

from interop.cases import IDL, Handler
from interop.peers.python import SECONDS, Connected, main

LIBRARY = thriftpy2.load(str(IDL), module_name="matrix_thrift")
_BINARY = TCyBinaryProtocolFactory()
_OLD = TBinaryProtocolFactory(strict_read=False, strict_write=False)
_MULTIPLEXED = TMultiplexedProtocolFactory(_BINARY, "Matrix")
DIALECTS = {
    "binary": (TCyBufferedTransportFactory(), _BINARY),
    "compact": (TBufferedTransportFactory(), TCompactProtocolFactory()),
    "framed": (TCyFramedTransportFactory(), _BINARY),
    "framed-compact": (TFramedTransportFactory(), TCompactProtocolFactory()),
    "binary-old": (TBufferedTransportFactory(), _OLD),
    "framed-old": (TFramedTransportFactory(), _OLD),
    "multiplexed": (TCyBufferedTransportFactory(), _MULTIPLEXED),
    "framed-multiplexed": (TCyFramedTransportFactory(), _MULTIPLEXED),
}


def connect(dialect: str, port: int) -> Connected:
    """A client on a connection of its own."""
    transport, protocol = DIALECTS[dialect]
    client = make_client(
        LIBRARY.Later, "127.0.0.1", port, proto_factory=protocol, trans_factory=transport, timeout=SECONDS * 1000
    )
    return Connected(client, LIBRARY, TApplicationException, client.close)


def serve(dialect: str, listener: socket.socket) -> Any:
    """A server for a listening socket."""
    transport, protocol = DIALECTS[dialect]
    processor: Any = TProcessor(LIBRARY.Matrix, Handler(LIBRARY))
    if dialect.endswith("multiplexed"):
        processor, inner, protocol = TMultiplexedProcessor(), processor, _BINARY
        processor.register_processor("Matrix", inner)
    place = TServerSocket(client_timeout=SECONDS * 1000)
    place.sock, place.listen = listener, lambda: None
    return TThreadedServer(processor, place, iprot_factory=protocol, itrans_factory=transport, daemon=True)


if __name__ == "__main__":
    main(connect, serve, sys.argv[1:])
