"""What an IDL file says, with the line of everything: the one tree that the checks, the names, the policies and the
classes are made from.

Values only. It knows one file, nothing of what that file includes; :mod:`zkrpc.idl.parser` makes it.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

BASE_TYPES = ("bool", "byte", "i8", "i16", "i32", "i64", "double", "string", "slist", "binary", "uuid")
"""Types that need no definition; ``byte`` is the old name of ``i8``, ``slist`` of ``string``."""
CONTAINERS = ("list", "set", "map")
DEEPEST = 64
"""Levels of types, of values, of includes, of typedefs and so on inside each other; the C module takes no more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """``(name = "value")``; the value is None if there is none."""

    name: str
    value: str | None
    line: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TypeName:
    """A type as it is written: a base type, a container with its inner types, or the name of a definition."""

    name: str
    line: int
    inner: tuple[TypeName, ...] = ()
    depth: int = 0
    """Levels of types inside."""

    def __str__(self) -> str:
        """As the IDL writes it."""
        return f"{self.name}<{', '.join(map(str, self.inner))}>" if self.inner else self.name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The name of a constant or of an enum's item, used as a value; or of a service that is extended."""

    name: str
    line: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListValue:
    """``[a, b]``."""

    items: tuple[Value, ...]
    depth: int = 1

    def __repr__(self) -> str:
        """As the IDL writes it."""
        return f"[{', '.join(map(repr, self.items))}]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MapValue:
    """``{a: b}``: pairs, as keys need not be hashable here."""

    pairs: tuple[tuple[Value, Value], ...]
    depth: int = 1

    def __repr__(self) -> str:
        """As the IDL writes it."""
        return f"{{{', '.join(f'{key!r}: {value!r}' for key, value in self.pairs)}}}"


Value: TypeAlias = "bool | int | float | str | Reference | ListValue | MapValue"
"""A constant as it is written."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FieldOutline:
    """A field of a struct, a parameter, or a declared exception.

    One without an id, or with one below 1, has the id that Apache's compiler gives it: -1, -2 and so on.
    """

    id: int
    required: bool
    type: TypeName
    name: str
    line: int
    default: Value | None = None
    annotations: tuple[Annotation, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnumItem:
    """One name of an enum, with the number that is written or follows from the one before."""

    name: str
    number: int
    line: int
    annotations: tuple[Annotation, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FunctionOutline:
    """One method; ``returns`` is None for void."""

    name: str
    line: int
    oneway: bool
    returns: TypeName | None
    parameters: tuple[FieldOutline, ...]
    throws: tuple[FieldOutline, ...]
    annotations: tuple[Annotation, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Anything that a file defines. What does not belong to its kind is empty."""

    kind: str
    """``const``, ``typedef``, ``enum``, ``struct``, ``union``, ``exception`` or ``service``."""
    name: str
    line: int
    fields: tuple[FieldOutline, ...] = ()
    items: tuple[EnumItem, ...] = ()
    functions: tuple[FunctionOutline, ...] = ()
    type: TypeName | None = None
    value: Value | None = None
    extends: Reference | None = None
    annotations: tuple[Annotation, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """``include "file"``."""

    path: str
    line: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One file."""

    includes: tuple[Include, ...] = ()
    definitions: tuple[Definition, ...] = ()
