"""The shape of a struct: its fields and their types, read from ``thrift_spec`` and translated into Apache's tuples.

It knows how thriftpy2 and Apache Thrift each write a type down, and imports neither.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from typing import Any, TypeAlias, TypeVar

from zkrpc.errors import IdlError

ClassT = TypeVar("ClassT", bound=type)


class Kind(enum.IntEnum):
    """Thrift's type numbers on the wire, and thriftpy2's own number for ``binary``."""

    BOOL = 2
    I8 = 3
    DOUBLE = 4
    I16 = 6
    I32 = 8
    I64 = 10
    STRING = 11
    STRUCT = 12
    MAP = 13
    SET = 14
    LIST = 15
    UUID = 16
    BINARY = 18


INTEGER_BITS = {Kind.I8: 8, Kind.I16: 16, Kind.I32: 32, Kind.I64: 64}
"""Width of each integer type."""
SCALARS = frozenset({Kind.BOOL, Kind.DOUBLE, Kind.UUID, *INTEGER_BITS})
"""Types whose values take a fixed, small size in memory."""
MARKS = frozenset(
    "_NAMES_TO_VALUES _VALUES_TO_NAMES _bare _is_union _refusal _ttype _whole default_spec thrift_spec".split()
)
"""What is read of the classes of structs, or of enums where either may stand: a field of such a name must not be an
attribute of its class, as a slot would be."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FieldType:
    """A type: a base type, or a container with the types inside it, or a struct or enum with its class."""

    kind: Kind
    inner: tuple[FieldType, ...] = ()
    """One type for list and set, key and value for map."""
    cls: type | None = None
    """The struct's class, or the enum's."""

    def __str__(self) -> str:
        """The type as the IDL writes it."""
        if self.cls is not None:
            return self.cls.__name__
        inner = ", ".join(map(str, self.inner))
        return self.kind.name.lower() + (f"<{inner}>" if inner else "")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a struct, one argument of a method, or one outcome of it."""

    id: int
    name: str
    type: FieldType
    required: bool = False


RawType: TypeAlias = "int | tuple[Any, Any]"
ApacheTypes: TypeAlias = "list[Any]"
"""What the C module calls the type arguments of a struct: ``[class, specification]``."""


def type_of(raw: RawType) -> FieldType:
    """Reads a type as thriftpy2 writes it: a number, or a pair of number and what is inside."""
    number: int
    inside: Any
    number, inside = raw if isinstance(raw, tuple) else (raw, None)
    kind = Kind(number)
    if kind is Kind.MAP:
        return FieldType(kind=kind, inner=(type_of(inside[0]), type_of(inside[1])))
    if kind in (Kind.LIST, Kind.SET):
        return FieldType(kind=kind, inner=(type_of(inside),))
    return FieldType(kind=kind, cls=inside if isinstance(inside, type) else None)


def fields_of(struct: type) -> tuple[Field, ...]:
    """The fields of a struct class, in the order of the IDL.

    Raises the IdlError of a class that Python cannot hold (see ``mark_refused``), and ValueError for one without
    ``thrift_spec``, a type that was never defined, and a name or id that cannot work in Python or on the wire.
    """
    refusal = refusal_of(struct)
    if refusal is not None:
        raise refusal.with_traceback(None)
    spec = getattr(struct, "thrift_spec", None)
    if not isinstance(spec, dict):
        raise ValueError(f"{struct.__name__} is no Thrift struct: it has no thrift_spec")
    return tuple(_field_of(number, entry, struct) for number, entry in spec.items())


def _field_of(number: int, entry: tuple[Any, ...], struct: type) -> Field:
    kind, name, *inside, required = entry
    if not name.isidentifier() or not -0x8000 <= number <= 0x7FFF:
        raise ValueError(f"{struct.__name__} has a field {number}: {name} that cannot be used")
    try:
        return Field(id=number, name=name, type=type_of((kind, *(inside or [None]))), required=required)
    except (TypeError, ValueError) as exc:
        raise ValueError(f"{struct.__name__}.{name} has a type that was never defined: {entry}") from exc


def is_union(struct: type) -> bool:
    """Whether exactly one member of this struct must be set; the IDL loader marks such classes."""
    return bool(getattr(struct, "_is_union", False))


def mark_union(struct: ClassT) -> ClassT:
    """Says that exactly one member of this struct must be set. thriftpy2 makes unions and structs alike."""
    struct._is_union = True  # type: ignore[attr-defined]  # a mark on a class that is not ours
    return struct


def mark_bare(struct: type, bare: type) -> None:
    """Has decoding begin with an object of ``bare``, a class derived from this union whose objects hold nothing at
    first, where the union's own would hold its default."""
    struct._bare = bare  # type: ignore[attr-defined]  # marks on classes that are not ours
    struct._whole = struct  # type: ignore[attr-defined]


def bare_of(struct: type) -> type:
    """The class of objects to decode into."""
    return getattr(struct, "_bare", struct)


def mark_refused(struct: type, reason: IdlError) -> None:
    """Notes why Python cannot hold values of this struct; asking for its fields raises that error."""
    struct._refusal = reason  # type: ignore[attr-defined]  # a mark on a class that is not ours


def refusal_of(struct: type) -> IdlError | None:
    """Why Python cannot hold values of this struct; None if it can."""
    return getattr(struct, "_refusal", None)


def is_mutable(value: object) -> bool:
    """Whether a default must be copied for each object or call."""
    return not isinstance(value, (bool, int, float, str, bytes))


def is_hashable(of: FieldType) -> bool:
    """Whether a value can be a map's key or a set's member. There a list is read as a tuple and a set as a
    frozenset."""
    return of.kind is not Kind.MAP and all(map(is_hashable, of.inner))


class ApacheSpecs:
    """Apache's tuples for struct classes, each class converted once, so that recursive structs work.

    With ``strict_text`` every string is declared ``binary``, so that its bytes can be looked at.
    """

    def __init__(self, *, strict_text: bool = False) -> None:
        self._text = "BINARY" if strict_text else "UTF8"
        self._by_class: dict[type, ApacheTypes] = {}

    def of_class(self, struct: type) -> ApacheTypes:
        """The type arguments of a struct class."""
        known = self._by_class.get(struct)
        if known is None:
            # A field may be of this very class, so the lists are there before any is filled, and no call is inside
            # another: structs may hold each other a thousand deep.
            shapes = {struct: fields_of(struct), **reachable(fields_of(struct))}
            fresh = [some for some in shapes if some not in self._by_class]
            self._by_class.update({some: [bare_of(some), None] for some in fresh})
            try:
                for some in fresh:
                    self._by_class[some][1] = self._written(shapes[some])
            except BaseException:  # the stack was nearly full, and the C module believes what it finds here
                for some in fresh:
                    del self._by_class[some]
                raise
            known = self._by_class[struct]
        return known

    def specification(self, fields: tuple[Field, ...]) -> tuple[Any, ...]:
        """The C module finds a field by its id as the index, so ids that are not used leave holes.

        Negative ids stand behind all others: the C module writes such fields, and does not find them when it decodes.
        """
        for struct in reachable(fields):
            self.of_class(struct)
        return self._written(fields)

    def _written(self, fields: tuple[Field, ...]) -> tuple[Any, ...]:
        holes: list[Any] = [None] * (max((field.id for field in fields), default=-1) + 1)
        for field in fields:
            entry = (field.id, wire_number(field.type), field.name, self._inside(field.type, key=False), None)
            if field.id < 0:
                holes.append(entry)
            else:
                holes[field.id] = entry
        return tuple(holes)

    def _inside(self, of: FieldType, *, key: bool) -> Any:
        if of.kind is Kind.STRING:
            return self._text
        if of.kind is Kind.BINARY:
            return "BINARY"
        if of.kind is Kind.STRUCT and of.cls is not None:
            return self._by_class[of.cls]
        if of.inner:
            # What is hashed is built immutable: tuples for lists, frozensets for sets.
            hashed = (key or of.kind in (Kind.MAP, Kind.SET), key)
            pairs = [(wire_number(part), self._inside(part, key=how)) for part, how in zip(of.inner, hashed)]
            return (*itertools.chain.from_iterable(pairs), key)
        return None


def wire_number(of: FieldType) -> int:
    """The type's number on the wire, where ``binary`` is a string."""
    return int(Kind.STRING if of.kind is Kind.BINARY else of.kind)


def structs_in(of: FieldType) -> set[type]:
    """The struct classes a value of this type holds directly, inside containers too."""
    if of.kind is Kind.STRUCT and of.cls is not None:
        return {of.cls}
    return {struct for inner in of.inner for struct in structs_in(inner)}


def reachable(fields: tuple[Field, ...]) -> dict[type, tuple[Field, ...]]:
    """Every struct class that a value of these fields may hold, however deep, with its fields."""
    found: dict[type, tuple[Field, ...]] = {}
    waiting = [struct for field in fields for struct in structs_in(field.type)]
    while waiting:
        struct = waiting.pop()
        if struct not in found:
            found[struct] = fields_of(struct)
            waiting += [inner for field in found[struct] for inner in structs_in(field.type)]
    return found


def holds_uuids(fields: tuple[Field, ...]) -> bool:
    """Whether there may be a UUID in a body of this shape, however deep."""
    types = [field.type for some in (fields, *reachable(fields).values()) for field in some]
    for of in types:  # grows by what is inside
        types += of.inner
    return any(of.kind is Kind.UUID for of in types)


def has_negative_ids(fields: tuple[Field, ...]) -> bool:
    """Whether a body of this shape may hold fields that the C module does not find."""
    return any(field.id < 0 for some in (fields, *reachable(fields).values()) for field in some)
