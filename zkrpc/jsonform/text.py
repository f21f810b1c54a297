"""JSON text to plain values and back, strictly and within bounds."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from zkrpc.errors import JsonError

MAX_SIZE = 32 * 1024 * 1024
"""Characters of a text that are read: several times what the bytes of a frame of 4 MiB may become."""
MAX_DEPTH = 200
"""Arrays and objects that may be inside each other: more than the 64 structs of the wire need, and far less than
Python's stack holds."""
_SHOWN = 60
_LONGEST_INTEGER = 400
"""Digits that are read as an int. No double is larger, and Python refuses to read some thousands of them."""


class MinusZero(int):
    """The number ``-0``, which is a zero for an integer, and another one for a double."""


class Repetitive(dict[str, Any]):
    """An object in which a name stands twice, so that it cannot be said what it means."""

    name: str


def parse(text: str, *, max_size: int = MAX_SIZE) -> Any:
    """The plain value of a JSON text. Raises JsonError if it is none, or longer than ``max_size`` characters.

    A number that no double can hold becomes infinity, and an object with a name twice a :class:`Repetitive`, so that
    :mod:`~zkrpc.jsonform.reading` can say where it stands.
    """
    if len(text) > max_size:
        raise JsonError(f"{len(text)} characters are too much; at most {max_size} are read")
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as exc:
        at = f"line {exc.lineno}, column {exc.colno}"
        # Some of Python's messages end where the place begins: "Unterminated string starting at".
        what = exc.msg.removesuffix(" at")
        raise JsonError(f"not JSON: {what[:1].lower()}{what[1:]} at {at}") from None
    except RecursionError:
        raise too_deep() from None


def dump(plain: object, *, indent: int | None = None) -> str:
    """The JSON text of a plain value, readable: letters of all scripts stay, and what is not visible is escaped, so
    that it can be shown in a terminal. Reading it gives the very value again."""
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=indent)
    if text.isprintable():
        return text
    return "".join(char if char == "\n" or char.isprintable() else _escaped(char) for char in text)


def shown(plain: object) -> str:
    """A plain value in an error's text."""
    try:
        text = dump(plain)
    except ValueError:  # infinity, as a number was too large
        return "a number that no double holds"
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def expected(what: str, plain: object) -> JsonError:
    """The error for a value that does not fit."""
    return JsonError(f"expected {what}, got {shown(plain)}")


def too_deep() -> JsonError:
    """The error for too many levels."""
    return JsonError(f"nested too deeply; at most {MAX_DEPTH} arrays and objects may be inside each other")


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _integer(digits: str) -> int | float:
    if digits == "-0":
        return MinusZero()
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    twice, seen = Repetitive(made), set[str]()
    for name, _ in pairs:
        if name in seen:
            twice.name = name
            break
        seen.add(name)
    return twice


def _no_number(name: str) -> NoReturn:
    raise JsonError(f'{name} is no JSON; as a double it is written as text, "{name}"')


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_number)
