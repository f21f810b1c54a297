"""``python -m fuzz.leaks``: whether what is compiled gives back all that it takes.

Everything compiled is run through the same work again and again, and after each round it is asked what the process
holds, by three gauges: blocks of Python's allocator, bytes of malloc (larger blocks, and what C takes itself), and
references to all that stays (classes, functions, modules, None, and objects of zkrpc's). Work that leaks one of
something leaks as many in every round as it is done in a round. So a gauge that does not grow by half of that in two
rounds in a row has nothing to tell, however it got there: caches are filled once. One that grows in every pair of
rounds until the end has found a leak.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import logging
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gevent

from fuzz.leak_workloads import workloads
from scripts.report import Report, add_json_flag
from zkrpc import compiled

TIMES = 20
"""How often a round does its work."""
ROUNDS = 20
_PAUSE = 0.15
"""Seconds in which what is still under way ends, such as handlers that wait and connections that were closed."""
_LEAST = {"blocks": 1, "bytes": 32, "references": 1}
"""What each gauge shows of the smallest leak; malloc gives 32 bytes at least, with what it needs itself."""
_STAYING = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, property)


class _Mallinfo(ctypes.Structure):
    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in _names]


class Gauges:
    """What the process holds. References are counted to what was there when this was made."""

    def __init__(self) -> None:
        self._watched = tuple(_staying())
        self._mallinfo: Any = None
        with contextlib.suppress(AttributeError):  # another C library
            self._mallinfo = ctypes.CDLL(None).mallinfo2
            self._mallinfo.restype = _Mallinfo

    def read(self) -> dict[str, int]:
        """Now, once nothing is under way."""
        gevent.sleep(_PAUSE)
        gc.collect()
        forget_names()
        found = {"blocks": sys.getallocatedblocks(), "references": sum(map(sys.getrefcount, self._watched))}
        if self._mallinfo is not None:
            held = self._mallinfo()
            found["bytes"] = held.uordblks + held.hblkhd
        return found


forget_names: Callable[[], None] = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache
"""Python's cache of where classes have their attributes holds references, for classes that are gone, too."""


def _staying() -> Iterable[object]:
    known = {id(some): some for some in (None, True, False, (), "", b"")}
    for some in gc.get_objects():
        kind = type(some)  # which proxies do not lie about
        if issubclass(kind, _STAYING) or str(kind.__module__).partition(".")[0] == "zkrpc":
            known[id(some)] = some
        if issubclass(kind, type):
            known.update({id(name): name for name in type.__dict__["__dict__"].__get__(some)})
    return known.values()


def growth(work: Callable[[], object], read: Callable[[], Mapping[str, int]]) -> dict[str, int]:
    """What each gauge grows by in a round: the mean of two in a row, the first two where it is little or the last ones.
    Two, as what ends a little later, a connection for instance, is missed by one round and counted by the other."""
    before, earlier = read(), dict.fromkeys(("blocks", "bytes", "references"), sys.maxsize)
    found: dict[str, int] = {}
    # Nothing is kept of a round but what takes the place of something, as all of it is counted.
    for number in range(ROUNDS):
        for _ in range(TIMES):
            work()
        now = read()
        for name in now:
            grown = now[name] - before[name]
            if number > 1 and found.get(name, sys.maxsize) >= bound_of(name):  # the first has what is needed here
                found[name] = (grown + earlier[name]) // 2
            earlier[name] = grown
        before = now
        if number > 1 and all(grown < bound_of(name) for name, grown in found.items()):
            break
    return found


def bound_of(gauge: str) -> int:
    """What growth of a round is a leak: half of what the smallest one comes to."""
    return TIMES * _LEAST[gauge] // 2


def fill(report: Report, works: Mapping[str, Callable[[], object]]) -> None:
    """The growth of each, beside the bound."""
    for name, work in works.items():
        work()
        found = growth(work, Gauges().read)
        for gauge, grown in found.items():
            report.check(f"{name}: {gauge} more in every round", grown, bound_of(gauge), comparison="<")


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks for leaks and prints what it found."""
    parser = argparse.ArgumentParser(prog="scripts/leaks", description="Whether what is compiled leaks anything.")
    parser.add_argument("--only", default="", help="workloads, with commas between")
    add_json_flag(parser)
    options = parser.parse_args(arguments)
    only = [name for name in options.only.split(",") if name]
    logging.disable(logging.CRITICAL)
    report = Report(f"leaks, {compiled.in_words()}")
    with workloads() as found:
        if unknown := set(only) - found.keys():
            parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(found)}")
        fill(report, {name: some.work for name, some in found.items() if not only or name in only})
    return report.finish(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
