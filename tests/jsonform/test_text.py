"""JSON text: what is read and what is not, and how it is shown."""

from __future__ import annotations

import copy
import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.errors import JsonError
from zkrpc.jsonform.text import MAX_DEPTH, MinusZero, Repetitive, dump, expected, parse, shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "$: not JSON: expecting value at line 1, column 1"),
        ('{"id": 42', "$: not JSON: expecting ',' delimiter at line 1, column 10"),
        ("{'id': 42}", "$: not JSON: expecting property name enclosed in double quotes at line 1, column 2"),
        ("[1]\n x", "$: not JSON: extra data at line 2, column 2"),
        ('"half', "$: not JSON: unterminated string starting at line 1, column 1"),
        ("NaN", '$: NaN is no JSON; as a double it is written as text, "NaN"'),
        ("[-Infinity]", '$: -Infinity is no JSON; as a double it is written as text, "-Infinity"'),
        ("[" * 100_000, f"$: nested too deeply; at most {MAX_DEPTH} arrays and objects may be inside each other"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, problem: str) -> None:
    """The error says where the text stops being JSON; depth cannot exhaust the stack."""
    with pytest.raises(JsonError) as raised:
        parse(text)
    assert str(raised.value) == problem


def test_a_text_that_is_too_long_is_not_read() -> None:
    """The bound is checked before anything is parsed."""
    assert parse("[1,2]", max_size=5) == [1, 2]
    with pytest.raises(JsonError, match="6 characters are too much; at most 5 are read"):
        parse("[1, 2]", max_size=5)


def test_what_other_parsers_lose_is_kept() -> None:
    """A minus before a zero, a name that stands twice, and that a number was too large."""
    assert type(parse("-0")) is MinusZero and math.copysign(1, parse("-0.0")) == -1
    twice = parse('{"a": 1, "b": 2, "b": 3, "a": 4}')
    assert isinstance(twice, Repetitive) and twice.name == "b"
    assert parse("1e999") == parse("9" * 100_000) == math.inf
    assert parse("9" * 300) == 10**300 - 1


def test_an_error_knows_its_place_from_the_outside() -> None:
    """The places are put together while the error rises; a copy or a pickle of it reads the same."""
    error = expected("i32", "abc").inside(".zip").inside("[2]").inside('["a b"]').inside(".addresses")
    assert str(error) == '$.addresses["a b"][2].zip: expected i32, got "abc"'
    assert (error.path, error.problem) == ('$.addresses["a b"][2].zip', 'expected i32, got "abc"')
    assert str(copy.copy(error)) == str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_wrong_value_is_shown_in_short_and_on_one_line() -> None:
    """A long value is cut, and what is not visible is escaped."""
    assert shown({"a": [1, None, True]}) == '{"a": [1, null, true]}'
    assert len(shown("x" * 1000)) == 60 and shown("x" * 1000).endswith("...")
    assert shown("\x1b[2J\n\u202e") == '"\\u001b[2J\\n\\u202e"'
    assert shown(math.inf) == "a number that no double holds"
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "something nested too deeply"


@given(st.text() | st.text(st.characters(codec="utf-8", categories=["Cc", "Cf", "Zl", "Zp", "Co", "Cn"])))
def test_text_is_shown_without_anything_invisible_and_reads_as_it_was(text: str) -> None:
    """Whatever the characters, the JSON is printable and exact."""
    assert dump(text).isprintable() and json.loads(dump(text)) == parse(dump(text)) == text


def test_letters_of_all_scripts_stay_and_indented_text_has_lines() -> None:
    """Only what is not visible is escaped: here an escape sequence, a direction mark and a private character."""
    assert dump({"ü": "日本🙂"}) == '{"ü": "日本🙂"}'
    assert dump(["\x7f\U000f0000"]) == '["\\u007f\\udb80\\udc00"]'
    assert dump({"a": ["\u2028"]}, indent=1) == '{\n "a": [\n  "\\u2028"\n ]\n}'
