"""Stubs: what the module of an IDL file holds, as Python source for type checkers and editors.

A stub says what is so at run time: enums are ints with names, fields that nobody set are None, typedefs are gone, and
what Python cannot hold or say is left out, with a comment. Clients and handlers are protocols, so that a handler needs
no base class and an object of a test can stand for a client; ``Interface`` carries both, and by it ``zkrpc.connect``
and ``zkrpc.Service`` know the types of what they return and take.

The text is a function of the files alone. It is laid out as black lays out a stub; whether one is still right is judged
by its syntax tree, so that other formatters do no harm.
"""

from __future__ import annotations

import ast
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from zkrpc.errors import IdlError
from zkrpc.idl.build import Built, built, is_special
from zkrpc.idl.hints import Hints, free_name, names_of
from zkrpc.idl.model import Interface, Method
from zkrpc.idl.modules import is_speakable
from zkrpc.idl.names import functions_of, resolve
from zkrpc.idl.outline import Definition, FieldOutline, FunctionOutline
from zkrpc.idl.source import Source

MARK = "zkrpc stubs"
"""What every file that is written here says of its origin; a file that does not is somebody's own."""
_WIDTH = 88
"""Columns; longer signatures have a line for each parameter."""
_LONGEST_VALUE = 50
"""The most characters of a constant's value that are shown."""
_STUB_METHODS = {
    "options": (
        "timeout: {float} | None = None",
        "idempotent: {bool} | None = None",
        "headers: {typing}.Mapping[{str}, {str}] | None = None",
        "min_epoch: {int} | None = None",
    ),
    "close": (),
}
"""What every stub of a client has beside the interface's methods, with its keyword-only parameters."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    """A parameter of a function in a stub."""

    name: str
    hint: str
    default: str | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.hint}" + ("" if self.default is None else f" = {self.default}")


def module_text(name: str, stem: str, include_dirs: Sequence[str] = ()) -> str:
    """The source of the module that loads a file.

    Args:
        name: the file's path, relative to the module's folder, with ``/`` between its parts.
        stem: the module's name.
        include_dirs: folders of included files, relative as well.
    """
    places = f", include_dirs={_listed(include_dirs)}" if include_dirs else ""
    return (
        f'"""{_plain(name)}, loaded by zkrpc when this module is imported; {stem}.pyi has its types.\n\n'
        f'Written by ``{MARK}``, which writes both anew.\n"""\n\n'
        f"import zkrpc as _zkrpc\n\n_zkrpc.load_into(globals(), {_quoted(name)}{places})\n"
    )


def stub_text(
    source: Source,
    interfaces: Mapping[str, Interface],
    modules: Mapping[Source, PurePath],
    *,
    name: str,
    digest: str,
    top_level: bool = False,
) -> str:
    """The stub of a file.

    Args:
        source: the file, built.
        interfaces: its services.
        modules: the path of the module of each file of its tree, without a suffix.
        name: the file's path, relative to the stub's folder, with ``/`` between its parts.
        digest: of the text of the file and all it includes.
        top_level: whether modules import each other by bare names.
    """
    writer = _Writer(source, interfaces, Hints(source, modules, top_level=top_level))
    head = f'"""The types of {_plain(name)}, as zkrpc loads it.\n\nWritten by ``{MARK}``; sha256 {digest}.\n"""'
    body = writer.definitions()
    parts = [head, *writer.imports(), *body]
    return "\n\n".join(parts) + "\n"


def is_same(text: str, other: str) -> bool:
    """Whether two sources of Python differ in nothing but layout and comments."""
    try:
        return text == other or ast.dump(ast.parse(text)) == ast.dump(ast.parse(other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


class _Writer:
    """Writes one stub."""

    def __init__(self, source: Source, interfaces: Mapping[str, Interface], hints: Hints) -> None:
        self._source = source
        self._interfaces = interfaces
        self._built: Built = built(source)
        self._hints = hints

    def definitions(self) -> list[str]:
        """Everything behind the imports, one part for each definition."""
        parts = ["\n".join(self._definition(one)) for one in self._source.outline.definitions if one.kind != "typedef"]
        includes = [line for line in self._hints.includes().values() if line]
        return [part for part in ("\n".join(includes), *parts, "\n".join(self._hints.aliases())) if part]

    def imports(self) -> list[str]:
        """The imports, and the names that the stub has for its readers."""
        names = {name for name in names_of(self._source) if self._is_held(name)}
        names |= {name for names in self._hints.protocols.values() for name in names}
        exported = [f"__all__ = {_listed(sorted(names))}"]
        imports = "\n".join(self._hints.imports())
        return [imports, *exported] if imports else exported

    def _is_held(self, name: str) -> bool:
        return is_speakable(name) and not isinstance(self._built.constants.get(name), IdlError)

    def _definition(self, one: Definition) -> list[str]:
        if is_special(one.name):
            return [f"# {one.kind} {one.name}: its name means something else in Python."]
        if one.kind == "const":
            return [self._constant(one)]
        if one.kind == "service":
            return self._service(one)
        name = self._hints.class_name(one.name)
        lines = [] if name == one.name else [f"# Reached by getattr(…, {_quoted(one.name)})."]
        if one.kind == "enum":
            return [*lines, f"class {name}:", *_indented(self._enum(one))]
        base = f"({self._hints.builtin('Exception')})" if one.kind == "exception" else ""
        return [*lines, f"class {name}{base}:", *_indented(self._struct(one))]

    def _constant(self, one: Definition) -> str:
        value = self._built.constants[one.name]
        if isinstance(value, IdlError):
            return f"# {one.name} cannot be held by Python."
        if not is_speakable(one.name):
            return f"# The constant {one.name} is reached by getattr."
        assert one.type is not None
        final = f"{self._hints.module('typing')}.Final"
        shown = _shown(value)
        return f"{one.name}: {final} = {shown}" if shown else f"{one.name}: {final}[{self._hints.of(one.type)}]"

    # Classes

    def _enum(self, one: Definition) -> Iterator[str]:
        typing = self._hints.module("typing")
        for item in one.items:
            if is_speakable(item.name):
                yield f"{item.name}: {typing}.Final = {item.number}"
            else:
                yield f"# {item.name} = {item.number}, reached by getattr."
        number, text, mapping = (self._hints.builtin(name) for name in ("int", "str", "dict"))
        yield f"_VALUES_TO_NAMES: {typing}.ClassVar[{mapping}[{number}, {text}]]"
        yield f"_NAMES_TO_VALUES: {typing}.ClassVar[{mapping}[{text}, {number}]]"

    def _struct(self, one: Definition) -> Iterator[str]:
        inherited = {"args": "type: ignore[assignment]"} if one.kind == "exception" else {}
        for field in one.fields:
            hint = self._hints.of(field.type)
            if one.kind == "union" or not (field.required or field.default is not None):
                hint = f"{hint} | None"
            if is_special(field.name) or (one.kind == "exception" and field.name in ("with_traceback", "add_note")):
                yield f"# {field.name} cannot be held by Python."
            elif keyword_like(field.name):
                yield f"# {field.name}: {hint}, reached by getattr."
            else:
                remark = inherited.get(field.name, self._enum_of(field))
                yield f"{field.name}: {hint}" + (f"  # {remark}" if remark else "")
        if one.kind == "union" and len(one.fields) > 1:
            yield from self._union_constructors(one)
        else:
            yield from self._constructor(one)

    def _enum_of(self, field: FieldOutline) -> str:
        """The name of a field's enum, as the type of its values is just int."""
        found = resolve(self._source, field.type)
        return found[1].name if found and isinstance(found[1], Definition) and found[1].kind == "enum" else ""

    def _constructor(self, one: Definition) -> list[str]:
        defaults = dict(self._built.classes[one.name].default_spec)
        parameters = []
        for field in one.fields:
            hint, default = self._hints.of(field.type), None
            if one.kind == "union" or (not field.required and field.default is None):
                hint, default = f"{hint} | None", "None"
            elif field.default is not None:
                default = _shown(defaults[field.name]) or "..."
            parameters.append(_Parameter(name=field.name, hint=hint, default=default))
        return _function("__init__", self._arranged(parameters), "None")

    def _arranged(self, parameters: Sequence[_Parameter]) -> list[str]:
        """The parameters of a constructor or method, the object itself first, as Python can declare them.

        One without a default that follows one with a default is given by name. One whose name Python has no room for is
        given by its place, or by ``**{"class": 1}``.
        """
        names = {one.name for one in parameters}
        written = [_self(names)]
        had_default = by_name = False
        for one in parameters:
            if had_default and one.default is None and not by_name:
                by_name = True
                written.append("*")
            had_default = had_default or one.default is not None
            if is_speakable(one.name):
                written.append(str(one))
            elif not by_name:
                written.append(str(dataclasses.replace(one, name=free_name(f"_{one.name.strip('_')}", set(names)))))
        if written[-1] == "*":
            written.pop()
        if not all(map(is_speakable, names)):
            written.append(f"**{free_name('others', names)}: {self._hints.module('typing')}.Any")
        return written

    def _union_constructors(self, one: Definition) -> Iterator[str]:
        """One for each member, and one for none: a member can be set later, or be the default."""
        overload = f"@{self._hints.module('typing')}.overload"
        names = {field.name for field in one.fields}
        yield overload
        yield from _function("__init__", [_self(names)], "None")
        for place, field in enumerate(one.fields):
            if is_speakable(field.name):
                member = str(_Parameter(name=field.name, hint=self._hints.of(field.type)))
                yield overload
                yield from _function("__init__", [_self(names), *(["*"] if place else []), member], "None")
        if not all(map(is_speakable, names)):
            yield overload
            others = f"**{free_name('others', names)}: {self._hints.module('typing')}.Any"
            yield from _function("__init__", [_self(names), others], "None")

    # Services

    def _service(self, one: Definition) -> list[str]:
        interface = self._interfaces[one.name]
        functions = [(home, function) for home, _, function in functions_of(self._source, one)]
        client, handler = self._hints.protocols[one.name]
        protocol = f"{self._hints.module('typing')}.Protocol"
        zkrpc = self._hints.module("zkrpc")
        own = {function.name for _, function in functions}
        base = "" if own & _STUB_METHODS.keys() else f"{zkrpc}.TypedStub, "
        said = [f"# {name} {why}" for name, why in self._unsaid(interface).items()]
        calls = [] if base else [list(self._stub_methods(own))]
        handled = []
        for home, function in functions:
            method = interface.methods[function.name]
            if method.refusal is None and is_speakable(function.name):
                calls.append([*self._call(home, function, method), ""])
                handled.append(self._handled(home, function))
        lines = [f"class {client}({base}{protocol}):", f'    """What can be called at {one.name}."""', ""]
        lines += _indented([*said, *itertools.chain.from_iterable(calls)])
        lines = [*_without_end(lines), "", f"class {handler}({protocol}):", f'    """What serves {one.name}."""', ""]
        lines = _without_end([*lines, *_indented([*said, *itertools.chain.from_iterable(handled)])])
        if is_speakable(one.name):
            lines += ["", f"{one.name}: {zkrpc}.Interface[{client}, {handler}]"]
        return lines

    def _unsaid(self, interface: Interface) -> dict[str, str]:
        """The methods that a protocol cannot have, each with the reason."""
        found = {}
        for name, method in interface.methods.items():
            if method.refusal is not None:
                found[name] = "cannot be called."
            elif not is_speakable(name):
                found[name] = "is reached by getattr."
        return found

    def _stub_methods(self, taken: set[str]) -> Iterator[str]:
        """What a stub has beside its methods, where one of those has the name of such."""
        typing = self._hints.module("typing")
        builtins = {name: self._hints.builtin(name) for name in ("float", "bool", "str", "int", "object")}
        for name, parameters in _STUB_METHODS.items():
            if name not in taken:
                written = [one.format(typing=typing, **builtins) for one in parameters]
                returns = f"{typing}.Self" if name == "options" else "None"
                yield from _function(name, ["self", *(["*"] if written else []), *written], returns)
        yield from _function("__enter__", ["self"], f"{typing}.Self")
        yield from _function("__exit__", ["self", f"*_: {builtins['object']}"], "None")

    def _call(self, home: Source, function: FunctionOutline, method: Method) -> Iterator[str]:
        """A method of a client, with what hovering shows of it."""
        parameters = []
        for field, known in zip(function.parameters, method.parameters, strict=True):
            hint = self._hints.of(field.type, home)
            if field.optional or field.default is not None:
                hint = f"{hint} | None"
            default = None if field.default is None else _shown(known.default) or "..."
            parameters.append(_Parameter(name=field.name, hint=hint, default=default))
        lines = _function(function.name, self._arranged(parameters), self._result(home, function))
        yield from [*lines[:-1], lines[-1].removesuffix(" ...")]
        yield f'    """{method.declaration}"""'

    def _handled(self, home: Source, function: FunctionOutline) -> list[str]:
        """A method of a handler. Its parameters are given by place, each with a value."""
        names = {field.name for field in function.parameters}
        parameters = []
        for field in function.parameters:
            hint = self._hints.of(field.type, home) + (" | None" if field.optional and field.default is None else "")
            # As a handler's author writes it: from_ for from.
            name = field.name if is_speakable(field.name) and field.name != "self" else f"{field.name}_"
            while name != field.name and name in names:
                name += "_"
            parameters.append(str(_Parameter(name=name, hint=hint)))
        # Abstract to checkers only, so that what derives from it and lacks a method is not whole to them either.
        abstract = f"@{self._hints.module('abc')}.abstractmethod"
        return [abstract, *_function(function.name, ["self", *parameters], self._result(home, function))]

    def _result(self, home: Source, function: FunctionOutline) -> str:
        return "None" if function.returns is None else self._hints.of(function.returns, home)


def keyword_like(name: str) -> bool:
    """Whether a class body has no room for an attribute of this name."""
    return not is_speakable(name) and not name.startswith("__")


def _without_end(lines: Sequence[str]) -> list[str]:
    """The lines without empty ones at their end."""
    kept = list(lines)
    while kept[-1] == "":
        kept.pop()
    return kept


def _self(names: set[str]) -> str:
    """The name of a method's first parameter; one that begins with an underscore is taken for it by checkers, too."""
    return free_name("self", set(names))


def _function(name: str, parameters: Sequence[str], returns: str) -> list[str]:
    """A function without a body, on one line or on one for each parameter."""
    line = f"def {name}({', '.join(parameters)}) -> {returns}: ..."
    if len(line) + 4 <= _WIDTH:
        return [line]
    return [f"def {name}(", *(f"    {one}," for one in parameters), f") -> {returns}: ..."]


def _indented(lines: Iterator[str] | Sequence[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _listed(names: Sequence[str]) -> str:
    line = f"[{', '.join(map(_quoted, names))}]"
    if len(line) <= _WIDTH - len("__all__ = "):
        return line
    return "\n".join(["[", *(f"    {_quoted(name)}," for name in names), "]"])


def _shown(value: Any) -> str:
    """A value as a stub shows it; nothing if it is long, or not of a kind that a stub may show."""
    if isinstance(value, str):
        shown = _quoted(value)
    elif isinstance(value, bytes):
        shown = _requoted(repr(value))
    elif isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        shown = repr(value)
    else:
        return ""
    return shown if len(shown) <= _LONGEST_VALUE else ""


def _quoted(text: str) -> str:
    """The text as a literal."""
    return _requoted(repr(text))


def _requoted(literal: str) -> str:
    """A literal in double quotes, as formatters like it, unless it has some inside."""
    if '"' in literal:
        return literal
    prefix, _, rest = literal.partition("'")
    return f'{prefix}"{rest[:-1]}"'


def _plain(name: str) -> str:
    """A file's name within a docstring."""
    return name.replace("\\", "\\\\").replace('"', '\\"')
