"""Values of the IDL's types to plain values, from which a JSON text can be made."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

from zkrpc.codec.shape import Field, FieldType, Kind, fields_of, is_union
from zkrpc.idl import Method
from zkrpc.jsonform.reading import NESTED, WORDS
from zkrpc.jsonform.text import MAX_DEPTH, dump, too_deep


def write(of: FieldType, value: Any, *, unset: bool = False, int64_as_text: bool = False) -> Any:
    """The plain value for a value of this type, as the codec accepts and returns it.

    With ``unset`` fields that are not set are null; without it they are left out, except where reading would put the
    field's default there. With ``int64_as_text`` each i64 is a text of digits, for readers that know no numbers but
    doubles; reading takes both. Raises JsonError for what is nested too deeply.
    """
    return _Writing(unset, int64_as_text).value(of, value, 0)


def write_arguments(method: Method, values: Sequence[Any], *, unset: bool = False) -> dict[str, Any]:
    """The plain object of a call's arguments, given in the order of the parameters."""
    names = [parameter.name for parameter in method.parameters]
    with_null = {parameter.name for parameter in method.parameters if unset or parameter.default is not None}
    return _Writing(unset).fields(method.arguments, dict(zip(names, values, strict=True)), with_null, 1)


def write_exception(error: Exception, *, unset: bool = False, int64_as_text: bool = False) -> dict[str, Any]:
    """The plain object of an exception that an IDL declares, with its class beside its fields:
    ``{"type": "UserNotFound", "value": {"id": 7}}``."""
    cls = next(cls for cls in type(error).__mro__ if "thrift_spec" in vars(cls))
    of = FieldType(kind=Kind.STRUCT, cls=cls)
    return {"type": cls.__name__, "value": write(of, error, unset=unset, int64_as_text=int64_as_text)}


class _Writing:
    """Writes values."""

    def __init__(self, unset: bool, int64_as_text: bool = False) -> None:
        self._unset = unset
        self._int64_as_text = int64_as_text
        self._known: dict[type, tuple[tuple[Field, ...], set[str]]] = {}

    def value(self, of: FieldType, value: Any, depth: int) -> Any:
        """The plain value of one that is not None."""
        if depth >= MAX_DEPTH and of.kind in NESTED:
            raise too_deep()
        match of.kind:
            case Kind.BOOL | Kind.STRING:
                return value
            case Kind.DOUBLE:
                number = float(value)
                return number if math.isfinite(number) else _special(number)
            case Kind.I64 if self._int64_as_text:
                return str(int(value))
            case Kind.BINARY:
                return base64.b64encode(value).decode()
            case Kind.UUID:
                return str(value)
            case Kind.LIST:
                return [self.value(of.inner[0], one, depth + 1) for one in value]
            case Kind.SET:
                return self._set(of.inner[0], value, depth)
            case Kind.MAP:
                return self._map(of, value, depth)
            case Kind.STRUCT:
                return self._struct(of.cls, value, depth)
            case _:
                names: dict[int, str] = getattr(of.cls, "_VALUES_TO_NAMES", {})
                return names.get(value, int(value))

    def fields(self, fields: Sequence[Field], values: Any, with_null: set[str], depth: int) -> dict[str, Any]:
        """The plain object of a struct's values; a field of ``with_null`` is null if it is not set."""
        made = {}
        for field in fields:
            value = values.get(field.name)
            if value is not None:
                made[field.name] = self.value(field.type, value, depth)
            elif field.name in with_null:
                made[field.name] = None
        return made

    def _set(self, of: FieldType, members: Any, depth: int) -> list[Any]:
        """The members in an order that follows from what they are: a set has none, and Python's changes from one
        process to the next."""
        if of.kind is Kind.DOUBLE:
            ordered = sorted(members, key=lambda one: (math.isnan(one), one))
        elif of.kind in WORDS:
            ordered = sorted(members)
        else:
            plain = [self.value(of, one, depth + 1) for one in members]
            return sorted(plain, key=dump)
        return [self.value(of, one, depth + 1) for one in ordered]

    def _map(self, of: FieldType, entries: Any, depth: int) -> Any:
        """The entries in the order in which they came."""
        first, second = of.inner
        if first.kind not in WORDS:
            pairs = entries.items()
            return [[self.value(first, key, depth + 2), self.value(second, one, depth + 2)] for key, one in pairs]
        return {
            _name(self.value(first, key, depth + 1)): self.value(second, one, depth + 1) for key, one in entries.items()
        }

    def _struct(self, cls: Any, it: Any, depth: int) -> dict[str, Any]:
        known = self._known.get(cls)
        if known is None:
            every = self._unset and not is_union(cls)
            with_null = {name for name, default in cls.default_spec if every or default is not None}
            known = self._known[cls] = fields_of(cls), with_null
        return self.fields(known[0], vars(it), known[1], depth + 1)


def _special(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _name(plain: Any) -> str:
    """A key as the name in an object."""
    return plain if isinstance(plain, str) else dump(plain)
