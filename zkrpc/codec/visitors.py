"""Generates functions that check one struct class each, and contain only the checks that it needs.

A :class:`Rule` says what is looked for; :class:`Visitors` writes, for every struct class, the Python function that
looks for it in the fields and in what is inside them. Python that is generated once is several times faster than a
loop over a description at each call, and these functions run at each call. Field names come from an IDL, so
:func:`zkrpc.codec.shape.fields_of` lets only identifiers through; no other text gets into the source unquoted.
"""

from __future__ import annotations

import keyword
import operator
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from zkrpc.codec.shape import INTEGER_BITS, Field, FieldType, Kind, bare_of, fields_of, is_union, reachable, structs_in
from zkrpc.errors import RemoteProtocolError

Visitor: TypeAlias = Callable[[Any], None]


class SuspectText(Exception):
    """A string holds U+FFFD: the peer sent it as such, or the C module put it where the bytes were not UTF-8."""


def misfit(place: str, expected: str, value: object) -> TypeError:
    """The TypeError for a value that does not fit its field."""
    text = repr(value)
    return TypeError(f"{place} must be {expected}, got {text if len(text) <= 60 else text[:57] + '...'}")


def fits_integer(value: object, bits: int) -> bool:
    """Whether the C module can write this value as an integer of so many bits: an int, or an object with
    ``__index__``."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # asking is the point
        return -(1 << bits - 1) <= number < 1 << bits - 1
    except TypeError:
        return False


def fits_double(value: object) -> bool:
    """Whether the C module can write this value as a double; a string that reads like a number is not one."""
    try:
        return not isinstance(value, (str, bytes)) and float(value) is not None  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def fits_text(value: str) -> bool:
    """Whether UTF-8 can encode this string; lone surrogates cannot be encoded."""
    try:
        return value.encode() is not None
    except UnicodeEncodeError:
        return False


class Rule:
    """What a visitor looks for, as lines of Python about the variables it names."""

    name: str

    def value(self, of: FieldType, var: str, place: str) -> list[str]:
        """Lines about one value that is not None; empty if there is nothing to look for."""
        return []

    def absent(self, field: Field, place: str) -> list[str]:
        """Lines for a field that is None; empty if that is fine."""
        return []

    def union(self, struct: type, fields: Sequence[Field]) -> list[str]:
        """Lines about the members of the union ``it``."""
        return []


class Fits(Rule):
    """Whether an object can be encoded. With ``numbers`` it also repeats the C module's own checks, to find the field
    that the C module refused."""

    def __init__(self, *, numbers: bool) -> None:
        self.numbers = numbers
        self.name = "explain" if numbers else "fits"

    def value(self, of: FieldType, var: str, place: str) -> list[str]:
        """A test of the value's type, and a raise."""
        if of.kind in INTEGER_BITS:
            return integer_lines(of, var, place) if self.numbers else []
        test, expected = self._test(of, var)
        lines = [f"if {test}:", f"    raise misfit({place!r}, {expected!r}, {var})"] if test else []
        if self.numbers and of.kind is Kind.STRING:
            lines += [f"if not fits_text({var}):", f"    raise misfit({place!r}, 'text without surrogates', {var})"]
        return lines

    def _test(self, of: FieldType, var: str) -> tuple[str, str]:
        match of.kind:
            case Kind.BOOL:
                return f"{var} is not True and {var} is not False", "a bool"
            case Kind.DOUBLE:
                test = f"type({var}) is not float and not fits_double({var})"
                return (test if self.numbers else "", "a double")
            case Kind.STRING:
                return _neither(var, "str", "str"), "a str"
            case Kind.BINARY:
                return _neither(var, "bytes", "bytes"), "bytes"
            case Kind.LIST:
                return _neither(var, "list", "(list, tuple)"), f"a list or tuple ({of})"
            case Kind.SET:
                return _neither(var, "set", "(set, frozenset)"), f"a set or frozenset ({of})"
            case Kind.UUID:
                return _neither(var, "UUID", "UUID"), "a uuid.UUID"
            case Kind.MAP:
                return _neither(var, "dict", "dict"), f"a dict ({of})"
            case _:
                return _neither(var, "{cls}", "{cls}"), f"a {of}"

    def absent(self, field: Field, place: str) -> list[str]:
        """A required field must be set."""
        return [f"raise TypeError({place + ' is required'!r})"] if field.required else []

    def union(self, struct: type, fields: Sequence[Field]) -> list[str]:
        """Exactly one member must be set."""
        names = ", ".join(field.name for field in fields)
        return _union_lines(
            fields, "!= 1", f"TypeError({f'{struct.__name__} is a union: set exactly one of {names}'!r})"
        )


class Complete(Rule):
    """Whether every required field arrived. An unset union is accepted: a newer peer may know a member that we do
    not."""

    name = "complete"

    def absent(self, field: Field, place: str) -> list[str]:
        """A required field must have come."""
        return [f"raise RemoteProtocolError({place + ' is required and did not come'!r})"] if field.required else []

    def union(self, struct: type, fields: Sequence[Field]) -> list[str]:
        """At most one member may have come. An object of the class that decoding began with is turned into one of the
        union itself."""
        lines = _union_lines(fields, "> 1", f"RemoteProtocolError({f'{struct.__name__} came with two members'!r})")
        return lines if bare_of(struct) is struct else [*lines, "it.__class__ = type(it)._whole"]


class Text(Rule):
    """Whether any string holds U+FFFD."""

    name = "text"

    def value(self, of: FieldType, var: str, place: str) -> list[str]:
        """A search in each string; cheap, as a str knows how wide its widest character is."""
        return [rf"if '\ufffd' in {var}:", "    raise SuspectText"] if of.kind is Kind.STRING else []


class StrictText(Rule):
    """Whether all strings are UTF-8. Applied to an object whose strings were left as bytes; only defaults are strs
    already."""

    name = "strict"

    def value(self, of: FieldType, var: str, place: str) -> list[str]:
        """A strict decoding, whose result is dropped."""
        return [f"if type({var}) is bytes:", f"    {var}.decode()"] if of.kind is Kind.STRING else []


def integer_lines(of: FieldType, var: str, place: str) -> list[str]:
    """Lines that check an integer and its range: an exact int in range passes without a call."""
    top = 1 << INTEGER_BITS[of.kind] - 1
    return [
        f"if (type({var}) is not int or not {-top} <= {var} < {top})"
        f" and not fits_integer({var}, {INTEGER_BITS[of.kind]}):",
        f"    raise misfit({place!r}, {f'an {of.kind.name.lower()}'!r}, {var})",
    ]


def _neither(var: str, exact: str, allowed: str) -> str:
    """The condition that a value is of neither type; an exact type passes without a call to isinstance."""
    return f"type({var}) is not {exact} and not isinstance({var}, {allowed})"


def attribute(field: Field) -> str:
    """The expression for a field of ``it`` in generated code; a keyword of Python cannot stand behind a dot."""
    return f"getattr(it, {field.name!r})" if keyword.iskeyword(field.name) else f"it.{field.name}"


def _union_lines(fields: Sequence[Field], wrong: str, error: str) -> list[str]:
    members = " + ".join(f"({attribute(field)} is not None)" for field in fields) or "0"
    return [f"if {members} {wrong}:", f"    raise {error}"]


_VOCABULARY = {
    "misfit": misfit,
    "fits_integer": fits_integer,
    "fits_double": fits_double,
    "fits_text": fits_text,
    "UUID": uuid.UUID,
    "RemoteProtocolError": RemoteProtocolError,
    "SuspectText": SuspectText,
}
"""Everything a generated function may call."""


class Visitors:
    """The visitors of one rule, one per struct class, written on first use and kept.

    All of them live in one namespace, so that recursive and mutually recursive structs find each other.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._namespace: dict[str, Any] = dict(_VOCABULARY)
        self._names: dict[type, str] = {}
        self._needed: dict[type, bool] = {}

    def of_class(self, struct: type) -> Visitor | None:
        """The visitor of a struct class, or None if there is nothing to look for in it."""
        if not self._is_needed(struct):
            return None
        visitor: Visitor = self._namespace[self._name(struct)]
        return visitor

    def of_fields(self, owner: str, fields: Sequence[Field]) -> Visitor | None:
        """A visitor for an object that is no struct of the IDL but has these fields, called ``owner`` in messages."""
        return self._visitor(self._fields(owner, fields))

    def of_value(self, of: FieldType, place: str) -> Visitor | None:
        """A visitor for one value that is not None, such as a result."""
        return self._visitor(self.lines(of, "it", place))

    def compile(self, header: str, lines: Sequence[str]) -> Callable[..., Any]:
        """Compiles generated lines to a function, in the namespace of the visitors that the lines may call."""
        name = header.partition("(")[0]
        exec("\n".join([f"def {header}:", *indent(lines)]), self._namespace)
        function: Callable[..., Any] = self._namespace[name]
        return function

    def lines(self, of: FieldType, var: str, place: str, depth: int = 0) -> list[str]:
        """Lines about one value, and about what is inside it."""
        lines = self._rule.value(of, var, place)
        if of.kind is Kind.STRUCT and of.cls is not None:
            lines = [line.replace("{cls}", self._class(of.cls)) for line in lines]
            return [*lines, f"{self._name(of.cls)}({var})"] if self._is_needed(of.cls) else lines
        return lines + (self._inside(of, var, place, depth) if of.inner else [])

    def _visitor(self, lines: Sequence[str]) -> Visitor | None:
        return self.compile("root(it)", lines) if lines else None

    def _inside(self, of: FieldType, var: str, place: str, depth: int) -> list[str]:
        names = [f"{part}{depth}" for part in ("k", "v")[-len(of.inner) :]]
        parts = [self.lines(inner, name, f"{place}[]", depth + 1) for inner, name in zip(of.inner, names, strict=True)]
        if not any(parts):
            return []
        over = f"{var}.items()" if of.kind is Kind.MAP else var
        return [f"for {', '.join(names)} in {over}:", *indent([line for part in parts for line in part])]

    def _fields(self, owner: str, fields: Sequence[Field]) -> list[str]:
        lines: list[str] = []
        for field in fields:
            place = f"{owner}.{field.name}"
            present, absent = self.lines(field.type, "value", place), self._rule.absent(field, place)
            if present:
                lines += [f"value = {attribute(field)}", "if value is not None:", *indent(present)]
                lines += ["else:", *indent(absent)] if absent else []
            elif absent:
                lines += [f"if {attribute(field)} is None:", *indent(absent)]
        return lines

    def _is_needed(self, struct: type) -> bool:
        """Whether there is anything to look for in a struct, however deep. Writes the visitors of all it can hold."""
        if struct not in self._needed:
            shapes = {struct: fields_of(struct), **reachable(fields_of(struct))}
            fresh = [some for some in shapes if some not in self._needed]
            try:
                self._mark(fresh, shapes)
                for needed in [some for some in fresh if self._needed[some]]:
                    self.compile(f"{self._name(needed)}(it)", self._body(needed, shapes[needed]))
            except BaseException:  # the stack was nearly full; what is half done now would be half checked for ever
                for some in fresh:
                    self._needed.pop(some, None)
                raise
        return self._needed[struct]

    def _mark(self, fresh: Sequence[type], shapes: Mapping[type, tuple[Field, ...]]) -> None:
        """A struct needs a visitor if its own fields do, or if it can hold one that does; found by iteration, as
        structs may be recursive."""
        for struct in fresh:
            self._needed[struct] = False
        for struct in fresh:
            self._needed[struct] = bool(self._body(struct, shapes[struct]))
        growing = True
        while growing:
            growing = False
            for struct in reversed(fresh):  # what is held comes behind its holders
                held = {inner for field in shapes[struct] for inner in structs_in(field.type)}
                if not self._needed[struct] and any(self._needed[inner] for inner in held):
                    self._needed[struct] = growing = True

    def _body(self, struct: type, fields: Sequence[Field]) -> list[str]:
        if is_union(struct):
            return self._rule.union(struct, fields) + self._fields(struct.__name__, fields)
        return self._fields(struct.__name__, fields)

    def _name(self, struct: type) -> str:
        """The name of a struct's visitor; numbered, as two IDLs may name their structs alike."""
        return self._names.setdefault(struct, f"visit_{len(self._names)}")

    def _class(self, struct: type) -> str:
        """The name under which generated code finds a struct's class."""
        name = f"class_of_{self._name(struct)}"
        self._namespace[name] = struct
        return name


def indent(lines: Sequence[str]) -> list[str]:
    """The lines, one level further in."""
    return [f"    {line}" for line in lines]


FITS = Visitors(Fits(numbers=False))
EXPLAIN = Visitors(Fits(numbers=True))
COMPLETE = Visitors(Complete())
TEXT = Visitors(Text())
STRICT_TEXT = Visitors(StrictText())
