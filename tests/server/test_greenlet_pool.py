"""Workers: who runs, who blocks, who is kept, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from zkrpc.server.greenlet_pool import GreenletPool, Worker


class InPython(GreenletPool):
    """One whose workers are given their work in Python."""

    begin, employ = GreenletPool.begin_in_python, GreenletPool.employ_in_python


@pytest.fixture(params=[GreenletPool, InPython])
def kind(request: pytest.FixtureRequest) -> Callable[..., GreenletPool]:
    """What is in use, and what is in Python."""
    kind: Callable[..., GreenletPool] = request.param
    return kind


@pytest.fixture
def greenlets(kind: Callable[..., GreenletPool]) -> Iterator[GreenletPool]:
    """A pool that is dismissed with the test."""
    made = kind()
    yield made
    made.dismiss()
    gevent.sleep(0)


def in_hub(function: Callable[[], Any]) -> Any:
    """What a function returns that runs as a callback of the loop does."""
    outcome: list[Any] = []
    gevent.get_hub().loop.run_callback(lambda: outcome.append(function()))
    gevent.sleep(0.01)
    return outcome[0]


def test_work_that_does_not_block_is_done_at_once_by_one_worker(greenlets: GreenletPool) -> None:
    """``begin`` returns when it is done, and the next work finds the same worker, in front both times."""
    seen: list[tuple[Worker, bool]] = []

    def work(worker: Worker) -> None:
        seen.append((worker, worker.in_front))

    assert in_hub(lambda: (greenlets.begin(work), len(seen), greenlets.begin(work), len(seen))) == (True, 1, True, 2)
    assert seen[0] == seen[1] and seen[0][1] is True
    assert repr(greenlets) == "<GreenletPool free=1>"


def test_work_that_blocks_gives_the_hub_back_and_goes_on_apart(greenlets: GreenletPool) -> None:
    """Another worker takes what comes meanwhile; both are free in the end."""
    go_on, done = Event(), []

    def blocking(worker: Worker) -> None:
        go_on.wait(60)
        done.append((worker, worker.in_front))

    def quick(worker: Worker) -> None:
        done.append((worker, worker.in_front))

    assert in_hub(lambda: (greenlets.begin(blocking), greenlets.begin(quick))) == (False, True)
    assert len(done) == 1
    go_on.set()
    gevent.sleep(0.01)
    assert [in_front for _, in_front in done] == [True, False]
    assert done[0][0] is not done[1][0]
    assert repr(greenlets) == "<GreenletPool free=2>"


def test_worker_that_was_killed_is_not_used_again(greenlets: GreenletPool) -> None:
    """Neither in the middle of its work nor while it is free."""
    blocked: list[Worker] = []

    def blocking(worker: Worker) -> None:
        blocked.append(worker)
        gevent.sleep(60)

    assert in_hub(lambda: greenlets.begin(blocking)) is False
    blocked[0].kill()
    assert repr(greenlets) == "<GreenletPool free=0>"
    free: list[Worker] = []
    assert in_hub(lambda: greenlets.begin(free.append)) is True
    free[0].kill()
    assert repr(greenlets) == "<GreenletPool free=0>"
    assert in_hub(lambda: greenlets.begin(free.append)) is True
    assert free[1] is not free[0]


def test_work_that_ends_its_worker_is_over(greenlets: GreenletPool) -> None:
    """It has not blocked: nobody is to be waited for."""

    def fatal(worker: Worker) -> None:
        raise gevent.GreenletExit

    assert in_hub(lambda: greenlets.begin(fatal)) is True
    assert repr(greenlets) == "<GreenletPool free=0>"


def test_stray_wake_up_starts_nothing(greenlets: GreenletPool) -> None:
    """A handler may have left something behind that switches to its greenlet."""
    seen: list[Worker] = []
    in_hub(lambda: greenlets.begin(seen.append))
    in_hub(lambda: seen[0].switch())
    assert len(seen) == 1 and not seen[0].dead
    assert in_hub(lambda: greenlets.begin(seen.append)) is True
    assert seen[1] is seen[0]


def test_only_so_many_are_kept(kind: Callable[..., GreenletPool]) -> None:
    """What had to block beyond that ends when it is done."""
    greenlets = kind(2)
    go_on = Event()
    assert in_hub(lambda: [greenlets.begin(lambda worker: go_on.wait(60)) for _ in range(5)]) == [False] * 5
    go_on.set()
    gevent.sleep(0.01)
    assert repr(greenlets) == "<GreenletPool free=2>"


def test_dismissed_crew_ends_who_is_free_now_and_who_is_done_later(kind: Callable[..., GreenletPool]) -> None:
    """Whoever is in the middle of something finishes it."""
    greenlets, go_on = kind(), Event()
    free: list[Worker] = []
    busy: list[Worker] = []

    def blocking(worker: Worker) -> None:
        busy.append(worker)
        go_on.wait(60)

    in_hub(lambda: (greenlets.begin(blocking), greenlets.begin(free.append)))
    greenlets.dismiss()
    gevent.sleep(0.01)
    assert free[0].dead and not busy[0].dead
    go_on.set()
    gevent.sleep(0.01)
    assert busy[0].dead
