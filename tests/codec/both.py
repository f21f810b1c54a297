"""The two paths beside each other: random schemas, values and bodies, and what must hold of both."""

from __future__ import annotations

import collections
import importlib
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from fuzz.mutation import mutate
from tests.jsonform.every import plainly
from zkrpc.codec import MAX_ELEMENTS, Payload, StructCodec, calls, structs
from zkrpc.codec.compiled import Shapes
from zkrpc.codec.shape import Field, FieldType, Kind, fields_of, is_union
from zkrpc.codec.structs import SPECS, encode_binary, encode_compact
from zkrpc.errors import RemoteProtocolError
from zkrpc.idl import Idl, load_text
from zkrpc.idl.model import Method

PAYLOADS = (Payload.BINARY, Payload.COMPACT)
_BASES = (
    "bool",
    "i8",
    "i16",
    "i32",
    "i64",
    "double",
    "string",
    "binary",
    "uuid",
    "Color",
)
_DEFAULTS = {
    "bool": "true",
    "i8": "-3",
    "i32": "70000",
    "i64": "-1",
    "double": "0.5",
    "string": '"\u00e9"',
}
_TEXTS = (
    "",
    "a",
    "text",
    "\u00e9",
    "\ufffd",
    "\u20ac\U0001f600",
    "x" * 70,
    "\0",
    "\x7f\x80",
)
_DOUBLES = (0.0, -0.0, 1.5, float("inf"), float("nan"), 1e300)


def compiled_shapes() -> Shapes:
    """Shapes of the compiled part, also where ZKRPC_PURE has it left alone; skips the test where it was not built."""
    try:
        return Shapes(importlib.import_module("zkrpc.codec._compiled").Shape)
    except ModuleNotFoundError:
        pytest.skip("the compiled part was not built here")


def schema(rng: random.Random) -> str:
    """An IDL with a few structs, unions and exceptions that may hold each other."""
    count = rng.randrange(1, 4)
    names = [f"T{number}" for number in range(count)]
    parts = ["enum Color { RED = 1, BLUE = 7 }"]
    for name in names:
        kind = rng.choice(("struct", "struct", "union", "exception"))
        numbers = iter(sorted(rng.sample(range(1, rng.choice((9, 40, 3000))), 8)))
        bare = rng.random() < 0.05
        fields = []
        for at in range(rng.randrange(1, 8)):
            of = _type(rng, names, 0) if at else rng.choice(_BASES)  # so that any depth has an end
            required = "required " if kind != "union" and of in _BASES and rng.random() < 0.15 else ""
            given = kind != "union" and of in _DEFAULTS and rng.random() < 0.2
            default = f" = {_DEFAULTS[of]}" if given else " = [1]" if of == "list<i8>" else ""
            number = "" if bare else f"{next(numbers)}: "
            fields.append(f"{number}{required}{of} f{at}{default if kind != 'union' else ''}")
        rng.shuffle(fields)
        parts.append(f"{kind} {name} {{ {', '.join(fields)} }}")
    return "\n".join(parts)


def _type(rng: random.Random, names: list[str], depth: int, *, key: bool = False) -> str:
    kind = rng.random()
    if depth > 2 or kind < 0.55:
        return rng.choice(_BASES)
    if names and kind < 0.7:
        return rng.choice(names)
    if kind < 0.83:
        return rng.choice(("list<i8>", f"list<{_type(rng, names, depth + 1, key=key)}>"))
    if key or kind < 0.9:
        return f"set<{_type(rng, names, depth + 1, key=True)}>"
    return f"map<{_type(rng, names, depth + 1, key=True)}, {_type(rng, names, depth + 1)}>"


def value(of: FieldType, rng: random.Random, depth: int = 0, *, key: bool = False) -> Any:
    """A value of a type, as decoding makes it."""
    count = rng.choice((0, 1, 2, 3, 40)) if depth < 2 and not of.cls else rng.randrange(2)
    match of.kind:
        case Kind.BOOL:
            return rng.random() < 0.5
        case Kind.DOUBLE:
            return rng.choice(_DOUBLES)
        case Kind.STRING:
            return rng.choice(_TEXTS)
        case Kind.BINARY:
            return rng.randbytes(rng.choice((0, 1, 5, 200)))
        case Kind.UUID:
            return uuid.UUID(int=rng.getrandbits(128))
        case Kind.LIST:
            items = [value(of.inner[0], rng, depth + 1, key=key) for _ in range(count)]
            return tuple(items) if key else items
        case Kind.SET:
            members = {value(of.inner[0], rng, depth + 1, key=True) for _ in range(count)}
            return frozenset(members) if key else members
        case Kind.MAP:
            inner = of.inner
            return {value(inner[0], rng, depth + 1, key=True): value(inner[1], rng, depth + 1) for _ in range(count)}
        case Kind.STRUCT:
            assert of.cls is not None
            return struct(of.cls, rng, depth + 1)
        case _:
            bits = {Kind.I8: 8, Kind.I16: 16, Kind.I32: 32, Kind.I64: 64}[of.kind]
            return rng.choice((0, 1, -1, (1 << bits - 1) - 1, -1 << bits - 1, rng.randrange(-60, 70)))


def struct(cls: Any, rng: random.Random, depth: int = 0) -> Any:
    """An object of a class, of which little is set deep inside."""
    fields = [
        field for field in fields_of(cls) if depth < 5 or field.type.kind is not Kind.STRUCT and not field.type.inner
    ]
    if is_union(cls):
        fields = [rng.choice(fields)]
    else:
        fields = [field for field in fields if field.required or rng.random() < 0.6]
    return cls(**{field.name: value(field.type, rng, depth) for field in fields})


class Both:
    """A struct's codec on each path.

    Attributes:
        left: counts by reason what the Python path took and the compiled one left to it.
    """

    def __init__(self, cls: type, shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cls = cls
        self.shape: Any = shapes.of_class(cls)
        assert self.shape is not None, fields_of(cls)
        with monkeypatch.context() as patch:
            patch.setattr(structs, "SHAPES", Shapes(None))
            self.pure = StructCodec(cls)
        self.left: collections.Counter[str] = collections.Counter()

    def encode(self, it: Any, payload: Payload) -> bytes:
        """The same bytes from both, for a value that fits; or from neither, and then the Python path says why."""
        body: bytes | None = self.shape.encode(it, payload is Payload.COMPACT)
        pure = self.pure.encode(it, payload)  # raises for both
        if body is None:
            self.left["encoding"] += 1
            return pure
        types = SPECS.of_class(self.cls)
        assert body == (encode_binary if payload is Payload.BINARY else encode_compact)(it, types)
        assert len(body) == len(pure)  # long strings stand elsewhere
        return body

    def decode(self, body: bytes, payload: Payload, offset: int = 0) -> bool:
        """The same value from both, or an error; says whether it was a value."""
        it = self.shape.decode(body, offset, payload is Payload.COMPACT, MAX_ELEMENTS)
        return self._compare(it, lambda: self.pure.decode(body, offset, payload), body, payload)

    def read(self, body: bytes, payload: Payload, most: int) -> bool:
        """The same within another budget."""
        it = self.shape.decode(body, 0, payload is Payload.COMPACT, most)
        return self._compare(it, lambda: self.pure._reader.read(body, 0, payload, most), body, payload)

    def _compare(self, it: Any, pure: Callable[[], Any], body: bytes, payload: Payload) -> bool:
        try:
            expected = pure()
        except RemoteProtocolError as exc:
            assert it is None, f"the Python path says: {exc}; {payload} {body.hex()}"
            return False
        if it is None:
            self.left[f"decoding {payload.value}"] += 1
        else:
            assert type(it) is type(expected) is self.cls
            assert plainly(it) == plainly(expected), f"{payload} {body.hex()}"
        return True


def methods_of(method: Method, shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The codecs of a method's arguments and of its results: with the compiled part, and in pure Python."""
    defaults = {parameter.name: parameter.default for parameter in method.parameters}
    thrown = [
        Field(id=number, name=f"e{number}", type=FieldType(kind=Kind.STRUCT, cls=cls))
        for number, cls in enumerate(method.throws, 1)
    ]
    made = []
    for some in (shapes, Shapes(None)):
        with monkeypatch.context() as patch:
            patch.setattr(calls, "SHAPES", some)
            taking = calls.ArgumentsCodec("S.f", method.arguments, defaults)
            made.append((taking, calls.ResultCodec("S.f", method.result, thrown)))
    return made


def outcome_of(action: Callable[[], Any]) -> tuple[str, Any]:
    """What it returns, or what it raises, in a form that can be compared."""
    try:
        return "returned", plainly(action())
    except (RemoteProtocolError, TypeError) as exc:
        return type(exc).__name__, str(exc)
    except Exception as exc:  # declared by the IDL
        return type(exc).__name__, plainly(exc)


def both_of(text: str, shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> list[Both]:
    """Each struct of an IDL."""
    idl: Idl = load_text(text)
    return [Both(getattr(idl, name), shapes, monkeypatch) for name in ("T0", "T1", "T2") if hasattr(idl, name)]


def try_out(both: Both, rng: random.Random, rounds: int) -> int:
    """Values and mutated bodies of one struct; how many of these were values."""
    read = 0
    for payload in PAYLOADS:
        seeds = []
        for _ in range(3):
            it = struct(both.cls, rng)
            body = both.encode(it, payload)
            assert both.decode(body, payload)
            seeds.append(body)
        for _ in range(rounds):
            body = mutate(seeds, rng)
            read += both.decode(body, payload)
            read += both.read(body, payload, rng.randrange(4, 60))
    return read
