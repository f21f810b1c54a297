"""The syntax tree of an IDL file, with line numbers: the checks, the names, the policies and the classes are all made
from it.

Only values are defined here; :mod:`zkrpc.idl.parser` makes them. An outline is about one file and knows nothing of the
files it includes.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

BASE_TYPES = ("bool", "byte", "i8", "i16", "i32", "i64", "double", "string", "slist", "binary", "uuid")
"""Types that need no definition; ``byte`` is the old name of ``i8``, ``slist`` of ``string``."""
CONTAINERS = ("list", "set", "map")
DEEPEST = 64
"""How many levels of types, values, includes, typedefs and so on may be inside each other; the C module accepts no more
structs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """An annotation ``(name = "value")``; the value is None if none is written."""

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
    """How many levels of types are inside."""

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
    """A list ``[a, b]``."""

    items: tuple[Value, ...]
    depth: int = 1

    def __repr__(self) -> str:
        """As the IDL writes it."""
        return f"[{', '.join(map(repr, self.items))}]"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MapValue:
    """A map ``{a: b}``, kept as pairs, as keys need not be hashable here."""

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
    optional: bool = False
    """True if it is declared ``optional``; false for one that is declared nothing, as well."""
    default: Value | None = None
    annotations: tuple[Annotation, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnumItem:
    """One item of an enum, with the number that is written or follows from the item before."""

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
    """Anything that a file defines. Attributes that do not belong to its kind are empty."""

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
class Namespace:
    """``namespace scope name``: where generated code of one language goes; of the scope ``*``, that of all."""

    scope: str
    name: str
    line: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The syntax tree of one file."""

    includes: tuple[Include, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    definitions: tuple[Definition, ...] = ()
