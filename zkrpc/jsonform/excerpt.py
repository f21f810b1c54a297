"""Values as JSON for people who look at many of them: bounded in size, and without what is masked.

A value that is small and has nothing to hide is written as :mod:`~zkrpc.jsonform.writing` writes it. Of a larger one
the beginning is shown, and a mark says in place what is missing: ``"aaa<cut: 997 more>"``. So an excerpt is JSON
whatever was cut, and costs no more than its size, however large the value is. What stands in the place of something
masked does not depend on it, not even on its length.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from zkrpc.codec.shape import Field, FieldType, Kind, fields_of
from zkrpc.idl import Method
from zkrpc.jsonform.reading import WORDS
from zkrpc.jsonform.text import dump
from zkrpc.jsonform.writing import write

MASKED = "<masked>"
"""Stands in the place of a value that is masked."""
_CUT = "<cut>"
_MISFIT = "<no value of its type>"
_DEEPEST = 32
"""Arrays and objects inside each other; what is deeper is cut."""
_PUNCTUATION = 4
_TYPES: Mapping[Kind, Any] = {
    Kind.BOOL: bool,
    Kind.DOUBLE: (float, int),
    Kind.STRING: str,
    Kind.BINARY: bytes,
    Kind.UUID: uuid.UUID,
    Kind.LIST: (list, tuple),
    Kind.SET: (set, frozenset),
    Kind.MAP: dict,
}
"""What a value must be; a handler may return anything, and looking at it must not use it up."""

Hidden = Callable[[type], Collection[str]]
"""Gives the fields of a struct's class that are masked."""


class Excerpt(NamedTuple):
    """The JSON, and whether something of the value is missing for its size."""

    text: str
    cut: bool


def excerpt(of: FieldType, value: Any, *, size: int, hidden: Hidden) -> Excerpt:
    """The beginning of a value of this type: about ``size`` characters of JSON."""
    return _finished(_Excerpt(size, hidden), lambda some: some.value(of, value, 0))


def excerpt_arguments(
    method: Method, values: Sequence[Any], *, size: int, hidden: Hidden, masked: Collection[str]
) -> Excerpt:
    """The same for a call's arguments, given in the order of the parameters, of which some are ``masked``."""
    by_name = {parameter.name: value for parameter, value in zip(method.parameters, values)}
    with_null = {parameter.name for parameter in method.parameters if parameter.default is not None}
    return _finished(_Excerpt(size, hidden), lambda some: some.fields(method.arguments, by_name, with_null, masked, 0))


def excerpt_exception(error: Exception, *, size: int, hidden: Hidden) -> Excerpt:
    """The same for an exception that an IDL declares, with its class beside its fields."""
    cls = next(cls for cls in type(error).__mro__ if "thrift_spec" in vars(cls))
    of = FieldType(kind=Kind.STRUCT, cls=cls)
    return _finished(_Excerpt(size, hidden), lambda some: {"type": cls.__name__, "value": some.value(of, error, 1)})


def _finished(some: _Excerpt, make: Callable[[_Excerpt], Any]) -> Excerpt:
    try:
        return Excerpt(dump(make(some)), some.cut)
    except Exception:  # a handler may return anything, and that is told by whoever encodes it
        return Excerpt(dump(_MISFIT), False)


class _Excerpt:
    """Writes one excerpt. ``left`` is how many characters it may still have."""

    def __init__(self, size: int, hidden: Hidden) -> None:
        self.cut = False
        self._left = size
        self._hidden = hidden
        self._known: dict[type, tuple[tuple[Field, ...], set[str], Collection[str]]] = {}

    def value(self, of: FieldType, value: Any, depth: int) -> Any:
        """The plain value of one that is not None."""
        self._left -= _PUNCTUATION
        wanted: Any = of.cls if of.kind is Kind.STRUCT else _TYPES.get(of.kind, int)
        fits: Callable[[Any, Any], bool] = isinstance  # which narrows no type here, as the IDL says what it is
        if not fits(value, wanted):
            return self._word(f"<no {of}>")
        match of.kind:
            case Kind.STRING:
                return self._text(value)
            case Kind.BINARY:
                return self._bytes(value)
            case Kind.LIST | Kind.SET | Kind.MAP | Kind.STRUCT if depth >= _DEEPEST:
                return self._mark("more levels")
            case Kind.LIST:
                return self._items(of.inner[0], value, depth)
            case Kind.SET:
                return self._set(of, value, depth)
            case Kind.MAP:
                return self._map(of, value, depth)
            case Kind.STRUCT:
                return self._struct(value, of.cls, depth)
            case _:
                return self._scalar(of, value)

    def fields(
        self, fields: Sequence[Field], values: Any, with_null: set[str], masked: Collection[str], depth: int
    ) -> dict[str, Any]:
        """The plain object of a struct's values, or of a call's arguments."""
        made: dict[str, Any] = {}
        for at, field in enumerate(fields):
            value = values.get(field.name)
            if value is None and field.name not in with_null:
                continue
            if self._left <= 0:
                made[_CUT] = self._mark(f"up to {len(fields) - at} more")
                break
            self._left -= len(field.name) + _PUNCTUATION
            if value is None:
                made[field.name] = None
            elif field.name in masked:
                made[field.name] = self._word(MASKED)
            else:
                made[field.name] = self.value(field.type, value, depth + 1)
        return made

    def _mark(self, what: str) -> str:
        self.cut = True
        return f"<cut: {what}>"

    def _word(self, text: str) -> str:
        self._left -= len(text)
        return text

    def _scalar(self, of: FieldType, value: Any) -> Any:
        plain = write(of, value)
        self._left -= len(str(plain))
        return plain

    def _text(self, value: str) -> str:
        room = max(0, self._left)
        self._left -= len(value)
        return value if len(value) <= room else value[:room] + self._mark(f"{len(value) - room} more")

    def _bytes(self, value: bytes) -> Any:
        room = max(0, self._left) // 4 * 3
        self._left -= len(value) * 4 // 3
        whole = write(FieldType(kind=Kind.BINARY), value[:room])
        return whole if len(value) <= room else whole + self._mark(f"{len(value) - room} more bytes")

    def _items(self, of: FieldType, items: Sequence[Any], depth: int, more: int = 0) -> list[Any]:
        """The items, as many as there is room for; ``more`` are known to be left out."""
        made: list[Any] = []
        whole = len(items) + more
        for one in items:
            if self._left <= 0:
                break
            made.append(self.value(of, one, depth + 1))
        if len(made) < whole:
            made.append(self._mark(f"{whole - len(made)} more"))
        return made

    def _set(self, of: FieldType, members: Collection[Any], depth: int) -> list[Any]:
        """The members in the order in which they are written; any of them, if there is not room for all."""
        inner = of.inner[0]
        most = max(1, self._left // _PUNCTUATION)
        some = members if len(members) <= most else set(itertools.islice(members, most))
        if inner.kind in WORDS and all(isinstance(one, _TYPES.get(inner.kind, int)) for one in some):
            ordered = sorted(some, key=lambda one: (one != one, one))
            return self._items(inner, ordered, depth, len(members) - len(some))
        made = [self.value(inner, one, depth + 1) for one in some if self._left > 0]
        made.sort(key=dump)
        if len(made) < len(members):
            made.append(self._mark(f"{len(members) - len(made)} more"))
        return made

    def _map(self, of: FieldType, entries: Mapping[Any, Any], depth: int) -> Any:
        first, second = of.inner
        made: list[tuple[Any, Any]] = []
        for key, one in entries.items():
            if self._left <= 0:
                break
            made.append((self.value(first, key, depth + 2), self.value(second, one, depth + 2)))
        mark = self._mark(f"{len(entries) - len(made)} more") if len(made) < len(entries) else None
        if first.kind not in WORDS:
            pairs: list[Any] = [list(pair) for pair in made]
            return pairs if mark is None else [*pairs, mark]
        named = {key if isinstance(key, str) else dump(key): one for key, one in made}
        return named if mark is None else {**named, _CUT: mark}

    def _struct(self, it: Any, cls: Any, depth: int) -> dict[str, Any]:
        known = self._known.get(cls)
        if known is None:
            with_null = {name for name, default in cls.default_spec if default is not None}
            known = self._known[cls] = fields_of(cls), with_null, self._hidden(cls)
        return self.fields(known[0], vars(it), *known[1:], depth)
