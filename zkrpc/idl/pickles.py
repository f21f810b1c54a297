"""Pickling of structs, exceptions and enums: their classes are found by the names of their IDL file, so that a pickle
can be read elsewhere.

A pickle names a class by its file's name, such as ``dog.thrift``, and its own name; not by a path or a digest of the
text, so that it can be read on another machine, and after the file has changed. The reader must have loaded an IDL of
that name; the error says so otherwise. If several of one name are loaded, the class is taken from:

1. the very file, same place and contents, that it was pickled from, so that within a process an object keeps its class;
2. the one that defines it with the same fields, the last loaded one if there are several; 3. the only one that defines
it; if one file was loaded again after a change, its last version.

If that leaves more than one, it cannot be known which is meant, and the error names them.
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
"""For each file name, the path and the classes of every file of that name that was loaded, by the name of the classes'
module, in the order of loading."""
_files: dict[type, str] = {}
"""The name of the file that defines each class."""


def remember(source: Source, made: Built) -> None:
    """Registers the classes of a file, so that pickles find them."""
    same = _loaded.setdefault(source.path.name, {})
    same[made.module.__name__] = same.pop(made.module.__name__, (str(source.path), made))
    _files.update(dict.fromkeys(made.classes.values(), source.path.name))


def find(file: str, name: str, module: str, shape: str) -> Any:
    """The class that a pickle means. Pickles refer to this function, so its name must not change.

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
    """A digest of the fields of a struct or the items of an enum; comments do not change it."""
    spec = getattr(cls, "thrift_spec", None)
    parts = (
        sorted(vars(cls)["_NAMES_TO_VALUES"].items()) if spec is None else [(key, spec[key]) for key in sorted(spec)]
    )
    said = repr(_said(tuple(parts)))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _said(entry: Any) -> Any:
    """A part of a ``thrift_spec`` with classes replaced by their names."""
    if isinstance(entry, tuple):
        return tuple(map(_said, entry))
    return entry.__name__ if isinstance(entry, type) else entry


def _reduce(cls: type) -> Any:
    """How a class is pickled: by its names, and by what tells it from other classes of the same names. A class that a
    user derived from it is pickled by reference, as usual."""
    if cls in _files:
        return find, (_files[cls], cls.__name__, cls.__module__, shape_of(cls))
    return cls.__qualname__


copyreg.pickle(StructMeta, _reduce)
copyreg.pickle(EnumMeta, _reduce)
