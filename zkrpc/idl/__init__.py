"""IDL files to interfaces, at run time and without generated code. Theory of operation.

``load(path)`` takes a file and all it includes through five steps, each of which knows nothing of the next:

1. :mod:`~zkrpc.idl.source` reads every file once and finds the included ones;
2. :mod:`~zkrpc.idl.parser` makes an outline of each (:mod:`~zkrpc.idl.outline`), by the grammar ``thrift.lark``; the
steps below see nothing else of a file; 3. :mod:`~zkrpc.idl.lint` refuses what would load and break later; there and
below, :mod:`~zkrpc.idl.names` looks up what a name stands for; 4. :mod:`~zkrpc.idl.build` makes the classes, as
thriftpy2 would, with the help of :mod:`~zkrpc.idl.classes` and :mod:`~zkrpc.idl.values`; :mod:`~zkrpc.idl.slots` is
what ``vars()`` gives of their objects, and :mod:`~zkrpc.idl.pickles` finds the classes of pickled ones;
5. :mod:`~zkrpc.idl.model` compiles the methods, with the policies that :mod:`~zkrpc.idl.policy` reads in their
annotations.

:mod:`~zkrpc.idl.served` says by which names calls of one or several interfaces come to one port.

``load_into`` makes a module of what was loaded (:mod:`~zkrpc.idl.modules`), and ``stubs_of`` the source of that module
and its stub, by which type checkers follow it (:mod:`~zkrpc.idl.stubs`, with :mod:`~zkrpc.idl.hints` for types and
:mod:`~zkrpc.idl.signatures` for functions and values).

Why not ``thriftpy2.load``: it cannot parse a fifth of public IDL files; it takes an included file for that of another
project if they have the same name, makes two classes of one exception that is included by two paths, drops whatever
follows a field called ``async``, and leaves ``list<User>`` unresolved if User is defined below the service. Its classes
are what people know, so they are made here as thriftpy2 makes them: they compare, print and work with its protocols.

*Built-in services* are those that every served port answers beside its own interface, such as ``zkrpc.Health``. Their
files lie here, one for each, and go with the package. On the wire a method of theirs is called ``zkrpc.Health:check``,
which is what a Thrift client writes that multiplexes a service ``zkrpc.Health``. No name in an IDL can have a dot, so
none can be taken for it.

Loading a file again gives the same classes, unless its text or the text of a file it includes has changed; then it
gives new ones, and the old ones go on working. Wrong files raise :class:`~zkrpc.errors.IdlError`, which reads
``file:line: what is wrong, what was expected``, and leave nothing behind. A definition that Python cannot hold is
refused when it is used.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any

from zkrpc.errors import IdlError
from zkrpc.idl.build import build, built
from zkrpc.idl.lint import check
from zkrpc.idl.model import Contents, Idl, Interface, Method, Parameter, contents_of
from zkrpc.idl.modules import fill, module_stem
from zkrpc.idl.names import functions_of, lineage_of
from zkrpc.idl.outline import Definition
from zkrpc.idl.pickles import remember
from zkrpc.idl.policy import MethodPolicy, masked_fields, policy_of
from zkrpc.idl.source import Bundle, Disk, Files, Source, bundle, digest, read, tree
from zkrpc.idl.stubs import module_text, stub_text

__all__ = [
    "BUILT_INS",
    "Idl",
    "Interface",
    "Method",
    "MethodPolicy",
    "Parameter",
    "SCOPE",
    "built_in",
    "built_in_idl",
    "digest_of",
    "file_of",
    "interfaces_of",
    "load",
    "load_into",
    "load_text",
    "masked_fields",
    "module_of",
    "stubs_of",
    "text_of",
]

SCOPE = "zkrpc."
"""What the names of built-in services begin with."""

BUILT_INS = ("Health", "Introspection")
"""The built-in services, without ``zkrpc.``."""

_loaded: dict[ModuleType, Idl] = {}
"""The Idl of each module of classes, so that loading a file twice gives the same Idl."""

_texts: dict[tuple[str, str], Idl] = {}
"""The Idl of each text and name, so that loading one again makes no new classes."""


def load(path: str | os.PathLike[str], *, include_dirs: Sequence[str | os.PathLike[str]] = ()) -> Idl:
    """Loads an IDL file. Included files are looked for beside the file that includes them, then in ``include_dirs``.

    Raises IdlError for anything wrong with any of the files.
    """
    return _load(os.fspath(path), Disk([os.path.abspath(place) for place in include_dirs]))


def load_into(namespace: dict[str, Any], path: str, *, include_dirs: Sequence[str | os.PathLike[str]] = ()) -> None:
    """Makes the module that calls it, with its ``globals()``, hold what an IDL file defines.

    Paths are relative to the module's file. ``zkrpc stubs`` writes such modules and their types. Raises IdlError as
    :func:`load` does.
    """
    folder = os.path.dirname(os.path.abspath(namespace["__file__"]))
    places = [os.path.join(folder, place) for place in include_dirs]
    fill(namespace, load(os.path.join(folder, path), include_dirs=places))


def load_text(text: str, *, name: str = "interface.thrift") -> Idl:
    """Loads a text that :func:`text_of` returned, or the text of one file. Raises IdlError as :func:`load` does.

    Nothing is read from disk or written to it: included files must be in the text.
    """
    if (text, name) not in _texts:
        files = Bundle(text, name)
        _texts[text, name] = _load(files.main, files)
    return _texts[text, name]


@functools.cache
def built_in_idl(name: str) -> Idl:
    """The file of the built-in service ``zkrpc.NAME``, with the classes that its methods take and return."""
    return load(Path(__file__).with_name(f"{name.lower()}.thrift"))


@functools.cache
def built_in(name: str) -> Interface:
    """The interface of the built-in service ``zkrpc.NAME``, whose methods have the names that they have on the wire."""
    interface = interfaces_of(built_in_idl(name))[name]
    methods = {method.name: method.renamed(f"{SCOPE}{name}:{method.name}") for method in interface.methods.values()}
    return Interface(interface.name, methods, file=interface.file, text=interface.text, digest=interface.digest)


def stubs_of(
    path: str | os.PathLike[str],
    *,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
    out: str | os.PathLike[str] | None = None,
    top_level: bool = False,
) -> dict[str, str]:
    """The modules and stubs of an IDL file and of all it includes: the absolute path of each, with its text.

    Args:
        path, include_dirs: as for :func:`load`.
        out: the folder for all of them; by default each stands beside its IDL file.
        top_level: whether they import each other by bare names, as that folder is on Python's path itself; otherwise
            they are modules of a package.

    Raises IdlError for anything wrong with a file, and if two modules would have one name.
    """
    places = [os.path.abspath(place) for place in include_dirs]
    sources, idls = _loaded_tree(os.fspath(path), Disk(places))
    files = {some: os.path.abspath(some.name) for some in sources}
    folders = {some: os.path.abspath(out) if out is not None else os.path.dirname(files[some]) for some in sources}
    modules = {some: PurePath(folders[some], module_stem(some.stem)) for some in sources}
    texts: dict[str, str] = {}
    for some, idl in zip(sources, idls, strict=True):
        module, folder = modules[some], folders[some]
        if f"{module}.py" in texts:
            raise IdlError(f"its module would be {module}.py, as another file's; rename one of them", file=some.name)
        name = _relative(files[some], folder)
        needed = [] if _is_beside(some) else [_relative(place, folder) for place in places]
        texts[f"{module}.py"] = module_text(name, module.name, needed)
        texts[f"{module}.pyi"] = stub_text(
            some, interfaces_of(idl), modules, name=name, digest=digest_of(idl), top_level=top_level
        )
    return texts


def _is_beside(source: Source) -> bool:
    """Whether every include of a tree leads to its file without include directories."""
    return all(
        os.path.realpath(some.path.parent / written) == str(child.path)
        for some in tree(source)
        for written, child in some.included.items()
    )


def _relative(path: str, folder: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def interfaces_of(idl: Idl) -> Mapping[str, Interface]:
    """The services that a file defines itself."""
    return {name: some for name, some in contents_of(idl).names.items() if isinstance(some, Interface)}


def text_of(idl: Idl) -> str:
    """The text of the file, bundled with those it includes."""
    return contents_of(idl).text


def digest_of(idl: Idl) -> str:
    """The SHA-256 of the text, in hex: equal on every machine that has the same files."""
    return contents_of(idl).digest


def file_of(idl: Idl) -> str:
    """The path it was loaded from."""
    return contents_of(idl).file


def module_of(idl: Idl) -> ModuleType:
    """The module of its classes."""
    return contents_of(idl).module


def _load(given: str, files: Files) -> Idl:
    return _loaded_tree(given, files)[1][-1]


def _loaded_tree(given: str, files: Files) -> tuple[list[Source], list[Idl]]:
    """A file and all it includes, included ones first."""
    try:
        sources = list(tree(read(given, files)))
        for some in sources:
            check(some)
            remember(some, build(some))
        return sources, [_idl(some) for some in sources]
    except RecursionError as exc:  # whoever called was deep in its stack already
        raise IdlError("too little of the stack is left to load it", file=given) from exc


def _idl(source: Source) -> Idl:
    made = built(source)
    if made.module not in _loaded:
        text = bundle(source)
        names: dict[str, Any] = {
            stem: _merged([_idl(home) for home in homes]) for stem, homes in source.includes.items()
        }
        names |= made.constants | made.classes
        for definition in source.outline.definitions:
            if definition.kind == "service":
                names[definition.name] = _interface(source, definition, text)
        contents = Contents(file=source.name, module=made.module, names=names, text=text, digest=digest(text))
        _loaded[made.module] = Idl(contents)
    return _loaded[made.module]


def _merged(idls: Sequence[Idl]) -> Idl:
    """One namespace for several included files of the same name: it holds what only one of them defines."""
    every = [contents_of(some) for some in idls]
    names = Counter(name for some in every for name in some.names)
    once = {name: found for some in every for name, found in some.names.items() if names[name] == 1}
    return idls[0] if len(idls) == 1 else Idl(dataclasses.replace(every[0], names=once))


def _interface(source: Source, service: Definition, text: str) -> Interface:
    methods = {
        function.name: Method(
            service.name,
            function,
            built(home).classes[owner.name],
            policy_of(function.annotations, home.name),
            file=home.name,
        )
        for home, owner, function in functions_of(source, service)
    }
    above = [place for place in lineage_of(source, service) if place[1] is not service]
    parents = {
        owner.name: tuple(one.name for _, _, one in functions_of(home, owner)) for home, owner in reversed(above)
    }
    return Interface(service.name, methods, file=source.name, text=text, digest=digest(text), parents=parents)
