"""One connection's part of the queue, against the real admission."""

from __future__ import annotations

from typing import Any

from tests.support.requests import call_of
from zkrpc.server.admission import Admission
from zkrpc.server.call_queue import CallQueue
from zkrpc.server.dispatch import Answer, turn_down
from zkrpc.server.shares import Share
from zkrpc.wire.message import Request
from zkrpc.wire.status import DRAINING


class Open:
    """A server that takes calls."""

    accepts_calls = True


class Bench:
    """A queue, and what it did."""

    def __init__(self, *, max_queue: int = 2) -> None:
        self.admission = Admission(1, Open(), max_queue=max_queue)
        self.events: list[Any] = []
        self.share = Share("a")
        self.queue = CallQueue(self.admission, self.share, self._answer, lambda: self.events.append("wake"))
        assert self.admission.admits(Share("b"))

    def _answer(self, request: Request, answer: Answer) -> None:
        self.events.append((request.seqid, answer.headers["zkrpc-error"] if answer.headers else None))

    def turn_away(self, *seqids: int) -> list[Request]:
        """So many that find no place."""
        requests = [call_of("echo", b"\0")._replace(seqid=seqid) for seqid in seqids]
        for request in requests:
            self.queue.turn_away(request)
        return requests


def draining(request: Request) -> Answer:
    """Some answer."""
    return turn_down(request, "the server stopped", DRAINING)


def test_queue_keeps_what_the_admission_takes_and_answers_the_rest() -> None:
    """When there is a place, the next one is admitted, and the connection told."""
    bench = Bench()
    first, second, _ = bench.turn_away(1, 2, 3)
    assert (bench.events, list(bench.queue)) == ([(3, "Overloaded")], [first, second])
    bench.admission.leave(None)
    assert bench.events[1:] == ["wake"] and list(bench.queue.admitted) == [first]
    assert list(bench.queue) == [second, first] and repr(bench.queue) == "<CallQueue waiting=1 admitted=1>"


def test_queue_holds_a_place_until_its_call_is_run() -> None:
    """So that its address counts as one that has it."""
    bench = Bench()
    (only,) = bench.turn_away(1)
    bench.admission.leave(None)
    assert bench.share.holding == 1
    assert bench.queue.take() is only and bench.share.holding == 0 and bench.admission.running == 1


def test_queue_forgets_what_nobody_waits_for() -> None:
    """Its ticket is free at once; what is not here is said so."""
    bench = Bench()
    first, second = bench.turn_away(1, 2)
    assert bench.queue.forget(first) and not bench.queue.forget(first)
    assert bench.admission.queued == 1
    bench.admission.leave(None)
    assert list(bench.queue.admitted) == [second] and not bench.queue.forget(second)


def test_queue_answers_all_that_wait_when_told() -> None:
    """Those that have a place are run nevertheless."""
    bench = Bench()
    first, *_ = bench.turn_away(1, 2)
    bench.admission.leave(None)
    bench.queue.answer_waiting(draining)
    assert bench.events == ["wake", (2, "Draining")]
    assert list(bench.queue) == [first] and bench.admission.queued == 0


def test_queue_turns_out_those_who_may_not_run_and_gives_their_places_away() -> None:
    """Also those that get one by it."""
    bench = Bench()
    bench.turn_away(1, 2)
    bench.admission.leave(None)
    bench.queue.turn_out(draining)
    assert bench.events == ["wake", (1, "Draining"), "wake", (2, "Draining")]
    assert not list(bench.queue) and bench.admission.running == 0


def test_queue_that_closes_frees_everything_and_tells_nobody() -> None:
    """Nobody is there to read an answer."""
    bench = Bench()
    bench.turn_away(1, 2)
    bench.admission.leave(None)
    bench.events.clear()
    bench.queue.close()
    assert (bench.events, list(bench.queue)) == ([], [])
    assert (bench.admission.running, bench.admission.queued) == (0, 0)


def test_queue_passes_on_what_the_admission_answers() -> None:
    """Of one that waited for too long, for instance."""
    bench = Bench()
    (late,) = bench.turn_away(1)
    bench.queue.answer(late, draining(late))
    assert bench.events == [(1, "Draining"), "wake"] and not list(bench.queue)
