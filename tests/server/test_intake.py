"""The reading end of a connection: what it reads at once, and when it lets others go first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zkrpc.server.intake import Intake
from zkrpc.server.turns import SLICE

KIB = 1024


class InPython(Intake):
    """One that reads in Python."""

    __slots__ = ()

    _read = Intake._read_in_python


@pytest.fixture(params=[Intake, InPython], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has the intake that is in use, and the one in Python."""
    monkeypatch.setattr(Bench, "kind", request.param)


class Bench:
    """An intake between a socket, a watcher, turns and an owner that the test plays."""

    kind: type[Intake] = Intake

    def __init__(self) -> None:
        self.protocol: Any = self
        self.inflow: Any = self
        self.may_take_long = False
        self.wanted = 0
        self.spent = False
        self.waiting: list[Callable[[], object]] = []
        self.chunks: list[Any] = []
        self.asked: list[int] = []
        self.events: list[Any] = []
        self.left = False
        self.now = self.cost = 0.0
        self.readable: Callable[[], object] | None = None
        self.intake = self.kind(self, self, self, "10.0.0.1", self)  # type: ignore[arg-type]  # it plays all of them

    # the socket
    def recv(self, size: int) -> bytes:
        self.asked.append(size)
        if not self.chunks:
            raise BlockingIOError
        chunk = self.chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        return bytes(min(chunk, size))

    # the watcher
    def start(self, callback: Callable[[], object]) -> None:
        self.readable = callback

    def stop(self) -> None:
        self.readable = None

    def close(self) -> None:
        self.events.append("watcher closed")

    # the turns
    def wait(self, address: str, take_turn: Callable[[], object]) -> None:
        assert address == "10.0.0.1"
        self.waiting.append(take_turn)

    def is_spent(self) -> bool:
        return self.spent

    # the owner
    def receive(self, chunk: bytes, now: float, wait: bool) -> None:
        self.events.append((len(chunk), wait))
        self.now += self.cost

    def gather(self, chunk: bytes, now: float) -> None:
        self.events.append(("gathered", len(chunk), now))
        self.now += 1.0

    def run_gathered(self, now: float) -> None:
        self.events.append(("run", now))

    def take_turn(self, now: float) -> bool:
        self.events.append("turn")
        return self.left

    def flush(self, *, nothing_came: bool) -> None:
        assert nothing_came
        self.events.append("flush")

    def clock(self) -> float:
        return self.now

    # the test
    def read(self, *chunks: Any) -> None:
        """The socket has these to give, and is readable for each."""
        self.chunks += chunks
        for _ in chunks:
            assert self.readable is not None
            self.readable()

    def give_turn(self) -> None:
        self.waiting.pop(0)()


def test_intake_reads_more_from_whoever_sends_much() -> None:
    """Twice as much after each read that was full and taken in no time, up to a bound; others change nothing."""
    bench = Bench()
    bench.cost = SLICE
    bench.read(16 * KIB)
    bench.cost = 0.0
    bench.read(100, 16 * KIB, 20 * KIB, 32 * KIB, 64 * KIB, 64 * KIB)
    assert bench.asked == [16 * KIB, 16 * KIB, 16 * KIB, 32 * KIB, 32 * KIB, 64 * KIB, 64 * KIB]
    assert bench.events[1] == (100, False) and repr(bench.intake) == "<Intake reading>"


def test_intake_reads_what_the_wire_machine_wants() -> None:
    """Whether that is more or less than it would have read; it learns nothing from it for other reads."""
    bench = Bench()
    bench.wanted = 100 * KIB
    bench.read(99 * KIB)
    bench.wanted = 100
    bench.read(100)
    bench.wanted = 0
    bench.read(10)
    assert bench.asked == [100 * KIB, 100, 16 * KIB]


def test_intake_gathers_two_long_messages_before_any_is_run() -> None:
    """If there are two of what is wanted, or the beginning of a second; both began when the first was read."""
    bench = Bench()
    bench.wanted = 40 * KIB
    bench.chunks += [40 * KIB, 40 * KIB]
    bench.read(40 * KIB)
    gathered = ("gathered", 40 * KIB, 0.0)
    assert bench.events == [gathered, gathered, ("run", 0.0)] and bench.chunks == [40 * KIB]
    bench.events.clear()
    bench.read(10 * KIB)
    assert bench.events == [("gathered", 40 * KIB, 2.0), ("gathered", 10 * KIB, 2.0), ("run", 2.0)]


def test_intake_gathers_no_more_where_nothing_long_is_wanted_or_much_was_used() -> None:
    """Neither of short messages, nor where others go first."""
    bench = Bench()
    bench.wanted = 15 * KIB
    bench.read(15 * KIB)
    bench.wanted = 40 * KIB
    bench.spent = True
    bench.read(40 * KIB)
    assert bench.events == [(15 * KIB, False), (40 * KIB, True)]


@pytest.mark.parametrize("end", [BlockingIOError(), ConnectionResetError(), 0])
def test_intake_looks_for_more_less_often_where_there_was_none(end: Any) -> None:
    """Whatever it was: all the same what came before is run. Where there was one, the next look comes at once."""
    bench = Bench()
    bench.wanted = 40 * KIB
    for looks in (1, 0, 0, 0, 1, 0):
        bench.asked.clear()
        bench.chunks += [40 * KIB, *[end] * looks]
        bench.readable()  # type: ignore[misc]  # it reads
        assert bench.asked == [40 * KIB] * (1 + looks) and not bench.chunks
    assert [one for one, *_ in bench.events] == ["gathered", "run"] * 6
    bench.events.clear()
    for _ in range(2):
        bench.read(40 * KIB)
    for _ in range(2):
        bench.chunks += [40 * KIB, 40 * KIB]
        bench.readable()  # type: ignore[misc]  # it reads
    assert [one for one, *_ in bench.events] == ["gathered", "run"] * 2 + ["gathered", "gathered", "run"] * 2


def test_intake_reads_less_from_whoever_takes_long() -> None:
    """Half as much after each time, down to a bound; and nothing before its turn."""
    bench = Bench()
    for _ in range(6):
        bench.intake.wait_for_turn(for_long=True)
        bench.intake.wait_for_turn()
        assert (bench.readable, len(bench.waiting), repr(bench.intake)) == (None, 1, "<Intake waiting>")
        bench.chunks.append(10)
        bench.give_turn()
    assert bench.asked == [8 * KIB, 4 * KIB, 2 * KIB, KIB, KIB, KIB]


def test_intake_reads_in_its_turn_if_nothing_is_left_to_do() -> None:
    """What is left goes first; when there is nothing to be read either, it reads on as everybody does."""
    bench = Bench()
    bench.left = True
    bench.intake.wait_for_turn()
    bench.give_turn()
    assert bench.events == ["turn"] and not bench.asked
    bench.left = False
    bench.intake.wait_for_turn()
    bench.give_turn()
    assert bench.events == ["turn", "turn", "flush"]
    assert bench.readable is not None and bench.intake.is_reading


def test_intake_lets_others_go_first_where_much_was_used_already() -> None:
    """What a large read brings waits for its turn, and what may complete something large is not even read before; a
    small one never waits, and nobody twice."""
    bench = Bench()
    bench.read(5 * KIB)
    bench.spent = True
    bench.read(100, KIB, KIB + 1)
    assert [wait for _, wait in bench.events] == [False, False, False, True]
    bench.may_take_long = True
    bench.read(100)
    assert len(bench.events) == 4 and bench.intake.is_waiting
    bench.give_turn()
    assert bench.events[-2:] == ["turn", (100, False)]
    bench.may_take_long = False
    bench.intake.wait_for_turn()
    bench.chunks.append(5 * KIB)
    bench.give_turn()
    assert bench.events[-1] == (5 * KIB, False)


def test_intake_stops_and_goes_on_as_told() -> None:
    """Stopped means that not even a turn comes of it; going on while it waits means to wait."""
    bench = Bench()
    bench.intake.stop()
    bench.intake.stop()
    assert (bench.readable, repr(bench.intake)) == (None, "<Intake stopped>")
    bench.intake.go_on()
    assert bench.readable is not None
    bench.intake.wait_for_turn()
    bench.intake.go_on()
    assert bench.readable is None and bench.intake.is_waiting
    bench.intake.close()
    assert bench.events == ["watcher closed"]


def test_intake_takes_a_broken_socket_for_an_end() -> None:
    """And passes over what was no event at all."""
    bench = Bench()
    bench.read(0, ConnectionResetError(), InterruptedError())
    assert bench.events == [(0, False), (0, False), "flush"]
