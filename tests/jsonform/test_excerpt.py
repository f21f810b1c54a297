"""The beginning of a value as JSON, and what is hidden in it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jsonform.every import everything, field, idl, type_of
from zkrpc.codec.shape import FieldType, Kind
from zkrpc.jsonform import dump, excerpt, excerpt_arguments, excerpt_exception, write, write_arguments, write_exception

EVERY = type_of("Every")
LARGE = 1_000_000


def nothing(struct: type) -> Collection[str]:
    """Masks nothing."""
    return ()


def names(*hidden: str) -> Any:
    """Masks fields of these names in any struct."""
    return lambda struct: hidden


@settings(max_examples=200, deadline=None)
@given(everything())
def test_value_that_fits_is_written_as_ever(value: Any) -> None:
    """To the letter, in the order of members and entries, too."""
    assert excerpt(EVERY, value, size=LARGE, hidden=nothing) == (dump(write(EVERY, value)), False)


@settings(max_examples=200, deadline=None)
@given(everything(), st.integers(0, 400))
def test_excerpt_is_json_and_bounded_whatever_is_cut(value: Any, size: int) -> None:
    """It says so, and only if something is missing."""
    text, cut = excerpt(EVERY, value, size=size, hidden=nothing)
    json.loads(text)
    assert cut == ("<cut" in text) or "<cut" in dump(write(EVERY, value))
    assert cut or text == dump(write(EVERY, value))
    assert len(text) <= 12 * size + 3000


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("text", "a" * 1000, '"aaaaaaaaaaaaaaaa<cut: 984 more>"'),
        ("blob", b"\x00" * 1000, '"AAAAAAAAAAAAAAAA<cut: 988 more bytes>"'),
        ("longs", list(range(1000)), '[0, 1, 2, 3, "<cut: 996 more>"]'),
        ("names", {str(key): "" for key in range(1000)}, '{"0": "", "1": "", "<cut>": "<cut: 998 more>"}'),
        (
            "by_row",
            {(): idl().Shape(radius=0.5), (1,): idl().Shape()},
            '[[[], {"radius": 0.5}], "<cut: 1 more>"]',
        ),
        ("point", idl().Point(x=1, y=2), '{"x": 1, "y": 2}'),
    ],
)  # fmt: skip
def test_what_is_too_large_is_cut_where_it_is(name: str, value: Any, text: str) -> None:
    """With how much is missing."""
    assert excerpt(field(name), value, size=20, hidden=nothing).text == text


def test_large_sets_are_cut_in_any_order() -> None:
    """Their members are not sorted for it; those of structs neither."""
    text, cut = excerpt(field("tags"), {str(one) for one in range(100_000)}, size=40, hidden=nothing)
    assert cut and json.loads(text)[-1].endswith(" more>") and len(text) < 200
    points = frozenset(idl().Point(x=one) for one in range(100))
    made = json.loads(excerpt(field("points"), points, size=40, hidden=nothing).text)
    assert all("x" in one for one in made[:-1]) and made[-1] == f"<cut: {101 - len(made)} more>"
    deep = FieldType(kind=Kind.I32)
    for _ in range(100):
        deep = FieldType(kind=Kind.LIST, inner=(deep,))
    value: Any = 1
    for _ in range(100):
        value = [value]
    assert '"<cut: more levels>"' in excerpt(deep, value, size=1000, hidden=nothing).text


def test_masked_fields_are_shown_as_such_wherever_they_are() -> None:
    """In structs, lists, sets, keys and values of maps, unions and exceptions; nothing of them is left, and what is not
    set is left out as ever."""
    point, shape, node = idl().Point, idl().Shape, idl().Node
    tree = node(label="secret", children=[node(label="secret")], by_name={"a": node(label="secret")})
    assert excerpt(type_of("Node"), tree, size=LARGE, hidden=names("label")).text == (
        '{"label": "<masked>", "children": [{"label": "<masked>"}], "by_name": {"a": {"label": "<masked>"}}}'
    )
    assert excerpt(field("points"), {point(x=1)}, size=LARGE, hidden=names("x")).text == '[{"x": "<masked>"}]'
    text = excerpt(field("by_point"), {point(x=1, y=2): "v"}, size=LARGE, hidden=names("x")).text
    assert text == '[[{"x": "<masked>", "y": 2}, "v"]]'
    inner = shape(inner=shape(point=point(x=5)))
    assert (
        excerpt(type_of("Shape"), inner, size=LARGE, hidden=names("point")).text == '{"inner": {"point": "<masked>"}}'
    )
    error = idl().Oops(why="secret", args="a")
    assert excerpt_exception(error, size=LARGE, hidden=names("why")).text == (
        '{"type": "Oops", "value": {"why": "<masked>", "code": 5, "args": "a"}}'
    )
    whole = idl().Every(shape=shape(radius=1.0), names={"a": "secret"}, blob=b"secret")
    text = excerpt(EVERY, whole, size=LARGE, hidden=names("names", "shape", "blob")).text
    assert '"shape": "<masked>"' in text and '"names": "<masked>"' in text and "secret" not in text
    assert excerpt_exception(error, size=LARGE, hidden=nothing).text == dump(write_exception(error))


def test_arguments_are_an_object_of_which_some_may_be_masked() -> None:
    """By their names; those that would be filled in again are null."""
    method = idl().S.methods["swap"]
    values = (None, [1, 2], None, 7)
    made = excerpt_arguments(method, values, size=LARGE, hidden=nothing, masked=())
    assert made == (dump(write_arguments(method, values)), False)
    made = excerpt_arguments(method, values, size=LARGE, hidden=nothing, masked={"numbers", "top"})
    assert made.text == '{"numbers": "<masked>", "top": null, "color": "BLUE"}'
    assert (
        excerpt_arguments(method, values, size=0, hidden=nothing, masked=()).text == '{"<cut>": "<cut: up to 3 more>"}'
    )


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("text", 5, '"<no string>"'),
        ("longs", (one for one in range(3)), '"<no list<i64>>"'),
        ("point", object(), '"<no Point>"'),
        ("real", 10**400, '"<no value of its type>"'),
        ("large", 10**5000, '"<no value of its type>"'),
        ("rows", {1, "a"}, None),
    ],
    ids=["number", "generator", "object", "no double", "no i64", "words"],
)
def test_what_does_not_fit_is_no_reason_to_fail(name: str, value: Any, text: str | None) -> None:
    """The handler's mistake is told by the codec; looking at a value does not use it up either."""
    made = excerpt(field(name), value, size=LARGE, hidden=nothing).text
    assert made == text if text is not None else '"<no list<i32>>"' in made
    if name == "longs":
        assert list(value) == [0, 1, 2]
