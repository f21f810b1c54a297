"""IDL files as text and outline, with everything they include, each file read once however it is reached.

Finds the files and reads them; whether they make sense is decided elsewhere. Also writes all of them into one text, so
that a registry can hold an interface under its digest, and unpacks that text again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from zkrpc.errors import IdlError
from zkrpc.idl.outline import Definition, Include, Outline, parse
from zkrpc.idl.tokens import tokens_of

_MARK = "//// zkrpc file "
"""Begins each file in a text of several; a comment to Thrift."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """One file. The same object stands for it wherever it is included."""

    path: Path
    """Absolute, without symbolic links."""
    name: str
    """As messages call it: the path that was given or included."""
    text: str
    outline: Outline
    includes: dict[str, Source]
    """By the name that types of it are called with: the file's name without ``.thrift``."""
    reached: dict[str, str]
    """The path by which each include was found, links and all; thriftpy2 names its modules after that."""

    @property
    def stem(self) -> str:
        """The file's name without ``.thrift``."""
        return self.path.stem

    def definition(self, name: str) -> Definition | None:
        """What the file defines under this name."""
        return next((some for some in self.outline.definitions if some.name == name), None)


def read(path: str | os.PathLike[str], include_dirs: Sequence[str]) -> Source:
    """The file and all it includes. IdlError if one cannot be read, breaks the grammar, or includes itself."""
    return _Reading(tuple(map(os.fspath, include_dirs))).source(os.fspath(path), None, ())


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """Where a file was asked for."""

    file: str
    line: int


class _Reading:
    """One reading of a tree of files."""

    def __init__(self, include_dirs: tuple[str, ...]) -> None:
        self._include_dirs = include_dirs
        self._known: dict[Path, Source] = {}

    def source(self, given: str, asked: _Place | None, above: tuple[Path, ...]) -> Source:
        path = Path(os.path.realpath(given))
        if path in above:
            circle = " -> ".join(some.name for some in (*above[above.index(path) :], path))
            raise _failure(f"files include each other in a circle: {circle}", given, asked)
        if path not in self._known:
            self._known[path] = self._read(path, given, asked, above)
        return self._known[path]

    def _read(self, path: Path, given: str, asked: _Place | None, above: tuple[Path, ...]) -> Source:
        text = _text(path, given, asked)
        outline = parse(tokens_of(text, given), given)
        if not outline.definitions and not outline.includes:
            raise IdlError("the file defines nothing; expected at least one definition", file=given)
        includes: dict[str, Source] = {}
        reached: dict[str, str] = {}
        for include in outline.includes:
            found = self._find(include, path, given)
            child = self.source(found, _Place(given, include.line), (*above, path))
            if includes.setdefault(child.stem, child) is not child:
                message = f"two included files are called {child.stem}; types of both would be {child.stem}.Name"
                raise IdlError(message, file=given, line=include.line)
            reached[child.stem] = found
        return Source(path=path, name=given, text=text, outline=outline, includes=includes, reached=reached)

    def _find(self, include: Include, path: Path, given: str) -> str:
        places = [os.path.join(place, include.path) for place in (str(path.parent), *self._include_dirs)]
        found = next((place for place in places if os.path.exists(place)), None)
        if found is None:
            raise IdlError(f"no file {include.path}; looked for {', '.join(places)}", file=given, line=include.line)
        return found


def _text(path: Path, given: str, asked: _Place | None) -> str:
    if path.suffix != ".thrift":
        raise _failure("expected a file whose name ends in .thrift", given, asked)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise _failure(f"cannot be read: {exc.strerror}", given, asked) from exc
    except UnicodeDecodeError as exc:
        raise _failure("is not UTF-8", given, asked) from exc
    if text.startswith("\ufeff"):
        raise IdlError("the file begins with a byte order mark; expected UTF-8 without one", file=given, line=1)
    return text


def _failure(message: str, given: str, asked: _Place | None) -> IdlError:
    """An error about a file as a whole: told where it was included, if it was."""
    if asked is None:
        return IdlError(message, file=given)
    return IdlError(f"{given}: {message}", file=asked.file, line=asked.line)


def tree(source: Source) -> Iterator[Source]:
    """Every file of a tree once, included ones before those that include them."""
    seen: dict[int, Source] = {}

    def visit(some: Source) -> Iterator[Source]:
        if id(some) not in seen:
            seen[id(some)] = some
            for child in some.includes.values():
                yield from visit(child)
            yield some

    return visit(source)


def bundle(source: Source) -> str:
    """All files of a tree in one text, the main one last. One file alone is its own bundle."""
    files = list(tree(source))
    if len(files) == 1:
        return source.text
    top = os.path.commonpath([some.path.parent for some in files])
    return "".join(f"{_MARK}{os.path.relpath(some.path, top)}\n{some.text.rstrip()}\n" for some in files)


def digest(text: str) -> str:
    """The name of a text: its SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def unpack(text: str, directory: Path, name: str) -> tuple[Path, list[str]]:
    """Writes a bundle's files under a directory; gives the main file and where to look for included ones.

    ``name`` is for a main file that stands alone. IdlError if the bundle would write elsewhere.
    """
    parts = text.split(_MARK)[1:] if text.startswith(_MARK) else [f"{name}\n{text}"]
    main = directory
    for part in parts:
        name, _, body = part.partition("\n")
        main = directory / name
        if not main.resolve().is_relative_to(directory.resolve()):
            raise IdlError(f"a bundled file would be written outside of its directory: {name}")
        main.parent.mkdir(parents=True, exist_ok=True)
        main.write_text(body, encoding="utf-8")
    return main, sorted({str(path.parent) for path in directory.rglob("*.thrift")})
