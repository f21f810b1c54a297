"""Plain values, as a JSON text holds them, to values of the IDL's types."""

from __future__ import annotations

import base64
import binascii
import difflib
import math
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from zkrpc.codec.shape import INTEGER_BITS, Field, FieldType, Kind, fields_of, is_union
from zkrpc.errors import JsonError
from zkrpc.idl import Method
from zkrpc.jsonform.text import MAX_DEPTH, MinusZero, Repetitive, expected, parse, shown, too_deep

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SPECIAL_DOUBLES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
NESTED = frozenset({Kind.LIST, Kind.SET, Kind.MAP, Kind.STRUCT})
"""Types whose values are arrays or objects."""
WORDS = frozenset({Kind.BOOL, Kind.DOUBLE, *INTEGER_BITS, Kind.STRING, Kind.BINARY, Kind.UUID})
"""Types whose values can be written as one word, and so as the name in an object: maps with such keys are objects."""
_MOST_NAMED = 8


def read(of: FieldType, plain: object, *, allow_unknown: bool = False) -> Any:
    """The value of a type that a plain value stands for. Raises JsonError if it does not fit.

    With ``allow_unknown`` fields that a struct does not have are left out instead.
    """
    return _Reading(allow_unknown).value(of, plain, 0)


def read_arguments(method: Method, plain: object, *, allow_unknown: bool = False) -> dict[str, Any]:
    """The arguments of a call by name, for an object with the parameters' names or an array in their order.

    Parameters that are left out and have a default are left out here too. Raises JsonError if they do not fit, and the
    method's refusal if it cannot be called at all.
    """
    if method.refusal is not None:
        raise method.refusal.with_traceback(None)
    fields = method.arguments
    if isinstance(plain, list):
        if len(plain) > len(fields):
            raise JsonError(f"{method.name} takes {_count(fields)}, got {len(plain)}")
        named = {field.name: (f"[{place}]", value) for place, (field, value) in enumerate(zip(fields, plain))}
    elif isinstance(plain, dict):
        _check_names(plain, fields, method.name, "parameter", allow_unknown)
        named = {name: (f".{name}", value) for name, value in plain.items()}
    else:
        raise expected(f"the arguments of {method.name} as an object or an array", plain)
    reading, found = _Reading(allow_unknown), {}
    defaults = {parameter.name for parameter in method.parameters if parameter.default is not None}
    for field in fields:
        part, value = named.get(field.name, (f".{field.name}", None))
        if field.name not in named and field.name not in defaults:
            unset = "" if field.required else "; null sends it unset"
            raise JsonError(f"expected {field.type}, but it is missing{unset}").inside(part)
        if field.required and field.name in named and value is None:
            raise expected(str(field.type), None).inside(part)
        if field.name in named:
            found[field.name] = None if value is None else reading.part(field.type, value, part, 1)
    return found


def _count(fields: tuple[Field, ...]) -> str:
    return f"{len(fields)} argument{'' if len(fields) == 1 else 's'}" if fields else "no arguments"


class _Reading:
    """Reads values of one text."""

    def __init__(self, allow_unknown: bool) -> None:
        self._allow_unknown = allow_unknown
        self._fields: dict[type, tuple[Field, ...]] = {}

    def part(self, of: FieldType, plain: object, part: str, depth: int, *, key: bool = False) -> Any:
        """A value inside another; ``part`` is its place there. With ``key`` it must be hashable: lists become tuples
        and sets frozensets."""
        try:
            return self.value(of, plain, depth, key=key)
        except JsonError as error:
            raise error.inside(part)

    def value(self, of: FieldType, plain: object, depth: int, *, key: bool = False) -> Any:
        """A value that is not null."""
        if depth >= MAX_DEPTH and of.kind in NESTED:
            raise too_deep()
        match of.kind:
            case Kind.BOOL:
                if type(plain) is bool:
                    return plain
            case Kind.DOUBLE:
                return _double(plain)
            case Kind.STRING:
                return _text(plain)
            case Kind.BINARY:
                return _binary(plain)
            case Kind.UUID:
                return _uuid(plain)
            case Kind.LIST | Kind.SET:
                return self._members(of, plain, depth, key=key)
            case Kind.MAP:
                return self._map(of, plain, depth, key=key)
            case Kind.STRUCT:
                assert of.cls is not None
                return self._struct(of.cls, plain, depth)
            case _:
                return _integer(of, plain)
        raise expected(str(of), plain)

    def _members(self, of: FieldType, plain: object, depth: int, *, key: bool) -> Any:
        if not isinstance(plain, list):
            raise expected(f"{of} as an array", plain)
        hashed = key or of.kind is Kind.SET
        made = [self.part(of.inner[0], one, f"[{at}]", depth + 1, key=hashed) for at, one in enumerate(plain)]
        if of.kind is Kind.LIST:
            return tuple(made) if key else made
        members: set[Any] = set()
        for at, member in enumerate(made):
            members.add(member)
            if len(members) <= at:
                raise JsonError(f"{shown(plain[at])} is in the set already").inside(f"[{at}]")
        return frozenset(members) if key else members

    def _map(self, of: FieldType, plain: object, depth: int, *, key: bool) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for place, name, inner in self._entries(of, plain, depth):
            if name in made:
                raise JsonError("this key is in the map already").inside(place)
            deeper = f"{place}[1]" if of.inner[0].kind not in WORDS else place
            made[name] = self.part(of.inner[1], inner, deeper, depth + 1, key=key)
        return made

    def _entries(self, of: FieldType, plain: object, depth: int) -> Iterable[tuple[str, Any, object]]:
        """The place, the key and the plain value of each entry of a map."""
        if of.inner[0].kind in WORDS:
            if not isinstance(plain, dict):
                raise expected(f"{of} as an object", plain)
            _check_once(plain)
            for name, inner in plain.items():
                place = f"[{shown(name)}]"
                yield place, self.part(of.inner[0], _word(of.inner[0], name), place, depth + 1, key=True), inner
            return
        if not isinstance(plain, list):
            raise expected(f"{of} as an array of [key, value] pairs", plain)
        for at, pair in enumerate(plain):
            if not isinstance(pair, list) or len(pair) != 2:
                raise expected("a pair [key, value]", pair).inside(f"[{at}]")
            yield f"[{at}]", self.part(of.inner[0], pair[0], f"[{at}][0]", depth + 2, key=True), pair[1]

    def _struct(self, cls: Any, plain: object, depth: int) -> Any:
        if not isinstance(plain, dict):
            raise expected(f"{cls.__name__} as an object", plain)
        fields = self._fields.get(cls)
        if fields is None:
            fields = self._fields[cls] = fields_of(cls)
        _check_names(plain, fields, cls.__name__, "field", self._allow_unknown)
        given = {}
        for field in fields:
            if field.name in plain:
                inner = plain[field.name]
                unset = inner is None
                given[field.name] = None if unset else self.part(field.type, inner, f".{field.name}", depth + 1)
        made = cls(**given)
        if is_union(cls):
            _check_union(made, fields)
        for field in fields:
            if field.required and getattr(made, field.name) is None:
                raise JsonError(f"expected {field.type}, but it is missing").inside(f".{field.name}")
        return made


def _word(of: FieldType, name: str) -> object:
    """The plain value that an object's name stands for, where the names are keys of this type."""
    if of.kind is Kind.BOOL:
        return {"true": True, "false": False}.get(name, name)
    number = of.kind is Kind.DOUBLE or of.kind in INTEGER_BITS
    return parse(name) if number and _NUMBER.fullmatch(name) else name


def _integer(of: FieldType, plain: object) -> int:
    numbers: Mapping[str, int] = getattr(of.cls, "_NAMES_TO_VALUES", {})
    if isinstance(plain, str) and plain in numbers:
        return numbers[plain]
    text = of.cls is None and isinstance(plain, str) and _INTEGER.fullmatch(plain)
    number = int(str(plain)) if text else plain
    if type(number) in (int, MinusZero):
        assert isinstance(number, int)
        top = 1 << INTEGER_BITS[of.kind] - 1
        if -top <= number < top:
            return int(number)
        raise expected(f"{of.kind.name.lower()} from {-top} to {top - 1}", plain)
    if of.cls is None:
        raise expected(str(of), plain)
    alike = _alike(plain, numbers) if isinstance(plain, str) else ""
    raise JsonError(f"{expected(f'an item of {of} or its number', plain).problem}{alike}")


def _double(plain: object) -> float:
    if type(plain) is MinusZero:
        return -0.0
    if isinstance(plain, str) and plain in _SPECIAL_DOUBLES:
        return _SPECIAL_DOUBLES[plain]
    if type(plain) is float and math.isfinite(plain):
        return plain
    if type(plain) is int:
        try:
            return float(plain)
        except OverflowError:
            pass
    raise expected('double, or "NaN", "Infinity", "-Infinity"', plain)


def _text(plain: object) -> str:
    if not isinstance(plain, str):
        raise expected("string", plain)
    try:
        plain.encode()
    except UnicodeEncodeError:
        raise expected("string without half of a surrogate pair", plain) from None
    return plain


def _binary(plain: object) -> bytes:
    if isinstance(plain, str) and plain.isascii():
        try:
            found = base64.b64decode(plain, validate=True)
        except binascii.Error:
            found = b""
        if base64.b64encode(found).decode() == plain:  # and none of several spellings of the same bytes
            return found
    raise expected("binary in base64", plain)


def _uuid(plain: object) -> uuid.UUID:
    try:
        if isinstance(plain, str) and str(found := uuid.UUID(plain)) == plain.lower():
            return found
    except ValueError:
        pass
    raise expected("uuid such as 01234567-89ab-cdef-0123-456789abcdef", plain)


def _check_once(plain: dict[str, Any]) -> None:
    if isinstance(plain, Repetitive):
        raise JsonError(f"{shown(plain.name)} stands twice in one object")


def _check_names(plain: dict[str, Any], fields: Iterable[Field], owner: str, what: str, allow_unknown: bool) -> None:
    _check_once(plain)
    known = {field.name: None for field in fields}
    for name in plain:
        if name not in known and not allow_unknown:
            raise JsonError(f"{owner} has no {what} {shown(name)}{_alike(name, known)}")


def _check_union(made: Any, fields: Iterable[Field]) -> None:
    names = [field.name for field in fields]
    members = [name for name in names if getattr(made, name) is not None]
    if len(members) != 1:
        found = " and ".join(members) or "none"
        listed = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
        raise JsonError(f"{type(made).__name__} is a union: expected one of {listed}, got {found}")


def _alike(name: str, known: Iterable[str]) -> str:
    """What may have been meant, for the end of an error's text."""
    names = [*known]
    near = difflib.get_close_matches(name[:100], names, n=3)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    more = ", ..." if len(names) > _MOST_NAMED else ""
    return f"; there are {', '.join(names[:_MOST_NAMED])}{more}" if names else "; there are none"
