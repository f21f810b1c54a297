"""The search for leaks: what it finds, what it does not take for one, and that nothing compiled is left out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from fuzz.leak_workloads import workloads
from fuzz.leaks import Gauges, bound_of, fill, growth
from scripts.report import Report
from zkrpc import compiled


class Held:
    """A class to which references are taken."""


def found(work: Callable[[], object]) -> set[str]:
    """The gauges that show a leak."""
    read = Gauges().read
    return {gauge for gauge, grown in growth(work, read).items() if grown >= bound_of(gauge)}


def test_work_that_leaks_nothing_passes() -> None:
    """Objects, references, large blocks."""
    assert not found(lambda: [Held(), bytearray(5000), None])


def test_small_block_that_is_kept_is_found() -> None:
    """One of each call is enough."""
    kept = []
    assert "blocks" in found(lambda: kept.append(object()))


def test_large_block_that_is_kept_is_found() -> None:
    """Which Python gets from malloc, as C may itself."""
    kept = []
    assert "bytes" in found(lambda: kept.append(bytearray(5000)))


def test_reference_that_is_kept_is_found() -> None:
    """To something that stays anyway, so that memory does not grow."""

    class Staying:
        """Made here, as what was there before the tests began is frozen and not seen."""

    taken = 0

    def take() -> None:
        nonlocal taken
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(Staying))
        taken += 1

    assert found(take) == {"references"}
    for _ in range(taken):
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(Staying))


def test_cache_that_is_filled_once_is_no_leak() -> None:
    """However long that takes, within what is looked at."""
    cache: dict[int, object] = {}
    numbers = iter(range(10**6))
    assert not found(lambda: cache.setdefault(next(numbers) % 100, object()))


def test_report_names_the_work_and_the_gauge() -> None:
    """One line each."""
    report = Report("leaks")
    kept = []
    fill(report, {"some work": lambda: kept.append(object())})
    assert [one.name for one in report.checks if not one.ok] == ["some work: blocks more in every round"]


def test_every_compiled_part_has_work() -> None:
    """By the package that it is in."""
    with workloads() as works:
        known = {package for some in works.values() for package in some.packages}
    assert {part.split(".")[1] for part in compiled.PARTS} <= known


@pytest.mark.parametrize(
    "name",
    ["codec", "headers", "frames", "wire of a server", "wire of a client", "server", "calls", "connections", "traces"],
)
def test_work_can_be_done_again(name: str) -> None:
    """It raises nothing, whatever came of it before."""
    with workloads() as works:
        for _ in range(2):
            works[name].work()
