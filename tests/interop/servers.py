"""Runs foreign servers, each on a port of its own, and prints the ports as JSON::

    python -m tests.interop.servers

It ends when its standard input does, so it cannot outlive whoever started it.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import thriftpy2
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAcceleratedFactory, TBinaryProtocolFactory
from thrift.protocol.TCompactProtocol import TCompactProtocolFactory
from thrift.protocol.THeaderProtocol import THeaderProtocolFactory
from thrift.server.TServer import TThreadedServer
from thrift.TMultiplexedProcessor import TMultiplexedProcessor
from thrift.transport.THeaderTransport import THeaderClientType
from thrift.transport.TSocket import TServerSocket
from thrift.transport.TTransport import TBufferedTransportFactory, TFramedTransportFactory, TTransportFactoryBase
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.server import TThreadedServer as PyServer
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TCyBufferedTransportFactory, TCyFramedTransportFactory
from thriftpy2.transport import TServerSocket as PyServerSocket

from interop.apache import Library, Processor
from tests.interop.behaviour import IDL, PATIENCE, Handler, SecondHandler

HEADERS = (THeaderClientType.HEADERS,)
SNIFFING = (*HEADERS, THeaderClientType.FRAMED_BINARY, THeaderClientType.FRAMED_COMPACT)


def _apache(listener: socket.socket, transport: Any, protocol: Any) -> Any:
    place = TServerSocket()
    place.handle, place.listen = listener, lambda: None
    library = Library(IDL)
    processor = Processor(Handler(library, time.sleep), library.service("Foreign"))
    return TThreadedServer(processor, place, transport, protocol, daemon=True)


def _multiplexed(listener: socket.socket, transport: Any, protocol: Any) -> Any:
    server = _apache(listener, transport, protocol)
    both = TMultiplexedProcessor()
    both.registerProcessor("Foreign", server.processor)
    both.registerProcessor("second service", Processor(SecondHandler(), Library(IDL).service("Second")))
    both.registerDefault(server.processor)
    server.processor = both
    return server


def _thriftpy2(listener: socket.socket, client_timeout: int, transport: Any = TCyFramedTransportFactory) -> Any:
    types = thriftpy2.load(str(IDL), module_name="foreign_thrift")
    place = PyServerSocket(client_timeout=client_timeout)
    place.sock, place.listen = listener, lambda: None
    processor = TProcessor(types.Foreign, Handler(types, time.sleep))
    return PyServer(
        processor,
        place,
        iprot_factory=TCyBinaryProtocolFactory(),
        itrans_factory=transport(),
        daemon=True,
    )


SERVERS: dict[str, Callable[[socket.socket], Any]] = {
    "thriftpy2": lambda listener: _thriftpy2(listener, 30_000),
    "thriftpy2, impatient": lambda listener: _thriftpy2(listener, PATIENCE),
    "apache": lambda listener: _apache(listener, TFramedTransportFactory(), TBinaryProtocolFactory()),
    "thriftpy2, unframed": lambda listener: _thriftpy2(listener, 30_000, TCyBufferedTransportFactory),
    "apache, unframed": lambda listener: _apache(listener, TBufferedTransportFactory(), TBinaryProtocolFactory()),
    "apache, compact": lambda listener: _apache(listener, TBufferedTransportFactory(), TCompactProtocolFactory()),
    "apache, framed compact": lambda listener: _apache(listener, TFramedTransportFactory(), TCompactProtocolFactory()),
    "apache, accelerated": lambda listener: _apache(
        listener, TFramedTransportFactory(), TBinaryProtocolAcceleratedFactory()
    ),
    "apache, THeader": lambda listener: _apache(listener, TTransportFactoryBase(), THeaderProtocolFactory(HEADERS)),
    "apache, multiplexed": lambda listener: _multiplexed(listener, TFramedTransportFactory(), TBinaryProtocolFactory()),
    "apache, multiplexed compact": lambda listener: _multiplexed(
        listener, TBufferedTransportFactory(), TCompactProtocolFactory()
    ),
    "apache, multiplexed THeader": lambda listener: _multiplexed(
        listener, TTransportFactoryBase(), THeaderProtocolFactory(HEADERS)
    ),
    "apache, sniffing": lambda listener: _apache(listener, TTransportFactoryBase(), THeaderProtocolFactory(SNIFFING)),
}


def main() -> None:
    """Serves until the end of standard input."""
    logging.disable(logging.CRITICAL)
    ports = {}
    for name, make in SERVERS.items():
        listener = socket.create_server(("127.0.0.1", 0))
        ports[name] = listener.getsockname()[1]
        threading.Thread(target=make(listener).serve, daemon=True).start()
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
