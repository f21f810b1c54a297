"""Makes the classes: thriftpy2 parses a file that was checked, and what it gets wrong is put right.

Files are built from the bottom up, each under a module name of its own, and handed to thriftpy2 as if it had loaded
them before. So one file is one set of classes, however often and by whatever path it is included; a file of the same
name elsewhere, or of other contents, is another. Afterwards types are written again from the outline, because thriftpy2
leaves forward references in services unresolved, and defaults and constants get the type that was declared.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import os
import re
import sys
from types import ModuleType
from typing import Any

from thriftpy2.parser import parser
from thriftpy2.thrift import gen_init

from zkrpc.codec.calls import is_mutable
from zkrpc.codec.shape import FieldType, Kind, RawType, fields_of, mark_union, type_of
from zkrpc.codec.visitors import EXPLAIN
from zkrpc.errors import IdlError
from zkrpc.idl.names import resolve
from zkrpc.idl.outline import Definition, FieldOutline, TypeName
from zkrpc.idl.source import Source

_grammar: Any = parser
"""Used below the surface that is typed: its cache, and the lexer it stopped at."""

_KINDS = {
    "bool": Kind.BOOL,
    "byte": Kind.I8,
    "i8": Kind.I8,
    "i16": Kind.I16,
    "i32": Kind.I32,
    "i64": Kind.I64,
    "double": Kind.DOUBLE,
    "string": Kind.STRING,
    "binary": Kind.BINARY,
    "list": Kind.LIST,
    "set": Kind.SET,
    "map": Kind.MAP,
}
STRUCTS = ("struct", "union", "exception")
"""Definitions that become classes with fields."""
_built: dict[str, ModuleType] = {}
"""Modules by name, and so by place and contents: loading a file twice gives the same classes."""


def module_name(source: Source) -> str:
    """A name that says where a file is and what is in it and in all it includes, so that pickles find their classes.

    The same in every process on the same files.
    """
    parts = [str(source.path), source.text, *map(module_name, source.includes.values())]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"zkrpc_idl_{digest[:16]}_{source.stem}_thrift"


def build(source: Source, include_dirs: list[str]) -> ModuleType:
    """The module of classes of a file that passed the checks, as its includes did and were built.

    Call it inside :func:`zkrpc.idl.tokens.thriftpy2_parser`. IdlError if thriftpy2 refuses it still, or a value does
    not fit its type; nothing is kept then.
    """
    name = module_name(source)
    if name not in _built:
        module = _parse(source, name, include_dirs)
        _Repair(source, module).everything()
        _built[name] = sys.modules[name] = module
    return _built[name]


def built(source: Source) -> ModuleType:
    """The module of a file that was built."""
    return _built[module_name(source)]


def _parse(source: Source, name: str, include_dirs: list[str]) -> ModuleType:
    cache: dict[str, ModuleType] = _grammar._thrift_cache
    before = set(cache)
    try:
        for stem, child in source.includes.items():
            cache[_child_name(source, name, source.reached[stem])] = built(child)
        module: ModuleType = _grammar.parse(str(source.path), name, include_dirs=include_dirs)
    except Exception as exc:  # thriftpy2 lets TypeError, AssertionError and others through for what it cannot cast
        raise _translated(exc, source) from exc
    finally:
        for key in set(cache) - before:
            del cache[key]
        for child in source.includes.values():
            built(child).__name__ = module_name(child)  # thriftpy2 renames what it includes
    return module


def _child_name(source: Source, name: str, found: str) -> str:
    """The name under which thriftpy2 will look for an included file."""
    prefix = name.removesuffix(f"{source.stem}_thrift")
    return prefix + os.path.relpath(found, source.path.parent).replace(os.sep, ".").removesuffix(".thrift") + "_thrift"


def _translated(exc: Exception, source: Source) -> IdlError:
    """An error of thriftpy2's with file and line. It says the line, or its lexer still stands there."""
    said = re.search(r",? at line (\d+)", str(exc))
    line = int(said[1]) if said else _grammar.lex.lexer.lineno
    message = re.sub(r",? at line \d+", "", str(exc)) or type(exc).__name__
    return IdlError(f"thriftpy2 cannot read this: {message}", file=source.name, line=line)


class _Repair:
    """Puts right what one module got wrong. Types first: what values are checked against must be whole."""

    def __init__(self, source: Source, module: ModuleType) -> None:
        self._source = source
        self._module = module

    def everything(self) -> None:
        """All definitions."""
        definitions = self._source.outline.definitions
        for definition in definitions:
            if definition.kind in STRUCTS:
                self._types(self._class(definition), definition.fields)
            elif definition.kind == "service":
                self._functions(definition)
            if definition.kind == "union":
                mark_union(self._class(definition))
        for definition in definitions:
            if definition.kind in STRUCTS:
                self._defaults(self._class(definition), definition.name, definition.fields)
            for function in definition.functions:
                arguments = getattr(self._class(definition), f"{function.name}_args")
                self._defaults(arguments, f"{definition.name}.{function.name}()", function.parameters)
            if definition.kind == "const" and definition.type:
                value = getattr(self._module, definition.name)
                value = self._value(definition.type, value, f"the constant {definition.name}", definition.line)
                setattr(self._module, definition.name, value)

    def _class(self, definition: Definition) -> Any:
        return getattr(self._module, definition.name)

    def _functions(self, service: Definition) -> None:
        for function in service.functions:
            self._types(getattr(self._class(service), f"{function.name}_args"), function.parameters)
            result = getattr(self._class(service), f"{function.name}_result")
            self._types(result, function.throws)
            if function.returns:
                result.thrift_spec[0] = self._entry(self.raw(self._source, function.returns), "success", False)

    def _types(self, cls: Any, fields: tuple[FieldOutline, ...]) -> None:
        entries = {some.id: self._entry(self.raw(self._source, some.type), some.name, some.required) for some in fields}
        cls.thrift_spec = entries

    def raw(self, source: Source, of: TypeName) -> RawType:
        """A type as thriftpy2 writes it."""
        found = resolve(source, of)
        assert found is not None, "the checks let no unknown type through"
        home, target = found
        if isinstance(target, Definition):
            module = self._module if home is self._source else built(home)
            return int(Kind.I32 if target.kind == "enum" else Kind.STRUCT), getattr(module, target.name)
        inner = tuple(self.raw(home, some) for some in target.inner)
        number = int(_KINDS[target.name])
        if not inner:
            return number
        return number, inner if target.name == "map" else inner[0]

    def _entry(self, raw: RawType, name: str, required: bool) -> tuple[Any, ...]:
        return (raw[0], name, raw[1], required) if isinstance(raw, tuple) else (raw, name, required)

    def _defaults(self, cls: Any, owner: str, fields: tuple[FieldOutline, ...]) -> None:
        """Defaults of the declared types, and for every new object its own copy of those that can change."""
        given = dict(cls.default_spec)
        for field in fields:
            if field.has_default:
                place = f"the default of {owner}.{field.name}"
                given[field.name] = self._value(field.type, given[field.name], place, field.line)
        if any(field.has_default for field in fields):
            cls.default_spec = list(given.items())
            gen_init(cls, default_spec=cls.default_spec)
            _copy_defaults(cls, {name: value for name, value in given.items() if is_mutable(value)})

    def _value(self, of: TypeName, value: Any, place: str, line: int) -> Any:
        wanted = type_of(self.raw(self._source, of))
        try:
            value = _converted(wanted, value)
            check = EXPLAIN.of_value(wanted, place)
            if check is not None:
                check(value)
        except (TypeError, ValueError) as exc:
            raise IdlError(str(exc), file=self._source.name, line=line) from exc
        return value


def _converted(of: FieldType, value: Any) -> Any:
    """A constant as the declared type; thriftpy2 leaves it as it was written once it is inside a container."""
    match of.kind, value:
        case Kind.BINARY, str():
            return value.encode()
        case Kind.DOUBLE, int():
            return float(value)
        case Kind.BOOL, 0 | 1:
            return bool(value)
        case Kind.MAP, dict():
            return {_converted(of.inner[0], key): _converted(of.inner[1], item) for key, item in value.items()}
        case Kind.LIST, list():
            return [_converted(of.inner[0], item) for item in value]
        case Kind.SET, list() | set():
            return {_converted(of.inner[0], item) for item in value}
        case Kind.STRUCT, dict() | object(thrift_spec=_) if of.cls is not None:
            return _struct(of.cls, value if isinstance(value, dict) else vars(value))
        case Kind.I32, int() if of.cls is not None and value not in vars(of.cls)["_VALUES_TO_NAMES"]:
            raise TypeError(f"{value} is no item of {of.cls.__name__}")
    return value


def _struct(cls: type, given: dict[str, Any]) -> Any:
    """A struct out of a constant map."""
    types = {field.name: field.type for field in fields_of(cls)}
    unknown = ", ".join(sorted(map(str, given.keys() - types.keys())))
    if unknown:
        raise TypeError(f"{cls.__name__} has no field {unknown}")
    return cls(**{name: _converted(types[name], value) for name, value in given.items()})


def _copy_defaults(cls: Any, mutable: dict[str, Any]) -> None:
    """Makes a class give each object its own copy of its mutable defaults."""
    if not mutable:
        return
    plain = cls.__init__

    @functools.wraps(plain)
    def own_defaults(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        for name, value in mutable.items():
            if getattr(self, name) is value:
                setattr(self, name, copy.deepcopy(value))

    cls.__init__ = own_defaults
