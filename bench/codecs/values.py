"""What is encoded and decoded: by a struct's name, the values of its fields; nested structs are dicts, too."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from bench.values import BLOB, ITEMS, TEXT


class Codec(NamedTuple):
    """What a library does with one value."""

    value: Any
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    answer: Any = None
    """What decoding gives; None if that is the value."""


_rng = random.Random(7)
TITLES = {
    "rich": "20 nested structs",
    "echo": "the arguments of echo",
    "scalars": "8 scalars",
    "numbers": "list of 10 000 i64",
    "words": "list of 1 000 strings",
    "shelf": "map of 100 structs",
    "blob": "64 KiB binary",
}
STRUCTS = {
    "rich": "Order",
    "echo": "Echo",
    "scalars": "Scalars",
    "numbers": "Numbers",
    "words": "Words",
    "shelf": "Shelf",
    "blob": "Blob",
}
"""The name of each value's struct."""


def _word(length: int) -> str:
    return "".join(_rng.choices(string.ascii_lowercase, k=length))


def fields(item: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """The fields of each value, with nested structs made by ``item``."""
    return {
        "rich": {"id": 4711, "customer": "Ada Lovelace", "items": [item(**some) for some in ITEMS]},
        "echo": {"text": TEXT},
        "scalars": SCALARS,
        "numbers": {"numbers": NUMBERS},
        "words": {"words": WORDS},
        "shelf": {"items": {name: item(**ITEMS[at % len(ITEMS)]) for at, name in enumerate(NAMES)}},
        "blob": {"data": BLOB},
    }


SCALARS = {
    "flag": True,
    "count": 70_000,
    "port": 8080,
    "id": _rng.getrandbits(40),
    "at": 1_621_155_920_250,
    "price": 12.75,
    "name": _word(12),
    "token": _rng.randbytes(16),
}
NUMBERS = [_rng.getrandbits(48) for _ in range(10_000)]
WORDS = [_word(10) for _ in range(1_000)]
NAMES = [_word(8) for _ in range(100)]


def made(classes: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """Each value as an object of a library's own classes, which have the names of the IDL."""
    return {name: classes[STRUCTS[name]](**some) for name, some in fields(classes["Item"]).items()}
