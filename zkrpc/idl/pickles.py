"""Pickles of structs, exceptions and enums that are read elsewhere: their classes are found by the names of their IDL.

A pickle names a class by its file's name, such as ``dog.thrift``, and its own; not by a place on a disk or a digest of
the text, so it is read on another machine, and after the file has changed. Who reads it has loaded an IDL of that name
before, or is told to. If several of one name are loaded, the class is taken from:

1. the very file, same place and contents, that it was pickled from: within a process nothing changes its class;
2. the one that defines it with the same fields, the last that was loaded if there are some;
3. the only one that defines it; of one file that was loaded again after a change, the last.

If that leaves more than one, nobody could say which is meant, and the error names them.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import pickle
from typing import Any

from zkrpc.idl.build import Built
from zkrpc.idl.classes import EnumMeta, StructMeta
from zkrpc.idl.source import Source

_loaded: dict[str, dict[str, tuple[str, Built]]] = {}
"""For each file's name, what was made of files of this name: their places and classes by the module's name, in the
order of loading."""
_files: dict[type, str] = {}
"""The file's name of each class."""


def remember(source: Source, made: Built) -> None:
    """Makes the classes of a file ones that pickles find."""
    same = _loaded.setdefault(source.path.name, {})
    same[made.module.__name__] = same.pop(made.module.__name__, (str(source.path), made))
    _files.update(dict.fromkeys(made.classes.values(), source.path.name))


def find(file: str, name: str, module: str, shape: str) -> Any:
    """The class that a pickle means; what it calls.

    Raises :class:`pickle.UnpicklingError` if no IDL of the name is loaded, none defines the class, or several do.
    """
    same = _loaded.get(file, {})
    having = {key: (place, made.classes[name]) for key, (place, made) in same.items() if name in made.classes}
    if module in having:
        return having[module][1]
    if not having:
        wrong = f"the {file} that is loaded defines no {name}" if same else f"no {file} is loaded"
        raise pickle.UnpicklingError(
            f"{wrong}; this pickle holds its {name}: call zkrpc.load() on that file before reading it"
        )
    alike = [some for _, some in having.values() if shape_of(some) == shape]
    if alike:
        return alike[-1]
    last = dict(having.values())
    if len(last) > 1:
        raise pickle.UnpicklingError(
            f"{' and '.join(last)} are loaded and define {name}, none of them as this pickle has it: expected one"
        )
    return next(iter(last.values()))


@functools.cache
def shape_of(cls: Any) -> str:
    """A digest of the fields of a struct, or the items of an enum, which comments do not change."""
    spec = getattr(cls, "thrift_spec", None)
    parts = (
        sorted(vars(cls)["_NAMES_TO_VALUES"].items()) if spec is None else [(key, spec[key]) for key in sorted(spec)]
    )
    said = repr(_said(tuple(parts)))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _said(entry: Any) -> Any:
    """A part of a ``thrift_spec`` with the names of classes in their place."""
    if isinstance(entry, tuple):
        return tuple(map(_said, entry))
    return entry.__name__ if isinstance(entry, type) else entry


def _reduce(cls: type) -> Any:
    """What is written for a class: its names, and what tells it from others of the same names. One that the user
    derived from it is found as all classes are."""
    if cls in _files:
        return find, (_files[cls], cls.__name__, cls.__module__, shape_of(cls))
    return cls.__qualname__


copyreg.pickle(StructMeta, _reduce)
copyreg.pickle(EnumMeta, _reduce)
