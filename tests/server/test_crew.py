"""Workers: who runs, who blocks, who is kept, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from zkrpc.server import crew as module
from zkrpc.server.crew import Crew, Worker


@pytest.fixture
def crew() -> Iterator[Crew]:
    """A crew that is dismissed with the test."""
    made = Crew()
    yield made
    made.dismiss()
    gevent.sleep(0)


def in_hub(function: Callable[[], Any]) -> Any:
    """What a function returns that runs as a callback of the loop does."""
    outcome: list[Any] = []
    gevent.get_hub().loop.run_callback(lambda: outcome.append(function()))
    gevent.sleep(0.01)
    return outcome[0]


def test_work_that_does_not_block_is_done_at_once_by_one_worker(crew: Crew) -> None:
    """``begin`` returns when it is done, and the next work finds the same worker, in front both times."""
    seen: list[tuple[Worker, bool]] = []

    def work(worker: Worker) -> None:
        seen.append((worker, worker.in_front))

    assert in_hub(lambda: (crew.begin(work), len(seen), crew.begin(work), len(seen))) == (True, 1, True, 2)
    assert seen[0] == seen[1] and seen[0][1] is True
    assert repr(crew) == "<Crew free=1>"


def test_work_that_blocks_gives_the_hub_back_and_goes_on_apart(crew: Crew) -> None:
    """Another worker takes what comes meanwhile; both are free in the end."""
    go_on, done = Event(), []

    def blocking(worker: Worker) -> None:
        go_on.wait(5)
        done.append((worker, worker.in_front))

    def quick(worker: Worker) -> None:
        done.append((worker, worker.in_front))

    assert in_hub(lambda: (crew.begin(blocking), crew.begin(quick))) == (False, True)
    assert len(done) == 1
    go_on.set()
    gevent.sleep(0.01)
    assert [in_front for _, in_front in done] == [True, False]
    assert done[0][0] is not done[1][0]
    assert repr(crew) == "<Crew free=2>"


def test_worker_that_was_killed_is_not_used_again(crew: Crew) -> None:
    """Neither in the middle of its work nor while it is free."""
    blocked: list[Worker] = []

    def blocking(worker: Worker) -> None:
        blocked.append(worker)
        gevent.sleep(5)

    assert in_hub(lambda: crew.begin(blocking)) is False
    blocked[0].kill()
    assert repr(crew) == "<Crew free=0>"
    free: list[Worker] = []
    assert in_hub(lambda: crew.begin(free.append)) is True
    free[0].kill()
    assert repr(crew) == "<Crew free=0>"
    assert in_hub(lambda: crew.begin(free.append)) is True
    assert free[1] is not free[0]


def test_work_that_ends_its_worker_is_over(crew: Crew) -> None:
    """It has not blocked: nobody is to be waited for."""

    def fatal(worker: Worker) -> None:
        raise gevent.GreenletExit

    assert in_hub(lambda: crew.begin(fatal)) is True
    assert repr(crew) == "<Crew free=0>"


def test_stray_wake_up_starts_nothing(crew: Crew) -> None:
    """A handler may have left something behind that switches to its greenlet."""
    seen: list[Worker] = []
    in_hub(lambda: crew.begin(seen.append))
    in_hub(lambda: seen[0].switch())
    assert len(seen) == 1 and not seen[0].dead
    assert in_hub(lambda: crew.begin(seen.append)) is True
    assert seen[1] is seen[0]


def test_only_so_many_are_kept(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had to block beyond that ends when it is done."""
    monkeypatch.setattr(module, "_MOST_FREE", 2)
    go_on = Event()
    assert in_hub(lambda: [crew.begin(lambda worker: go_on.wait(5)) for _ in range(5)]) == [False] * 5
    go_on.set()
    gevent.sleep(0.01)
    assert repr(crew) == "<Crew free=2>"


def test_dismissed_crew_ends_who_is_free_now_and_who_is_done_later() -> None:
    """Whoever is in the middle of something finishes it."""
    crew, go_on = Crew(), Event()
    free: list[Worker] = []
    busy: list[Worker] = []

    def blocking(worker: Worker) -> None:
        busy.append(worker)
        go_on.wait(5)

    in_hub(lambda: (crew.begin(blocking), crew.begin(free.append)))
    crew.dismiss()
    gevent.sleep(0.01)
    assert free[0].dead and not busy[0].dead
    go_on.set()
    gevent.sleep(0.01)
    assert busy[0].dead
