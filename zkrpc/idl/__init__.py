"""IDL files to interfaces, at run time and without generated code. Theory of operation.

``load(path)`` takes a file and all it includes through five steps, each of which knows nothing of the next:

1. :mod:`~zkrpc.idl.source` reads every file once and finds the included ones;
2. :mod:`~zkrpc.idl.tokens` and :mod:`~zkrpc.idl.outline` say what is written there, line by line;
3. :mod:`~zkrpc.idl.lint` refuses what would load and break later;
4. :mod:`~zkrpc.idl.build` lets thriftpy2 make the classes, and puts right what it gets wrong;
5. :mod:`~zkrpc.idl.model` compiles the methods, with what :mod:`~zkrpc.idl.policy` read in their annotations.

Why not ``thriftpy2.load`` alone: it takes the included file of another project if it has the same name, makes two
classes of one exception that is included by two paths, drops whatever follows a field called ``async``, and leaves
``list<User>`` unresolved if User is defined below the service. All of that without a word. Its classes are used as they
are: they compare, print and pickle as thriftpy2 made them.

Loading a file again gives the same classes, unless its text or the text of a file it includes has changed; then it
gives new ones, and the old ones go on working. Wrong files raise :class:`~zkrpc.errors.IdlError`, which reads
``file:line: what is wrong, what was expected``, and leave nothing behind.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from zkrpc.idl.build import build, built
from zkrpc.idl.lint import check
from zkrpc.idl.model import Idl, Interface, Method, Parameter
from zkrpc.idl.names import functions_of
from zkrpc.idl.outline import Definition
from zkrpc.idl.policy import MethodPolicy, policy_of
from zkrpc.idl.source import Source, bundle, digest, read, tree, unpack
from zkrpc.idl.tokens import thriftpy2_parser

__all__ = [
    "Idl",
    "Interface",
    "Method",
    "MethodPolicy",
    "Parameter",
    "digest_of",
    "file_of",
    "interfaces_of",
    "load",
    "load_text",
    "module_of",
    "text_of",
]

_loaded: dict[ModuleType, Idl] = {}
"""The Idl of each module of classes, so that a file that is loaded twice is one Idl."""

_texts: dict[str, Idl] = {}
"""The Idl of each text, so that asking for one again makes no new classes."""


def load(path: str | os.PathLike[str], *, include_dirs: Sequence[str | os.PathLike[str]] = ()) -> Idl:
    """Loads an IDL file. Included files are looked for beside the file that includes them, then in ``include_dirs``.

    Raises IdlError for anything wrong with any of the files.
    """
    with thriftpy2_parser():
        directories = [os.path.abspath(place) for place in include_dirs]
        source = read(path, directories)
        for some in tree(source):
            check(some)
            build(some, directories)
        return _idl(source)


def load_text(text: str, *, name: str = "interface.thrift") -> Idl:
    """Loads what :func:`text_of` gave, or the text of one file. Raises IdlError as :func:`load` does."""
    if text not in _texts:
        with tempfile.TemporaryDirectory(prefix="zkrpc-idl-") as directory:
            path, include_dirs = unpack(text, Path(directory), name)
            _texts[text] = load(path, include_dirs=include_dirs)
    return _texts[text]


def interfaces_of(idl: Idl) -> Mapping[str, Interface]:
    """The services that a file defines itself."""
    return {name: some for name, some in idl._names.items() if isinstance(some, Interface)}


def text_of(idl: Idl) -> str:
    """The text of the file, bundled with those it includes."""
    return idl._text


def digest_of(idl: Idl) -> str:
    """The SHA-256 of the text, in hex: equal on every machine that has the same files."""
    return idl._digest


def file_of(idl: Idl) -> str:
    """The path it was loaded from."""
    return idl._file


def module_of(idl: Idl) -> ModuleType:
    """thriftpy2's module behind it."""
    return idl._module


def _idl(source: Source) -> Idl:
    module = built(source)
    if module not in _loaded:
        text = bundle(source)
        names: dict[str, Any] = {stem: _idl(child) for stem, child in source.includes.items()}
        for definition in source.outline.definitions:
            if definition.kind == "service":
                names[definition.name] = _interface(source, definition, text)
            elif definition.kind != "typedef":
                names[definition.name] = getattr(module, definition.name)
        _loaded[module] = Idl(source.name, module, names, text=text, digest=digest(text))
    return _loaded[module]


def _interface(source: Source, service: Definition, text: str) -> Interface:
    methods = {
        function.name: Method(
            service.name,
            function,
            getattr(built(home), owner.name),
            policy_of(function.annotations, home.name),
            file=home.name,
        )
        for home, owner, function in functions_of(source, service)
    }
    return Interface(service.name, methods, file=source.name, text=text, digest=digest(text))
