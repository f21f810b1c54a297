"""A contestant from inside: ``python -m bench.codecs.contestant MODULE FUNCTION``.

Its first line says what it is that cannot be had, or nothing. Then each line is an order: a value, a way, and for how
many seconds of the processor a turn lasts; the answer is microseconds for a call. It ends with its input.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.codecs.values import Codec


def main() -> None:
    """Becomes the codec."""
    module, function = sys.argv[1:]
    try:
        codecs: dict[str, Codec] = getattr(importlib.import_module(f"bench.codecs.{module}"), function)()
    except ImportError as error:
        print(json.dumps(str(error)), flush=True)
        return
    works = {(name, way): work for name, codec in codecs.items() for way, work in ways_of(codec).items()}
    counts: dict[tuple[str, str], int] = {}
    gc.collect()
    gc.freeze()
    print(json.dumps(""), flush=True)
    for line in sys.stdin:
        name, way, seconds = json.loads(line)
        if (name, way) not in counts:
            counts[name, way] = count_for(*works[name, way], seconds)
        print(json.dumps(turn(*works[name, way], counts[name, way])), flush=True)


def ways_of(codec: Codec) -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """Both functions with what they are given. ValueError if what they make is wrong: nobody shall be fast by that."""
    body = codec.encode(codec.value)
    decoded = codec.decode(body)
    if decoded != (codec.value if codec.answer is None else codec.answer):
        raise ValueError(f"decoded {decoded!r:.200}")
    return {"encode": (codec.encode, codec.value), "decode": (codec.decode, body)}


def count_for(work: Callable[[Any], Any], argument: Any, seconds: float) -> int:
    """How many calls take that long; what the first of them take counts for nothing."""
    count = 1
    while (took := turn(work, argument, count) * count / 1e6) < seconds / 2:
        count = count * 2 if took < seconds / 100 else max(count + 1, round(count * seconds / took))
    return count


def turn(work: Callable[[Any], Any], argument: Any, count: int) -> float:
    """Microseconds of the processor for a call."""
    calls = range(count)
    began = time.thread_time()
    for _ in calls:
        work(argument)
    return (time.thread_time() - began) / count * 1e6


if __name__ == "__main__":
    main()
