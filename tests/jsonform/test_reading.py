"""JSON to values: what fits, and the words for what does not."""

from __future__ import annotations

import math
import uuid
from typing import Any

import pytest

from tests.jsonform.every import field, idl, plainly, type_of
from zkrpc.errors import IdlError, JsonError
from zkrpc.idl import load_text
from zkrpc.jsonform.reading import read, read_arguments
from zkrpc.jsonform.text import MAX_DEPTH, parse

EVERY = type_of("Every")
SWAP = idl().S.methods["swap"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("large", "9007199254740993", 9007199254740993),
        ("large", '"-9223372036854775808"', -(2**63)),
        ("tiny", "-0", 0),
        ("real", "-0", -0.0),
        ("real", "1", 1.0),
        ("real", "1" + "0" * 300, 1e300),
        ("real", '"NaN"', math.nan),
        ("real", '"-Infinity"', -math.inf),
        ("color", '"CRIMSON"', 1),
        ("color", "99", 99),
        ("blob", '"AP8="', b"\0\xff"),
        ("key", '"01234567-89AB-cdef-0123-456789abcdef"', uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")),
        ("by_real", '{"1": 1, "-0": 2, "-Infinity": 3}', {1.0: 1, -0.0: 2, -math.inf: 3}),
        ("by_color", '{"BLUE": "b", "-5": "x"}', {7: "b", -5: "x"}),
        ("families", "[[1, 2], []]", {frozenset((1, 2)), frozenset()}),
        ("rows", "[[1, 2]]", {(1, 2)}),
        ("by_row", '[[[1], {"name": "a"}]]', {(1,): idl().Shape(name="a")}),
        ("chosen", "{}", idl().Chosen(number=3)),
        ("chosen", '{"text": "t", "number": null}', idl().Chosen(text="t")),
        ("address", '{"zip": 1}', idl().Address(zip=1, city="Rome", lines=["a"])),
        ("address", '{"zip": 1, "city": null}', idl().Address(zip=1, city=None)),
    ],
)
def test_values_are_read_exactly(name: str, text: str, value: Any) -> None:
    """The IDL says what a text or a number stands for; defaults are there if a field is left out, and not if it is
    null."""
    assert plainly(read(field(name), parse(text))) == plainly(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"address": {"zip": "abc"}}', '$.address.zip: expected i32, got "abc"'),
        ('{"address": {}}', "$.address.zip: expected i32, but it is missing"),
        ('{"address": {"zip": null}}', "$.address.zip: expected i32, but it is missing"),
        ('{"adress": {}}', '$: Every has no field "adress"; did you mean address?'),
        ('{"point": {"z": 1}}', '$.point: Point has no field "z"; there are x, y'),
        ('{"point": [1, 2]}', "$.point: expected Point as an object, got [1, 2]"),
        ('{"point": {"x": 1, "x": 2}}', '$.point: "x" stands twice in one object'),
        ('{"flag": 1}', "$.flag: expected bool, got 1"),
        ('{"tiny": 128}', "$.tiny: expected i8 from -128 to 127, got 128"),
        ('{"tiny": true}', "$.tiny: expected i8, got true"),
        ('{"tiny": 1.0}', "$.tiny: expected i8, got 1.0"),
        ('{"tiny": "01"}', '$.tiny: expected i8, got "01"'),
        ('{"large": 9223372036854775808}', "$.large: expected i64 from -9223372036854775808 to 9223372036854775807, "
         "got 9223372036854775808"),
        ('{"real": "1.5"}', '$.real: expected double, or "NaN", "Infinity", "-Infinity", got "1.5"'),
        ('{"real": 1e999}', '$.real: expected double, or "NaN", "Infinity", "-Infinity", got a number that no double '
         "holds"),
        ('{"text": 5}', "$.text: expected string, got 5"),
        ('{"text": "\\ud800"}', '$.text: expected string without half of a surrogate pair, got "\\ud800"'),
        ('{"blob": "AB=="}', '$.blob: expected binary in base64, got "AB=="'),
        ('{"blob": "A"}', '$.blob: expected binary in base64, got "A"'),
        ('{"blob": "_w=="}', '$.blob: expected binary in base64, got "_w=="'),
        ('{"color": "REDD"}', '$.color: expected an item of Color or its number, got "REDD"; did you mean RED?'),
        ('{"color": "7"}', '$.color: expected an item of Color or its number, got "7"; there are RED, BLUE, CRIMSON'),
        ('{"key": "x"}', '$.key: expected uuid such as 01234567-89ab-cdef-0123-456789abcdef, got "x"'),
        ('{"shape": {}}', "$.shape: Shape is a union: expected one of point, radius, name, inner, got none"),
        ('{"shape": {"radius": 1, "name": ""}}', "$.shape: Shape is a union: expected one of point, radius, name, "
         "inner, got radius and name"),
        ('{"longs": [1, null]}', "$.longs[1]: expected i64, got null"),
        ('{"longs": {}}', "$.longs: expected list<i64> as an array, got {}"),
        ('{"tags": ["a", "b", "a"]}', '$.tags[2]: "a" is in the set already'),
        ('{"by_number": {"x": true}}', '$.by_number["x"]: expected i64, got "x"'),
        ('{"by_number": {"1": 5}}', '$.by_number["1"]: expected bool, got 5'),
        ('{"by_real": {"1.0": 1, "1": 2}}', '$.by_real["1"]: this key is in the map already'),
        ('{"names": {"a": "1", "a": "2"}}', '$.names: "a" stands twice in one object'),
        ('{"names": [["a", "b"]]}', '$.names: expected map<string, string> as an object, got [["a", "b"]]'),
        ('{"by_point": {"a": "b"}}', "$.by_point: expected map<Point, string> as an array of [key, value] pairs, got "
         '{"a": "b"}'),
        ('{"by_point": [[{}]]}', "$.by_point[0]: expected a pair [key, value], got [{}]"),
        ('{"by_point": [[{"x": ""}, "a"]]}', '$.by_point[0][0].x: expected i32, got ""'),
        ('{"by_point": [[{}, 1]]}', "$.by_point[0][1]: expected string, got 1"),
        ('{"by_point": [[{}, "a"], [{}, "b"]]}', "$.by_point[1]: this key is in the map already"),
        ('{"tree": {"label": "", "by_name": {"a\\n": {}}}}', '$.tree.by_name["a\\n"].label: expected string, but it is '
         "missing"),
    ],
)  # fmt: skip
def test_an_error_names_the_place_and_what_was_expected(text: str, problem: str) -> None:
    """One line, from which the text can be mended."""
    with pytest.raises(JsonError) as raised:
        read(EVERY, parse(text))
    assert str(raised.value) == problem


def test_unknown_fields_are_left_out_if_that_is_wanted() -> None:
    """At any depth."""
    plain = {"what": 1, "point": {"x": 1, "z": [2]}}
    assert read(EVERY, plain, allow_unknown=True) == idl().Every(point=idl().Point(x=1))


def test_depth_is_bounded() -> None:
    """Recursive structs end at a depth that neither Python's stack nor the codec minds."""
    plain: dict[str, Any] = {"label": "leaf"}
    for _ in range(MAX_DEPTH):
        plain = {"label": "", "next": plain}
    with pytest.raises(JsonError, match=r"^\$[.next]+ \.\.\. [.next]+: nested too deeply; at most 200"):
        read(type_of("Node"), plain)
    for levels in range(100, 1000, 25):  # also where the text is only just read
        with pytest.raises(JsonError):
            read(type_of("Node"), parse('{"label": ' + "[" * levels + "]" * levels + "}"))
    node = read(type_of("Node"), parse('{"label": "", "next": ' * 50 + '{"label": "x"}' + "}" * 50))
    assert node.next.next.label == ""


def test_arguments_are_given_by_name_or_in_order() -> None:
    """What has a default may be left out; null sends a parameter unset."""
    given = {"value": {"tiny": 1}, "numbers": [1]}
    expected: dict[str, Any] = {"value": idl().Every(tiny=1), "numbers": [1]}
    assert read_arguments(SWAP, given) == read_arguments(SWAP, [{"tiny": 1}, [1]]) == expected
    assert read_arguments(SWAP, [None, [1], 6, "BLUE"]) == {"value": None, "numbers": [1], "top": 6, "color": 7}
    assert read_arguments(idl().S.methods["ping"], {}) == read_arguments(idl().S.methods["ping"], []) == {}
    assert read_arguments(SWAP, {**given, "more": 1}, allow_unknown=True) == expected


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        ({"numbers": []}, "$.value: expected Every, but it is missing; null sends it unset"),
        ({"value": {}}, "$.numbers: expected list<i32>, but it is missing"),
        ({"value": {}, "numbers": None}, "$.numbers: expected list<i32>, got null"),
        ({"value": {}, "number": []}, '$: swap has no parameter "number"; did you mean numbers?'),
        ({"value": {"point": {"x": "a"}}, "numbers": []}, '$.value.point.x: expected i32, got "a"'),
        ([{"point": {"x": "a"}}], '$[0].point.x: expected i32, got "a"'),
        ([{}], "$.numbers: expected list<i32>, but it is missing"),
        ([{}, [], 1, 1, 1], "$: swap takes 4 arguments, got 5"),
        (5, "$: expected the arguments of swap as an object or an array, got 5"),
        (parse('{"top": 1, "top": 2}'), '$: "top" stands twice in one object'),
    ],
)
def test_arguments_that_do_not_fit_are_refused(plain: object, problem: str) -> None:
    """With the parameter's place."""
    with pytest.raises(JsonError) as raised:
        read_arguments(SWAP, plain)
    assert str(raised.value) == problem


def test_what_python_cannot_hold_is_refused_in_the_words_of_the_idl() -> None:
    """A method that cannot be called says so, whatever the arguments."""
    with pytest.raises(IdlError, match="has keys or members that are maps"):
        read_arguments(idl().S.methods["refused"], [])


def test_a_method_without_parameters_has_no_names_to_offer() -> None:
    """The error then says that there are none."""
    method = load_text("service T { void go() }", name="t.thrift").T.methods["go"]
    with pytest.raises(JsonError, match='go has no parameter "a"; there are none'):
        read_arguments(method, {"a": 1})
    with pytest.raises(JsonError, match="go takes no arguments, got 1"):
        read_arguments(method, [1])
