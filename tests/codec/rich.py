"""A struct with one field of everything, and random values for it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from zkrpc.idl import Idl, load_text

IDL = """
enum Color { RED = 1, BLUE = 7 }
struct Point { 1: i32 x, 2: i32 y }
union Shape { 1: Point point, 2: double radius, 3: string name }
struct Node { 1: required string label, 2: list<Node> children, 3: map<string, Node> by_name }
struct Rich {
  1: bool flag, 2: i8 tiny, 3: i16 small, 4: i32 normal, 5: i64 large, 6: double real,
  7: string text, 8: binary blob, 9: Color color, 10: Point point, 11: Shape shape, 12: Node tree,
  20: list<i32> numbers, 21: list<string> words, 22: set<string> tags, 23: set<Point> points,
  24: map<i64, bool> flags, 25: map<Point, string> places, 26: list<list<binary>> nested,
  27: map<string, list<Shape>> shapes, 28: set<double> reals, 29: list<bool> bits, 30: map<double, i8> weights,
  31: list<i64> longs, 32: list<i16> shorts, 1000: i32 far,
}
exception Oops { 1: required string why, 2: i32 code = 5 }
service S { Rich swap(1: Rich value, 2: list<i32> numbers = [1, 2]) throws (1: Oops oops), void ping() }
"""


def idl() -> Idl:
    """The loaded IDL."""
    return load_text(IDL)


def integers(bits: int) -> st.SearchStrategy[int]:
    """All integers of so many bits."""
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


def points() -> st.SearchStrategy[Any]:
    """Point structs."""
    return st.builds(idl().Point, integers(32), st.none() | integers(32))


def shapes() -> st.SearchStrategy[Any]:
    """Unions with one member set."""
    make = idl().Shape
    return st.one_of(
        st.builds(lambda value: make(point=value), points()),
        st.builds(lambda value: make(radius=value), st.floats(allow_nan=False)),
        st.builds(lambda value: make(name=value), st.text(max_size=5)),
    )


def nodes() -> st.SearchStrategy[Any]:
    """Small trees."""
    make = idl().Node
    return st.recursive(
        st.builds(make, st.text(max_size=4)),
        lambda inner: st.builds(
            make,
            st.text(max_size=4),
            st.none() | st.lists(inner, max_size=2),
            st.none() | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        ),
        max_leaves=4,
    )


def riches() -> st.SearchStrategy[Any]:
    """Rich structs: any of the fields set, to anything that fits."""
    doubles = st.floats(allow_nan=False)
    text, blob = st.text(max_size=6), st.binary(max_size=6)
    values: dict[str, st.SearchStrategy[Any]] = {
        "flag": st.booleans(),
        "tiny": integers(8),
        "small": integers(16),
        "normal": integers(32),
        "large": integers(64),
        "real": doubles,
        "text": text,
        "blob": blob,
        "color": st.sampled_from([1, 7, 99]),
        "point": points(),
        "shape": shapes(),
        "tree": nodes(),
        "numbers": st.lists(integers(32), max_size=20),
        "words": st.lists(text, max_size=4),
        "tags": st.sets(text, max_size=4),
        "points": st.sets(points(), max_size=3),
        "flags": st.dictionaries(integers(64), st.booleans(), max_size=3),
        "places": st.dictionaries(points(), text, max_size=3),
        "nested": st.lists(st.lists(blob, max_size=3), max_size=3),
        "shapes": st.dictionaries(text, st.lists(shapes(), max_size=2), max_size=2),
        "reals": st.sets(doubles, max_size=3),
        "bits": st.lists(st.booleans(), max_size=20),
        "weights": st.dictionaries(doubles, integers(8), max_size=3),
        "longs": st.lists(integers(64), max_size=20),
        "shorts": st.lists(integers(16), max_size=20),
        "far": integers(32),
    }
    return st.builds(idl().Rich, **{name: st.none() | value for name, value in values.items()})
