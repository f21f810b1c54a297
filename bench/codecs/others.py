"""The codecs of thriftpy2, protobuf and msgspec, as their users call them; each is imported by whom it is asked of."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.children import BUILD
from bench.codecs.values import STRUCTS, Codec, made

_HERE = Path(__file__).parent


def cybin() -> dict[str, Codec]:
    """thriftpy2's binary protocol in Cython, on its own classes and a buffer in memory."""
    import thriftpy2
    from thriftpy2.protocol.cybin import TCyBinaryProtocol
    from thriftpy2.transport import TCyMemoryBuffer

    def encode(value: Any) -> bytes:
        buffer = TCyMemoryBuffer()
        value.write(TCyBinaryProtocol(buffer))
        return bytes(buffer.getvalue())

    def decode(make: type, body: bytes) -> Any:
        it = make()
        it.read(TCyBinaryProtocol(TCyMemoryBuffer(body)))
        return it

    idl = thriftpy2.load(str(_HERE / "codec.thrift"), module_name="codec_thrift")
    classes = {name: getattr(idl, name, None) or getattr(idl.bench, name) for name in (*STRUCTS.values(), "Item")}
    return {name: Codec(value, encode, functools.partial(decode, type(value))) for name, value in made(classes).items()}


def upb() -> dict[str, Codec]:
    """protobuf's C library: decoding makes a message, whose fields become objects of Python when they are read."""
    return {
        name: Codec(value, type(value).SerializeToString, type(value).FromString) for name, value in _messages().items()
    }


def upb_read() -> dict[str, Codec]:
    """The same, with every field read once."""

    def decode(read: Callable[[Any], Any], parse: Callable[[bytes], Any], body: bytes) -> Any:
        message = parse(body)
        read(message)
        return message

    return {
        name: Codec(
            value, type(value).SerializeToString, functools.partial(decode, _READING[name], type(value).FromString)
        )
        for name, value in _messages().items()
    }


def _messages() -> dict[str, Any]:
    from grpc_tools import protoc

    BUILD.mkdir(parents=True, exist_ok=True)
    sources = (_HERE / "codec.proto", _HERE.parent / "bench.proto")
    paths = [f"-I{source.parent}" for source in sources]
    if protoc.main(["protoc", *paths, f"--python_out={BUILD}", *map(str, sources)]) != 0:
        raise RuntimeError("protoc has failed")
    sys.path.insert(0, str(BUILD))
    modules = [importlib.import_module(f"{source.stem}_pb2") for source in sources]
    classes: Mapping[str, Any] = {name: item for module in modules for name, item in vars(module).items()}
    return made(classes)


def _read_item(item: Any) -> tuple[Any, ...]:
    numbers = item.id, item.price, item.in_stock, item.count
    return *numbers, item.name, item.token, list(item.tags), dict(item.places)


_READING: dict[str, Callable[[Any], Any]] = {
    "rich": lambda it: (it.id, it.customer, [_read_item(item) for item in it.items]),
    "echo": lambda it: it.text,
    "scalars": lambda it: (it.flag, it.count, it.port, it.id, it.at, it.price, it.name, it.token),
    "numbers": lambda it: list(it.numbers),
    "words": lambda it: list(it.words),
    "shelf": lambda it: {name: _read_item(item) for name, item in it.items.items()},
    "blob": lambda it: it.data,
}


def msgspec() -> dict[str, Codec]:
    """msgspec's ``Struct``, in MessagePack, with the types of its fields given."""
    import msgspec

    item: Any = msgspec.defstruct(
        "Item",
        [("id", int), ("name", str), ("price", float), ("in_stock", bool), ("count", int), ("token", bytes),
         ("tags", list[str]), ("places", dict[str, int])],
    )  # fmt: skip
    scalars = [("flag", bool), ("count", int), ("port", int), ("id", int), ("at", int), ("price", float)]
    classes = {
        "Item": item,
        "Order": msgspec.defstruct("Order", [("id", int), ("customer", str), ("items", list[item])]),
        "Echo": msgspec.defstruct("Echo", [("text", str)]),
        "Scalars": msgspec.defstruct("Scalars", [*scalars, ("name", str), ("token", bytes)]),
        "Numbers": msgspec.defstruct("Numbers", [("numbers", list[int])]),
        "Words": msgspec.defstruct("Words", [("words", list[str])]),
        "Shelf": msgspec.defstruct("Shelf", [("items", dict[str, item])]),
        "Blob": msgspec.defstruct("Blob", [("data", bytes)]),
    }
    encode = msgspec.msgpack.Encoder().encode
    return {
        name: Codec(value, encode, msgspec.msgpack.Decoder(type(value)).decode) for name, value in made(classes).items()
    }
