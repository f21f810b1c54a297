"""A struct with a field of every type, random values of it, and when two values are the same."""

from __future__ import annotations

import math
import struct
from typing import Any

from hypothesis import strategies as st

from zkrpc.codec.shape import Field, FieldType, Kind, fields_of, is_union
from zkrpc.idl import Idl, load_text

IDL = """
enum Color { RED = 1, BLUE = 7, CRIMSON = 1 }
typedef map<string, list<i64>> Index
typedef binary Blob
struct Point { 1: i32 x, 2: i32 y }
struct Address { 1: required i32 zip, 2: string city = "Rome", 3: list<string> lines = ["a"] }
union Shape { 1: Point point, 2: double radius, 3: string name, 4: Shape inner }
union Chosen { 1: i32 number = 3, 2: string text }
exception Oops { 1: required string why, 2: i32 code = 5, 3: string args }
struct Node { 1: required string label, 2: list<Node> children, 3: map<string, Node> by_name, 4: optional Node next }
struct Every {
  1: bool flag, 2: i8 tiny, 3: i16 small, 4: i32 normal, 5: i64 large, 6: double real,
  7: string text, 8: Blob blob, 9: Color color, 10: uuid key, 11: Point point, 12: Shape shape, 13: Node tree,
  14: Address address, 15: Chosen chosen, 16: Oops oops,
  20: list<i64> longs, 21: list<double> reals, 22: list<binary> blobs, 23: list<Color> colors,
  24: set<string> tags, 25: set<double> odd, 26: set<Point> points, 27: set<list<i32>> rows, 28: set<set<i8>> families,
  29: set<uuid> keys, 30: set<binary> chunks, 31: set<bool> truths, 32: set<Color> palette,
  40: map<string, string> names, 41: map<i64, bool> by_number, 42: map<bool, i8> by_truth, 43: map<double, i8> by_real,
  44: map<Color, string> by_color, 45: map<binary, i32> by_blob, 46: map<uuid, i32> by_key,
  47: map<Point, string> by_point, 48: map<list<i32>, Shape> by_row, 49: map<set<i8>, list<Point>> by_family,
  50: Index index, 51: map<string, map<i32, set<Point>>> deep,
  60: i32 class, 61: string self, 62: bool None, 63: i32 with_default = 9, 64: Color hue = Color.BLUE,
  65: Point corner = {"x": 1},
}
service S {
  Every swap(1: Every value, 2: required list<i32> numbers, 3: i64 top = 5, 4: Color color = Color.RED)
    throws (1: Oops oops),
  void ping(),
  oneway void note(1: string text),
  i32 refused(1: map<map<i32, i32>, i32> odd),
}
"""


def idl() -> Idl:
    """The loaded IDL."""
    return load_text(IDL)


def type_of(name: str) -> FieldType:
    """The type of a struct of it."""
    return FieldType(kind=Kind.STRUCT, cls=getattr(idl(), name))


def field(name: str, of: str = "Every") -> FieldType:
    """The type of a field."""
    return next(one.type for one in fields_of(getattr(idl(), of)) if one.name == name)


def values(of: FieldType, *, key: bool = False, depth: int = 0) -> st.SearchStrategy[Any]:
    """Random values of a type, as the codec makes them: what is in a set or is a key can be hashed."""
    most = 2 if depth else 4
    match of.kind:
        case Kind.BOOL:
            return st.booleans()
        case Kind.DOUBLE:
            return st.floats()
        case Kind.STRING:
            return st.text(max_size=6)
        case Kind.BINARY:
            return st.binary(max_size=6)
        case Kind.UUID:
            return st.uuids()
        case Kind.LIST:
            inside = values(of.inner[0], key=key, depth=depth + 1)
            return st.lists(inside, max_size=most).map(tuple if key else list)
        case Kind.SET:
            members = st.sets(values(of.inner[0], key=True, depth=depth + 1), max_size=most)
            return members.map(frozenset if key else set)
        case Kind.MAP:
            keys, inside = values(of.inner[0], key=True, depth=depth + 1), values(of.inner[1], depth=depth + 1)
            return st.dictionaries(keys, inside, max_size=most)
        case Kind.STRUCT:
            return structs(of.cls, depth=depth + 1)
        case _:
            return integers(of)


def integers(of: FieldType) -> st.SearchStrategy[int]:
    """Numbers of so many bits, and mostly an enum's own."""
    bits = {Kind.I8: 8, Kind.I16: 16, Kind.I32: 32, Kind.I64: 64}[of.kind]
    every = st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    return every if of.cls is None else st.sampled_from([1, 7, 99]) | every


def structs(cls: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Random structs, of which those far inside set little."""
    fields = fields_of(cls)
    if is_union(cls):
        one = [one for one in fields if depth < 4 or one.type.kind is not Kind.STRUCT]
        return st.one_of([_member(cls, some, depth) for some in one])
    most = len(fields) if depth == 0 else 3

    def made(names: list[str]) -> st.SearchStrategy[Any]:
        given = {
            one.name: values(one.type, depth=depth)
            for one in fields
            if one.required or (one.name in names and not (depth > 3 and one.type.kind not in _SMALL))
        }
        return st.builds(cls, **given)

    return st.lists(st.sampled_from([one.name for one in fields]), unique=True, max_size=most).flatmap(made)


_SMALL = (Kind.BOOL, Kind.I8, Kind.I16, Kind.I32, Kind.I64, Kind.DOUBLE, Kind.STRING)


def _member(cls: Any, one: Field, depth: int) -> st.SearchStrategy[Any]:
    return values(one.type, depth=depth).map(lambda value: cls(**{one.name: value}))


def everything() -> st.SearchStrategy[Any]:
    """Random values of the struct with every type."""
    return structs(idl().Every)


def plainly(value: Any) -> Any:
    """What is equal exactly if two values are the same: NaN is NaN, and a zero's sign counts."""
    match value:
        case float():
            return "NaN" if math.isnan(value) else struct.pack(">d", value)
        case bool() | int() | str() | bytes():
            return type(value).__name__, value
        case list() | tuple():
            return type(value).__name__, [plainly(one) for one in value]
        case set() | frozenset():
            return type(value).__name__, sorted((plainly(one) for one in value), key=repr)
        case dict():
            return [(plainly(name), plainly(one)) for name, one in value.items()]
        case _ if hasattr(value, "thrift_spec"):
            return type(value).__name__, {name: plainly(one) for name, one in vars(value).items()}
        case _:
            return repr(value)
