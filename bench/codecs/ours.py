"""zkrpc's codec, compiled or in pure Python as the environment says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.codecs.values import STRUCTS, TEXT, Codec, made
from zkrpc.errors import ConfigError

try:
    from zkrpc import load
    from zkrpc.codec import StructCodec
except ConfigError as error:  # insisted on, and not compiled here
    raise ImportError(str(error)) from error


def zkrpc() -> dict[str, Codec]:
    """For each value; arguments as a client encodes them when they are bound, and as a server decodes them."""
    idl: Any = load(Path(__file__).with_name("codec.thrift"))
    shared: Any = load(Path(__file__).parents[1] / "bench.thrift")
    classes = {
        name: getattr(shared if name in ("Order", "Item") else idl, name) for name in (*STRUCTS.values(), "Item")
    }
    found = {}
    for name, value in made(classes).items():
        codec = StructCodec(type(value))
        found[name] = Codec(value, codec.encode, codec.decode)
    echo = idl.Codec.methods["echo"]
    bound = echo.bind((TEXT,), {})
    found["echo"] = Codec(bound, echo.encode_arguments, lambda body: echo.decode_arguments(body, 0), (TEXT,))
    return found
