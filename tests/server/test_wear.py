"""When a worker has served long enough."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zkrpc
from tests.support.echo import EchoHandler, idl
from zkrpc.server.wear import CallCounter, Wear, WearLimits
from zkrpc.testing.loopback import Loopback

MIB = 2**20


def look(wear: Wear, now: float = 0.0, memory: int | None = 0, calls: int = 0) -> str | None:
    """Asks it."""
    return wear.look(now, memory=memory, calls=calls)


@pytest.mark.parametrize(
    ("limits", "within", "beyond", "reason"),
    [
        ({"max_memory": 100 * MIB}, {"memory": 100 * MIB}, {"memory": 101 * MIB}, "it occupies 101 MiB"),
        ({"max_calls": 1000}, {"calls": 1000}, {"calls": 1001}, "it has run 1001 calls"),
        ({"max_age": 3600.0}, {"now": 3600.0}, {"now": 3601.0}, "it is old enough"),
    ],
)
def test_worker_is_worn_beyond_its_limit(
    limits: dict[str, Any], within: dict[str, Any], beyond: dict[str, Any], reason: str
) -> None:
    """Of each kind; the others do not matter, nor does memory that is not known."""
    wear = Wear(WearLimits(**limits), 0.0, lambda: 0.5)
    assert look(wear, **within) is None and look(wear, memory=None) is None
    assert look(wear, **beyond) == reason


def test_worker_that_is_still_there_says_it_again_after_a_minute() -> None:
    """Its successor may not have come up; not all the time, as it may only be waiting for its turn."""
    wear = Wear(WearLimits(max_calls=10), 0.0, lambda: 0.5)
    said = [now for now in range(200) if look(wear, now=float(now), calls=20) is not None]
    assert said == [0, 60, 120, 180]


def test_no_limit_is_no_wear() -> None:
    """And can be told apart."""
    assert not WearLimits() and WearLimits(max_age=1.0) and WearLimits(max_calls=1)
    assert look(Wear(WearLimits(), 0.0, lambda: 0.5), now=1e9, memory=10**12, calls=10**9) is None


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_limit_is_moved_by_a_tenth_at_most(chance: float) -> None:
    """Workers that were started together are not worn together."""
    wear = Wear(WearLimits(max_calls=1000), 0.0, lambda: chance)
    assert look(wear, calls=899) is None and look(wear, calls=1101) is not None


def test_calls_are_counted_however_they_end() -> None:
    """Those that went well without an event for each."""
    counter = CallCounter()
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0), observers=[counter])
    with Loopback(service) as stub:
        for _ in range(5):
            stub.echo("x")
        for how in ("declared", "else"):
            with pytest.raises((idl.Oops, zkrpc.RemoteError)):
                stub.fail(how)
    assert counter.count == 7
