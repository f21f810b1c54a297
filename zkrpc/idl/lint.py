"""The checks of a file: refuses what would load and break later, with file and line.

The checks see outlines only, before any class is made; values are checked where they are made, in
:mod:`zkrpc.idl.values`. A definition that Python cannot hold is no error here: :mod:`zkrpc.idl.build` refuses it when
it is used.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn

from zkrpc.errors import IdlError
from zkrpc.idl.names import TYPES, find, functions_of, lineage_of, places, resolve
from zkrpc.idl.outline import (
    BASE_TYPES,
    CONTAINERS,
    DEEPEST,
    Annotation,
    Definition,
    EnumItem,
    FieldOutline,
    FunctionOutline,
    Reference,
    TypeName,
)
from zkrpc.idl.policy import PREFIX, is_masked, policy_of
from zkrpc.idl.source import Source

_LARGEST_ID = 0x7FFF
_SHOWN = 20
"""How many types of a file a message names at most; if there are more, it names only those whose names are like the
missing one."""
_TYPE_WORDS = frozenset({*BASE_TYPES, *CONTAINERS, "void", "true", "false"})
"""Names that no definition may have, as they mean something else wherever they are used."""


def check(source: Source) -> None:
    """Checks one file whose includes were checked. Raises IdlError for the first thing that is wrong."""
    lint = _Lint(source)
    lint.names(source.outline.definitions, "type, constant or service")
    for definition in source.outline.definitions:
        if definition.name in _TYPE_WORDS:
            lint.fail(f"nothing can be called {definition.name!r}; expected another name", definition.line)
        _CHECKS[definition.kind](lint, definition)
        if definition.kind != "service":
            lint.no_policy(definition.annotations)
            lint.marks(definition.fields)


class _Lint:
    """The checks of one file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._services: set[str] = set()

    def fail(self, message: str, line: int) -> NoReturn:
        """Raises the IdlError, with file and line."""
        raise IdlError(message, file=self._source.name, line=line)

    def names(self, named: Iterable[Definition | FieldOutline | EnumItem | FunctionOutline], what: str) -> None:
        """No name is defined twice."""
        lines: dict[str, int] = {}
        for some in named:
            if some.name in lines:
                self.fail(f"{what} {some.name} is defined already, in line {lines[some.name]}", some.line)
            lines[some.name] = some.line

    def no_policy(self, *annotations: Sequence[Annotation]) -> None:
        """Policies may be annotated on functions only; anywhere else they would be overlooked."""
        for some in annotations:
            for annotation in some:
                if annotation.name.startswith(PREFIX):
                    self.fail(f"{annotation.name} belongs behind a function", annotation.line)

    def marks(self, fields: Sequence[FieldOutline]) -> None:
        """Fields may be masked, and have no policy."""
        for field in fields:
            is_masked(field.annotations, self._source.name)

    def typed(self, definition: Definition) -> None:
        """The type of a constant or typedef exists."""
        assert definition.type is not None
        self.type(definition.type)

    def enum(self, definition: Definition) -> None:
        """Items have different names, and numbers that fit an i32."""
        self.names(definition.items, f"{definition.name}'s item")
        for item in definition.items:
            self.no_policy(item.annotations)
            if not -(1 << 31) <= item.number < 1 << 31:
                self.fail(f"{item.name} = {item.number} does not fit in 32 bits", item.line)

    def struct(self, definition: Definition) -> None:
        """A struct's or exception's fields are sound."""
        self.fields(definition.fields, f"{definition.name}'s field")

    def union(self, definition: Definition) -> None:
        """A union's members are sound; at most one has a default."""
        self.struct(definition)
        for second in [field for field in definition.fields if field.default is not None][1:]:
            self.fail(f"{definition.name} has two members with a default; expected one at most", second.line)

    def service(self, definition: Definition) -> None:
        """A service's functions, together with those that are inherited, and their policies are sound."""
        self.no_policy(definition.annotations)
        if definition.extends:
            self.parent(definition.extends)
            if len(lineage_of(self._source, definition)) > DEEPEST:
                self.fail(f"{definition.name} extends more than {DEEPEST} services", definition.line)
        self._services.add(definition.name)
        self.names(definition.functions, f"{definition.name}'s function")
        inherited = {
            function.name: f"{service.name} ({home.name}:{function.line})"
            for home, service, function in functions_of(self._source, definition)
            if service is not definition
        }
        for function in definition.functions:
            if function.name in inherited:
                self.fail(f"{function.name} is a function of {inherited[function.name]} already", function.line)
            self.function(function)

    def parent(self, extends: Reference) -> None:
        """The parent is a service that is defined before it is extended."""
        place = find(self._source, extends.name)
        if place is None or place[1].kind != "service":
            self.fail(f"{extends.name} is no service", extends.line)
        if place[0] is self._source and extends.name not in self._services:
            self.fail(f"{extends.name} must be defined before it is extended", extends.line)

    def function(self, function: FunctionOutline) -> None:
        """A function's parameters, result and exceptions are sound."""
        name, line = function.name, function.line
        if function.oneway and function.throws:
            self.fail(f"{name} is oneway, so nobody hears of its exceptions; expected no throws", line)
        if function.returns:
            self.type(function.returns)
        self.fields(function.parameters, f"{name}()'s parameter")
        self.fields(function.throws, f"{name}()'s exception")
        for thrown in function.throws:
            found = resolve(self._source, thrown.type)
            if found is None or not isinstance(found[1], Definition) or found[1].kind != "exception":
                self.fail(f"{name}() throws {thrown.type}, which is no exception", thrown.line)
        self.marks(function.parameters)
        self.no_policy(*(field.annotations for field in function.throws))
        policy_of(function.annotations, self._source.name)

    def fields(self, fields: Sequence[FieldOutline], what: str) -> None:
        """Names and ids are different, and types exist."""
        self.names(fields, what)
        ids: dict[int, str] = {}
        for field in fields:
            if not -_LARGEST_ID <= field.id <= _LARGEST_ID:
                self.fail(f"{what} {field.name} has the id {field.id}, expected 1 to {_LARGEST_ID}", field.line)
            if field.id in ids:
                self.fail(f"{what} {field.name} has the id {field.id} of {ids[field.id]}", field.line)
            ids[field.id] = field.name
            self.type(field.type)

    def type(self, of: TypeName) -> None:
        """Every name in a type stands for a type."""
        for name in _names_in(of):
            if resolve(self._source, name) is None:
                self.fail(self._no_type(name.name), name.line)

    def _no_type(self, name: str) -> str:
        found = places(self._source, name)
        match found:
            case []:
                known = [some.name for some in self._source.outline.definitions if some.kind in TYPES]
                known += [f"{stem}.…" for stem in self._source.includes]
                if len(known) > _SHOWN:
                    known = [*difflib.get_close_matches(name, known), f"… {len(known)} types"]
                return f"no type {name}; expected a base type or one of {', '.join(known) or 'none yet'}"
            case [(_, definition)] if definition.kind == "typedef":
                return f"no type {name}: its typedef leads to nothing, in a circle, or over more than {DEEPEST} others"
            case [(_, definition)]:
                return f"no type {name}: it is a {definition.kind}"
        return f"{name} is defined in {' and in '.join(home.name for home, _ in found)}; expected files of other names"


_CHECKS: dict[str, Callable[[_Lint, Definition], None]] = {
    "const": _Lint.typed,
    "typedef": _Lint.typed,
    "enum": _Lint.enum,
    "struct": _Lint.struct,
    "union": _Lint.union,
    "exception": _Lint.struct,
    "service": _Lint.service,
}


def _names_in(of: TypeName) -> Iterator[TypeName]:
    """The names in a type, without the containers around them."""
    if not of.inner:
        yield of
    for inner in of.inner:
        yield from _names_in(inner)
