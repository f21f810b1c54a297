"""Speaks for Apache's library for Python: ``python -m interop.peers.apache_python plain|c client|server ...``."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from thrift.protocol.TBinaryProtocol import (
    TBinaryProtocol,
    TBinaryProtocolAccelerated,
    TBinaryProtocolAcceleratedFactory,
    TBinaryProtocolFactory,
)
from thrift.protocol.TCompactProtocol import (
    TCompactProtocol,
    TCompactProtocolAccelerated,
    TCompactProtocolAcceleratedFactory,
    TCompactProtocolFactory,
)
from thrift.protocol.THeaderProtocol import THeaderProtocol, THeaderProtocolFactory
from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol
from thrift.server.TServer import TThreadedServer
from thrift.Thrift import TApplicationException
from thrift.TMultiplexedProcessor import TMultiplexedProcessor
from thrift.transport.THeaderTransport import THeaderClientType, THeaderSubprotocolID, THeaderTransformID
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import (
    TBufferedTransport,
    TBufferedTransportFactory,
    TFramedTransport,
    TFramedTransportFactory,
    TTransportFactoryBase,
)
from thrift.transport.TZlibTransport import TZlibTransport

from interop.apache import Client, Library, Processor
from interop.cases import IDL, Handler
from interop.peers.python import SECONDS, Connected, main

LIBRARY = Library(IDL)
_HEADERS = (THeaderClientType.HEADERS,)


def _old(trans: Any) -> Any:
    return TBinaryProtocol(trans, strictRead=False, strictWrite=False)


def _header(kind: int, trans: Any) -> Any:
    return THeaderProtocol(trans, _HEADERS, kind)


def _deflated(trans: Any) -> Any:
    protocol = _header(THeaderSubprotocolID.BINARY, trans)
    protocol.add_transform(THeaderTransformID.ZLIB)
    return protocol


def _zlib(trans: Any) -> Any:
    return TBufferedTransport(TZlibTransport(trans))


def _multiplexed(trans: Any) -> Any:
    return TMultiplexedProtocol(TBinaryProtocol(trans), "Matrix")


PLAIN: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "binary": (TBufferedTransport, TBinaryProtocol),
    "compact": (TBufferedTransport, TCompactProtocol),
    "framed": (TFramedTransport, TBinaryProtocol),
    "framed-compact": (TFramedTransport, TCompactProtocol),
    "binary-old": (TBufferedTransport, _old),
    "framed-old": (TFramedTransport, _old),
    "theader": (lambda trans: trans, partial(_header, THeaderSubprotocolID.BINARY)),
    "theader-compact": (lambda trans: trans, partial(_header, THeaderSubprotocolID.COMPACT)),
    "theader-zlib": (lambda trans: trans, _deflated),
    "zlib": (_zlib, TBinaryProtocol),
    "zlib-compact": (_zlib, TCompactProtocol),
    "multiplexed": (TBufferedTransport, _multiplexed),
    "framed-multiplexed": (TFramedTransport, _multiplexed),
}
IN_C: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "binary": (TBufferedTransport, partial(TBinaryProtocolAccelerated, fallback=False)),
    "compact": (TBufferedTransport, partial(TCompactProtocolAccelerated, fallback=False)),
    "framed": (TFramedTransport, partial(TBinaryProtocolAccelerated, fallback=False)),
    "framed-compact": (TFramedTransport, partial(TCompactProtocolAccelerated, fallback=False)),
}


def connect(dialects: dict[str, Any], dialect: str, port: int) -> Connected:
    """A client on a connection of its own."""
    transport, protocol = dialects[dialect]
    sock = TSocket("127.0.0.1", port)
    sock.setTimeout(SECONDS * 1000)
    made = protocol(transport(sock))
    made.trans.open()
    client = Client(made, LIBRARY.service("Later"))
    return Connected(client, LIBRARY, TApplicationException, client.close)


def serve(in_c: bool, dialect: str, listener: socket.socket) -> Any:
    """A server for a listening socket, with the factories that users of the library would take."""
    framed = dialect.startswith("framed")
    transport: Any = TFramedTransportFactory() if framed else TBufferedTransportFactory()
    if dialect.startswith("theader"):
        compact = dialect == "theader-compact"
        kind = THeaderSubprotocolID.COMPACT if compact else THeaderSubprotocolID.BINARY
        transport, protocol = TTransportFactoryBase(), THeaderProtocolFactory(_HEADERS, kind)
    elif dialect.endswith("compact"):
        protocol = TCompactProtocolAcceleratedFactory(fallback=False) if in_c else TCompactProtocolFactory()
    elif dialect.endswith("old"):
        protocol = TBinaryProtocolFactory(strictRead=False, strictWrite=False)
    else:
        protocol = TBinaryProtocolAcceleratedFactory(fallback=False) if in_c else TBinaryProtocolFactory()
    place = TServerSocket()
    place.handle, place.listen = listener, lambda: None
    processor: Any = Processor(Handler(LIBRARY), LIBRARY.service("Matrix"))
    if dialect.endswith("multiplexed"):
        processor, inner = TMultiplexedProcessor(), processor
        processor.registerProcessor("Matrix", inner)
    return TThreadedServer(processor, place, transport, protocol, daemon=True)


if __name__ == "__main__":
    kind = sys.argv[1]
    main(partial(connect, IN_C if kind == "c" else PLAIN), partial(serve, kind == "c"), sys.argv[2:])
