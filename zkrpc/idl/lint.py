"""What thriftpy2 lets pass and should not, each with file and line.

Every check here stands for something that loads without a word and then breaks: at the first call, in another file, or
only on the wire (the ones of thriftpy2 0.7.1, all reproduced). The checks see outlines only; values of constants are
checked where they exist, in :mod:`zkrpc.idl.build`.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

from zkrpc.errors import IdlError
from zkrpc.idl.names import TYPES, constant_exists, find, functions_of, resolve
from zkrpc.idl.outline import (
    Annotation,
    Definition,
    EnumItem,
    FieldOutline,
    FunctionOutline,
    Reference,
    TypeName,
)
from zkrpc.idl.policy import PREFIX, policy_of
from zkrpc.idl.source import Source

_TAKEN = frozenset({"self", "thrift_spec", "default_spec"})
"""Names that thriftpy2 uses inside the classes it makes."""
_TAKEN_BY_EXCEPTIONS = _TAKEN | {"args", "with_traceback", "add_note"}
"""Python gives these a meaning of their own on every exception."""
_UNHASHABLE = ("list", "set", "map")
_LARGEST_ID = 0x7FFF


def check(source: Source) -> None:
    """Checks one file whose includes were checked. Raises IdlError for the first thing that is wrong."""
    lint = _Lint(source)
    lint.names(source.outline.definitions, "type, constant or service")
    for definition in source.outline.definitions:
        if definition.name in source.includes:
            lint.fail(f"{definition.name} is also the name of an included file", definition.line)
        _CHECKS[definition.kind](lint, definition)
        if definition.kind != "service":
            lint.no_policy(definition.annotations, *(field.annotations for field in definition.fields))


class _Lint:
    """The checks of one file."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def fail(self, message: str, line: int) -> NoReturn:
        """Says where."""
        raise IdlError(message, file=self._source.name, line=line)

    def names(
        self,
        named: Iterable[Definition | FieldOutline | EnumItem | FunctionOutline],
        what: str,
        taken: frozenset[str] = _TAKEN,
    ) -> None:
        """Each name once, and only names that Python can take."""
        lines: dict[str, int] = {}
        for some in named:
            if some.name in lines:
                self.fail(f"{what} {some.name} is defined already, in line {lines[some.name]}", some.line)
            lines[some.name] = some.line
            if keyword.iskeyword(some.name):
                self.fail(f"{what} {some.name!r} is a word of Python; expected another name", some.line)
            if "." in some.name or some.name.startswith("_") or some.name in taken:
                self.fail(f"{what} {some.name!r} cannot be used as a name; expected another one", some.line)

    def no_policy(self, *annotations: Sequence[Annotation]) -> None:
        """Policies belong behind functions; anywhere else they would be overlooked."""
        for some in annotations:
            for annotation in some:
                if annotation.name.startswith(PREFIX):
                    self.fail(f"{annotation.name} belongs behind a function", annotation.line)

    def const(self, definition: Definition) -> None:
        """The type, and the constants that the value is made of."""
        assert definition.type is not None
        self.type(definition.type)
        self.value(definition.value, definition.line)

    def typedef(self, definition: Definition) -> None:
        """The type."""
        assert definition.type is not None
        self.type(definition.type)

    def enum(self, definition: Definition) -> None:
        """Items that are different in name and number, and fit an i32."""
        self.names(definition.items, f"{definition.name}'s item")
        numbers: dict[int, str] = {}
        for item in definition.items:
            self.no_policy(item.annotations)
            if item.number in numbers:
                self.fail(f"{item.name} has the number {item.number} of {numbers[item.number]}", item.line)
            if not -(1 << 31) <= item.number < 1 << 31:
                self.fail(f"{item.name} = {item.number} does not fit in 32 bits", item.line)
            numbers[item.number] = item.name

    def struct(self, definition: Definition) -> None:
        """The fields."""
        taken = _TAKEN_BY_EXCEPTIONS if definition.kind == "exception" else _TAKEN
        self.fields(definition.fields, f"{definition.name}'s field", taken)
        for field in definition.fields:
            if field.has_default and any(name.name == definition.name for name in _names_in(field.type)):
                self.fail(f"{definition.name} cannot have a default of itself: {field.name}", field.line)

    def union(self, definition: Definition) -> None:
        """The members, of which none is always there."""
        self.struct(definition)
        for field in definition.fields:
            if field.required or field.has_default:
                self.fail(f"a union's member cannot be required or have a default: {field.name}", field.line)

    def service(self, definition: Definition) -> None:
        """The functions, with those that are inherited, and their policies."""
        self.no_policy(definition.annotations)
        if definition.extends:
            self.parent(definition.extends)
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
        """A service that is defined before it is extended."""
        place = find(self._source, extends.name)
        if place is None or place[1].kind != "service":
            self.fail(f"{extends.name} is no service", extends.line)
        if place[0] is self._source and place[1].line >= extends.line:
            self.fail(f"{extends.name} must be defined before it is extended", extends.line)

    def function(self, function: FunctionOutline) -> None:
        """Parameters, result and exceptions."""
        name, line = function.name, function.line
        if function.oneway and (function.returns or function.throws):
            self.fail(f"{name} is oneway, so nobody hears its result; expected 'oneway void' without throws", line)
        if function.returns:
            self.type(function.returns)
        self.fields(function.parameters, f"{name}()'s parameter")
        self.fields(function.throws, f"{name}()'s exception", frozenset({*_TAKEN, "success"}))
        for thrown in function.throws:
            found = resolve(self._source, thrown.type)
            if found is None or not isinstance(found[1], Definition) or found[1].kind != "exception":
                self.fail(f"{name}() throws {thrown.type}, which is no exception", thrown.line)
        self.no_policy(*(field.annotations for field in (*function.parameters, *function.throws)))
        policy_of(function.annotations, self._source.name)

    def fields(self, fields: Sequence[FieldOutline], what: str, taken: frozenset[str] = _TAKEN) -> None:
        """Names, ids, types and the constants in defaults."""
        self.names(fields, what, taken)
        ids: dict[int, str] = {}
        for field in fields:
            if field.id is None:
                self.fail(
                    f"{what} {field.name} has no id; expected one, such as '1: {field.type} {field.name}'", field.line
                )
            if not 1 <= field.id <= _LARGEST_ID:
                self.fail(f"{what} {field.name} has the id {field.id}, expected 1 to {_LARGEST_ID}", field.line)
            if field.id in ids:
                self.fail(f"{what} {field.name} has the id {field.id} of {ids[field.id]}", field.line)
            ids[field.id] = field.name
            self.type(field.type)
            if field.has_default:
                self.default(field)

    def default(self, field: FieldOutline) -> None:
        """A default needs its type at once: thriftpy2 would keep a note to itself as the value."""
        for name in _names_in(field.type):
            place = find(self._source, name.name)
            if place and place[0] is self._source and place[1].line > name.line:
                self.fail(f"{name} must be defined before a default of it is written", name.line)
        self.value(field.default, field.line)

    def type(self, of: TypeName) -> None:
        """Every name in a type stands for a type, and what must be hashed can be."""
        for name in _names_in(of):
            if resolve(self._source, name) is None:
                known = [some.name for some in self._source.outline.definitions if some.kind in TYPES]
                known += [f"{stem}.…" for stem in self._source.includes]
                self.fail(f"no type {name}; expected a base type or one of {', '.join(known) or 'none yet'}", name.line)
        for some in _all_in(of):
            if some.name in ("map", "set"):
                self.hashable(some)

    def hashable(self, of: TypeName) -> None:
        """Python cannot hold lists as keys: the type would load and fail at the first value."""
        found = resolve(self._source, of.inner[0])
        if found and isinstance(found[1], TypeName) and found[1].name in _UNHASHABLE:
            what = "a map's key" if of.name == "map" else "a set's member"
            self.fail(f"{what} cannot be a {found[1].name}: {of}", of.line)

    def value(self, value: Any, line: int) -> None:
        """Every constant in a value is there, and defined before."""
        if isinstance(value, Reference):
            if not constant_exists(self._source, value.name, line):
                message = (
                    f"no constant {value.name}; expected one, or an item such as Enum.ITEM, defined before this line"
                )
                self.fail(message, value.line)
        elif isinstance(value, list):
            for item in value:
                self.value(item, line)
        elif isinstance(value, tuple):
            for item in (some for pair in value for some in pair):
                self.value(item, line)


_CHECKS: dict[str, Callable[[_Lint, Definition], None]] = {
    "const": _Lint.const,
    "typedef": _Lint.typedef,
    "enum": _Lint.enum,
    "struct": _Lint.struct,
    "union": _Lint.union,
    "exception": _Lint.struct,
    "service": _Lint.service,
}


def _all_in(of: TypeName) -> Iterator[TypeName]:
    """A type and the types inside it."""
    yield of
    for inner in of.inner:
        yield from _all_in(inner)


def _names_in(of: TypeName) -> Iterator[TypeName]:
    """The names in a type, without the containers around them."""
    return (some for some in _all_in(of) if not some.inner)
