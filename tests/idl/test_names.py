"""What names stand for, across files."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.idl.names import constant, find, functions_of, parent_of, places, resolve
from zkrpc.idl.outline import Definition, Reference, TypeName
from zkrpc.idl.source import Disk, Source, read

OTHER = """typedef Thing Alias
struct Thing { 1: i32 x }
const i32 LIMIT = 1
service Base { void ping() }
"""
MAIN = """include "other.thrift"
include "a.b.thrift"
include "twin.thrift"
include "sub/twin.thrift"
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
    (tmp_path / "a.b.thrift").write_text("struct C { 1: i32 x } enum D { E = 1 }", "utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "twin.thrift").write_text("struct Thing { 1: i32 y }", "utf-8")
    (tmp_path / "sub" / "twin.thrift").write_text("struct Thing { 1: i32 y } struct Else {}", "utf-8")
    (tmp_path / "main.thrift").write_text(MAIN, "utf-8")
    return read(tmp_path / "main.thrift", Disk())


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
    last, odd, color = (main.definitions[some] for some in ("Last", "Odd", "Color"))
    assert [(home.stem, service.name, function.name) for home, service, function in functions_of(main, last)] == [
        ("other", "Base", "ping"),
        ("main", "Next", "stop"),
        ("main", "Last", "go"),
    ]
    assert parent_of(main, odd) is parent_of(main, color) is None


def test_file_with_dots_in_its_name_is_split_at_the_last(main: Source) -> None:
    """As Apache's compiler does."""
    place = find(main, "a.b.C")
    assert place is not None and place[0].stem == "a.b" and place[1].name == "C"
    assert find(main, "a.C") is find(main, "b.C") is find(main, "a.b") is None
    assert constant(main, Reference(name="a.b.D.E", line=1)) is not None


def test_two_included_files_of_one_name_are_both_looked_at(main: Source) -> None:
    """What only one of them defines is clear, what both do is not."""
    place = find(main, "twin.Else")
    assert place is not None and place[0].path.parent.name == "sub"
    assert len(places(main, "twin.Thing")) == 2 and find(main, "twin.Thing") is None


def test_constants_are_found_by_name_and_items_by_their_enum(main: Source) -> None:
    """Here and in other files, wherever in the file they are defined."""
    for name in ("FIRST", "SECOND", "Color.RED", "other.LIMIT"):
        assert constant(main, Reference(name=name, line=1)) is not None, name
    for name in ("RED", "Color", "Color.BLUE", "FIRST.x", "other", "other.NONE", "Number", "other.Color.RED", "."):
        assert constant(main, Reference(name=name, line=1)) is None, name


def test_typedefs_are_followed_no_further_than_the_limit(tmp_path: Path) -> None:
    """However many there are; nothing is on a stack."""
    chain = "\n".join(f"typedef T{number} T{number + 1}" for number in range(5000))
    (tmp_path / "main.thrift").write_text(f"typedef i32 T0\n{chain}", "utf-8")
    source = read(tmp_path / "main.thrift", Disk())
    assert resolve(source, TypeName(name="T50", line=1)) is not None
    assert resolve(source, TypeName(name="T5000", line=1)) is None
