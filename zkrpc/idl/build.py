"""Makes the classes and constants of a file that was checked, after those of the files it includes.

One file is one set of classes, however often and by whatever path it is included; a file of the same name elsewhere, or
of other contents, is another. What an IDL can define and Python cannot hold, such as a map as the key of a map, is
remembered with its line and refused when it is used: when a struct is encoded or decoded, a method called, a constant
read. So one such definition does not spoil the rest of a file.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from zkrpc.codec.shape import (
    Field,
    FieldType,
    Kind,
    RawType,
    is_hashable,
    is_mutable,
    is_union,
    mark_refused,
    mark_union,
    reachable,
    refusal_of,
    type_of,
)
from zkrpc.errors import IdlError
from zkrpc.idl.classes import (
    Entry,
    add_function,
    is_special,
    make_enum,
    make_service,
    make_struct,
    set_default_member,
    set_fields,
)
from zkrpc.idl.names import constant, parent_of, resolve
from zkrpc.idl.outline import DEEPEST, Definition, FieldOutline, FunctionOutline, Reference, TypeName, Value
from zkrpc.idl.source import Source
from zkrpc.idl.values import Converter

_KINDS = {
    "bool": Kind.BOOL,
    "byte": Kind.I8,
    "i8": Kind.I8,
    "i16": Kind.I16,
    "i32": Kind.I32,
    "i64": Kind.I64,
    "double": Kind.DOUBLE,
    "string": Kind.STRING,
    "slist": Kind.STRING,
    "binary": Kind.BINARY,
    "uuid": Kind.UUID,
    "list": Kind.LIST,
    "set": Kind.SET,
    "map": Kind.MAP,
}
STRUCTS = ("struct", "union", "exception")
"""Definitions that become classes with fields."""
_SPECIAL = "has a name that means something else in Python; expected one without '__' around it"
_LARGEST_TYPE = 1000
"""The most base types, structs and containers in one type: typedefs of typedefs can multiply without end."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The classes made of a file, and the values of its constants. A constant that is refused has its IdlError as its
    value."""

    module: ModuleType
    classes: dict[str, Any] = dataclasses.field(default_factory=dict)
    constants: dict[str, Any] = dataclasses.field(default_factory=dict)


_built: dict[str, Built] = {}
"""What was made of each file, by the file's identity, which is made of its place and contents: loading a file twice
gives the same classes."""


def module_name(source: Source) -> str:
    """The name of the module for a file's classes, made of its place and of its contents and those of all it
    includes."""
    return f"zkrpc_idl_{source.identity[:16]}_{source.stem}_thrift"


def build(source: Source) -> Built:
    """Makes the classes of a file. IdlError for a value that does not fit its type; nothing is kept then."""
    if source.identity not in _built:
        made = _Building(source).everything()
        # Where two threads load one file, the first to get here has made the classes of it.
        if _built.setdefault(source.identity, made) is made:
            sys.modules[made.module.__name__] = made.module
    return _built[source.identity]


def built(source: Source) -> Built:
    """What was made of a file that was built."""
    return _built[source.identity]


class _Building:
    """Makes one file's classes: first all of them without fields, then their types, then the values, which may hold
    objects of the classes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._made = Built(module=ModuleType(module_name(source)))
        self._structs: dict[Any, Definition] = {}
        self._waiting: list[str] = []
        """The names being made that wait for the current one: structs for defaults, constants for other constants."""
        self._finished: set[type] = set()
        self._converter = Converter(self._lookup, self._ready)

    def everything(self) -> Built:
        """Makes all definitions."""
        definitions = self._source.outline.definitions
        for definition in definitions:
            self._class(definition)
        for cls, definition in self._structs.items():
            cls.thrift_spec = self._types(cls, definition.fields, f"{definition.name}'s field")
        for definition in definitions:
            if definition.kind == "typedef" and definition.type:
                self._raw(definition.type)
        for cls in self._structs:
            self._ready(cls)
        for definition in definitions:
            if definition.kind == "const":
                self._constant(definition)
            for function in definition.functions:
                self._function(self._made.classes[definition.name], definition, function)
        included = {child.stem: built(child).module for child in self._source.children}
        for name, some in {**included, **self._made.classes, **self._made.constants}.items():
            if not is_special(name) and not isinstance(some, IdlError):
                setattr(self._made.module, name, some)
        return self._made

    def _class(self, definition: Definition) -> None:
        where = self._made.module.__name__, str(self._source.path)
        if definition.kind in STRUCTS:
            cls = make_struct(definition, *where)
            self._structs[cls] = definition
            if definition.kind == "union":
                mark_union(cls)
        elif definition.kind == "enum":
            cls = make_enum(definition, *where)
        elif definition.kind == "service":
            parent = parent_of(self._source, definition)
            cls = make_service(definition, parent and self._class_of(*parent), *where)
        else:
            return
        self._made.classes[definition.name] = cls

    def _class_of(self, home: Source, definition: Definition) -> Any:
        return (self._made if home is self._source else built(home)).classes[definition.name]

    def _types(self, owner: type, fields: Sequence[FieldOutline], what: str) -> dict[int, Entry]:
        """The fields' entries for ``thrift_spec``; the first that Python cannot hold makes its struct refused."""
        spec = {}
        for field in reversed(fields):
            raw = self._raw(field.type)
            spec[field.id] = _entry(raw, field.name, field.required and not is_union(owner))
            reason = _unusable(field.name, type_of(raw), of_exception=issubclass(owner, Exception))
            if reason:
                mark_refused(owner, self._error(f"{what} {field.name} {reason}", field.line))
        return dict(reversed(spec.items()))

    def _raw(self, of: TypeName) -> RawType:
        """A type as thriftpy2 writes it."""
        left = _LARGEST_TYPE

        def written(source: Source, some: TypeName, depth: int) -> RawType:
            nonlocal left
            left -= 1
            found = resolve(source, some)
            assert found is not None, "the checks let no unknown type through"
            if depth > DEEPEST or left < 0:
                message = f"type {of} is too large; expected at most {DEEPEST} types inside each other, not in a circle"
                raise self._error(message, of.line)
            home, target = found
            if isinstance(target, Definition):
                kind = Kind.I32 if target.kind == "enum" else Kind.STRUCT
                return int(kind), self._class_of(home, target)
            inner = tuple([written(home, part, depth + 1) for part in target.inner])
            number = int(_KINDS[target.name])
            return (number, inner if target.name == "map" else inner[0]) if inner else number

        return written(self._source, of, 0)

    def _function(self, service: Any, owner: Definition, function: FunctionOutline) -> None:
        arguments, results = add_function(service, function.name)
        name = f"{owner.name}.{function.name}()"
        spec = self._types(arguments, function.parameters, f"{name}'s parameter")
        set_fields(arguments, spec, self._defaults(arguments, name, function.parameters))
        spec = self._types(results, function.throws, f"{name}'s exception")
        if function.returns:
            raw = self._raw(function.returns)
            spec = {0: _entry(raw, "success", False), **spec}
            reason = _unusable("success", type_of(raw))
            if reason:
                mark_refused(results, self._error(f"{name}'s result {reason}", function.line))
        set_fields(results, spec, {})
        results.oneway = function.oneway
        if is_special(function.name):
            mark_refused(results, self._error(f"{name} {_SPECIAL}", function.line))
        if function.oneway and function.returns:
            message = f"{name} is oneway, so nobody hears its result; expected 'oneway void'"
            mark_refused(results, self._error(message, function.line))

    def _ready(self, cls: Any) -> None:
        """Gives a struct of this file its constructor with its defaults, after the structs that the defaults are made
        of."""
        if cls in self._finished or cls not in self._structs:
            return
        definition = self._structs[cls]
        self._wait(f"default of {definition.name}", definition.line)
        defaults = self._defaults(cls, definition.name, definition.fields)
        set_fields(cls, cls.thrift_spec, {} if is_union(cls) else defaults)
        if is_union(cls):
            for name, value in defaults.items():
                set_default_member(cls, name, value)
        self._waiting.pop()
        self._finished.add(cls)

    def _wait(self, what: str, line: int) -> None:
        if what in self._waiting or len(self._waiting) >= DEEPEST:
            circle = " of the ".join(self._waiting[-5:])
            message = f"the {what} is made of itself, or of more than {DEEPEST} others: the {circle}"
            raise self._error(message, line)
        self._waiting.append(what)

    def _defaults(self, owner: type, name: str, fields: Sequence[FieldOutline]) -> dict[str, Any]:
        if refusal_of(owner):
            return {}
        return {
            field.name: self._value(field.type, field.default, f"the default of {name}.{field.name}", field.line)
            for field in fields
            if field.default is not None and self._refusal(field.type) is None
        }

    def _constant(self, definition: Definition) -> Any:
        """The value of a constant of this file, or the IdlError that refuses it."""
        name = definition.name
        if name not in self._made.constants:
            assert definition.type is not None
            self._wait(f"constant {name}", definition.line)
            reason = _unusable(name, type_of(self._raw(definition.type)))
            refusal = self._error(f"the constant {name} {reason}", definition.line) if reason else None
            self._made.constants[name] = (
                refusal
                or self._refusal(definition.type)
                or self._value(definition.type, definition.value, f"the constant {name}", definition.line)
            )
            self._waiting.pop()
        return self._made.constants[name]

    def _refusal(self, of: TypeName) -> IdlError | None:
        """Why Python cannot hold values of this type, if a struct inside is refused; None otherwise."""
        try:
            reachable((Field(id=1, name="value", type=type_of(self._raw(of))),))
            return None
        except IdlError as refusal:
            return refusal

    def _value(self, of: TypeName, value: Value | None, place: str, line: int) -> Any:
        try:
            return self._converter.convert(type_of(self._raw(of)), value, place)
        except TypeError as exc:
            raise self._error(str(exc), line) from exc

    def _lookup(self, reference: Reference, of: FieldType) -> Any:
        """The value that a name stands for. Where an enum is wanted, an item may stand without the enum's name."""
        found = constant(self._source, reference)
        item = reference.name.rpartition(".")[2]
        numbers: dict[str, int] = getattr(of.cls, "_NAMES_TO_VALUES", {})
        if found is None and item in numbers:
            return numbers[item]
        if found is None:
            message = f"no constant {reference.name}; expected one, or an item such as Enum.ITEM"
            raise self._error(message, reference.line)
        home, definition = found[:2]
        if len(found) == 3:
            if numbers and self._class_of(home, definition) is not of.cls:
                raise TypeError(f"{reference.name} is no item of {of}")
            return found[2].number
        value = self._constant(definition) if home is self._source else built(home).constants[definition.name]
        if isinstance(value, IdlError):
            raise value
        return copy.deepcopy(value) if is_mutable(value) else value

    def _error(self, message: str, line: int) -> IdlError:
        return IdlError(message, file=self._source.name, line=line)


def _unusable(name: str, of: FieldType, *, of_exception: bool = False) -> str | None:
    """Why Python cannot hold something of this name and type."""
    if of_exception and name in ("with_traceback", "add_note"):
        return "has a name that means something else on every exception of Python's; expected another one"
    if is_special(name):
        return _SPECIAL
    if not _can_be_held(of):
        return f"cannot be held by Python: {of} has keys or members that are maps, or hold maps"
    return None


def _can_be_held(of: FieldType) -> bool:
    keys = of.inner[:1] if of.kind in (Kind.MAP, Kind.SET) else ()
    return all(map(is_hashable, keys)) and all(map(_can_be_held, of.inner))


def _entry(raw: RawType, name: str, required: bool) -> Entry:
    return (raw[0], name, raw[1], required) if isinstance(raw, tuple) else (raw, name, required)
