"""Values to JSON."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.jsonform.every import field, idl, type_of
from zkrpc.errors import JsonError
from zkrpc.jsonform.text import dump, parse
from zkrpc.jsonform.writing import write, write_arguments, write_exception

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("tags", {"b", "a", "ü", "Z"}, '["Z", "a", "b", "ü"]'),
        ("odd", {2.0, float("nan"), -1.5, float("inf")}, '[-1.5, 2.0, "Infinity", "NaN"]'),
        ("palette", {99, 7, 1}, '["RED", "BLUE", 99]'),
        ("chunks", {b"\xff", b"\x00", b""}, '["", "AA==", "/w=="]'),
        ("keys", {TWO, ONE}, f'["{ONE}", "{TWO}"]'),
        ("rows", {(2,), (1, 2), ()}, "[[1, 2], [2], []]"),
        ("by_real", {float("nan"): 1, -0.0: 2, 1e16: 3}, '{"NaN": 1, "-0.0": 2, "1e+16": 3}'),
        ("by_blob", {b"\x01": 1, b"": 2}, '{"AQ==": 1, "": 2}'),
        ("by_key", {TWO: 2, ONE: 1}, f'{{"{TWO}": 2, "{ONE}": 1}}'),
        ("by_truth", {True: 1, False: 0}, '{"true": 1, "false": 0}'),
        ("by_color", {7: "b", 98: "x"}, '{"BLUE": "b", "98": "x"}'),
        ("by_number", {5: True, -1: False}, '{"5": true, "-1": false}'),
        ("real", 1, "1.0"),
        ("real", float("-inf"), '"-Infinity"'),
        ("blob", b"\xfb\xff\x00\n", '"+/8ACg=="'),
        ("blob", b"", '""'),
        ("key", uuid.UUID("01234567-89AB-CDEF-0123-456789ABCDEF"), '"01234567-89ab-cdef-0123-456789abcdef"'),
        ("chosen", idl().Chosen(), '{"number": 3}'),
    ],
)
def test_values_are_written_in_one_way(name: str, value: Any, text: str) -> None:
    """Sets have an order that follows from their members, maps keep theirs, numbers of enums get their first names."""
    assert dump(write(field(name), value)) == text


def test_a_map_whose_keys_are_no_words_is_written_as_pairs() -> None:
    """In the order in which its entries came, keys and values as they are written anywhere else."""
    point, shape = idl().Point, idl().Shape
    assert write(field("by_point"), {point(x=2): "b", point(x=1, y=3): "a"}) == [
        [{"x": 2}, "b"],
        [{"x": 1, "y": 3}, "a"],
    ]
    assert write(field("by_row"), {(2, 1): shape(radius=0.5), (): shape(name="n")}) == [
        [[2, 1], {"radius": 0.5}],
        [[], {"name": "n"}],
    ]
    assert write(field("by_family"), {frozenset({3, 1}): [point(y=1)]}) == [[[1, 3], [{"y": 1}]]]
    assert write(field("by_point"), {}) == []


def test_what_is_not_set_is_left_out_unless_that_would_say_something_else() -> None:
    """A field that is not set though it has a default is null, as reading would put the default there."""
    assert write(type_of("Address"), idl().Address(zip=1, city=None, lines=[])) == {"zip": 1, "city": None, "lines": []}
    assert write(type_of("Point"), idl().Point(x=1)) == {"x": 1}
    assert write(type_of("Point"), idl().Point(x=1), unset=True) == {"x": 1, "y": None}
    assert write(type_of("Shape"), idl().Shape(radius=1.0), unset=True) == {"radius": 1.0}


def test_a_union_of_a_newer_peer_is_an_object_without_fields() -> None:
    """Its member is one that this IDL does not know."""
    assert write(type_of("Shape"), idl().Shape()) == {}


def test_an_exception_is_written_with_its_class() -> None:
    """Also one of a class derived in Python, whose type the IDL does not know."""

    class Worse(idl().Oops):  # type: ignore[misc]  # the class is made at run time
        """A handler's own."""

    for made in (idl().Oops(why="a"), Worse(why="a")):
        assert write_exception(made) == {"type": "Oops", "value": {"why": "a", "code": 5}}
    assert write_exception(idl().Oops(why="a"), unset=True)["value"]["args"] is None


def test_arguments_are_written_by_name() -> None:
    """Those that are not set are left out, unless they have a default."""
    method = idl().S.methods["swap"]
    assert write_arguments(method, (idl().Every(tiny=1, with_default=9), [1], None, 7)) == {
        "value": {"tiny": 1, "with_default": 9, "hue": "BLUE", "corner": {"x": 1}},
        "numbers": [1],
        "top": None,
        "color": "BLUE",
    }
    assert write_arguments(method, (None, [], 1, 1)) == {"numbers": [], "top": 1, "color": "RED"}


def test_depth_is_bounded() -> None:
    """A value that holds itself is an error and no endless loop."""
    node = idl().Node(label="a")
    node.next = node
    with pytest.raises(JsonError, match="nested too deeply"):
        write(type_of("Node"), node)


def test_text_from_a_peer_is_shown_exactly_and_without_effect() -> None:
    """An escape sequence in a string is escaped, and still the same string."""
    text = dump(write(field("text"), "\x1b[2J\u202e\x9b"))
    assert text == '"\\u001b[2J\\u202e\\u009b"' and parse(text) == "\x1b[2J\u202e\x9b"
