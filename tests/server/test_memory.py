"""Memory that was freed goes back to the system, where the system knows how."""

from __future__ import annotations

import os
import platform

from tests.faults import memory
from zkrpc.server.memory import give_back


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
