"""A tap takes a sample, holds so much of it, and ends when nobody asks any more."""

from __future__ import annotations

from zkrpc.server.tap import LEASE, MOST_TAPS, RING, Tap, Taps
from zkrpc.telemetry.events import RequestFinished, RequestRefused


def finished(method: str = "get") -> RequestFinished:
    """A request that went well."""
    about = {"service": "users", "interface": "Users", "peer": "10.0.0.1:5", "caller": "billing"}
    return RequestFinished(method=method, queued=0.0, seconds=0.1, **about)  # type: ignore[arg-type]


class Bench:
    """The taps of a server, the time, and whether they are told of requests."""

    def __init__(self) -> None:
        self.now = 0.0
        self.attached: list[bool] = []
        self.taps = Taps(self.attached.append, lambda: self.now, lambda: 1000.0 + self.now)

    def open(self, name: str = "t", method: str = "", sample: float = 1.0) -> Tap:
        """A tap that there is room for."""
        tap = self.taps.open(name, method, sample)
        assert tap is not None
        return tap


def test_tap_takes_what_it_was_asked_for() -> None:
    """All methods or one, with the time at which each call ended, in their order."""
    bench = Bench()
    every, some = bench.open("a"), bench.open("b", "put")
    for method in ("get", "put", "get"):
        bench.now += 1
        bench.taps.receive(finished(method))
    assert [(one.at, one.event.method) for one in every.fetch(2)] == [(1001.0, "get"), (1002.0, "put")]
    assert [one.event.method for one in some.fetch(9)] == ["put"] and some.seen == 1
    assert (every.seen, every.dropped, len(every.held)) == (3, 0, 1)
    assert "seen=3" in repr(every) and repr(bench.taps) == "<Taps 2>"


def test_sample_is_a_share_of_the_calls() -> None:
    """The first one is in it, so that a tap of a quiet method shows something."""
    bench = Bench()
    tap = bench.open(sample=0.01)
    bench.taps.receive(finished())
    assert len(tap.held) == 1
    for _ in range(999):
        bench.taps.receive(finished())
    assert 10 <= len(tap.held) <= 11 and tap.seen == 1000


def test_what_nobody_fetches_is_dropped_and_counted() -> None:
    """The newest stay."""
    bench = Bench()
    tap = bench.open()
    for number in range(RING + 10):
        bench.now = number / 1000
        bench.taps.receive(finished())
    assert (len(tap.held), tap.dropped, tap.seen) == (RING, 10, RING + 10)
    assert tap.held[0].at == 1000.01


def test_requests_are_told_only_while_somebody_taps() -> None:
    """From the first tap to the end of the last one, closed or run out."""
    bench = Bench()
    first = bench.open("a")
    bench.open("b")
    assert bench.attached == [True]
    bench.taps.close(first)
    bench.taps.close(first)
    assert bench.attached == [True] and bench.taps.find("a") is None
    bench.now = LEASE
    bench.taps.receive(finished())
    assert bench.attached == [True, False] and bench.taps.find("b") is None


def test_tap_lives_while_it_is_fetched_from() -> None:
    """And a few seconds longer."""
    bench = Bench()
    tap = bench.open()
    bench.taps.begin_fetch(tap)
    bench.now = 10 * LEASE
    assert bench.taps.find("t") is tap
    bench.taps.end_fetch(tap)
    bench.now += LEASE - 0.1
    assert bench.taps.find("t") is tap
    bench.now += 0.1
    assert bench.taps.find("t") is None


def test_taps_are_few() -> None:
    """One more finds room when another has run out."""
    bench = Bench()
    for number in range(MOST_TAPS):
        bench.open(str(number))
    assert bench.taps.open("more", "", 1.0) is None
    bench.now = LEASE
    assert bench.taps.open("more", "", 1.0) is not None and bench.attached == [True, False, True]


def test_refused_requests_are_taken_too() -> None:
    """They have not been run."""
    bench = Bench()
    tap = bench.open()
    bench.taps.receive(
        RequestRefused(
            service="users",
            interface="Users",
            method="get",
            peer="10.0.0.1:5",
            caller="billing",
            queued=0.2,
            error="Overloaded",
        )
    )
    assert tap.held[0].event.error == "Overloaded"
