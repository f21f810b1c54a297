"""What names stand for, across files."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.idl.names import constant_exists, find, functions_of, parent_of, resolve
from zkrpc.idl.outline import Definition, TypeName
from zkrpc.idl.source import Source, read
from zkrpc.idl.tokens import thriftpy2_parser

OTHER = """typedef Thing Alias
struct Thing { 1: i32 x }
const i32 LIMIT = 1
service Base { void ping() }
"""
MAIN = """include "other.thrift"
typedef other.Alias Mine
typedef list<Mine> Mines
typedef Loop Pool
typedef Pool Loop
typedef i32 Number
enum Color { RED = 1 }
const i32 FIRST = 1
const i32 SECOND = 2
service Next extends other.Base { void stop() }
service Last extends Next { void go() }
service Odd extends Color { void go() }
"""


@pytest.fixture(name="main")
def _main(tmp_path: Path) -> Source:
    (tmp_path / "other.thrift").write_text(OTHER, "utf-8")
    (tmp_path / "main.thrift").write_text(MAIN, "utf-8")
    with thriftpy2_parser():
        return read(tmp_path / "main.thrift", ())


def name(text: str, *inner: TypeName) -> TypeName:
    """A type by name."""
    return TypeName(name=text, line=1, inner=inner)


def test_find_looks_here_and_in_the_included_file_that_is_named(main: Source) -> None:
    """And nowhere else: names are not inherited from includes."""
    place = find(main, "other.Thing")
    assert place is not None and place[0].stem == "other" and place[1].kind == "struct"
    assert find(main, "Color") is not None
    assert find(main, "Thing") is find(main, "none.Thing") is find(main, "other.None") is None


def test_resolve_follows_typedefs_across_files(main: Source) -> None:
    """To a definition, a container, or a base type."""
    found = resolve(main, name("Mine"))
    assert found is not None and isinstance(found[1], Definition) and found[1].name == "Thing"
    found = resolve(main, name("Mines"))
    assert found is not None and str(found[1]) == "list<Mine>"
    found = resolve(main, name("Number"))
    assert found is not None and str(found[1]) == "i32"
    assert resolve(main, name("list", name("i32"))) is not None


@pytest.mark.parametrize("missing", ["None", "Loop", "FIRST", "Next", "other.LIMIT"])
def test_resolve_is_none_for_what_is_no_type(main: Source, missing: str) -> None:
    """Unknown, going in circles, or something else."""
    assert resolve(main, name(missing)) is None


def test_functions_are_those_of_the_parents_first(main: Source) -> None:
    """Across files."""
    last, odd, color = (main.definition(some) for some in ("Last", "Odd", "Color"))
    assert last is not None and odd is not None and color is not None
    assert [(home.stem, service.name, function.name) for home, service, function in functions_of(main, last)] == [
        ("other", "Base", "ping"),
        ("main", "Next", "stop"),
        ("main", "Last", "go"),
    ]
    assert parent_of(main, odd) is parent_of(main, color) is None


def test_constants_exist_where_they_are_defined_before(main: Source) -> None:
    """Order matters in a file, not between files; an item needs its enum's name."""
    assert constant_exists(main, "FIRST", 9) and not constant_exists(main, "SECOND", 8)
    assert constant_exists(main, "Color.RED", 9) and constant_exists(main, "other.LIMIT", 1)
    for missing in ("RED", "Color", "Color.BLUE", "FIRST.x", "other", "other.NONE", "Number"):
        assert not constant_exists(main, missing, 99), missing
