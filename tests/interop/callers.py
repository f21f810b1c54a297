"""Runs foreign clients against a server and prints what each was told, as JSON::

    python -m tests.interop.callers {apache|thriftpy2|second|health} PORT

They block, so they have a process of their own.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.interop.behaviour import IDL, ask, ask_both

SECONDS = 10
"""How long a client waits for one answer."""


def apache() -> dict[str, Callable[[int], dict[str, Any]]]:
    """Apache Thrift's Python library, in pure Python and with its C module."""
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
    from thrift.protocol.TCompactProtocol import TCompactProtocol, TCompactProtocolAccelerated
    from thrift.protocol.THeaderProtocol import THeaderProtocol
    from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol
    from thrift.Thrift import TApplicationException
    from thrift.transport.THeaderTransport import THeaderClientType, THeaderSubprotocolID, THeaderTransformID
    from thrift.transport.TSocket import TSocket
    from thrift.transport.TTransport import TBufferedTransport, TFramedTransport
    from thrift.transport.TZlibTransport import TZlibTransport

    from interop.apache import Client, Library

    def framed(protocol: Any) -> Callable[[Any], Any]:
        return lambda sock: protocol(TFramedTransport(sock))

    def unframed(protocol: Any, **options: Any) -> Callable[[Any], Any]:
        return lambda sock: protocol(TBufferedTransport(sock), **options)

    def zlib(protocol: Any, between: Any) -> Callable[[Any], Any]:
        return lambda sock: protocol(between(TZlibTransport(sock)))

    def multiplexed(sock: Any) -> Any:
        return TMultiplexedProtocol(TBinaryProtocol(TFramedTransport(sock)), "Foreign")

    def header(number: int, *, deflated: bool = False) -> Callable[[Any], Any]:
        def make(sock: Any) -> Any:
            protocol = THeaderProtocol(sock, (THeaderClientType.HEADERS,), number)
            if deflated:
                protocol.add_transform(THeaderTransformID.ZLIB)
            protocol.set_header(b"tenant", b"blue")
            return protocol

        return make

    library = Library(IDL)
    variants = {
        "framed binary": framed(TBinaryProtocol),
        "framed binary, accelerated": framed(TBinaryProtocolAccelerated),
        "framed compact": framed(TCompactProtocol),
        "framed compact, accelerated": framed(TCompactProtocolAccelerated),
        "framed binary, multiplexed": multiplexed,
        "framed binary, old": lambda sock: TBinaryProtocol(TFramedTransport(sock), strictRead=False, strictWrite=False),
        "binary": unframed(TBinaryProtocol),
        "binary, accelerated": unframed(TBinaryProtocolAccelerated),
        "binary, old": unframed(TBinaryProtocol, strictRead=False, strictWrite=False),
        "compact": unframed(TCompactProtocol),
        "compact, accelerated": unframed(TCompactProtocolAccelerated),
        "binary in zlib": zlib(TBinaryProtocol, TBufferedTransport),
        "compact in zlib": zlib(TCompactProtocol, TBufferedTransport),
        "framed binary in zlib": zlib(TBinaryProtocol, TFramedTransport),
        "THeader binary": header(THeaderSubprotocolID.BINARY),
        "THeader binary, deflated": header(THeaderSubprotocolID.BINARY, deflated=True),
        "THeader compact": header(THeaderSubprotocolID.COMPACT),
    }

    def run(make: Callable[[Any], Any], note: str, port: int) -> dict[str, Any]:
        sock = TSocket("127.0.0.1", port)
        sock.setTimeout(SECONDS * 1000)
        protocol = make(sock)
        protocol.trans.open()
        client = Client(protocol, library.service("Newer"))
        told = ask(client, library, TApplicationException, note)
        for name, *values in (("slow", "first", 100), ("echo", "second"), ("echo", "third")):
            client.send(name, *values)
        told["in a row"] = [client.receive(name) for name in ("slow", "echo", "echo")]
        client.close()
        return told

    return {name: partial(run, make, f"apache, {name}") for name, make in variants.items()}


def thriftpy2() -> dict[str, Callable[[int], dict[str, Any]]]:
    """thriftpy2 as it comes, in Cython and in pure Python."""
    import thriftpy2 as library
    from thriftpy2.protocol import TBinaryProtocolFactory, TCyBinaryProtocolFactory, TMultiplexedProtocolFactory
    from thriftpy2.protocol.compact import TCompactProtocolFactory
    from thriftpy2.rpc import make_client
    from thriftpy2.thrift import TApplicationException
    from thriftpy2.transport import (
        TBufferedTransportFactory,
        TCyBufferedTransportFactory,
        TCyFramedTransportFactory,
        TFramedTransportFactory,
    )

    types = library.load(str(IDL), module_name="foreign_thrift")
    cython, python = TCyFramedTransportFactory(), TFramedTransportFactory()
    variants = {
        "framed binary": (TCyBinaryProtocolFactory(), cython),
        "framed binary, pure Python": (TBinaryProtocolFactory(), python),
        "framed compact": (TCompactProtocolFactory(), python),
        "framed binary, multiplexed": (TMultiplexedProtocolFactory(TCyBinaryProtocolFactory(), "Foreign"), cython),
        "binary": (TCyBinaryProtocolFactory(), TCyBufferedTransportFactory()),
        "binary, pure Python": (TBinaryProtocolFactory(), TBufferedTransportFactory()),
        "binary, old": (TBinaryProtocolFactory(strict_read=False, strict_write=False), TBufferedTransportFactory()),
        "binary, multiplexed": (
            TMultiplexedProtocolFactory(TCyBinaryProtocolFactory(), "Foreign"),
            TCyBufferedTransportFactory(),
        ),
        "compact": (TCompactProtocolFactory(), TBufferedTransportFactory()),
    }

    def run(protocol: Any, transport: Any, note: str, port: int) -> dict[str, Any]:
        client = make_client(
            types.Newer, "127.0.0.1", port, proto_factory=protocol, trans_factory=transport, timeout=SECONDS * 1000
        )
        told = ask(client, types, TApplicationException, note)
        client._send("slow", text="first", milliseconds=100)
        client._send("echo", text="second")
        client._send("echo", text="third")
        told["in a row"] = [client._recv(name) for name in ("slow", "echo", "echo")]
        client.close()
        return told

    return {name: partial(run, *made, f"thriftpy2, {name}") for name, made in variants.items()}


def second() -> dict[str, Callable[[int], dict[str, Any]]]:
    """Apache's multiplexed protocol, for two services over one connection, one that is not there, and plain names."""
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol
    from thrift.protocol.TCompactProtocol import TCompactProtocol
    from thrift.protocol.THeaderProtocol import THeaderProtocol
    from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol
    from thrift.Thrift import TApplicationException
    from thrift.transport.THeaderTransport import THeaderClientType
    from thrift.transport.TSocket import TSocket
    from thrift.transport.TTransport import TBufferedTransport, TFramedTransport

    from interop.apache import Client, Library

    library = Library(IDL)
    newer, other = library.service("Newer"), library.service("Second")

    def run(make: Callable[[Any], Any], port: int) -> dict[str, Any]:
        sock = TSocket("127.0.0.1", port)
        sock.setTimeout(SECONDS * 1000)
        protocol = make(sock)
        protocol.trans.open()
        beside = Client(TMultiplexedProtocol(protocol, "Second"), other)
        told: dict[str, Any] = {
            "plain": ask_both(Client(protocol, newer), beside),
            "by name": ask_both(Client(TMultiplexedProtocol(protocol, "Foreign"), newer), beside),
            "by the registry's name": ask_both(Client(TMultiplexedProtocol(protocol, "both"), newer), beside),
        }
        for name, wrong in (
            ("no service", Client(TMultiplexedProtocol(protocol, "Third"), other)),
            ("no method", Client(TMultiplexedProtocol(protocol, "Second"), newer)),
        ):
            try:
                wrong.slow("never", 1) if name == "no method" else wrong.echo("never")
            except TApplicationException as error:
                told[name] = [error.type, error.message]
        told["afterwards"] = ask_both(Client(protocol, newer), beside)
        protocol.trans.close()
        return told

    return {
        "framed binary": partial(run, lambda sock: TBinaryProtocol(TFramedTransport(sock))),
        "framed compact": partial(run, lambda sock: TCompactProtocol(TFramedTransport(sock))),
        "binary": partial(run, lambda sock: TBinaryProtocol(TBufferedTransport(sock))),
        "compact": partial(run, lambda sock: TCompactProtocol(TBufferedTransport(sock))),
        "THeader binary": partial(run, lambda sock: THeaderProtocol(sock, (THeaderClientType.HEADERS,))),
    }


def health() -> dict[str, Callable[[int], dict[str, Any]]]:
    """Apache's multiplexed protocol, without generated code: asks the built-in service, reads whatever fields come."""
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol
    from thrift.protocol.TCompactProtocol import TCompactProtocol
    from thrift.protocol.THeaderProtocol import THeaderProtocol
    from thrift.protocol.TMultiplexedProtocol import TMultiplexedProtocol
    from thrift.Thrift import TMessageType, TType
    from thrift.transport.THeaderTransport import THeaderClientType
    from thrift.transport.TSocket import TSocket
    from thrift.transport.TTransport import TFramedTransport

    def strings(protocol: Any) -> list[str]:
        found = [protocol.readString() for _ in range(protocol.readListBegin()[1])]
        protocol.readListEnd()
        return found

    def fields(protocol: Any) -> dict[int, Any]:
        """The fields of a struct, by their ids."""
        read = {
            TType.STRUCT: lambda: fields(protocol),
            TType.STRING: protocol.readString,
            TType.BOOL: protocol.readBool,
            TType.I64: protocol.readI64,
            TType.LIST: lambda: strings(protocol),
        }
        found = {}
        protocol.readStructBegin()
        while True:
            _, kind, number = protocol.readFieldBegin()
            if kind == TType.STOP:
                protocol.readStructEnd()
                return found
            found[number] = read[kind]()
            protocol.readFieldEnd()

    def run(make: Callable[[Any], Any], port: int) -> dict[str, Any]:
        sock = TSocket("127.0.0.1", port)
        sock.setTimeout(SECONDS * 1000)
        inner = make(sock)
        inner.trans.open()
        outer = TMultiplexedProtocol(inner, "zkrpc.Health")
        outer.writeMessageBegin("check", TMessageType.CALL, 3)
        outer.writeStructBegin("check_args")
        outer.writeFieldStop()
        outer.writeStructEnd()
        outer.writeMessageEnd()
        inner.trans.flush()
        name, kind, seqid = inner.readMessageBegin()
        told = {"message": [name, kind, seqid], "result": fields(inner)}
        inner.trans.close()
        return told

    return {
        "framed binary": partial(run, lambda sock: TBinaryProtocol(TFramedTransport(sock))),
        "framed compact": partial(run, lambda sock: TCompactProtocol(TFramedTransport(sock))),
        "THeader binary": partial(run, lambda sock: THeaderProtocol(sock, (THeaderClientType.HEADERS,))),
    }


def main(library: str, port: int) -> None:
    """Runs all variants; one that breaks says so in its place."""
    told: dict[str, Any] = {}
    libraries = {"apache": apache, "thriftpy2": thriftpy2, "second": second, "health": health}
    for name, run in libraries[library]().items():
        try:
            told[name] = run(port)
        except Exception:
            told[name] = traceback.format_exc()
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
