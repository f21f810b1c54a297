"""How a caller waits: in threads and in event loops, and what becomes of those that end meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.counting import idl, run_program, start_server
from zkrpc.worlds import hub_thread

both_ways = pytest.mark.parametrize("way", ["plain", "patched"])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where calls are counted."""
    process, place = start_server()
    yield place
    process.kill()
    process.communicate()


def until(condition: Callable[[], object], bound: float = 60.0) -> None:
    """Waits in the thread."""
    ends_at = time.monotonic() + bound
    while not condition():
        assert time.monotonic() < ends_at, "did not come in time"
        time.sleep(0.005)


def test_hub_of_another_thread_goes_on(address: str) -> None:
    """A greenlet that waits for a call holds up no other; a timeout of gevent's ends the wait, and the call."""
    with zkrpc.threads.connect(idl.Counting, [address]) as stub:
        waiting = gevent.spawn(stub.options(timeout=60).nap, 60_000)
        while not any(one.in_flight for one in zkrpc.status(stub).members):
            gevent.sleep(0.005)
        assert stub.echo("x") == "x" and not waiting.ready()
        waiting.kill()
        until(lambda: not zkrpc.status(stub).members[0].in_flight)
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            stub.nap(60_000)
        until(lambda: not zkrpc.status(stub).members[0].in_flight)


@both_ways
def test_exception_in_a_waiting_thread_ends_the_call(address: str, way: str) -> None:
    """As Ctrl-C in the main thread does: the wait ends at once, and nothing is in flight any more."""
    lines = run_program(
        """
        class Enough(BaseException): pass
        def raise_it(*_): raise Enough
        stub = zkrpc.threads.connect(idl.Counting, [address])
        stub.echo("x")
        signal.signal(signal.SIGALRM, raise_it)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            stub.options(timeout=100).nap(100_000)
        except Enough:
            say("enough")
        while zkrpc.status(stub).members[0].in_flight: time.sleep(0.01)
        say(stub.echo("and on"))
        """,
        address,
        way,
    )
    assert lines == ["enough", "and on"]


def test_loops_in_several_threads(address: str) -> None:
    """Each call is awaited in the loop that makes it, all over one stub; a loop that was closed is forgotten."""
    found: list[list[str]] = []
    stub = zkrpc.threads.connect(idl.Counting, [address])  # keeps the thread, while loops come and go

    def work(number: int) -> None:
        async def program() -> None:
            async with zkrpc.aio.connect(idl.Counting, [address]) as mine:
                found.append(await asyncio.gather(*(mine.echo(f"{number}-{n}") for n in range(10))))

        for _ in range(2):
            asyncio.run(program())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(found) == sorted(2 * [[f"{number}-{n}" for n in range(10)] for number in range(4)])
    gc.collect()
    assert not [where for where in hub_thread.hub_thread().exits if isinstance(where, asyncio.AbstractEventLoop)]
    stub.close()


def test_loop_that_ends_with_calls_in_flight(address: str) -> None:
    """Their tasks are cancelled by asyncio, and with them the calls; nobody is told after the loop's end."""
    stub: Any = None

    async def program() -> None:
        nonlocal stub
        stub = await zkrpc.aio.connect(idl.Counting, [address])
        for _ in range(5):
            asyncio.ensure_future(stub.options(timeout=60).nap(60_000))
        await stub.echo("x")

    asyncio.run(program())
    until(lambda: not any(one.in_flight for one in zkrpc.status(stub).members))
    zkrpc.close(stub)
    assert not hub_thread.has_hub_thread()
