"""What is sent: the same for every peer, each in its own classes."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from typing import Any

WORKLOADS = ("ping", "echo", "rich", "blob")

_rng = random.Random(5)


def _word(length: int) -> str:
    return "".join(_rng.choices(string.ascii_lowercase, k=length))


TEXT = _word(100)
BLOB = _rng.randbytes(64 * 1024)
ITEMS: list[dict[str, Any]] = [
    {
        "id": _rng.getrandbits(40),
        "name": _word(12),
        "price": round(_rng.uniform(1, 1000), 2),
        "in_stock": number % 2 == 0,
        "count": _rng.randrange(1000),
        "token": _rng.randbytes(16),
        "tags": [_word(6) for _ in range(3)],
        "places": {_word(5): _rng.randrange(100_000) for _ in range(2)},
    }
    for number in range(20)
]


def order(order_class: Callable[..., Any], item_class: Callable[..., Any]) -> Any:
    """The ``Order`` of workload ``rich``, with 20 nested structs, in a peer's own classes."""
    items = [item_class(**fields) for fields in ITEMS]
    return order_class(id=4711, customer="Ada Lovelace", items=items)


def arguments(order_class: Callable[..., Any], item_class: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    """The arguments of each workload's call; its answer is the argument, or nothing for ``ping``."""
    return {"ping": (), "echo": (TEXT,), "rich": (order(order_class, item_class),), "blob": (BLOB,)}
