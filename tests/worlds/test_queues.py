"""The queues into the hub thread and out of it: who is woken, when, and how often."""

from __future__ import annotations

import threading
from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.errors import Executed, Unavailable
from zkrpc.worlds.errand import Errand
from zkrpc.worlds.queues import Entrance, Exit


def errand() -> Errand:
    return Errand(len, (), copy_context(), lambda _: None)


def do(entrance: Entrance, one: Errand) -> None:
    """What the hub thread does with an errand that ends at once."""
    one.begin(None)
    one.finish(None)
    entrance.running -= 1


def test_hub_thread_is_woken_once_for_a_batch() -> None:
    """The first errand wakes it; those that come until it looks do not."""
    entrance = Entrance()
    assert [entrance.admit(errand()) for _ in range(3)] == [True, False, False]
    assert repr(entrance) == "<Entrance waiting=3 running=0>" and entrance.waiting == 3
    batch = entrance.batch()
    next(batch)
    assert entrance.admit(errand())  # it came too late for the batch
    assert len(list(batch)) == 2 and entrance.running == 3
    assert not entrance.has_more()  # as it was told again
    assert len(list(entrance.batch())) == 1 and not entrance.has_more()


def test_large_batch_is_taken_in_parts() -> None:
    """So that sockets are read in between; the hub thread wakes itself for the rest."""
    entrance = Entrance()
    for _ in range(2500):
        entrance.admit(errand())
    sizes = []
    while True:
        sizes.append(len(list(entrance.batch())))
        if not entrance.has_more():
            break
    assert sizes == [1024, 1024, 452]


def test_full_entrance_says_so() -> None:
    """Waiting and running ones count; the error says that nothing was done."""
    entrance = Entrance(2)
    first = errand()
    entrance.admit(first)
    list(entrance.batch())
    entrance.admit(errand())
    with pytest.raises(Unavailable, match="2 calls wait or are under way in this process") as caught:
        entrance.admit(errand())
    assert caught.value.executed is Executed.NO
    do(entrance, first)
    entrance.admit(errand())


def test_errand_that_was_given_up_comes_through_again_without_a_bound() -> None:
    """It counts as running only if it had not begun."""
    entrance = Entrance(1)
    one = errand()
    assert entrance.admit(one)
    one.give_up()
    assert not entrance.insist(one)
    batch = entrance.batch()
    assert next(batch) is one
    assert not one.begin(None)
    entrance.running -= 1
    assert list(batch) == [one] and entrance.running == 0
    running = errand()
    entrance.admit(running)
    list(entrance.batch())
    running.begin(None)
    assert entrance.insist(running)
    assert list(entrance.batch()) == [running] and entrance.running == 1


def test_closed_entrance_admits_nothing() -> None:
    """What is in it already is handed over; what was done or runs is not."""
    entrance = Entrance()
    waits, runs = errand(), errand()
    entrance.admit(runs)
    list(entrance.batch())
    runs.begin(None)
    entrance.admit(waits)
    entrance.insist(runs)
    entrance.close()
    with pytest.raises(Unavailable, match="the client is closed") as caught:
        entrance.admit(errand())
    assert caught.value.executed is Executed.NO
    left = entrance.leftovers()
    assert waits in left and runs not in left and not entrance.waiting
    assert repr(entrance) == "<Entrance waiting=0 running=1 closed>"


@given(st.lists(st.sampled_from(["bring", "look"]), max_size=60))
def test_nothing_is_left_without_a_wake_up(steps: list[str]) -> None:
    """Whoever brings something after a look tells; so when nobody has told, nothing waits."""
    entrance, told = Entrance(), False
    for step in steps:
        if step == "bring":
            told = entrance.admit(errand()) or told
        elif told:
            told = False
            for one in entrance.batch():
                do(entrance, one)
        assert told or not entrance.waiting


def test_many_threads_bring_and_one_takes() -> None:
    """Without a lock each errand comes through exactly once."""
    entrance, news, seen = Entrance(), threading.Semaphore(0), 0

    def bring() -> None:
        for _ in range(500):
            if entrance.admit(errand()):
                news.release()

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for one in threads:
        one.start()
    while seen < 2000:
        assert news.acquire(timeout=60)
        for each in entrance.batch():
            do(entrance, each)
            seen += 1
        if entrance.has_more():
            news.release()
    for one in threads:
        one.join()
    assert not entrance.waiting and entrance.running == 0


def test_loop_is_woken_once_for_all_that_is_done() -> None:
    """Until it delivers; what is done while it does is posted anew."""
    posts: list[str] = []
    woken: list[Errand] = []
    one, two, three = errand(), errand(), errand()

    def wake(each: Errand) -> None:
        woken.append(each)
        if each is two:
            way.put(three)

    way = Exit(lambda: posts.append("post"), wake)
    way.put(one)
    way.put(two)
    assert posts == ["post"] and not woken and repr(way) == "<Exit waiting=2>"
    way.deliver()
    assert woken == [one, two, three] and posts == ["post", "post"]
    way.deliver()
    assert woken == [one, two, three]


def test_loop_that_is_closed_is_owed_nothing() -> None:
    """What was on its way is dropped, and nothing is kept."""
    posts: list[str] = []
    way = Exit(lambda: posts.append("post"), lambda _: None)
    way.put(errand())
    way.discard()
    assert repr(way) == "<Exit waiting=0>"
    way.put(errand())
    assert posts == ["post", "post"]
