"""Compares constants and defaults by what they mean: through other constants, enums' items and files. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias

from zkrpc.idl.names import constant, resolve
from zkrpc.idl.outline import DEEPEST, Definition, ListValue, MapValue, Reference, TypeName, Value
from zkrpc.idl.source import Source

Held: TypeAlias = "tuple[Source, TypeName, Value | None]"
"""A value as it is written, in which file, and for which type."""

_LARGEST = 10_000
"""How many values one may be made of; constants of constants can multiply without end, and then only what is written is
compared."""


def same_value(old: Held, new: Held) -> bool:
    """Whether both mean the same value."""
    try:
        return bool(_Meaning().of(*old) == _Meaning().of(*new))
    except _TooLarge:
        return bool(_written(old[2]) == _written(new[2]))


def _written(value: Any) -> Any:
    """A value as it is written, without lines."""
    match value:
        case Reference(name=name):
            return "name", name
        case ListValue(items=items):
            return tuple(map(_written, items))
        case MapValue(pairs=pairs):
            return tuple((_written(key), _written(held)) for key, held in pairs)
    return type(value), value


class _TooLarge(Exception):
    """The value is made of too many others, or of itself."""


class _Meaning:
    """What one value means: numbers, texts, tuples of them; maps as sorted pairs."""

    def __init__(self) -> None:
        self._left = _LARGEST

    def of(self, source: Source, of: TypeName | None, value: Any, depth: int = 0) -> Any:
        """The meaning of a value, for a type if that is known: an enum's items may stand without its name."""
        self._left -= 1
        if self._left < 0 or depth > 2 * DEEPEST:
            raise _TooLarge
        match value:
            case Reference():
                return self._named(source, of, value, depth)
            case ListValue(items=items):
                inner = self._inner(source, of, 0)
                return "list", tuple(self.of(source, inner, item, depth + 1) for item in items)
            case MapValue(pairs=pairs):
                key, held = self._inner(source, of, 0), self._inner(source, of, 1)
                meant = (
                    (self.of(source, key, one, depth + 1), self.of(source, held, two, depth + 1)) for one, two in pairs
                )
                return "map", tuple(sorted(meant, key=repr))
            case bool() | int() | float():
                return "number", float(value) if isinstance(value, float) else int(value)
        return value

    def _named(self, source: Source, of: TypeName | None, name: Reference, depth: int) -> Any:
        found = constant(source, name)
        if found is not None and len(found) == 3:
            return "number", found[2].number
        if found is not None:
            home, definition = found[0], found[1]
            return self.of(home, definition.type, definition.value, depth + 1)
        target = resolve(source, of) if of is not None else None
        items = target[1].items if target and isinstance(target[1], Definition) else ()
        last = name.name.rpartition(".")[2]
        number = next((item.number for item in items if item.name == last), None)
        return ("name", name.name) if number is None else ("number", number)

    @staticmethod
    def _inner(source: Source, of: TypeName | None, place: int) -> TypeName | None:
        """The type inside a container that is written in this file; None if it is not known without much ado, which
        matters to bare names of items only."""
        return of.inner[place] if of is not None and len(of.inner) > place else None
