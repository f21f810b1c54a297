"""Who makes a call: the name and version that a client's program goes by, and which ones a server believes.

A client says both once for each connection. They are whatever the peer writes, so they are no proof of anything: they
tell operators who calls, and let a service be shared out among callers that mean well. A text that could not be shown,
or used as a key, is not taken as a name. What a peer's certificate proves is beside them, as its identity.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from typing import NamedTuple

from zkrpc.identity import Identity

LONGEST_NAME = 64
"""Characters of a name. With a version of its longest the hello stays below the 256 bytes that every peer takes."""
LONGEST_VERSION = 32
"""Characters of a version."""

NAME_RULE = f"1 to {LONGEST_NAME} ASCII letters, digits and any of . _ - @ / +, a letter or digit first"
VERSION_RULE = f"at most {LONGEST_VERSION} ASCII letters, digits and any of . _ - + ~ !"

OTHER_CALLERS = "_OTHER"
"""Stands for all callers that are not counted by a name of their own; no client can say it."""
UNNAMED = "unnamed:"
"""What the names of callers that say none begin with; no client can say it, as of the colon."""

ALL_UNNAMED = "unnamed"
"""Stands for all callers that say no name where a quota is set."""

_is_name = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._@/+-]{{0,{LONGEST_NAME - 1}}}").fullmatch
_is_version = re.compile(rf"[A-Za-z0-9._+~!-]{{0,{LONGEST_VERSION}}}").fullmatch


class Caller(NamedTuple):
    """A program that calls."""

    name: str
    """Empty if it does not say."""
    version: str = ""
    """Empty if it does not say."""
    identity: Identity | None = None
    """Who it is by its certificate; None if it has shown none that was verified. Unlike the name this is proven."""

    @property
    def shown(self) -> str:
        """What it goes by where people look: what it has proven, or else its own word."""
        return self.name if self.identity is None else str(self.identity)


NOBODY = Caller("")
"""A caller that says nothing."""


def is_name(text: object) -> bool:
    """Whether a caller may go by this name; ``NAME_RULE`` in words."""
    return isinstance(text, str) and _is_name(text) is not None


def is_version(text: object) -> bool:
    """Whether a caller may say this version; ``VERSION_RULE`` in words."""
    return isinstance(text, str) and _is_version(text) is not None


def name_from(text: str) -> str:
    """A good name as similar to ``text`` as can be; empty if nothing of it can be used."""
    return re.sub(r"[^A-Za-z0-9._@/+-]+", "-", text).lstrip("._@/+-")[:LONGEST_NAME].rstrip("-")


def version_from(text: str) -> str:
    """A good version as similar to ``text`` as can be."""
    return re.sub(r"[^A-Za-z0-9._+~!-]+", "-", text)[:LONGEST_VERSION]


_own: list[Caller] = []


def go_by(name: str, version: str = "") -> None:
    """From now on clients of this process that have no name of their own go by this one: a service's, in a process
    that serves it."""
    _own[:] = [Caller(name_from(name), version_from(version))]


def this_program() -> Caller:
    """What clients of this process go by that have no name of their own.

    The name is that of the service that this process was started to serve, or of the module that ``python -m`` runs,
    or of the script. The version is the service's, or ``__version__`` of the program, or that of the installed
    distribution of this name.
    """
    return _own[0] if _own else _program()


@functools.cache
def _program() -> Caller:
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    said = str(getattr(spec, "name", None) or "").removesuffix(".__main__")
    if said in ("", "__main__"):
        said = os.path.basename(sys.argv[0] if sys.argv else "").removesuffix(".py")
    # Without a file it is code on the command line, an interactive interpreter, or a program that embeds one.
    name = name_from(said if said not in ("-c", "__main__") else "") or "python"
    version = getattr(main, "__version__", None)
    return Caller(name, version_from(version if isinstance(version, str) else _installed(name.partition(".")[0])))


def _installed(distribution: str) -> str:
    from importlib import metadata  # some 20 ms, once, and only where somebody calls

    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return ""
