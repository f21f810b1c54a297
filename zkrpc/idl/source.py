"""IDL files as text and outline, with everything they include, each file read once however it is reached.

Finds the files and reads them, on disk or in a *bundle*, a text that holds several; other modules check what they hold.
A registry keeps an interface as a bundle under its digest. A bundle is untrusted: what it includes is looked for in the
bundle and nowhere else, and nothing of it is written to disk.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from zkrpc.errors import IdlError
from zkrpc.idl.outline import DEEPEST, Definition, Include, Outline
from zkrpc.idl.parser import parse

_MARK = "//// zkrpc file "
"""The line that begins each file in a bundle; a comment to Thrift."""
_LINK = "//// zkrpc include "
"""The line that follows it for each include that could not be found by its path alone, or not with certainty."""
_MOST_LOOKS = 200_000
"""How often a bundle's folders are searched for included files at most, as a bundle is untrusted: half a second."""
_BOM = "\ufeff"
_QUOTED = re.compile(r"""//[^\n]*|\#[^\n]*|/\*[\s\S]*?\*/|("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
"""Matches comments, and string literals in a group."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """One file. There is one object for it, wherever it is included."""

    path: Path
    """Absolute, without symbolic links; in a bundle, relative to the bundle's top, written as if that were the root."""
    name: str
    """Its name in messages: the path that was given or included."""
    text: str
    outline: Outline
    definitions: Mapping[str, Definition]
    includes: Mapping[str, tuple[Source, ...]]
    """Included files by the prefix of their types' names, which is the file's name without ``.thrift``; rarely two have
    the same."""
    included: Mapping[str, Source]
    """Included files by the path that is written behind ``include``."""
    identity: str
    """A digest of place and contents, and of those of all it includes: the same in every process on the same files."""

    @property
    def stem(self) -> str:
        """The file's name without ``.thrift``."""
        return self.path.stem

    @property
    def children(self) -> Iterator[Source]:
        """The included files, without duplicates."""
        return iter(dict.fromkeys(some for homes in self.includes.values() for some in homes))


class Files(Protocol):
    """A place in which files are looked for: :class:`Disk` or :class:`Bundle`."""

    @property
    def origin(self) -> str:
        """Text that tells this place from other places."""

    def find(self, include: Include, includer: Path, name: str) -> str:
        """The path of an included file. IdlError if there is none; ``name`` is the including file's name in
        messages."""

    def real(self, given: str) -> Path:
        """The canonical path of a file."""

    def bytes_of(self, path: Path) -> bytes:
        """A file's contents. OSError if it cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """Looks for files beside the file that includes them, then in the directories given."""

    include_dirs: Sequence[str] = ()
    origin: str = ""

    def find(self, include: Include, includer: Path, name: str) -> str:
        """Takes an absolute path as it is."""
        places = [os.path.join(place, include.path) for place in (str(includer.parent), *self.include_dirs)]
        found = next((place for place in places if os.path.exists(place)), None)
        if found is None:
            raise IdlError(f"no file {include.path!r}; looked for {', '.join(places)}", file=name, line=include.line)
        return found

    def real(self, given: str) -> Path:
        """The path without symbolic links."""
        return Path(os.path.realpath(given))

    def bytes_of(self, path: Path) -> bytes:
        """The file's contents."""
        return path.read_bytes()


class Bundle:
    """The files of one text. A text that is no bundle is one file, called ``name``."""

    def __init__(self, text: str, name: str) -> None:
        self.origin = digest(text)
        self.main = name
        self.files: dict[str, str] = {}
        self._links: dict[tuple[str, str], str] = {}
        parts = text.split(_MARK)[1:] if text.startswith(_MARK) else [f"{name}\n{text}"]
        for part in parts:
            given, _, body = part.partition("\n")
            if not given.isprintable():
                raise IdlError(f"{given!r} is no path")
            self.main = str(self.real(given))[1:]
            while body.startswith(_LINK):
                link, _, body = body.removeprefix(_LINK).partition("\n")
                target, _, written = link.partition(" <- ")
                self._links[self.main, written] = target
            if self.main in self.files:
                raise IdlError("the text holds this file twice", file=self.main)
            self.files[self.main] = body
        self._directories = _directories(self.files)
        self._looks_left = _MOST_LOOKS

    def find(self, include: Include, includer: Path, name: str) -> str:
        """Looks beside the file that includes, then in every directory of the bundle."""
        self._looks_left -= len(self._directories) + 1
        if self._looks_left < 0:
            raise IdlError(
                f"the files of this text include too many others from too many folders: more than {_MOST_LOOKS} looks",
                file=name,
                line=include.line,
            )
        linked = self._links.get((str(includer)[1:], include.path))
        found = (
            linked
            if linked in self.files
            else _found_among(self.files, self._directories, include.path, str(includer.parent))
        )
        if found is None:
            raise IdlError(f"no file {include.path!r} among those of this text", file=name, line=include.line)
        return found

    def real(self, given: str) -> Path:
        """The path as if the bundle's top were the root."""
        return Path("/" + given)

    def bytes_of(self, path: Path) -> bytes:
        """The file's part of the text."""
        return self.files[str(path)[1:]].encode("utf-8", "surrogatepass")


def _directories(files: Iterable[str]) -> list[str]:
    return sorted({posixpath.dirname("/" + name) for name in files})


def _found_among(files: Collection[str], directories: Sequence[str], wanted: str, directory: str) -> str | None:
    """The file of a bundle that an include means, judged by its path alone."""
    if wanted.startswith("/"):
        return None
    paths = (posixpath.normpath(posixpath.join(place, wanted))[1:] for place in (directory, *directories))
    return next((path for path in paths if path in files), None)


def read(given: str | os.PathLike[str], files: Files) -> Source:
    """Reads a file and all it includes. IdlError if one cannot be read, breaks the grammar, or includes itself."""
    return _Reading(files).source(os.fspath(given), None, ())


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """The place of an ``include``: the file and the line."""

    file: str
    line: int


class _Reading:
    """Reads a tree of files once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: dict[Path, Source] = {}

    def source(self, given: str, asked: _Place | None, above: tuple[Path, ...]) -> Source:
        """The source of a file, which is read at the first time."""
        if "\0" in given:
            raise IdlError(f"{given!r} is no path")
        path = self._files.real(given)
        if path in above:
            circle = " -> ".join(some.name for some in (*above[above.index(path) :], path))
            raise _failure(f"files include each other in a circle: {circle}", given, asked)
        if len(above) >= DEEPEST:
            raise _failure(f"files include each other more than {DEEPEST} deep", given, asked)
        if path not in self._known:
            self._known[path] = self._read(path, given, asked, above)
        return self._known[path]

    def _read(self, path: Path, given: str, asked: _Place | None, above: tuple[Path, ...]) -> Source:
        text = self._text(path, given, asked)
        outline = parse(text, given)
        included: dict[str, Source] = {}
        for include in outline.includes:
            if not include.path.isprintable():
                raise IdlError(f"{include.path!r} is no path", file=given, line=include.line)
            found = self._files.find(include, path, given)
            included[include.path] = self.source(found, _Place(given, include.line), (*above, path))
        includes: dict[str, tuple[Source, ...]] = {}
        for child in dict.fromkeys(included.values()):
            includes[child.stem] = (*includes.get(child.stem, ()), child)
        parts = (self._files.origin, str(path), text, *(child.identity for child in included.values()))
        return Source(
            path=path,
            name=given,
            text=text,
            outline=outline,
            definitions={some.name: some for some in outline.definitions},
            includes=includes,
            included=included,
            identity=digest("\0".join(parts)),
        )

    def _text(self, path: Path, given: str, asked: _Place | None) -> str:
        if path.suffix != ".thrift":
            raise _failure("expected a file whose name ends in .thrift", given, asked)
        try:
            found = self._files.bytes_of(path)
        except OSError as exc:
            raise _failure(f"cannot be read: {exc.strerror}", given, asked) from exc
        return _decoded(found, given).removeprefix(_BOM).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(found: bytes, name: str) -> str:
    """Decodes a file as UTF-8. Old files may hold other bytes in comments, where they do no harm; elsewhere the grammar
    refuses U+FFFD."""
    if found.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise IdlError("the file is UTF-16; expected UTF-8", file=name, line=1)
    try:
        return found.decode()
    except UnicodeDecodeError as exc:
        text = found.decode(errors="replace")
        strings = (match for match in _QUOTED.finditer(text) if match[1] and "\ufffd" in match[1])
        wrong = next(strings, None)
        if wrong is not None:
            raise IdlError("a string is not UTF-8", file=name, line=text.count("\n", 0, wrong.start()) + 1) from exc
        return text


def _failure(message: str, given: str, asked: _Place | None) -> IdlError:
    """An error about a file as a whole; its place is the ``include``, if the file was included."""
    if asked is None:
        return IdlError(message, file=given)
    return IdlError(f"{given}: {message}", file=asked.file, line=asked.line)


def tree(source: Source) -> Iterator[Source]:
    """Every file of a tree, without duplicates, included ones before those that include them."""
    seen: dict[Source, None] = {}

    def visit(some: Source) -> Iterator[Source]:
        if some not in seen:
            seen[some] = None
            for child in some.children:
                yield from visit(child)
            yield some

    return visit(source)


def bundle(source: Source) -> str:
    """All files of a tree in one text, the main one last. One file alone is its own bundle."""
    files = list(tree(source))
    if len(files) == 1:
        return source.text
    top = os.path.commonpath([some.path.parent for some in files])
    names = {some: os.path.relpath(some.path, top) for some in files}
    return "".join(f"{_MARK}{name}\n{_links(some, names)}{some.text.rstrip()}\n" for some, name in names.items())


def _links(source: Source, names: Mapping[Source, str]) -> str:
    """Lines that say which files are meant where that does not follow from the paths."""
    every, directory = set(names.values()), posixpath.dirname("/" + names[source])
    directories = _directories(every)
    return "".join(
        f"{_LINK}{names[child]} <- {written}\n"
        for written, child in source.included.items()
        if _found_among(every, directories, written, directory) != names[child]
    )


def digest(text: str) -> str:
    """The SHA-256 of a text in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
