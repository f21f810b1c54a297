"""Functions and values, as a stub writes them.

A stub is laid out as black lays one out, so that a formatter leaves it alone: a signature is on one line, or on one for
each parameter, and a literal has double quotes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from zkrpc.idl.hints import Hints, free_name
from zkrpc.idl.modules import is_speakable

WIDTH = 88
"""Columns; longer signatures have a line for each parameter."""
_LONGEST_VALUE = 50
"""The most characters of a constant's value that are shown."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a function in a stub."""

    name: str
    hint: str
    default: str | None = None

    def __str__(self) -> str:
        """As a signature has it."""
        return f"{self.name}: {self.hint}" + ("" if self.default is None else f" = {self.default}")


def arranged(hints: Hints, parameters: Sequence[Parameter]) -> list[str]:
    """The parameters of a constructor or method, the object itself first, as Python can declare them.

    One without a default that follows one with a default is given by name. One whose name Python has no room for is
    given by its place, or by ``**{"class": 1}``.
    """
    names = {one.name for one in parameters}
    written = [self_among(names)]
    had_default = by_name = False
    for one in parameters:
        if had_default and one.default is None and not by_name:
            by_name = True
            written.append("*")
        had_default = had_default or one.default is not None
        if is_speakable(one.name):
            written.append(str(one))
        elif not by_name:
            written.append(str(dataclasses.replace(one, name=free_name(f"_{one.name.strip('_')}", set(names)))))
    if written[-1] == "*":
        written.pop()
    if not all(map(is_speakable, names)):
        written.append(f"**{free_name('others', names)}: {hints.module('typing')}.Any")
    return written


def self_among(names: set[str]) -> str:
    """The name of a method's first parameter; one that begins with an underscore is taken for it by checkers, too."""
    return free_name("self", set(names))


def function(name: str, parameters: Sequence[str], returns: str, *, define: str = "def") -> list[str]:
    """A function without a body, on one line or on one for each parameter; ``define`` may be ``async def``."""
    line = f"{define} {name}({', '.join(parameters)}) -> {returns}: ..."
    if len(line) + 4 <= WIDTH:
        return [line]
    return [f"{define} {name}(", *(f"    {one}," for one in parameters), f") -> {returns}: ..."]


def told(lines: Sequence[str], text: str) -> list[str]:
    """A function with a docstring in the place of its body, and an empty line behind it."""
    return [*lines[:-1], lines[-1].removesuffix(" ..."), f'    """{text}"""', ""]


def indented(lines: Iterable[str]) -> list[str]:
    """The lines within a class, without empty ones at their end."""
    kept = [f"    {line}" if line else "" for line in lines]
    while kept and not kept[-1]:
        kept.pop()
    return kept


def listed(names: Sequence[str]) -> str:
    """A list of names, short enough for ``__all__``."""
    line = f"[{', '.join(map(quoted, names))}]"
    if len(line) <= WIDTH - len("__all__ = "):
        return line
    return "\n".join(["[", *(f"    {quoted(name)}," for name in names), "]"])


def shown(value: Any) -> str:
    """A value as a stub shows it; nothing if it is long, or not of a kind that a stub may show."""
    if isinstance(value, str):
        text = quoted(value)
    elif isinstance(value, bytes):
        text = _requoted(repr(value))
    elif isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        text = repr(value)
    else:
        return ""
    return text if len(text) <= _LONGEST_VALUE else ""


def quoted(text: str) -> str:
    """The text as a literal."""
    return _requoted(repr(text))


def _requoted(literal: str) -> str:
    """A literal in double quotes, as formatters like it, unless it has some inside."""
    if '"' in literal:
        return literal
    prefix, _, rest = literal.partition("'")
    return f'{prefix}"{rest[:-1]}"'
