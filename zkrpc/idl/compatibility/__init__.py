"""Whether a new version of an IDL breaks those who rely on the old one. Theory of operation.

Two versions of a file are read (:func:`read_file`, :func:`read_text`) and compared (:func:`compare`), without making a
class of either. What comes out are values: each :class:`Break` says which rule is broken, where, why that breaks whom,
what to do instead, and which methods' calls it concerns. ``rules`` has all rules with their levels; the page
``docs/idl-compatibility.md`` shows them.

A version is judged by *both* directions that occur while it is rolled out: old callers with new servers, and data that
one version has written and the other reads. New callers with old servers are not judged: whoever adds a method, or an
argument, deploys servers first.

==============  ========================================================================================================
``rules``       levels, rules and breaks, as values
``comparison``  services, methods and their policies, constants, namespaces
``types``       types by what they stand for; structs, unions, exceptions, enums
``values``      constants and defaults by what they mean
==============  ========================================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from zkrpc.idl.compatibility.comparison import compare
from zkrpc.idl.compatibility.rules import RULES, Break, Level, Rule, Severity
from zkrpc.idl.lint import check
from zkrpc.idl.source import Bundle, Disk, Files, Source, read, tree

__all__ = ["RULES", "Break", "Level", "Rule", "Severity", "compare", "read_file", "read_text"]


def read_file(path: str | os.PathLike[str], *, include_dirs: Sequence[str] = ()) -> Source:
    """A file with all it includes, checked. IdlError for what is wrong with any of them."""
    return _checked(os.fspath(path), Disk([os.path.abspath(place) for place in include_dirs]))


def read_text(text: str, *, name: str = "interface.thrift") -> Source:
    """The same for a text, as :func:`zkrpc.idl.load_text` takes it."""
    files = Bundle(text, name)
    return _checked(files.main, files)


def _checked(given: str, files: Files) -> Source:
    source = read(given, files)
    for some in tree(source):
        check(some)
    return source
