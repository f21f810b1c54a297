"""Two ways to read an IDL that is to be compared: from the disk, and as the text that an instance publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl import load
from zkrpc.idl.compatibility import compare, read_file, read_text

SHARED = "struct Cat { 1: %s name }\n"
MAIN = 'include "shared.thrift"\nservice Cats { shared.Cat get(1: i64 id) }\n'


def write(folder: Path, shared: str) -> Path:
    """The main file of an IDL of two files, in two folders."""
    for name, text in (("main.thrift", MAIN), ("common/shared.thrift", shared)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "main.thrift"


def test_published_text_is_compared_with_a_file_as_the_file_itself_is(tmp_path: Path) -> None:
    """The text holds what was included, wherever that lay; it breaks nothing, and a change shows in the same words."""
    old, new = write(tmp_path / "old", SHARED % "string"), write(tmp_path / "new", SHARED % "i32")
    text = load(old, include_dirs=[tmp_path / "old" / "common"]).Cats.text
    before, after = (read_file(path, include_dirs=[str(path.parent / "common")]) for path in (old, new))
    published = read_text(text)
    assert compare(published, before) == compare(before, published) == []
    (broken,) = compare(published, after)
    (same,) = compare(before, after)
    assert (broken.rule.name, broken.subject, broken.change) == (same.rule.name, same.subject, same.change)
    assert broken.methods == ("Cats.get",)


def test_text_that_is_no_bundle_has_the_name_that_it_is_given() -> None:
    """So that a break says where to look."""
    old, new = "service Cats { void get() }\n", "service Cats {}\n"
    (broken,) = compare(read_text(old, name="cats.thrift"), read_text(new))
    assert (broken.file, broken.line) == ("cats.thrift", 1)
    assert read_text(new).name == "interface.thrift"


@pytest.mark.parametrize("text", ["service Cats { Dog get() }\n", "service {", 'include "/etc/hostname"\n'])
def test_text_with_a_mistake_is_not_compared(text: str) -> None:
    """Unknown types, what is no IDL, and includes of what is not in the text."""
    with pytest.raises(IdlError, match="^interface.thrift:1"):
        read_text(text)


def test_mistake_in_an_included_file_is_told_with_that_file(tmp_path: Path) -> None:
    """As every file is checked, not only the one that was named."""
    path = write(tmp_path, SHARED % "Dog")
    with pytest.raises(IdlError, match="shared.thrift:1"):
        read_file(path, include_dirs=[str(tmp_path / "common")])
