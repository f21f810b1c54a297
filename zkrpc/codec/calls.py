"""Arguments and results of one method to bytes and back, compiled once, called for every call.

Arguments travel as a struct whose fields are the parameters, results as a struct of which one field is set: 0 is the
value, the others are the declared exceptions. No struct class is made for either: an object with plain attributes is
enough for the C module, and cheaper. This module knows neither services nor method policies.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import keyword
import struct
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from zkrpc.codec import visitors
from zkrpc.codec.budget import MAX_ELEMENTS
from zkrpc.codec.compiled import SHAPES, Shape
from zkrpc.codec.fast_path import is_single, reader_of, writer_of
from zkrpc.codec.shape import INTEGER_BITS, Field, FieldType, Kind, is_mutable
from zkrpc.codec.structs import (
    BINARY,
    SPECS,
    Payload,
    Writer,
    encode_binary,
    encode_compact,
    make_reader,
    refuse,
)
from zkrpc.codec.visitors import attribute
from zkrpc.errors import RemoteProtocolError

Pack: TypeAlias = Callable[[tuple[Any, ...], Mapping[str, Any]], tuple[Any, bytes | None]]
AttemptPack: TypeAlias = Callable[[tuple[Any, ...]], tuple[Any, bytes] | None]
_EMPTY_STRUCT = b"\x00"
"""A struct without fields, the same in both payloads."""
_NOT_GIVEN = object()
_UNFINISHED = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)
"""Types that a coroutine function or generator function returns when it is called, before any of its code has run."""
NUMBERS = frozenset({*INTEGER_BITS, Kind.DOUBLE})


class Arguments:
    """A bag of arguments; unset ones are None. The subclass of a method holds its defaults as class attributes."""

    def __repr__(self) -> str:
        """The arguments that are set."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __eq__(self, other: object) -> bool:
        """Equal if the same arguments are set to the same values."""
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # holds lists and dicts


class ArgumentsCodec:
    """Binds, encodes and decodes the arguments of one method.

    ``owner`` is the method's name in messages, such as ``Users.get``; ``defaults`` maps parameters to default values.

    Attributes:
        pack: ``pack(args, kwargs)`` gives the checked bag of arguments, as Python would bind them to the parameters,
            and its bytes in binary, if checking has made them, else None. TypeError for what does not fit, except
            numbers inside containers and structs: ``encode`` refuses those.
        attempt_pack: ``attempt_pack(args)`` gives the same of a tuple of all arguments as long as they fit, else None;
            it is None where nothing is compiled.
        encode: ``encode(bag, payload)`` gives the bytes. TypeError if the C module refuses a value.
        decode: ``decode(buffer, offset, payload, max_elements)`` gives a tuple of values in the order of the
            parameters. RemoteProtocolError if they cannot be read or are too many.
        attempt: ``attempt(buffer, offset, is_compact, max_elements)``, positional, gives the same as long as all fits,
            else None; it is None where nothing is compiled.
    """

    __slots__ = ("attempt", "attempt_pack", "decode", "encode", "pack")

    def __init__(self, owner: str, fields: Sequence[Field], defaults: Mapping[str, Any]) -> None:
        defaults = {name: value for name, value in defaults.items() if value is not None}
        unset = {field.name: None for field in fields}
        shared = {name: value for name, value in defaults.items() if not is_mutable(value)}
        bag = type(f"{owner}.arguments", (Arguments,), {**unset, **shared})
        self.encode: Callable[..., bytes] = Writer(owner, fields, bag).write
        self.decode: Callable[..., tuple[Any, ...]] = _compile_decode(owner, fields, defaults, bag)
        shape = SHAPES.of_fields(fields, defaults)
        self.attempt = None if shape is None else shape.decode
        self.attempt_pack: AttemptPack | None = None if shape is None else functools.partial(shape.pack, bag)
        self.pack: Pack = _compile_pack(owner, fields, defaults, bag, self.attempt_pack)
        if shape is not None:
            self.encode = _encode_compiled(shape, self.encode)
            self.decode = _decode_compiled(shape, self.decode)
        elif is_single(fields):
            self.encode = _encode_single(fields[0], self.encode)
            self.decode = _decode_single(fields[0], self.decode)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The bag alone, as ``pack`` gives it."""
        return self.pack(args, kwargs)[0]


def _encode_compiled(shape: Shape, otherwise: Callable[..., bytes]) -> Callable[..., bytes]:
    attempt = shape.encode

    def encode(it: Any, payload: Payload = BINARY) -> bytes:
        body = attempt(it, payload is not BINARY)
        return otherwise(it, payload) if body is None else body

    return encode


def _decode_compiled(shape: Shape, otherwise: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    attempt = shape.decode

    def decode(
        buffer: bytes, offset: int, payload: Payload = BINARY, max_elements: int = MAX_ELEMENTS
    ) -> tuple[Any, ...]:
        values: tuple[Any, ...] | None = attempt(buffer, offset, payload is not BINARY, max_elements)
        return otherwise(buffer, offset, payload, max_elements) if values is None else values

    return decode


def _encode_single(field: Field, otherwise: Callable[..., bytes]) -> Callable[..., bytes]:
    write, name = writer_of(field), field.name

    def encode(it: Any, payload: Payload = BINARY) -> bytes:
        value = getattr(it, name)
        if value is not None and payload is BINARY:
            try:
                return write(value)
            except (ValueError, struct.error):
                pass  # the usual way words the error
        return otherwise(it, payload)

    return encode


def _decode_single(field: Field, otherwise: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    read = reader_of(field)

    def decode(
        buffer: bytes, offset: int, payload: Payload = BINARY, max_elements: int = MAX_ELEMENTS
    ) -> tuple[Any, ...]:
        value = read(buffer, offset) if payload is BINARY else None
        return otherwise(buffer, offset, payload, max_elements) if value is None else (value,)

    return decode


def _copiers(defaults: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
    """Functions that copy the mutable defaults, under the names by which generated code calls them."""
    mutable = {name: value for name, value in defaults.items() if is_mutable(value)}
    return {f"fresh_{name}": functools.partial(copy.deepcopy, value) for name, value in mutable.items()}


def _signature(owner: str, fields: Sequence[Field], defaults: Mapping[str, Any]) -> Callable[..., tuple[Any, ...]]:
    """A function that gives back its arguments in order: Python binds them and words the errors.

    Its parameters get their names after it is compiled, so that no parameter can hide a name that the source needs, and
    a keyword of Python can be a parameter's name.
    """
    places = "".join(f"a{place}, " for place in range(len(fields)))
    namespace: dict[str, Any] = {}
    exec(f"def bound({places}): return ({places})", namespace)
    code = namespace["bound"].__code__.replace(co_varnames=tuple(field.name for field in fields))
    bound: Any = types.FunctionType(code, {}, "bound")
    bound.__qualname__ = owner
    # Thrift lets a parameter without default follow one that has it, Python does not: then it is missed one step later.
    first = next((place for place, field in enumerate(fields) if field.name in defaults), len(fields))
    bound.__defaults__ = tuple(None if field.name in defaults else _NOT_GIVEN for field in fields[first:])
    function: Callable[..., tuple[Any, ...]] = bound
    return function


def _compile_pack(
    owner: str, fields: Sequence[Field], defaults: Mapping[str, Any], bag: type, attempt: AttemptPack | None
) -> Pack:
    fresh = _copiers(defaults)
    values = "".join(f"a{place}, " for place in range(len(fields)))
    lines = [f"if kwargs or len(args) != {len(fields)}:", "    args = signature(*args, **kwargs)"]
    lines += ["packed = attempt(args)", "if packed is not None:", "    return packed"] if attempt else []
    lines += [f"{values}= args"] if fields else []
    lines += ["it = bag()"]
    for place, field in enumerate(fields):
        lines += _bind_lines(owner, field, f"a{place}", optional=field.name in defaults)
        lines += ["else:", f"    {_set(field, f'fresh_{field.name}()')}"] if f"fresh_{field.name}" in fresh else []
    signature = _signature(owner, fields, defaults)
    lines += ["return it, None"]
    pack: Pack = _compile("pack(args, kwargs)", lines, signature=signature, bag=bag, attempt=attempt, **fresh)
    return pack


def _bind_lines(owner: str, field: Field, var: str, *, optional: bool) -> list[str]:
    """Lines that check one argument and put it into the bag. None, given or not, means the default or nothing."""
    place = f"{owner}() argument {field.name!r}"
    # A wrong number is the most common mistake, so those that are arguments themselves are checked here and not later.
    rule = visitors.EXPLAIN if field.type.kind in NUMBERS else visitors.FITS
    checks = [*rule.lines(field.type, var, place), _set(field, var)]
    lines = [f"if {var} is not None:", *visitors.indent(checks)]
    if optional:
        return lines
    missed = f"{owner}() missing a required argument: {field.name!r}"
    refusal = ["else:", f"    raise TypeError({f'{place} is required and cannot be None'!r})"]
    return [
        f"if {var} is not_given:",
        f"    raise TypeError({missed!r})",
        *lines,
        *(refusal if field.required else []),
    ]


def _compile_decode(
    owner: str, fields: Sequence[Field], defaults: Mapping[str, Any], bag: type
) -> Callable[..., tuple[Any, ...]]:
    fresh = _copiers(defaults)
    lines = [] if fields else ["if buffer[offset:] == empty:", "    return ()"]
    lines += ["it = read(buffer, offset, payload, max_elements)"]
    for field in fields:
        if f"fresh_{field.name}" in fresh:
            lines += [f"if {attribute(field)} is None:", f"    {_set(field, f'fresh_{field.name}()')}"]
    lines += [f"return ({''.join(f'{attribute(field)}, ' for field in fields)})"]
    read = make_reader(owner, fields, bag).read
    decode: Callable[..., tuple[Any, ...]] = _compile(
        "decode(buffer, offset, payload=binary, max_elements=most)", lines, read=read, **fresh
    )
    return decode


def _set(field: Field, value: str) -> str:
    """A line that sets a field of ``it``."""
    is_word = keyword.iskeyword(field.name)
    return f"setattr(it, {field.name!r}, {value})" if is_word else f"it.{field.name} = {value}"


def _compile(header: str, lines: Sequence[str], **names: Any) -> Any:
    """A function with these names as its globals: if methods shared the visitors' names, they would overwrite each
    other's."""
    names = {"not_given": _NOT_GIVEN, "empty": _EMPTY_STRUCT, "binary": BINARY, "most": MAX_ELEMENTS, **names}
    body = [f"def {header}:", *visitors.indent(lines), f"return {header.partition('(')[0]}"]
    return visitors.FITS.compile(f"make({', '.join(names)})", body)(**names)


class _Outcome:
    """Holds a result: the value, or the exception in the field of its declared class, because each is checked as what
    it is declared to be."""

    value = None


class ResultCodec:
    """Encodes and decodes what one method answers: its value, or an exception it declares.

    ``success`` is the value's type, None for void; each of ``exceptions`` is a field with a struct class for a type.
    """

    __slots__ = (
        "_bag",
        "_explain",
        "_fits",
        "_owner",
        "_read_single",
        "_reader",
        "_shape",
        "_success",
        "_thrown",
        "_thrown_names",
        "_types",
        "_write_single",
    )

    def __init__(self, owner: str, success: FieldType | None, exceptions: Sequence[Field]) -> None:
        self._owner = owner
        self._success = success
        place = f"the result of {owner}()"
        value = [Field(id=0, name="value", type=success)] if success else []
        thrown = [dataclasses.replace(field, name=f"thrown_{place}") for place, field in enumerate(exceptions)]
        self._thrown_names = tuple(field.name for field in thrown)
        self._shape = SHAPES.of_fields([*value, *thrown], {})
        self._bag = type("_Outcome", (_Outcome,), dict.fromkeys(self._thrown_names))
        self._reader = make_reader(owner, [*value, *thrown], self._bag)
        self._types = [_Outcome, SPECS.specification(tuple(value))]
        self._read_single = reader_of(value[0]) if is_single(value) else None
        self._write_single = writer_of(value[0]) if is_single(value) else None
        self._fits = visitors.FITS.of_value(success, place) if success else None
        self._explain = visitors.EXPLAIN.of_value(success, place) if success else None
        self._thrown = {
            field.type.cls: (place, field.name, Writer(owner, [field], self._bag))
            for place, field in enumerate(thrown, len(value))
        }

    @property
    def attempt(self) -> Callable[..., bytes | None] | None:
        """``attempt(0, value, is_compact)``, positional, encodes a value as long as it fits, else it gives None. It is
        None where nothing is compiled, and for void."""
        return None if self._shape is None or self._success is None else self._shape.encode_one

    @property
    def attempt_read(self) -> Callable[..., Any] | None:
        """``attempt_read(buffer, offset, is_compact, max_elements)``, positional, reads what ``read`` does as long as
        all fits, else it gives None. It is None where nothing is compiled, and for void."""
        return None if self._shape is None or self._success is None else self._shape.result

    def encode_value(self, value: Any, payload: Payload = BINARY) -> bytes:
        """The bytes of a value. TypeError if it does not fit, as None does not. What a void method returned is dropped,
        unless it is a coroutine or generator, which shows that the method has not run."""
        if self._success is None:
            if value is not None and isinstance(value, _UNFINISHED):
                raise TypeError(f"{self._owner}() returned a {type(value).__name__}, which nobody will run")
            return _EMPTY_STRUCT
        if value is None:
            raise TypeError(f"{self._owner}() returned None and must return {self._success}")
        if self._shape is not None:
            body = self._shape.encode_one(0, value, payload is not BINARY)
            if body is not None:
                return body
        try:
            if self._fits is not None:
                self._fits(value)
            if self._write_single is not None and payload is BINARY:
                return self._write_single(value)
            outcome = _Outcome()
            outcome.value = value
            encode = encode_binary if payload is BINARY else encode_compact
            return encode(outcome, self._types)
        except Exception as exc:
            refuse(self._explain, value, exc)

    def encode_exception(self, exc: BaseException, payload: Payload = BINARY) -> bytes | None:
        """The bytes of a declared exception, None if no class of it is declared. The most specific class wins.

        TypeError if a field of it does not fit.
        """
        for cls in type(exc).__mro__:
            if cls in self._thrown:
                place, name, writer = self._thrown[cls]
                if self._shape is not None:
                    body = self._shape.encode_one(place, exc, payload is not BINARY)
                    if body is not None:
                        return body
                outcome = self._bag()
                setattr(outcome, name, exc)
                writer.check(outcome)
                return writer.write(outcome, payload)
        return None

    def read(self, buffer: bytes, offset: int, payload: Payload = BINARY, max_elements: int = MAX_ELEMENTS) -> Any:
        """Returns the value, or raises the declared exception. RemoteProtocolError if there is neither, or garbage."""
        if self._success is None and buffer[offset:] == _EMPTY_STRUCT:
            return None
        if self._shape is not None:
            value = self._shape.result(buffer, offset, payload is not BINARY, max_elements)
            if value is not None:
                return value
        elif self._read_single is not None and payload is BINARY:
            single = self._read_single(buffer, offset)
            if single is not None:
                return single
        outcome = self._reader.read(buffer, offset, payload, max_elements)
        for name in self._thrown_names:
            if getattr(outcome, name) is not None:
                raise getattr(outcome, name)
        if outcome.value is None and self._success is not None:
            raise RemoteProtocolError(f"the reply to {self._owner}() holds no result")
        return outcome.value
