"""The limit of descriptors at a server's start; and memory that was freed goes back where the system knows how."""

from __future__ import annotations

import ctypes
import io
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from faults import memory
from zkrpc.server import resources
from zkrpc.server.resources import (
    RESERVE,
    DescriptorPlan,
    _trimmer,
    give_back,
    occupied_memory,
    plan_limit,
    provide_descriptors,
)

NONE = resource.RLIM_INFINITY
FEW = 256
"""A soft limit that the tests' own process can live with for a moment."""


@pytest.fixture
def hard() -> Iterator[int]:
    """This process has few descriptors and may have more; the value is its hard limit. Ends as it was."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, before[1]))
    try:
        yield before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1024, 1_048_576, 5000 + RESERVE),
        (1024, NONE, 5000 + RESERVE),
        (1024, 5000 + RESERVE, 5000 + RESERVE),
        (5001 + RESERVE, NONE, 5001 + RESERVE),
        (NONE, NONE, NONE),
        (65536, 65536, 65536),
    ],
)
def test_descriptors_are_raised_as_far_as_they_are_needed(soft: int, hard: int, expected: int) -> None:
    """Where the hard limit allows it nobody needs to hear of it."""
    assert plan_limit(5000, soft, hard) == DescriptorPlan(expected, None)


def test_descriptors_that_do_not_suffice_are_a_warning() -> None:
    """One line, with what is needed, what there is, and what to do; what can be had is taken."""
    plan = plan_limit(10_000, 1024, 4096)
    assert plan.soft == 4096 and plan.warning is not None and "\n" not in plan.warning
    for part in ("max_connections=10000 needs 10100", "may have 4096", "3996 connections", "LimitNOFILE="):
        assert part in plan.warning
    assert "some 0 connections" in str(plan_limit(10_000, 50, 50).warning)


def test_descriptors_of_a_process_are_what_was_planned() -> None:
    """In a process of its own, whose limits may be changed."""
    code = (
        "import resource; from zkrpc.server.resources import provide_descriptors;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 500));"
        "print(provide_descriptors(200), provide_descriptors(1000), resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.startswith("None max_connections=1000 needs 1100") and output.endswith("(500, 500)\n")


def test_there_is_room_for_all_descriptors_from_the_start() -> None:
    """As far as the limit goes: a table that grows while connections come stops the event loop each time."""
    code = (
        "import resource; from zkrpc.server.resources import provide_descriptors;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 5000));"
        "size = lambda: int(open('/proc/self/status').read().partition('FDSize:')[2].split()[0]);"
        "print(size(), provide_descriptors(2000), size(), bool(provide_descriptors(90_000)), size())"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    before, warning, room, warned, most = output.split()
    assert int(before) < 2000 + RESERVE <= int(room) and warning == "None"
    assert warned == "True" and int(most) >= 5000


def test_descriptors_are_raised_to_what_is_needed_and_no_further(hard: int) -> None:
    """The soft limit alone: the hard one stays, and so does a soft one that suffices."""
    assert provide_descriptors(FEW - RESERVE) is None
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (FEW, hard)
    assert provide_descriptors(FEW) is None
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (FEW + RESERVE, hard)


@pytest.mark.parametrize("error", [OSError(22, "Invalid argument"), ValueError("not allowed")])
def test_limit_that_a_system_does_not_grant_is_a_warning(
    error: Exception, hard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server starts nevertheless, with what it has; one line says what it wanted, for what, and why it has less."""

    def refuse(which: int, limits: tuple[int, int]) -> None:
        assert (which, limits) == (resource.RLIMIT_NOFILE, (FEW + RESERVE, hard))
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(resource, "setrlimit", refuse)
        warning = provide_descriptors(FEW)
    assert warning == f"cannot have {FEW + RESERVE} descriptors for max_connections={FEW}, only {FEW}: {error}"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (FEW, hard)


# Memory


def _statm(monkeypatch: pytest.MonkeyPatch, content: bytes | OSError) -> None:
    """The system tells this of the process's memory, or fails to."""

    def told(path: str, mode: str) -> io.BytesIO:
        assert (path, mode) == ("/proc/self/statm", "rb")
        if isinstance(content, OSError):
            raise content
        return io.BytesIO(content)

    monkeypatch.setattr(resources, "open", told, raising=False)


def test_memory_that_is_occupied_is_the_resident_part_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system counts in pages, and tells first what is mapped, which is much more than what is used."""
    _statm(monkeypatch, b"90000 1234 560 1 0 7800 0\n")
    monkeypatch.setattr(resource, "getpagesize", lambda: 16384)
    assert occupied_memory() == 1234 * 16384


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell")
def test_memory_that_is_taken_into_use_counts_as_occupied() -> None:
    """Measured in this process: what is written to is there, and gone once it is freed."""
    before = occupied_memory()
    block = bytearray(b"x") * 64_000_000
    during = occupied_memory()
    del block
    after = occupied_memory()
    assert before is not None and during is not None and after is not None
    assert during - before > 50_000_000 and during - after > 50_000_000


@pytest.mark.parametrize(
    "content", [FileNotFoundError(2, "no /proc"), PermissionError(13, "hidden"), b"", b"1", b"1 ?"]
)
def test_memory_is_unknown_where_the_system_does_not_tell(
    content: bytes | OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other systems have no such file, and a sandbox may hide or empty it: nobody fails for want of a number."""
    _statm(monkeypatch, content)
    assert occupied_memory() is None


@pytest.fixture
def asked_anew() -> Iterator[None]:
    """The C library is looked at as at a process's start, and again after the test."""
    _trimmer.cache_clear()
    yield
    _trimmer.cache_clear()


def test_memory_is_given_back() -> None:
    """Also what lies between things that live on."""
    if platform.libc_ver()[0] != "glibc":
        assert not give_back()
        return
    kept, gone = [], []
    for _ in range(2000):
        gone.append(bytes(60_000))
        kept.append(bytes(600))
    del gone
    give_back()
    before = memory.now(os.getpid())
    gone = [bytes(60_000) for _ in range(2000)]
    assert memory.now(os.getpid()) - before > 80
    del gone
    assert give_back()
    assert memory.now(os.getpid()) - before < 40 and len(kept) == 2000


@pytest.mark.parametrize("error", [OSError("no library"), AttributeError("malloc_trim"), TypeError("no name")])
@pytest.mark.usefixtures("asked_anew")
def test_system_that_does_not_know_how_is_left_alone(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other C libraries lack the function, other systems the library: not an error, and looked for only once."""
    looked: list[None] = []

    class Library:
        """One that has nothing to give."""

        def __init__(self, name: None) -> None:
            looked.append(name)
            if not isinstance(error, AttributeError):
                raise error

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert not give_back()
    assert not give_back()
    assert looked == [None]


@pytest.mark.usefixtures("asked_anew")
def test_nothing_is_kept_back_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function is told to leave no free memory at the end of the heap, every time."""
    told = []

    class Trim:
        """As ctypes has it: takes any attributes."""

        def __call__(self, pad: int) -> int:
            told.append(pad)
            return 0

    class Library:
        """One that can."""

        def __init__(self, name: None) -> None:
            self.malloc_trim = Trim()

    monkeypatch.setattr(ctypes, "CDLL", Library)
    assert give_back() and give_back()
    assert told == [0, 0]
