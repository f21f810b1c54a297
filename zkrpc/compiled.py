"""Whether the compiled parts are used: decided for each when the package that has it is imported, and never again.

Each is an extension module ``_compiled`` beside the Python that does the same, and is not there where nothing could be
compiled. ``ZKRPC_PURE=1`` in the environment leaves all of them alone; ``ZKRPC_PURE=0`` makes it an error if one is
not there. This is read here, and not on the way from a command line, because importing is when it counts.

``setup.py`` writes into each what it was built from: zkrpc's version and a checksum of the C source. A build of
another version, or of a source that has changed since (which can be told where the source stands beside it, as in a
working copy; wheels do not carry it), is an error: it would otherwise win silently over what the source says now.
"""

from __future__ import annotations

import importlib
import os
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from zkrpc.rpc_error import ConfigError

VARIABLE = "ZKRPC_PURE"
_REBUILD = (
    f"build it again (scripts/setup in a working copy, else pip install --force-reinstall zkrpc), or set {VARIABLE}=1"
)
PARTS = (
    "zkrpc.client._compiled",
    "zkrpc.codec._compiled",
    "zkrpc.server._compiled",
    "zkrpc.tracing._compiled",
    "zkrpc.wire._compiled",
)
"""Every one that there can be."""
_VERSION = str(sys.modules["zkrpc"].__version__)
"""Looked up and not imported: the package's own module names, for type checkers, all that lies above."""
_decided: dict[str, ModuleType | None] = {}


def load(name: str, environment: Mapping[str, str] = os.environ) -> ModuleType | None:
    """The extension module ``name``; None if pure Python is to be used instead.

    Raises ConfigError if the module that is there was built from something else or cannot be loaded, if there is none
    although the environment insists on it, and if the environment says what means nothing.
    """
    if name not in _decided:
        _decided[name] = _decide(name, environment.get(VARIABLE, ""))
    return _decided[name]


def acquaint(part: ModuleType | None, *classes: type) -> None:
    """Tells a part the classes, by their names, whose objects it reads and fills by the places of their slots; does
    nothing where pure Python is used instead."""
    if part is not None:
        for one in classes:
            part.know(one.__name__, one)


def in_use() -> bool:
    """Whether all parts are used in their compiled form. Raises ConfigError as :func:`load` does."""
    return all(load(name) is not None for name in PARTS)


def in_words() -> str:
    """What :func:`in_use` says, and why, for people."""
    if in_use():
        return "compiled"
    why = f"as {VARIABLE}=1 wants it" if os.environ.get(VARIABLE) == "1" else "as nothing compiled was installed"
    return f"pure Python, {why}"


def _decide(name: str, pure: str) -> ModuleType | None:
    if pure not in ("", "0", "1"):
        raise ConfigError(
            f"{VARIABLE} is {pure!r}: 1 means pure Python, 0 insists on the compiled parts, nothing takes what there is"
        )
    module = None if pure == "1" else _find(name)
    if module is None and pure == "0":
        raise ConfigError(f"{VARIABLE}=0, but {name} was not compiled here; {_REBUILD}")
    return module


def _find(name: str) -> ModuleType | None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
    except ImportError as error:
        raise ConfigError(f"{name} cannot be loaded ({error}); {_REBUILD}") from error
    built_from, file = str(getattr(module, "BUILT_FROM", "something unknown")), Path(str(module.__file__))
    source = file.with_name(f"{name.rpartition('.')[2]}.c")
    if built_from != f"{_VERSION} {_checksum(source) or built_from.rpartition(' ')[2]}":
        raise ConfigError(f"{file} was built from another version of zkrpc or of its source; {_REBUILD}")
    return module


def _checksum(source: Path) -> str:
    """Of the source; empty if it is not there."""
    try:
        return f"{zlib.crc32(source.read_bytes()):08x}"
    except OSError:
        return ""
