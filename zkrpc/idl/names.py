"""What a name in an IDL file stands for, across the files it includes.

Only looks; a name that stands for nothing is None here and an error in :mod:`zkrpc.idl.lint`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from zkrpc.idl.outline import BASE_TYPES, Definition, FunctionOutline, TypeName
from zkrpc.idl.source import Source

Place: TypeAlias = tuple[Source, Definition]
"""A definition and the file that holds it."""

TYPES = ("typedef", "enum", "struct", "union", "exception")
"""Definitions that are types."""


def find(source: Source, name: str) -> Place | None:
    """The definition that a name in this file stands for: its own, or ``file.Name`` of an included one."""
    stem, dot, rest = name.partition(".")
    home = source.includes.get(stem) if dot else source
    found = home.definition(rest if dot else name) if home else None
    return (home, found) if home and found else None


def resolve(source: Source, of: TypeName) -> tuple[Source, TypeName | Definition] | None:
    """A type with its typedefs followed: a base type or container, or the definition of an enum, struct and so on.

    None if a name on the way stands for nothing, for something that is no type, or for itself.
    """
    followed = set()
    while not of.inner and (source.path, of.name) not in followed:
        place = find(source, of.name)
        if place is None:
            return None if _is_name(of) else (source, of)
        followed.add((source.path, of.name))
        source, definition = place
        if definition.kind != "typedef" or definition.type is None:
            return place if definition.kind in TYPES else None
        of = definition.type
    return (source, of) if of.inner else None


def _is_name(of: TypeName) -> bool:
    """Whether this can only be the name of a definition. Base types are keywords, so nothing is defined as one."""
    return of.name not in BASE_TYPES


def parent_of(source: Source, service: Definition) -> Place | None:
    """The service that a service extends."""
    place = find(source, service.extends.name) if service.extends else None
    return place if place and place[1].kind == "service" else None


def functions_of(source: Source, service: Definition) -> Iterator[tuple[Source, Definition, FunctionOutline]]:
    """Every function of a service with where it was written, its parents' first."""
    parent = parent_of(source, service)
    if parent:
        yield from functions_of(*parent)
    for function in service.functions:
        yield source, service, function


def constant_exists(source: Source, name: str, line: int | None = None) -> bool:
    """Whether a name stands for a constant or an enum's item, defined before ``line`` if that is in this file."""
    first, _, rest = name.partition(".")
    if line is not None and first in source.includes and rest:
        return constant_exists(source.includes[first], rest)
    definition = source.definition(first)
    if definition is None or (line is not None and definition.line > line):
        return False
    if definition.kind == "enum":
        return any(item.name == rest for item in definition.items)
    return definition.kind == "const" and not rest
