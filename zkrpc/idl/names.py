"""What a name in an IDL file stands for, across the files it includes.

Only looks names up: for one that is not defined the answer is None here, and :mod:`zkrpc.idl.lint` makes an error of
it. A name of another file is split at its last dot, as a file's name may hold dots: ``acme.base.Cat`` is the Cat of
``acme.base.thrift``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from zkrpc.idl.outline import BASE_TYPES, DEEPEST, Definition, EnumItem, FunctionOutline, Reference, TypeName
from zkrpc.idl.source import Source

Place: TypeAlias = tuple[Source, Definition]
"""A definition and the file that holds it."""

TYPES = ("typedef", "enum", "struct", "union", "exception")
"""Definitions that are types."""


def places(source: Source, name: str) -> list[Place]:
    """The definitions that a name in this file stands for: its own, or ``file.Name`` of an included one.

    There are two if two included files have the same name and both define it.
    """
    stem, dot, rest = name.rpartition(".")
    homes = source.includes.get(stem, ()) if dot else (source,)
    return [(home, home.definitions[rest]) for home in homes if rest in home.definitions]


def find(source: Source, name: str) -> Place | None:
    """The one definition that a name in this file stands for."""
    found = places(source, name)
    return found[0] if len(found) == 1 else None


def resolve(source: Source, of: TypeName) -> tuple[Source, TypeName | Definition] | None:
    """A type with its typedefs resolved: a base type or container, or the definition of an enum, struct and so on.

    None if a name on the way stands for nothing, for something that is no type, or for itself.
    """
    for _ in range(DEEPEST):
        if of.inner or of.name in BASE_TYPES:
            return source, of
        place = find(source, of.name)
        if place is None or place[1].kind not in TYPES:
            return None
        source, definition = place
        if definition.type is None:
            return place
        of = definition.type
    return None


def parent_of(source: Source, service: Definition) -> Place | None:
    """The service that a service extends."""
    place = find(source, service.extends.name) if service.extends else None
    return place if place and place[1].kind == "service" else None


def lineage_of(source: Source, service: Definition) -> list[Place]:
    """A service and those it extends, the topmost parent first."""
    lineage, parent = [(source, service)], parent_of(source, service)
    while parent:
        lineage.insert(0, parent)
        parent = parent_of(*parent)
    return lineage


def functions_of(source: Source, service: Definition) -> Iterator[tuple[Source, Definition, FunctionOutline]]:
    """Every function of a service with the service that defines it, its parents' first."""
    for home, owner in lineage_of(source, service):
        for function in owner.functions:
            yield home, owner, function


def constant(source: Source, reference: Reference) -> Place | tuple[Source, Definition, EnumItem] | None:
    """What a name in a value stands for: a constant, or an enum's item as ``Enum.ITEM``."""
    place = find(source, reference.name)
    if place and place[1].kind == "const":
        return place
    owner, _, item = reference.name.rpartition(".")
    place = find(source, owner)
    if place is None or place[1].kind != "enum":
        return None
    return next(((*place, some) for some in place[1].items if some.name == item), None)
