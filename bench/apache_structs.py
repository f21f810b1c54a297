"""What Apache Thrift's compiler makes of ``bench.thrift``, as far as calls run through it.

The compiler is no Python package, so what it would write is written here by hand: the classes with their
``thrift_spec``, and ``read`` and ``write``, which give everything to the C module. The slow paths of generated code,
for protocols without it, are left out; nothing is added. Code that the compiler generated is no faster (measured).
"""

from __future__ import annotations

from typing import Any

from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType


class Struct:
    """What all structs share."""

    thrift_spec: tuple[Any, ...] = ()

    def read(self, iprot: Any) -> None:
        """By the C module."""
        iprot._fast_decode(self, iprot, [self.__class__, self.thrift_spec])

    def write(self, oprot: Any) -> None:
        """By the C module."""
        oprot.trans.write(oprot._fast_encode(self, [self.__class__, self.thrift_spec]))

    def __eq__(self, other: object) -> bool:
        """As generated."""
        return isinstance(other, self.__class__) and self.__dict__ == other.__dict__


class Item(Struct):
    """As in the IDL."""

    thrift_spec = (
        None,
        (1, TType.I64, "id", None, None),
        (2, TType.STRING, "name", "UTF8", None),
        (3, TType.DOUBLE, "price", None, None),
        (4, TType.BOOL, "in_stock", None, None),
        (5, TType.I32, "count", None, None),
        (6, TType.STRING, "token", "BINARY", None),
        (7, TType.LIST, "tags", (TType.STRING, "UTF8", False), None),
        (8, TType.MAP, "places", (TType.STRING, "UTF8", TType.I64, None, False), None),
    )

    def __init__(
        self,
        id: Any = None,
        name: Any = None,
        price: Any = None,
        in_stock: Any = None,
        count: Any = None,
        token: Any = None,
        tags: Any = None,
        places: Any = None,
    ) -> None:
        self.id = id
        self.name = name
        self.price = price
        self.in_stock = in_stock
        self.count = count
        self.token = token
        self.tags = tags
        self.places = places


class Order(Struct):
    """As in the IDL."""

    thrift_spec = (
        None,
        (1, TType.I64, "id", None, None),
        (2, TType.STRING, "customer", "UTF8", None),
        (3, TType.LIST, "items", (TType.STRUCT, [Item, Item.thrift_spec], False), None),
    )

    def __init__(self, id: Any = None, customer: Any = None, items: Any = None) -> None:
        self.id = id
        self.customer = customer
        self.items = items


class Nothing(Struct):
    """Arguments and result of ``ping``."""


class EchoArguments(Struct):
    """Of ``echo``."""

    thrift_spec = (None, (1, TType.STRING, "text", "UTF8", None))

    def __init__(self, text: Any = None) -> None:
        self.text = text


class EchoResult(Struct):
    """Of ``echo``."""

    thrift_spec = ((0, TType.STRING, "success", "UTF8", None),)

    def __init__(self, success: Any = None) -> None:
        self.success = success


class RichArguments(Struct):
    """Of ``rich``."""

    thrift_spec = (None, (1, TType.STRUCT, "order", [Order, Order.thrift_spec], None))

    def __init__(self, order: Any = None) -> None:
        self.order = order


class RichResult(Struct):
    """Of ``rich``."""

    thrift_spec = ((0, TType.STRUCT, "success", [Order, Order.thrift_spec], None),)

    def __init__(self, success: Any = None) -> None:
        self.success = success


class BlobArguments(Struct):
    """Of ``blob``."""

    thrift_spec = (None, (1, TType.STRING, "data", "BINARY", None))

    def __init__(self, data: Any = None) -> None:
        self.data = data


class BlobResult(Struct):
    """Of ``blob``."""

    thrift_spec = ((0, TType.STRING, "success", "BINARY", None),)

    def __init__(self, success: Any = None) -> None:
        self.success = success


class BenchClient:
    """The client."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def ping(self) -> None:
        """Nothing."""
        self._send("ping", Nothing())
        self._receive(Nothing())

    def echo(self, text: str) -> Any:
        """The text."""
        self._send("echo", EchoArguments(text))
        return self._receive(EchoResult()).success

    def rich(self, order: Order) -> Any:
        """The order."""
        self._send("rich", RichArguments(order))
        return self._receive(RichResult()).success

    def blob(self, data: bytes) -> Any:
        """The bytes."""
        self._send("blob", BlobArguments(data))
        return self._receive(BlobResult()).success

    def _send(self, name: str, arguments: Struct) -> None:
        protocol = self._protocol
        protocol.writeMessageBegin(name, TMessageType.CALL, 0)
        arguments.write(protocol)
        protocol.writeMessageEnd()
        protocol.trans.flush()

    def _receive(self, result: Any) -> Any:
        protocol = self._protocol
        _, kind, _ = protocol.readMessageBegin()
        if kind == TMessageType.EXCEPTION:
            error = TApplicationException()
            error.read(protocol)
            protocol.readMessageEnd()
            raise error
        result.read(protocol)
        protocol.readMessageEnd()
        return result


class Processor(TProcessor):  # type: ignore[misc]  # untyped
    """The server's side."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._map = {"ping": self._ping, "echo": self._echo, "rich": self._rich, "blob": self._blob}

    def process(self, iprot: Any, oprot: Any) -> None:
        """One call."""
        name, _, seqid = iprot.readMessageBegin()
        result = self._map[name](iprot)
        oprot.writeMessageBegin(name, TMessageType.REPLY, seqid)
        result.write(oprot)
        oprot.writeMessageEnd()
        oprot.trans.flush()

    def _ping(self, iprot: Any) -> Struct:
        arguments = Nothing()
        arguments.read(iprot)
        iprot.readMessageEnd()
        self._handler.ping()
        return Nothing()

    def _echo(self, iprot: Any) -> Struct:
        arguments = EchoArguments()
        arguments.read(iprot)
        iprot.readMessageEnd()
        return EchoResult(self._handler.echo(arguments.text))

    def _rich(self, iprot: Any) -> Struct:
        arguments = RichArguments()
        arguments.read(iprot)
        iprot.readMessageEnd()
        return RichResult(self._handler.rich(arguments.order))

    def _blob(self, iprot: Any) -> Struct:
        arguments = BlobArguments()
        arguments.read(iprot)
        iprot.readMessageEnd()
        return BlobResult(self._handler.blob(arguments.data))
