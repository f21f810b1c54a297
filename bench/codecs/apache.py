"""Apache Thrift's C module, called as what its compiler generates calls it, with classes as it generates them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from thrift.protocol import fastbinary
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

from bench.apache_structs import BlobArguments, EchoArguments, Item, Order, Struct
from bench.codecs.values import Codec, made


class Scalars(Struct):
    """As in the IDL."""

    thrift_spec = (
        None,
        (1, TType.BOOL, "flag", None, None),
        (2, TType.I32, "count", None, None),
        (3, TType.I32, "port", None, None),
        (4, TType.I64, "id", None, None),
        (5, TType.I64, "at", None, None),
        (6, TType.DOUBLE, "price", None, None),
        (7, TType.STRING, "name", "UTF8", None),
        (8, TType.STRING, "token", "BINARY", None),
    )

    def __init__(
        self,
        flag: Any = None,
        count: Any = None,
        port: Any = None,
        id: Any = None,
        at: Any = None,
        price: Any = None,
        name: Any = None,
        token: Any = None,
    ) -> None:
        self.flag = flag
        self.count = count
        self.port = port
        self.id = id
        self.at = at
        self.price = price
        self.name = name
        self.token = token


class Numbers(Struct):
    """As in the IDL."""

    thrift_spec = (None, (1, TType.LIST, "numbers", (TType.I64, None, False), None))

    def __init__(self, numbers: Any = None) -> None:
        self.numbers = numbers


class Words(Struct):
    """As in the IDL."""

    thrift_spec = (None, (1, TType.LIST, "words", (TType.STRING, "UTF8", False), None))

    def __init__(self, words: Any = None) -> None:
        self.words = words


class Shelf(Struct):
    """As in the IDL."""

    _ITEM = [Item, Item.thrift_spec]
    thrift_spec = (None, (1, TType.MAP, "items", (TType.STRING, "UTF8", TType.STRUCT, _ITEM, False), None))

    def __init__(self, items: Any = None) -> None:
        self.items = items


CLASSES: Mapping[str, Any] = {
    "Order": Order,
    "Item": Item,
    "Echo": EchoArguments,
    "Scalars": Scalars,
    "Numbers": Numbers,
    "Words": Words,
    "Shelf": Shelf,
    "Blob": BlobArguments,
}


def fastbinary_codec() -> dict[str, Codec]:
    """For each value."""
    return {
        name: Codec(value, functools.partial(_encode, _types(value)), functools.partial(_decode, _types(value)))
        for name, value in made(CLASSES).items()
    }


def _types(value: Any) -> list[Any]:
    return [type(value), value.thrift_spec]


def _encode(types: list[Any], value: Any) -> bytes:
    body: bytes = fastbinary.encode_binary(value, types)
    return body


_protocol = TBinaryProtocolAccelerated(None)


def _decode(types: list[Any], body: bytes) -> Any:
    it = types[0]()
    _protocol.trans = TMemoryBuffer(body)
    fastbinary.decode_binary(it, _protocol, types)
    return it
