"""Constants and defaults: converts what the IDL writes to Python values of the declared types.

The caller looks up what a name in a value stands for. Everything is checked here, since a value that does not fit would
fail at the first call that sends it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from zkrpc.codec.shape import INTEGER_BITS, Field, FieldType, Kind, fields_of, is_union
from zkrpc.codec.visitors import fits_text, misfit
from zkrpc.idl.outline import ListValue, MapValue, Reference

Lookup: TypeAlias = Callable[[Reference, FieldType], Any]


class Converter:
    """Converts the values of one file.

    Args:
        lookup: returns the value that a name stands for, where a value of the given type is wanted, and raises if there
            is none.
        ready: called with a struct class before an object of it is made.
    """

    def __init__(self, lookup: Lookup, ready: Callable[[type], None]) -> None:
        self._lookup = lookup
        self._ready = ready

    def convert(self, of: FieldType, value: Any, place: str, *, key: bool = False) -> Any:
        """The value converted to the type; TypeError with ``place`` if it does not fit. In the key of a map a list
        becomes a tuple and a set a frozenset.

        ``value`` is a value of the outline, or the Python value of another constant.
        """
        if isinstance(value, Reference):
            value = self._lookup(value, of)
        match of.kind, value:
            case Kind.BOOL, bool() | int():
                return bool(value)
            case (Kind.I8 | Kind.I16 | Kind.I32 | Kind.I64), bool() | int():
                return _integer(of, int(value), place)
            case Kind.DOUBLE, int() | float():
                return float(value)
            case Kind.STRING, str() if fits_text(value):
                return value
            case Kind.BINARY, str() | bytes():
                return value.encode() if isinstance(value, str) else value
            case Kind.UUID, str() | uuid.UUID():
                return _uuid(value, place)
            case Kind.LIST | Kind.SET | Kind.MAP, _:
                return self._container(of, value, place, key)
            case Kind.STRUCT, MapValue() | object(thrift_spec=_) if of.cls is not None:
                return self._struct(of.cls, value, place)
        raise _misfit(of, value, place)

    def _container(self, of: FieldType, value: Any, place: str, key: bool) -> Any:
        empty = value in (ListValue(items=()), MapValue(pairs=()))
        inside = f"{place}[]"
        if of.kind is Kind.MAP:
            if not empty and not isinstance(value, (MapValue, dict)):
                raise _misfit(of, value, place)
            pairs = () if empty else value.items() if isinstance(value, dict) else value.pairs
            return {
                self.convert(of.inner[0], one, inside, key=True): self.convert(of.inner[1], other, inside, key=key)
                for one, other in pairs
            }
        if not empty and not isinstance(value, (ListValue, list, set, tuple, frozenset)):
            raise _misfit(of, value, place)
        items = () if empty else value.items if isinstance(value, ListValue) else value
        made = (self.convert(of.inner[0], item, inside, key=key or of.kind is Kind.SET) for item in items)
        if of.kind is Kind.SET:
            return frozenset(made) if key else set(made)
        return tuple(made) if key else list(made)

    def _struct(self, cls: type, value: Any, place: str) -> Any:
        self._ready(cls)
        fields = {field.name: field for field in fields_of(cls)}
        if isinstance(value, MapValue):
            given = {self.convert(_STRING, name, place): inner for name, inner in value.pairs}
        elif isinstance(value, cls):
            given = {name: inner for name, inner in vars(value).items() if inner is not None}
        else:
            raise misfit(place, f"a {cls.__name__}", value)
        unknown = ", ".join(sorted(given.keys() - fields.keys()))
        if unknown:
            raise TypeError(f"{place}: {cls.__name__} has no field {unknown}")
        made = cls(
            **{
                name: self.convert(fields[name].type, inner, f"{place}: {cls.__name__}.{name}")
                for name, inner in given.items()
            }
        )
        _check_whole(made, fields.values(), place)
        return made


_STRING = FieldType(kind=Kind.STRING)


def _integer(of: FieldType, value: int, place: str) -> int:
    top = 1 << INTEGER_BITS[of.kind] - 1
    if not -top <= value < top:
        raise _misfit(of, value, place)
    if of.cls is not None and value not in vars(of.cls)["_VALUES_TO_NAMES"]:
        raise TypeError(f"{place}: {value} is no item of {of.cls.__name__}")
    return value


def _uuid(value: str | uuid.UUID, place: str) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
    except ValueError as exc:
        raise misfit(place, "a uuid such as '01234567-89ab-cdef-0123-456789abcdef'", value) from exc


def _check_whole(made: Any, fields: Any, place: str) -> None:
    some: list[Field] = list(fields)
    for field in some:
        if field.required and getattr(made, field.name) is None:
            raise TypeError(f"{place}: {type(made).__name__}.{field.name} is required")
    members = sum(getattr(made, field.name) is not None for field in some)
    if is_union(type(made)) and members != 1:
        raise TypeError(f"{place}: {type(made).__name__} is a union: expected one member, found {members}")


def _misfit(of: FieldType, value: object, place: str) -> TypeError:
    article = "an" if str(of)[:1] in "ai" else "a"
    return misfit(place, f"{article} {'str' if of.kind is Kind.STRING else of}", value)
