"""From the text of an IDL file to its outline.

The grammar is ``thrift.lark``, and lark makes an LALR(1) parser of it: it does not recurse, so no text is nested too
deeply for it, and an ambiguous grammar would not even load. lark is plain Python without dependencies, under the MIT
licence, and maintained since 2017. The parser is built when the first file is read.

Errors say what was expected: the tokens with which the parser could have continued.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeAlias

import lark

from zkrpc.errors import IdlError
from zkrpc.idl.outline import (
    DEEPEST,
    Annotation,
    Definition,
    EnumItem,
    FieldOutline,
    FunctionOutline,
    Include,
    ListValue,
    MapValue,
    Namespace,
    Outline,
    Reference,
    TypeName,
    Value,
)

_LARGEST = 1 << 63
_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", "'": "'", '"': '"'}
_WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "LITERAL": "a quoted string",
    "NAMESPACE": "a namespace",
    "$END": "the end of the file",
}
_CONTAINERS = {"'list'", "'map'", "'set'"}
_DEFINITIONS = {f"'{word}'" for word in ("const", "typedef", "enum", "struct", "union", "exception", "service")}
_TOGETHER = (
    ({*_CONTAINERS, "'optional'", "'required'", "a name", "a number"}, "a field such as '1: i32 name'"),
    ({*_CONTAINERS, "'async'", "'oneway'", "'void'", "a name"}, "a function such as 'i32 name()'"),
    ({*_CONTAINERS, "a name"}, "a type"),
    ({"a name", "a number", "a quoted string", "'['", "'{'"}, "a value"),
    (_DEFINITIONS | {"'senum'"}, "one of const, typedef, enum, struct, union, exception, service"),
)
"""Tokens that messages call by one name."""
_UNSAID = re.compile(r"'([,;&*(]|xsd_\w+|cpp_\w+|\w+_(namespace|module|package|prefix|category))'|the end of the file")
"""Tokens that may stand nearly everywhere, or are obsolete: a message names them only if there is nothing else to
name."""


def parse(text: str, file: str) -> Outline:
    """The outline of a file. IdlError where it breaks the grammar; ``file`` is its name in messages."""
    try:
        outline: Any = _parser().parse(text)
    except lark.UnexpectedToken as exc:
        _refuse(f"expected {_expected(exc)}, found {_found(exc.token)}", exc.token.line or 1, file)
    except lark.UnexpectedCharacters as exc:
        rest = text[exc.pos_in_stream or 0 :][:2]
        _refuse(f"unexpected {rest[:1]!r}; expected {_advice(rest)}", exc.line, file)
    except _Refused as exc:
        _refuse(str(exc), exc.line, file)
    assert isinstance(outline, Outline)
    return outline


class _Refused(Exception):
    """Raised for text that the grammar accepts and an outline cannot hold."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def _refuse(message: str, line: int, file: str) -> NoReturn:
    """Raises the IdlError without lark's exception as its cause, which is long and in lark's terms."""
    raise IdlError(message, file=file, line=line) from None


def _expected(exc: lark.UnexpectedToken) -> str:
    every = {_word(terminal) for terminal in exc.accepts or exc.expected}
    words = {word for word in every if not _UNSAID.fullmatch(word)} or every
    late = exc.token in ("include", "namespace") and _DEFINITIONS <= words
    for together, meaning in _TOGETHER:
        if together <= words:
            words = words - together | {meaning}
    *many, last = sorted(words, key=lambda word: (word[0] == "'", word))
    first = "includes and namespaces first, then " if late else ""
    return first + (f"{', '.join(many)} or {last}" if many else last)


def _word(terminal: str) -> str:
    return _WORDS[terminal] if terminal in _WORDS else repr(_parser().get_terminal(terminal).pattern.value)


def _found(token: lark.Token) -> str:
    if token.type == "$END":
        return _WORDS[token.type]
    return repr(str(token) if len(token) <= 40 else f"{token[:37]}...")


def _advice(rest: str) -> str:
    """What was expected where the lexer gave up."""
    if rest == "/*":
        return "a comment that is closed with '*/'"
    if rest[:1] in ("'", '"'):
        return "a string that is closed on its line"
    return "a name of ASCII letters, digits and '_', a number, a string or punctuation"


@functools.cache
def _parser() -> lark.Lark:
    return lark.Lark.open(
        "thrift.lark", rel_to=__file__, parser="lalr", transformer=_Outlines(), maybe_placeholders=True
    )


def _integer(token: lark.Token) -> int:
    number = _number(token)
    if isinstance(number, float):
        raise _Refused(f"expected a whole number, found {_found(token)}", _line(token))
    return number


def _number(token: lark.Token) -> int | float:
    text = str(token)
    if "x" not in text and set(text) & set(".eE"):
        return float(text)
    try:
        number = int(text, 16 if "x" in text else 10)
    except ValueError:  # Python converts no more than some thousand digits
        number = _LARGEST
    if not -_LARGEST <= number < _LARGEST:
        raise _Refused(f"{_found(token)} does not fit in 64 bits", _line(token))
    return number


def _text(token: lark.Token) -> str:
    def escaped(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            known = " ".join(f"\\{some}" for some in _ESCAPES)
            raise _Refused(f"expected one of the escapes {known} in a string, found {match[0]!r}", _line(token))
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", escaped, token[1:-1]) if "\\" in token else str(token[1:-1])


def _line(token: lark.Token) -> int:
    return token.line or 1


def _named(token: lark.Token) -> dict[str, Any]:
    if "." in token:
        raise _Refused(f"{_found(token)} cannot be used as a name; expected one without dots", _line(token))
    return {"name": str(token), "line": _line(token)}


def _deeper(depths: Iterable[int], what: str, line: int) -> int:
    depth = 1 + max(depths, default=0)
    if depth > DEEPEST:
        raise _Refused(f"{what} are nested too deeply; expected at most {DEEPEST} inside each other", line)
    return depth


def _numbered(fields: Iterable[_Field]) -> Iterator[FieldOutline]:
    """Fields whose ids are not positive get the ids that Apache's compiler gives them."""
    following = -1
    for number, field in fields:
        if number is None or number <= 0:
            number, following = following, following - 1
        yield FieldOutline(id=number, **field)


_Field: TypeAlias = tuple[int | None, dict[str, Any]]
_inline = lark.v_args(inline=True)


class _Outlines(lark.Transformer[Any, Outline]):
    """Makes the outline's values, each when its grammar rule is complete; the children come in the order of the
    grammar."""

    def start(self, parts: list[Any]) -> Outline:
        """The file; headers that do not concern Python are None."""
        return Outline(
            includes=tuple(part for part in parts if isinstance(part, Include)),
            namespaces=tuple(part for part in parts if isinstance(part, Namespace)),
            definitions=tuple(part for part in parts if isinstance(part, Definition)),
        )

    def nothing(self, _parts: list[Any]) -> None:
        """None for a header that does not concern Python."""

    xsd = cpp_type = nothing

    @_inline
    def include(self, path: lark.Token) -> Include:
        """An included file."""
        return Include(path=_text(path), line=_line(path))

    def namespace(self, parts: list[Any]) -> Namespace:
        """Where generated code goes, which only other languages and comparisons look at."""
        *scope, name, _annotations = parts
        text = _text(name) if name.type == "LITERAL" else str(name)
        return Namespace(scope=str(scope[0]) if scope else "*", name=text, line=_line(name))

    @_inline
    def const(self, of: TypeName, name: lark.Token, value: Value, annotations: tuple[Annotation, ...]) -> Definition:
        """A constant."""
        return Definition(kind="const", **_named(name), type=of, value=value, annotations=annotations)

    @_inline
    def typedef(self, of: TypeName, name: lark.Token, annotations: tuple[Annotation, ...]) -> Definition:
        """Another name of a type."""
        return Definition(kind="typedef", **_named(name), type=of, annotations=annotations)

    def senum(self, parts: list[Any]) -> Definition:
        """The obsolete ``senum``, a string with a list of values that no implementation ever checked."""
        of = TypeName(name="string", line=_line(parts[0]))
        return Definition(kind="typedef", **_named(parts[0]), type=of, annotations=parts[-1])

    def enum(self, parts: list[Any]) -> Definition:
        """An enum; an item without a number gets the one after that of the item before."""
        items: list[EnumItem] = []
        for name, number, annotations in parts[1:-1]:
            number = number if number is not None else items[-1].number + 1 if items else 0
            items.append(EnumItem(**_named(name), number=number, annotations=annotations))
        return Definition(kind="enum", **_named(parts[0]), items=tuple(items), annotations=parts[-1])

    @_inline
    def item(self, name: lark.Token, number: lark.Token | None, annotations: tuple[Annotation, ...]) -> tuple[Any, ...]:
        """An item of an enum; its number may follow from the item before."""
        return name, None if number is None else _integer(number), annotations

    @_inline
    def struct(
        self, kind: str, name: lark.Token, fields: tuple[FieldOutline, ...], annotations: tuple[Annotation, ...]
    ) -> Definition:
        """A struct, union or exception."""
        return Definition(kind=kind, **_named(name), fields=fields, annotations=annotations)

    @_inline
    def word(self, word: lark.Token) -> str:
        """A keyword, where one of several may stand."""
        return str(word)

    def service(self, parts: list[Any]) -> Definition:
        """A service with its functions."""
        name, parent, *functions, annotations = parts
        extends = Reference(name=str(parent), line=_line(parent)) if parent else None
        return Definition(
            kind="service", **_named(name), extends=extends, functions=tuple(functions), annotations=annotations
        )

    @_inline
    def function(
        self,
        oneway: str | None,
        returns: TypeName | None,
        name: lark.Token,
        parameters: tuple[FieldOutline, ...],
        throws: tuple[FieldOutline, ...] | None,
        annotations: tuple[Annotation, ...],
    ) -> FunctionOutline:
        """A function of a service."""
        return FunctionOutline(
            **_named(name),
            oneway=bool(oneway),
            returns=returns,
            parameters=parameters,
            throws=throws or (),
            annotations=annotations,
        )

    def returns(self, parts: list[TypeName]) -> TypeName | None:
        """The type of a result; None for void."""
        return parts[0] if parts else None

    def fields(self, fields: list[_Field]) -> tuple[FieldOutline, ...]:
        """All fields, with their ids."""
        return tuple(_numbered(fields))

    def field(self, parts: list[Any]) -> _Field:
        """A field, whose id may follow from the fields before."""
        number, word, of, name, default, *_xsd, annotations = parts
        field = {
            **_named(name),
            "required": word == "required",
            "optional": word == "optional",
            "type": of,
            "default": default,
            "annotations": annotations,
        }
        return None if number is None else _integer(number), field

    def type(self, parts: list[Any]) -> TypeName:
        """A type's name, then the types inside it; annotations on types are read and dropped."""
        word, inner = parts[0], tuple(part for part in parts if isinstance(part, TypeName))
        depth = _deeper((some.depth for some in inner), "types", _line(word)) if inner else 0
        return TypeName(name=str(word), line=_line(word), inner=inner, depth=depth)

    @_inline
    def number(self, token: lark.Token) -> int | float:
        """As a value."""
        return _number(token)

    @_inline
    def literal(self, token: lark.Token) -> str:
        """As a value."""
        return _text(token)

    @_inline
    def name(self, token: lark.Token) -> bool | Reference:
        """As a value."""
        text = str(token)
        return text == "true" if text in ("true", "false") else Reference(name=text, line=_line(token))

    def sequence(self, parts: list[Any]) -> ListValue:
        """As a value."""
        return ListValue(items=tuple(parts[1:]), depth=_depth(parts[1:], parts[0]))

    def mapping(self, parts: list[Any]) -> MapValue:
        """As a value."""
        inside = [some for pair in parts[1:] for some in pair]
        return MapValue(pairs=tuple(parts[1:]), depth=_depth(inside, parts[0]))

    def pair(self, parts: list[Value]) -> tuple[Value, Value]:
        """Key and value."""
        return parts[0], parts[1]

    def annotations(self, parts: list[Annotation]) -> tuple[Annotation, ...]:
        """The annotations of a definition; mostly there are none."""
        return tuple(parts)

    @_inline
    def annotation(self, name: lark.Token, value: lark.Token | None) -> Annotation:
        """A single annotation."""
        return Annotation(name=str(name), value=None if value is None else _text(value), line=_line(name))


def _depth(inside: list[Value], at: lark.Token) -> int:
    return _deeper((some.depth for some in inside if isinstance(some, (ListValue, MapValue))), "values", _line(at))
