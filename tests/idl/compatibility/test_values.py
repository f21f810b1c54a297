"""Constants and defaults are compared by what they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.idl.compatibility.cases import source
from zkrpc.idl.compatibility.values import same_value

SHARED = "enum Colour { RED = 1, GREEN = 2 }\nconst i32 TEN = 10\nconst list<i32> TENS = [TEN, TEN]\n"


def same(tmp_path: Path, old: str, new: str, of: str) -> bool:
    """Whether two constants of this type mean the same."""
    (tmp_path / "shared.thrift").write_text(SHARED)
    one, two = (
        source(f'include "shared.thrift"\nconst {of} X = {value}\n', tmp_path, f"{name}.thrift")
        for name, value in (("old", old), ("new", new))
    )
    definitions = [some.definitions["X"] for some in (one, two)]
    held = [(some, definition.type, definition.value) for some, definition in zip((one, two), definitions)]
    return same_value(*held)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "one", "other"),
    [
        ("i32", "10", "0xA"),
        ("i32", "10", "shared.TEN"),
        ("bool", "true", "1"),
        ("double", "1", "1.0"),
        ("shared.Colour", "RED", "shared.Colour.RED"),
        ("shared.Colour", "RED", "1"),
        ("list<shared.Colour>", "[RED]", "[1]"),
        ("map<string, shared.Colour>", "{'a': RED, 'b': GREEN}", "{'b': 2, 'a': shared.Colour.RED}"),
        ("list<i32>", "[10, 10]", "shared.TENS"),
        ("string", "'a'", '"a"'),
    ],
)
def test_same_values_written_in_two_ways(tmp_path: Path, of: str, one: str, other: str) -> None:
    """In either order."""
    assert same(tmp_path, one, other, of) and same(tmp_path, other, one, of)


@pytest.mark.parametrize(
    ("of", "one", "other"),
    [
        ("i32", "10", "11"),
        ("string", "'1'", "'10'"),
        ("shared.Colour", "RED", "GREEN"),
        ("list<i32>", "[1, 2]", "[2, 1]"),
        ("map<i32, i32>", "{1: 2}", "{1: 3}"),
        ("list<i32>", "[]", "[0]"),
    ],
)
def test_values_that_differ(tmp_path: Path, of: str, one: str, other: str) -> None:
    """However alike they look."""
    assert not same(tmp_path, one, other, of)


@pytest.mark.parametrize("text", ["const list<list<i32>> X = [X]\n", "const i32 X = Y\nconst i32 Y = X\n"])
def test_value_made_of_itself_is_compared_as_it_is_written(tmp_path: Path, text: str) -> None:
    """No class is made of these files, so nothing has refused it."""
    old, new = (source(text, tmp_path / name) for name in ("old", "new"))
    one, two = old.definitions["X"], new.definitions["X"]
    assert one.type is not None and two.type is not None
    same_value((old, one.type, one.value), (new, two.type, two.value))


def test_values_that_multiply_are_compared_as_they_are_written(tmp_path: Path) -> None:
    """Two to the power of sixty items are not made; lines do not count."""
    lines = ["const list<i32> C0 = [1]", *(f"const list<i32> C{n + 1} = [C{n}, {{1: C{n}}}]" for n in range(60))]
    old, new = (source(gap.join(lines), tmp_path / str(len(gap))) for gap in ("\n", "\n\n"))
    one, two = old.definitions["C60"], new.definitions["C60"]
    assert one.type is not None and two.type is not None
    assert same_value((old, one.type, one.value), (new, two.type, two.value))
    assert not same_value((old, one.type, one.value), (new, two.type, old.definitions["C59"].value))
