"""Finding, reading and bundling files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl.source import Source, bundle, digest, read, tree, unpack
from zkrpc.idl.tokens import thriftpy2_parser

STRUCT = "struct A { 1: i32 x }\n"


def write(directory: Path, files: dict[str, str]) -> Path:
    """Writes files; gives the first."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, "utf-8")
    return directory / next(iter(files))


def source(path: Path | str, *include_dirs: str) -> Source:
    """Reads a tree of files."""
    with thriftpy2_parser():
        return read(path, include_dirs)


def test_files_are_read_with_what_they_include(tmp_path: Path) -> None:
    """Included ones first, each once, however often and by whatever path it is reached."""
    files = {
        "main.thrift": "include 'a.thrift'\ninclude 'sub/b.thrift'\n",
        "a.thrift": "include 'common.thrift'\n",
        "sub/b.thrift": "include '../common.thrift'\n",
        "common.thrift": STRUCT,
    }
    main = source(write(tmp_path, files))
    assert [some.stem for some in tree(main)] == ["common", "a", "b", "main"]
    assert main.includes["a"].includes["common"] is main.includes["b"].includes["common"]
    assert main.includes["b"].includes["common"].definition("A") is not None
    assert main.definition("A") is None


def test_included_file_is_found_beside_or_in_the_directories_given(tmp_path: Path) -> None:
    """The nearest first, and never where the program happens to stand."""
    path = write(tmp_path, {"x/main.thrift": "include 'a.thrift'", "y/a.thrift": STRUCT, "z/a.thrift": STRUCT})
    assert source(path, f"{tmp_path}/y", f"{tmp_path}/z").includes["a"].path == tmp_path / "y" / "a.thrift"
    with pytest.raises(IdlError, match=r"main.thrift:1: no file a.thrift; looked for .*/x/a.thrift"):
        source(path)


def test_symbolic_links_lead_to_one_file(tmp_path: Path) -> None:
    """A link is the file it leads to."""
    path = write(tmp_path, {"main.thrift": "include 'a.thrift'", "real/a.thrift": STRUCT})
    os.symlink(tmp_path / "real" / "a.thrift", tmp_path / "a.thrift")
    assert source(path).includes["a"].path == (tmp_path / "real" / "a.thrift").resolve()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"main.thrift": ""}, r"main.thrift: the file defines nothing; expected at least one definition"),
        ({"main.thrift": "// only words\n"}, "the file defines nothing"),
        ({"main.thrift": "\ufeffstruct A {}"}, r"main.thrift:1: the file begins with a byte order mark"),
        ({"main.txt": STRUCT}, r"main.txt: expected a file whose name ends in .thrift"),
        ({"main.thrift": "\ninclude 'a.txt'", "a.txt": STRUCT}, r"main.thrift:2: .*a.txt: expected a file whose name"),
        ({"main.thrift": "include 'a.thrift'", "a.thrift/x": ""}, r"main.thrift:1: .*a.thrift: cannot be read"),
        ({"main.thrift": "include 'main.thrift'"}, "circle: main.thrift -> main.thrift"),
        (
            {"main.thrift": "include 'a.thrift'", "a.thrift": "\ninclude 'main.thrift'"},
            "a.thrift:2: .*in a circle: main.thrift -> a.thrift -> main.thrift",
        ),
        (
            {"main.thrift": "include 'a.thrift'\ninclude 'b/a.thrift'", "a.thrift": STRUCT, "b/a.thrift": STRUCT},
            "main.thrift:2: two included files are called a",
        ),
    ],
)
def test_unreadable_file_is_an_error(tmp_path: Path, files: dict[str, str], message: str) -> None:
    """Told where the file was asked for."""
    with pytest.raises(IdlError, match=message):
        source(write(tmp_path, files))


def test_file_that_is_not_there_or_no_text_is_an_error(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(IdlError, match="none.thrift: cannot be read: No such file"):
        source(tmp_path / "none.thrift")
    (tmp_path / "bytes.thrift").write_bytes(b"struct A { } // \xff")
    with pytest.raises(IdlError, match="bytes.thrift: is not UTF-8"):
        source(tmp_path / "bytes.thrift")


def test_same_file_may_be_included_twice(tmp_path: Path) -> None:
    """Once is enough."""
    path = write(tmp_path, {"main.thrift": "include 'a.thrift'\ninclude './a.thrift'", "a.thrift": STRUCT})
    assert list(source(path).includes) == ["a"]


def test_bundle_of_one_file_is_its_text(tmp_path: Path) -> None:
    """So that the digest of a file is the digest that ``sha256sum`` prints."""
    path = write(tmp_path, {"main.thrift": STRUCT})
    assert bundle(source(path)) == STRUCT
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_bundle_holds_all_files_and_unpacks_again(tmp_path: Path) -> None:
    """With their places relative to each other, wherever they are; the same text on every machine."""
    files = {
        "main/main.thrift": "include '../a.thrift'\ninclude 'b.thrift'\nstruct M { 1: a.A a }",
        "a.thrift": STRUCT,
        "other/b.thrift": "include '../a.thrift'\nstruct B { 1: a.A a }\n\n",
    }
    here, there = tmp_path / "here", tmp_path / "there"
    text = bundle(source(write(here, files), f"{here}/other"))
    assert text == bundle(source(write(there, files), f"{there}/other"))
    main, places = unpack(text, tmp_path / "again", "unused.thrift")
    assert main == tmp_path / "again" / "main" / "main.thrift"
    assert bundle(source(main, *places)) == text


def test_unpacking_never_leaves_its_directory(tmp_path: Path) -> None:
    """A text may come from anybody."""
    for name in ("../evil.thrift", "/tmp/evil.thrift"):
        with pytest.raises(IdlError, match="outside of its directory"):
            unpack(f"//// zkrpc file {name}\n{STRUCT}", tmp_path / "in", "x.thrift")
    assert not list(tmp_path.rglob("evil*"))
