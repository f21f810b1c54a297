"""What an IDL file says, with the line of everything: a small parser over thriftpy2's tokens.

thriftpy2 parses the same file later and makes the classes, but it forgets lines, swallows some errors and lets others
pass. The outline is what the checks work on, and what says "expected X, found Y". Its grammar is thriftpy2's, not
a wider one. It knows one file, nothing of what that file includes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from zkrpc.errors import IdlError
from zkrpc.idl.tokens import END, Token

ItemT = TypeVar("ItemT")

BASE_TYPES = ("bool", "byte", "i8", "i16", "i32", "i64", "double", "string", "binary")
"""Types that need no definition; ``byte`` is the old name of ``i8``."""
DEFINITIONS = ("const", "typedef", "enum", "struct", "union", "exception", "service")
"""Words that begin a definition."""


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

    def __str__(self) -> str:
        """As the IDL writes it."""
        return f"{self.name}<{', '.join(map(str, self.inner))}>" if self.inner else self.name


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The name of a constant or of an enum's item, used as a value."""

    name: str
    line: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FieldOutline:
    """A field of a struct, a parameter, or a declared exception."""

    id: int | None
    required: bool
    type: TypeName
    name: str
    line: int
    has_default: bool = False
    default: Any = None
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
    name: str
    line: int
    fields: tuple[FieldOutline, ...] = ()
    items: tuple[EnumItem, ...] = ()
    functions: tuple[FunctionOutline, ...] = ()
    type: TypeName | None = None
    value: Any = None
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

    includes: tuple[Include, ...]
    definitions: tuple[Definition, ...]


def parse(tokens: Sequence[Token], file: str) -> Outline:
    """The outline of a file. IdlError where it breaks the grammar."""
    return _Parser(tokens, file).outline()


class _Parser:
    """Recursive descent, one method per rule of the grammar."""

    def __init__(self, tokens: Sequence[Token], file: str) -> None:
        self._tokens = tokens
        self._file = file
        self._at = 0

    @property
    def next(self) -> Token:
        """The token to look at."""
        return self._tokens[self._at]

    def take(self) -> Token:
        """The token, and on to the one after."""
        token = self._tokens[self._at]
        self._at += token.kind != END
        return token

    def accept(self, *kinds: str) -> Token | None:
        """The token if it is of one of these kinds."""
        return self.take() if self.next.kind in kinds else None

    def expect(self, kind: str, what: str) -> Token:
        """The token, which must be of this kind."""
        return self.accept(kind) or self.fail(what)

    def fail(self, expected: str) -> NoReturn:
        """Says what should stand here."""
        raise IdlError(f"expected {expected}, found {self.next}", file=self._file, line=self.next.line)

    def outline(self) -> Outline:
        """header* definition*"""
        includes: list[Include] = []
        while word := self.accept("INCLUDE", "CPP_INCLUDE", "NAMESPACE"):
            if word.kind == "NAMESPACE":
                self._namespace()
            else:
                literal = self.expect("LITERAL", "a quoted file name")
                includes += [Include(path=literal.value, line=literal.line)] if word.kind == "INCLUDE" else []
            self.accept(";")
        definitions = []
        while self.next.kind != END:
            definitions.append(self._definition())
            self.accept(";")
        return Outline(includes=tuple(includes), definitions=tuple(definitions))

    def _namespace(self) -> None:
        self.accept("*") or self.expect("IDENTIFIER", "a language or '*'")
        self.expect("IDENTIFIER", "the namespace")
        if self.next.kind == "(":
            self.fail("no annotations on a namespace, which thriftpy2 cannot read")

    def _definition(self) -> Definition:
        word = self.take()
        rules: dict[str, Callable[[], dict[str, Any]]] = {
            "const": self._const,
            "typedef": self._typedef,
            "enum": self._enum,
            "service": self._service,
            **dict.fromkeys(("struct", "union", "exception"), self._struct),
        }
        rule = rules.get(word.kind.lower())
        if rule is None:
            self._at -= word.kind != END
            self.fail("includes and namespaces first, then one of " + ", ".join(DEFINITIONS))
        return Definition(kind=word.kind.lower(), **rule())

    def _name(self, what: str) -> dict[str, Any]:
        token = self.expect("IDENTIFIER", what)
        return {"name": token.value, "line": token.line}

    def _const(self) -> dict[str, Any]:
        of, name = self._type(), self._name("the constant's name")
        self.expect("=", "'=' and the constant's value")
        const = {**name, "type": of, "value": self._value(), "annotations": self._annotations()}
        self.accept(",", ";")
        return const

    def _typedef(self) -> dict[str, Any]:
        of = self._type()
        return {**self._name("the new type's name"), "type": of, "annotations": self._annotations()}

    def _enum(self) -> dict[str, Any]:
        name = self._name("the enum's name")
        self.expect("{", "'{' and the enum's items")
        items: list[EnumItem] = []
        while not self.accept("}"):
            item = self._name("an item's name or '}'")
            given = self.expect("INTCONSTANT", "a number").value if self.accept("=") else None
            number = given if given is not None else (items[-1].number + 1 if items else 0)
            items.append(EnumItem(**item, number=number, annotations=self._annotations()))
            self.accept(",", ";")
        return {**name, "items": tuple(items), "annotations": self._annotations()}

    def _struct(self) -> dict[str, Any]:
        name = self._name("a name")
        self.expect("{", "'{' and the fields")
        return {**name, "fields": self._fields("}"), "annotations": self._annotations()}

    def _service(self) -> dict[str, Any]:
        name, extends = self._name("the service's name"), None
        if self.accept("EXTENDS"):
            extends = Reference(**self._name("the name of the service to extend"))
        self.expect("{", "'{' and the functions")
        functions = []
        while not self.accept("}"):
            functions.append(self._function())
            self.accept(",", ";")
        return {**name, "extends": extends, "functions": tuple(functions), "annotations": self._annotations()}

    def _function(self) -> FunctionOutline:
        oneway = bool(self.accept("ONEWAY"))
        returns = None if self.accept("VOID") else self._type("a function's type, 'oneway void' or '}'")
        name = self._name("the function's name")
        self.expect("(", "'(' and the parameters")
        parameters = self._fields(")")
        throws: tuple[FieldOutline, ...] = ()
        if self.accept("THROWS"):
            self.expect("(", "'(' and the exceptions")
            throws = self._fields(")")
        return FunctionOutline(
            **name,
            oneway=oneway,
            returns=returns,
            parameters=parameters,
            throws=throws,
            annotations=self._annotations(),
        )

    def _fields(self, end: str) -> tuple[FieldOutline, ...]:
        fields = []
        while not self.accept(end):
            fields.append(self._field(end))
            self.accept(",", ";")
        return tuple(fields)

    def _field(self, end: str) -> FieldOutline:
        number = self.accept("INTCONSTANT")
        if number:
            self.expect(":", "':' after the field's id")
        word = self.accept("REQUIRED", "OPTIONAL")
        of = self._type(f"a field such as '1: i32 name', or '{end}'" if number is None else "a type")
        name = self._name("the field's name")
        has_default = bool(self.accept("="))
        default = self._value() if has_default else None
        return FieldOutline(
            id=number.value if number else None,
            required=word is not None and word.kind == "REQUIRED",
            type=of,
            **name,
            has_default=has_default,
            default=default,
            annotations=self._annotations(),
        )

    def _type(self, what: str = "a type") -> TypeName:
        token = self.take()
        if token.kind == "IDENTIFIER":
            return TypeName(name=token.value, line=token.line)
        inner: tuple[TypeName, ...] = ()
        if token.kind in ("LIST", "SET", "MAP"):
            self.expect("<", "'<' and the type inside")
            inner = (self._type(),)
            if token.kind == "MAP":
                self.expect(",", "',' and the type of the map's values")
                inner += (self._type(),)
            self.expect(">", "'>'")
        elif token.kind.lower() not in BASE_TYPES:
            self._at -= token.kind != END
            self.fail(what)
        self._annotations()
        return TypeName(name=token.kind.lower(), line=token.line, inner=inner)

    def _value(self) -> Any:
        token = self.take()
        if token.kind in ("INTCONSTANT", "DUBCONSTANT", "LITERAL", "BOOLCONSTANT"):
            return token.value
        if token.kind == "IDENTIFIER":
            return Reference(name=token.value, line=token.line)
        if token.kind == "[":
            return self._items("]", self._value)
        if token.kind == "{":
            return tuple(self._items("}", self._pair))
        self._at -= token.kind != END
        self.fail("a value")

    def _pair(self) -> tuple[Any, Any]:
        key = self._value()
        self.expect(":", "':' and the value of this key")
        if isinstance(key, (list, tuple)):
            raise IdlError("a list or map cannot be the key of a map", file=self._file, line=self.next.line)
        return key, self._value()

    def _items(self, end: str, item: Callable[[], ItemT]) -> list[ItemT]:
        items = []
        while not self.accept(end):
            items.append(item())
            self.accept(",", ";")
        return items

    def _annotations(self) -> tuple[Annotation, ...]:
        return tuple(self._items(")", self._annotation)) if self.accept("(") else ()

    def _annotation(self) -> Annotation:
        name = self.expect("IDENTIFIER", "an annotation such as name=\"value\", or ')'")
        value = self.expect("LITERAL", "a quoted value").value if self.accept("=") else None
        return Annotation(name=name.value, value=value, line=name.line)
