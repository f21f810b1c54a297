"""Functions and values, as a stub writes them."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import pytest

from tests.idl.test_source import source, write
from zkrpc.idl.hints import Hints
from zkrpc.idl.signatures import WIDTH, Parameter, arranged, function, indented, listed, quoted, self_among, shown, told


@pytest.fixture
def hints(tmp_path: Path) -> Hints:
    """Those of a file."""
    return Hints(source(write(tmp_path, {"a.thrift": "struct S { 1: i32 others }"})), {})


def parameter(name: str, default: str | None = None) -> Parameter:
    """One that is a number."""
    return Parameter(name=name, hint="int", default=default)


def test_parameters_stand_as_python_can_declare_them(hints: Hints) -> None:
    """By name only behind one with a default; by place or in a dict, if Python has no room for the name."""
    assert arranged(hints, []) == ["self"]
    assert arranged(hints, [parameter("a"), parameter("b", "1")]) == ["self", "a: int", "b: int = 1"]
    late = [parameter("a", "1"), parameter("b"), parameter("c")]
    assert arranged(hints, late) == ["self", "a: int = 1", "*", "b: int", "c: int"]
    assert arranged(hints, [parameter("class"), parameter("b")]) == [
        "self",
        "_class: int",
        "b: int",
        "**others: typing.Any",
    ]
    unspeakable = [parameter("a", "1"), parameter("class"), parameter("others", "2")]
    assert arranged(hints, unspeakable)[2:] == ["*", "others: int = 2", "**_others: typing.Any"]
    assert arranged(hints, [parameter("a", "1"), parameter("class")]) == ["self", "a: int = 1", "**others: typing.Any"]


def test_first_parameter_has_another_name_where_its_own_is_taken() -> None:
    """One that checkers take for it as well."""
    assert (self_among({"a"}), self_among({"self"})) == ("self", "_self")


@pytest.mark.parametrize("define", ["def", "async def"])
def test_function_is_on_one_line_or_on_many(define: str) -> None:
    """As long as it fits into a class."""
    assert function("f", ["self"], "None", define=define) == [f"{define} f(self) -> None: ..."]
    room = WIDTH - len(f"    {define} f(self) -> : ...")
    assert len(function("f", ["self"], "x" * room, define=define)) == 1
    assert function("f", ["self"], "x" * (room + 1), define=define) == [
        f"{define} f(",
        "    self,",
        f") -> {'x' * (room + 1)}: ...",
    ]


def test_docstring_takes_the_place_of_the_body() -> None:
    """Of a function that is one line or several."""
    assert told(["def f() -> None: ..."], "Says.") == ["def f() -> None:", '    """Says."""', ""]
    assert told(["def f(", ") -> None: ..."], "Says.")[:2] == ["def f(", ") -> None:"]


def test_lines_of_a_class_have_no_empty_end() -> None:
    """Nor spaces where they are empty."""
    assert indented(["a", "", "b", "", ""]) == ["    a", "", "    b"]
    assert indented([]) == indented([""]) == []


def test_list_of_names_is_on_one_line_or_on_many() -> None:
    """One name a line, if they are too many."""
    assert listed(["a", "b"]) == '["a", "b"]'
    names = [f"name{number}" for number in range(20)]
    assert listed(names).splitlines()[:2] == ["[", '    "name0",'] and ast.literal_eval(listed(names)) == names


@pytest.mark.parametrize("value", ["x", "it's", 'so "it" is', "a\nb", b"x", b"it's", True, 7, -1.5])
def test_short_value_is_shown(value: Any) -> None:
    """As itself, in double quotes where that does without backslashes."""
    assert ast.literal_eval(shown(value)) == value
    assert not shown(value).startswith("'") or '"' in shown(value)


@pytest.mark.parametrize("value", ["x" * 60, b"x" * 60, math.inf, math.nan, None, [1], 10**60])
def test_other_values_are_not_shown(value: Any) -> None:
    """What is long, and what a stub may not show."""
    assert shown(value) == ""


def test_text_is_quoted_as_formatters_like_it() -> None:
    """Unless it has quotes inside."""
    assert (quoted("a"), quoted('"')) == ('"a"', "'\"'")
