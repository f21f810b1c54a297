"""Finding, reading and bundling files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl.source import Bundle, Disk, Source, bundle, digest, read, tree

STRUCT = "struct A { 1: i32 x }\n"


def write(directory: Path, files: dict[str, str]) -> Path:
    """Writes files; gives the first."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, "utf-8")
    return directory / next(iter(files))


def source(path: Path | str, *include_dirs: str) -> Source:
    """Reads a tree of files."""
    return read(path, Disk(include_dirs))


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
    assert main.included["a.thrift"].includes["common"] == main.included["sub/b.thrift"].includes["common"]
    assert "A" in main.includes["b"][0].includes["common"][0].definitions and "A" not in main.definitions


def test_included_file_is_found_beside_or_in_the_directories_given(tmp_path: Path) -> None:
    """The nearest first, and never where the program happens to stand."""
    path = write(tmp_path, {"x/main.thrift": "include 'a.thrift'", "y/a.thrift": STRUCT, "z/a.thrift": STRUCT})
    assert source(path, f"{tmp_path}/y", f"{tmp_path}/z").included["a.thrift"].path == tmp_path / "y" / "a.thrift"
    with pytest.raises(IdlError, match=r"main.thrift:1: no file 'a.thrift'; looked for .*/x/a.thrift"):
        source(path)


def test_symbolic_links_lead_to_one_file(tmp_path: Path) -> None:
    """A link is the file it leads to."""
    path = write(tmp_path, {"main.thrift": "include 'a.thrift'", "real/a.thrift": STRUCT})
    os.symlink(tmp_path / "real" / "a.thrift", tmp_path / "a.thrift")
    assert source(path).included["a.thrift"].path == (tmp_path / "real" / "a.thrift").resolve()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"main.txt": STRUCT}, r"main.txt: expected a file whose name ends in .thrift"),
        ({"main.thrift": "\ninclude 'a.txt'", "a.txt": STRUCT}, r"main.thrift:2: .*a.txt: expected a file whose name"),
        ({"main.thrift": "include 'a.thrift'", "a.thrift/x": ""}, r"main.thrift:1: .*a.thrift: cannot be read"),
        ({"main.thrift": "include 'main.thrift'"}, "circle: main.thrift -> main.thrift"),
        (
            {"main.thrift": "include 'a.thrift'", "a.thrift": "\ninclude 'main.thrift'"},
            "a.thrift:2: .*in a circle: main.thrift -> a.thrift -> main.thrift",
        ),
        ({"main.thrift": "\ninclude 'a\\t.thrift'"}, r"main.thrift:2: 'a\\t.thrift' is no path"),
    ],
)
def test_unreadable_file_is_an_error(tmp_path: Path, files: dict[str, str], message: str) -> None:
    """Told where the file was asked for."""
    with pytest.raises(IdlError, match=message):
        source(write(tmp_path, files))


def test_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(IdlError, match="none.thrift: cannot be read: No such file"):
        source(tmp_path / "none.thrift")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (b"\xef\xbb\xbfstruct A {}\r\n", "struct A {}\n"),
        (
            b"// caf\xe9 'x'\n/* \xff */ # \xfe\nconst string A = 'x\xc3\xa9'",
            "// caf\ufffd 'x'\n/* \ufffd */ # \ufffd\nconst string A = 'x\xe9'",
        ),
        ("// \ufffd\nconst string A = '\ufffd'".encode(), "// \ufffd\nconst string A = '\ufffd'"),
    ],
)
def test_bytes_that_old_editors_leave_are_read(tmp_path: Path, found: bytes, text: str) -> None:
    """A byte order mark, line ends of Windows, Latin-1 in comments."""
    (tmp_path / "main.thrift").write_bytes(found)
    assert source(tmp_path / "main.thrift").text == text


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (b"\nconst string A = 'caf\xe9' // '", "main.thrift:2: a string is not UTF-8"),
        (b"struct \xff {}", "main.thrift:1: unexpected '\ufffd'"),
        ("struct A {}".encode("utf-16"), "main.thrift:1: the file is UTF-16; expected UTF-8"),
        (b"\xef\xbb\xbf\xef\xbb\xbfstruct A {}", r"main.thrift:1: unexpected '\\ufeff'"),
    ],
)
def test_bytes_that_mean_nothing_are_an_error(tmp_path: Path, found: bytes, message: str) -> None:
    """With the line."""
    (tmp_path / "main.thrift").write_bytes(found)
    with pytest.raises(IdlError, match=message):
        source(tmp_path / "main.thrift")


def test_includes_are_followed_no_further_than_the_limit(tmp_path: Path) -> None:
    """A tree of files that is deep, and one whose branches meet in each file, which is read once."""
    files = {f"f{depth}.thrift": f"include 'f{depth + 1}.thrift'" for depth in range(100)}
    with pytest.raises(IdlError, match="f63.thrift:1: .*f64.thrift: files include each other more than 64 deep"):
        source(write(tmp_path / "deep", files))
    files = {f"f{at}.thrift": f"include 'f{at + 1}.thrift'\ninclude 'g{at + 1}.thrift'" for at in range(60)}
    files |= {f"g{at}.thrift": files[f"f{at}.thrift"] for at in range(60)} | {"f60.thrift": "", "g60.thrift": ""}
    assert len(list(tree(source(write(tmp_path / "wide", files))))) == 121


def test_same_file_may_be_included_twice(tmp_path: Path) -> None:
    """Once is enough."""
    path = write(tmp_path, {"main.thrift": "include 'a.thrift'\ninclude './a.thrift'", "a.thrift": STRUCT})
    assert list(source(path).includes) == ["a"] and len(list(tree(source(path)))) == 2


def test_two_included_files_may_be_called_alike(tmp_path: Path) -> None:
    """Each is a file of its own."""
    files = {"main.thrift": "include 'a.thrift'\ninclude 'b/a.thrift'", "a.thrift": STRUCT, "b/a.thrift": STRUCT}
    main = source(write(tmp_path, files))
    assert [some.path.parent.name for some in main.includes["a"]] == [tmp_path.name, "b"]


def test_bundle_of_one_file_is_its_text(tmp_path: Path) -> None:
    """So that the digest of a file is the digest that ``sha256sum`` prints."""
    path = write(tmp_path, {"main.thrift": STRUCT})
    assert bundle(source(path)) == STRUCT
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_bundle_holds_all_files_and_reads_again(tmp_path: Path) -> None:
    """With their places relative to each other, wherever they are; the same text on every machine."""
    files = {
        "main/main.thrift": "include '../a.thrift'\ninclude 'b.thrift'\nstruct M { 1: a.A a }",
        "a.thrift": STRUCT,
        "other/b.thrift": "include '../a.thrift'\nstruct B { 1: a.A a }\n\n",
    }
    here, there = tmp_path / "here", tmp_path / "there"
    text = bundle(source(write(here, files), f"{here}/other"))
    assert text == bundle(source(write(there, files), f"{there}/other"))
    again = Bundle(text, "unused.thrift")
    assert again.main == "main/main.thrift"
    assert bundle(read(again.main, again)) == text


def test_bundle_says_what_paths_alone_do_not(tmp_path: Path) -> None:
    """Which of two files of one path was found in the directories given, and where an absolute path leads."""
    files = {
        "m/main.thrift": f"include '{tmp_path}/x/abs.thrift'\ninclude 'a.thrift'",
        "x/abs.thrift": STRUCT,
        "x/a.thrift": "struct Wrong {}",
        "y/a.thrift": "include 'sub/a.thrift'\nstruct Right {}",
        "y/sub/a.thrift": STRUCT,
    }
    main = source(write(tmp_path, files), f"{tmp_path}/y", f"{tmp_path}/x")
    again = Bundle(bundle(main), "unused.thrift")
    read_again = read(again.main, again)
    assert bundle(read_again) == bundle(main)
    assert [list(some.definitions) for some in read_again.included.values()] == [["A"], ["Right"]]


@pytest.mark.parametrize("path", ["/etc/secret.thrift", "../secret.thrift", "../../secret.thrift", "secret.thrift"])
def test_bundle_includes_nothing_from_a_disk(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text may come from anybody, and files beside it would tell them what there is."""
    write(tmp_path, {"secret.thrift": STRUCT, "x/y": ""})
    monkeypatch.chdir(tmp_path / "x")
    wanted = path.replace("/etc", str(tmp_path))
    for text in (f"include '{wanted}'", f"//// zkrpc file x/{path}\ninclude '{wanted}'"):
        files = Bundle(text, "main.thrift")
        with pytest.raises(IdlError, match="thrift:1: no file .* among those of this text|circle"):
            read(files.main, files)
    assert {some.name for some in tmp_path.rglob("*")} == {"secret.thrift", "x", "y"}


@pytest.mark.parametrize("name", ["\x1b[2Jx.thrift", "a\0.thrift", "\u202ex.thrift"])
def test_name_that_cannot_be_read_is_an_error(name: str) -> None:
    """One that a terminal would obey, too."""
    with pytest.raises(IdlError, match=" is no path") as caught:
        Bundle(f"//// zkrpc file {name}\n{STRUCT}", "x.thrift")
    assert str(caught.value).isprintable()
    with pytest.raises(IdlError, match=" is no path|cannot be read"):
        source(name)


def test_bundle_with_a_file_twice_is_an_error() -> None:
    """One of them would be the other."""
    with pytest.raises(IdlError, match="a.thrift: the text holds this file twice"):
        Bundle(f"//// zkrpc file a.thrift\n{STRUCT}//// zkrpc file ./a.thrift\n{STRUCT}", "x.thrift")


def test_bundle_with_folders_and_includes_without_end_is_an_error() -> None:
    """Each include could be looked for in each folder: somebody's bundle of a hundred kilobytes would take minutes."""
    folders = "".join(f"//// zkrpc file d{n}/a.thrift\n" for n in range(2000))
    text = folders + "//// zkrpc file main.thrift\n" + "".join(f'include "{"./" * n}d0/a.thrift"\n' for n in range(200))
    files = Bundle(text, "main.thrift")
    with pytest.raises(IdlError, match=r"main.thrift:\d+: the files of this text include too many others"):
        read(files.main, files)
