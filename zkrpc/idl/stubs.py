"""Stubs: what the module of an IDL file holds, as Python source for type checkers and editors.

A stub says what is so at run time: enums are ints with names, fields that nobody set are None, typedefs are gone, and
what Python cannot hold or say is left out, with a comment. Clients and handlers are protocols, so that a handler needs
no base class and an object of a test can stand for a client. There is one of clients for each kind of stub, as Python's
types cannot say "the same methods, awaited". ``Interface`` carries them, and by it ``zkrpc.Service`` and the functions
that connect know the types of what they take and return.

The text is a function of the files alone. It is laid out as black lays out a stub; whether one is still right is judged
by its syntax tree, so that other formatters do no harm.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from zkrpc.errors import IdlError
from zkrpc.idl.build import Built, built
from zkrpc.idl.classes import is_special
from zkrpc.idl.hints import Hints, free_name, names_of
from zkrpc.idl.model import Interface, Method
from zkrpc.idl.modules import is_speakable
from zkrpc.idl.names import functions_of, resolve
from zkrpc.idl.outline import Definition, FieldOutline, FunctionOutline
from zkrpc.idl.signatures import WIDTH, Parameter, arranged, function, indented, listed, quoted, self_among, shown, told
from zkrpc.idl.source import Source

MARK = "zkrpc stubs"
"""What every file that is written here says of its origin; a file that does not is somebody's own."""
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


def module_text(name: str, stem: str, include_dirs: Sequence[str] = ()) -> str:
    """The source of the module that loads a file.

    Args:
        name: the file's path, relative to the module's folder, with ``/`` between its parts.
        stem: the module's name.
        include_dirs: folders of included files, relative as well.
    """
    places = f", include_dirs={listed(include_dirs)}" if include_dirs else ""
    return (
        f'"""{_plain(name)}, loaded by zkrpc when this module is imported; {stem}.pyi has its types.\n\n'
        f'Written by ``{MARK}``, which writes both anew.\n"""\n\n'
        f"import zkrpc as _zkrpc\n\n_zkrpc.load_into(globals(), {quoted(name)}{places})\n"
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
        exported = [f"__all__ = {listed(sorted(names))}"]
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
        lines = [] if name == one.name else [f"# Reached by getattr(…, {quoted(one.name)})."]
        if one.kind == "enum":
            return [*lines, f"class {name}:", *indented(self._enum(one))]
        base = f"({self._hints.builtin('Exception')})" if one.kind == "exception" else ""
        return [*lines, f"class {name}{base}:", *indented(self._struct(one))]

    def _constant(self, one: Definition) -> str:
        value = self._built.constants[one.name]
        if isinstance(value, IdlError):
            return f"# {one.name} cannot be held by Python."
        if not is_speakable(one.name):
            return f"# The constant {one.name} is reached by getattr."
        assert one.type is not None
        final = f"{self._hints.module('typing')}.Final"
        literal = shown(value)
        return f"{one.name}: {final} = {literal}" if literal else f"{one.name}: {final}[{self._hints.of(one.type)}]"

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
                default = shown(defaults[field.name]) or "..."
            parameters.append(Parameter(name=field.name, hint=hint, default=default))
        return function("__init__", arranged(self._hints, parameters), "None")

    def _union_constructors(self, one: Definition) -> Iterator[str]:
        """One for each member, and one for none: a member can be set later, or be the default."""
        overload = f"@{self._hints.module('typing')}.overload"
        names = {field.name for field in one.fields}
        yield overload
        yield from function("__init__", [self_among(names)], "None")
        for place, field in enumerate(one.fields):
            if is_speakable(field.name):
                member = str(Parameter(name=field.name, hint=self._hints.of(field.type)))
                yield overload
                yield from function("__init__", [self_among(names), *(["*"] if place else []), member], "None")
        if not all(map(is_speakable, names)):
            yield overload
            others = f"**{free_name('others', names)}: {self._hints.module('typing')}.Any"
            yield from function("__init__", [self_among(names), others], "None")

    # Services

    def _service(self, one: Definition) -> list[str]:
        interface, names = self._interfaces[one.name], self._hints.protocols[one.name]
        functions = [(home, function) for home, _, function in functions_of(self._source, one)]
        own = {some.name for _, some in functions}
        callable_ones = [
            (home, some, interface.methods[some.name])
            for home, some in functions
            if interface.methods[some.name].refusal is None and is_speakable(some.name)
        ]
        said = [f"# {name} {why}" for name, why in self._unsaid(interface).items()]
        future = f"{self._hints.module('zkrpc')}.threads.CallFuture"

        def client(name: str, text: str, *, result: str = "{}", asynchronous: bool = False) -> list[str]:
            base = f"{self._hints.module('zkrpc')}.{'TypedAioStub' if asynchronous else 'TypedStub'}"
            bases = [] if own & _STUB_METHODS.keys() else [base]
            define = "async def" if asynchronous else "def"
            calls = [self._call(*each, result, define) for each in callable_ones]
            beside = [] if bases else self._stub_methods(own, asynchronous)
            return self._protocol(name, bases, text, [*said, *beside, *itertools.chain.from_iterable(calls)])

        handled = [self._handled(home, some) for home, some, _ in callable_ones]
        parts = [
            client(names.client, f"What can be called at {one.name}."),
            self._protocol(
                names.handler, [], f"What serves {one.name}.", [*said, *itertools.chain.from_iterable(handled)]
            ),
            client(names.futures, f"What begins calls at {one.name}.", result=f"{future}[{{}}]"),
            self._protocol(
                names.threads, [names.client], f"What threads can call at {one.name}.", self._submit(own, names.futures)
            ),
            client(names.aio, f"What can be awaited of {one.name}.", asynchronous=True),
        ]
        if is_speakable(one.name):
            parts.append(self._interface(one.name, (names.client, names.handler, names.threads, names.aio)))
        return [line for part in parts for line in ("", *part)][1:]

    def _protocol(self, name: str, bases: Sequence[str], text: str, members: Sequence[str]) -> list[str]:
        bases = [*bases, f"{self._hints.module('typing')}.Protocol"]
        head, body = f"class {name}({', '.join(bases)}):", indented(members)
        heads = [head] if len(head) <= WIDTH else [f"class {name}(", *(f"    {one}," for one in bases), "):"]
        return [*heads, f'    """{text}"""', *([""] if body else []), *body]

    def _submit(self, taken: set[str], futures: str) -> list[str]:
        """What a stub for threads has beside its methods, unless one of those has the name."""
        if "submit" in taken:
            return []
        text = "The same methods, each of which returns a future at once."
        return [f"@{self._hints.builtin('property')}", *told(function("submit", ["self"], futures), text)]

    def _interface(self, name: str, protocols: Sequence[str]) -> list[str]:
        interface = f"{name}: {self._hints.module('zkrpc')}.Interface"
        line = f"{interface}[{', '.join(protocols)}]"
        return [line] if len(line) <= WIDTH else [f"{interface}[", *(f"    {one}," for one in protocols), "]"]

    def _unsaid(self, interface: Interface) -> dict[str, str]:
        """The methods that a protocol cannot have, each with the reason."""
        found = {}
        for name, method in interface.methods.items():
            if method.refusal is not None:
                found[name] = "cannot be called."
            elif not is_speakable(name):
                found[name] = "is reached by getattr."
        return found

    def _stub_methods(self, taken: set[str], asynchronous: bool) -> Iterator[str]:
        """What a stub has beside its methods, where one of those has the name of such."""
        typing = self._hints.module("typing")
        builtins = {name: self._hints.builtin(name) for name in ("float", "bool", "str", "int", "object")}
        define, prefix = ("async def", "a") if asynchronous else ("def", "")
        for name, parameters in _STUB_METHODS.items():
            if name not in taken:
                written = [one.format(typing=typing, **builtins) for one in parameters]
                returns, begin = (f"{typing}.Self", "def") if name == "options" else ("None", define)
                yield from function(name, ["self", *(["*"] if written else []), *written], returns, define=begin)
        yield from function(f"__{prefix}enter__", ["self"], f"{typing}.Self", define=define)
        yield from function(f"__{prefix}exit__", ["self", f"*_: {builtins['object']}"], "None", define=define)

    def _call(self, home: Source, outline: FunctionOutline, method: Method, result: str, define: str) -> list[str]:
        """A method of a client, with what hovering shows of it; ``result`` is what it gives, around its value."""
        parameters = []
        for field, known in zip(outline.parameters, method.parameters, strict=True):
            hint = self._hints.of(field.type, home)
            if field.optional or field.default is not None:
                hint = f"{hint} | None"
            default = None if field.default is None else shown(known.default) or "..."
            parameters.append(Parameter(name=field.name, hint=hint, default=default))
        returns = result.format(self._result(home, outline))
        lines = function(outline.name, arranged(self._hints, parameters), returns, define=define)
        return told(lines, method.declaration)

    def _handled(self, home: Source, outline: FunctionOutline) -> list[str]:
        """A method of a handler, which may be ``async def``. Its parameters are given by place, each with a value."""
        names = {field.name for field in outline.parameters}
        parameters = []
        for field in outline.parameters:
            hint = self._hints.of(field.type, home) + (" | None" if field.optional and field.default is None else "")
            # As a handler's author writes it: from_ for from.
            name = field.name if is_speakable(field.name) and field.name != "self" else f"{field.name}_"
            while name != field.name and name in names:
                name += "_"
            parameters.append(str(Parameter(name=name, hint=hint)))
        # Abstract to checkers only, so that what derives from it and lacks a method is not whole to them either.
        abstract = f"@{self._hints.module('abc')}.abstractmethod"
        result = self._result(home, outline)
        returns = f"{result} | {self._hints.module('typing')}.Awaitable[{result}]"
        return [abstract, *function(outline.name, ["self", *parameters], returns)]

    def _result(self, home: Source, outline: FunctionOutline) -> str:
        return "None" if outline.returns is None else self._hints.of(outline.returns, home)


def keyword_like(name: str) -> bool:
    """Whether a class body has no room for an attribute of this name."""
    return not is_speakable(name) and not name.startswith("__")


def _plain(name: str) -> str:
    """A file's name within a docstring."""
    return name.replace("\\", "\\\\").replace('"', '\\"')
