"""Memory that was freed goes back to the system, where the system knows how."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator

import pytest

from faults import memory
from zkrpc.server.memory import _trimmer, give_back


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
