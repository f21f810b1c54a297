"""Stubs that threads share: in this process, and in programs of all kinds."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.counting import idl, run_program, start_server
from tests.support.waiting import eventually
from zkrpc.endpoint import Endpoint
from zkrpc.metrics import table
from zkrpc.metrics.metrics import Metrics
from zkrpc.telemetry.status import ClientStatus, statuses
from zkrpc.worlds import hub_thread

both_ways = pytest.mark.parametrize("way", ["plain", "patched"])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where calls are counted."""
    process, place = start_server()
    yield place
    process.kill()
    process.communicate()


@pytest.fixture
def stub(address: str) -> Iterator[Any]:
    """A stub, closed at the end: then there is no thread any more."""
    with zkrpc.threads.connect(idl.Counting, [address]) as made:
        yield made
    assert not hub_thread.has_hub_thread()


def in_threads(function: Callable[[int], object], count: int = 8) -> list[Any]:
    """What a function returns in each of several native threads; the hub of this one goes on meanwhile."""
    pool = gevent.get_hub().threadpool
    found: list[Any] = pool.map(function, range(count))
    return found


def test_threads_share_a_stub(stub: Any) -> None:
    """Each gets its own answers, with and without a hub of its own."""

    def work(number: int) -> list[str]:
        return [stub.echo(f"{number}-{n}") for n in range(20)]

    wanted = [[f"{number}-{n}" for n in range(20)] for number in range(8)]
    assert in_threads(work) == wanted
    assert [one.get() for one in [gevent.spawn(work, number) for number in range(8)]] == wanted
    assert zkrpc.status(stub).connections == 1
    assert [one.endpoint for one in zkrpc.explain(stub).instances] == [zkrpc.status(stub).members[0].endpoint]


def test_futures(stub: Any) -> None:
    """``submit`` returns at once; what standard functions do with futures works, errors come out of ``result``."""
    futures = [stub.submit.echo(str(n)) for n in range(20)]
    done, _ = concurrent.futures.wait(futures, 60)
    assert len(done) == 20 and [one.result() for one in futures] == [str(n) for n in range(20)]
    assert stub.options(timeout=5).submit.echo("x").result(60) == "x"
    assert zkrpc.threads.submit(stub).echo("x").result(60) == "x"
    with pytest.raises(TypeError, match="must be a str"):
        stub.submit.echo(3).result(60)
    late = stub.options(timeout=0.05).submit.nap(20_000)
    assert isinstance(late.exception(60), zkrpc.DeadlineExceeded)
    with pytest.raises(TypeError, match="as zkrpc.threads.connect gives it"):
        zkrpc.threads.submit(object())


def test_cancelled_future_cancels_the_call(stub: Any) -> None:
    """Nothing is in flight afterwards; a future that is done cannot be cancelled."""
    futures = [stub.options(timeout=60).submit.nap(60_000) for _ in range(5)]
    eventually(lambda: zkrpc.status(stub).members and zkrpc.status(stub).members[0].in_flight == 5)
    assert all(one.cancel() and one.cancel() and one.cancelled() for one in futures)
    eventually(lambda: zkrpc.status(stub).members[0].in_flight == 0)
    assert len(concurrent.futures.wait(futures, 60).done) == 5
    done = stub.submit.echo("x")
    assert done.result(60) == "x" and not done.cancel()


def test_calls_cancelled_at_random_leave_nothing(stub: Any) -> None:
    """No call, no greenlet that runs, no entry in a queue; what was cancelled too late has an answer."""

    def work(number: int) -> None:
        dice = random.Random(number)
        for _ in range(50):
            future = stub.options(timeout=60).submit.nap(dice.choice((0, 1, 5, 20)))
            time.sleep(dice.choice((0, 0, 0.001, 0.01)))
            assert future.cancel() or future.result(60) is None

    in_threads(work)
    entrance = hub_thread.hub_thread().entrance
    eventually(lambda: zkrpc.status(stub).members[0].in_flight == 0)
    eventually(lambda: (entrance.running, entrance.waiting) == (0, 0))
    assert stub.echo("and on") == "and on"


def test_callback_of_a_future_may_call(stub: Any) -> None:
    """It runs in zkrpc's thread, where calls are as good as elsewhere."""
    found: list[str] = []
    stub.submit.echo("first").add_done_callback(lambda one: found.append(stub.echo(one.result() + " and second")))
    eventually(lambda: found)
    assert found == ["first and second"]


def test_interceptors_see_the_context_of_the_caller(address: str) -> None:
    """Each its own, in whichever way it calls; what they change there nobody else sees."""
    who = contextvars.ContextVar("who", default="nobody")
    seen: list[str] = []

    def note(call: Any, proceed: Any) -> Any:
        seen.append(who.get())
        who.set("interceptor")
        return proceed(call)

    def work(number: int) -> str:
        who.set(f"thread {number}")
        stub.echo("x")
        stub.submit.echo("x").result(60)
        return who.get()

    with zkrpc.threads.connect(idl.Counting, [address], interceptors=[note]) as stub:
        assert in_threads(work, 3) == ["thread 0", "thread 1", "thread 2"]
    assert sorted(seen) == sorted(2 * ["thread 0", "thread 1", "thread 2"])


def test_deadline_counts_from_the_call(address: str) -> None:
    """Also while something blocks zkrpc's thread: a call that got in too late is not sent."""
    blocked, go_on = threading.Event(), threading.Event()

    def block(call: Any, proceed: Any) -> Any:
        if call.method == "nap":
            blocked.set()
            go_on.wait(60)
        return proceed(call)

    with zkrpc.threads.connect(idl.Counting, [address], interceptors=[block]) as stub:
        stub.echo("x")
        blocking = stub.submit.nap(0)
        assert blocked.wait(60)
        late = stub.options(timeout=0.05).submit.add("late")
        time.sleep(0.1)
        go_on.set()
        error = late.exception(60)
        blocking.result(60)
        assert isinstance(error, zkrpc.DeadlineExceeded) and error.executed is zkrpc.Executed.NO
        assert stub.total("late") == 0


def test_interceptor_may_call_by_the_same_stub(address: str) -> None:
    """In zkrpc's thread a call is made in place, instead of waiting for the thread itself."""

    def count(call: Any, proceed: Any) -> Any:
        if call.method == "echo":
            stub.add("counted")
        return proceed(call)

    with zkrpc.threads.connect(idl.Counting, [address], interceptors=[count]) as stub:
        before = stub.total("counted")
        assert stub.echo("x") == "x" and stub.total("counted") == before + 1


def test_close_ends_calls_in_flight(address: str) -> None:
    """Whoever waits for them is told, also in threads."""
    stub = zkrpc.threads.connect(idl.Counting, [address])
    futures = [stub.options(timeout=60).submit.nap(60_000) for _ in range(5)]
    eventually(lambda: zkrpc.status(stub).members and zkrpc.status(stub).members[0].in_flight == 5)
    stub.close()
    assert all(isinstance(one.exception(60), zkrpc.CallError) for one in futures)


def get(door: Endpoint, path: str) -> str:
    """A page of a door, asked for by a native thread."""
    with urllib.request.urlopen(f"http://{door}{path}", timeout=60) as answer:
        found: str = answer.read().decode()
        return found


def test_program_of_threads_has_a_door(address: str) -> None:
    """Answered in zkrpc's thread, it shows the stubs of threads and of event loops; the thread lives for it, too."""

    async def call() -> None:
        async with zkrpc.aio.connect(idl.Counting, [address]) as tasks:
            assert await tasks.echo("y") == "y"
            found.append(json.loads(get(door.endpoint, "/status"))["clients"])

    found: list[Any] = []
    with zkrpc.threads.Admin() as door:
        assert get(door.endpoint, "/livez") == "ok\n" and "Admin" in repr(door)
        with zkrpc.threads.connect(idl.Counting, [address]) as stub:
            assert stub.echo("x") == "x"
            gevent.get_hub().threadpool.apply(lambda: asyncio.run(call()))
            text = get(door.endpoint, "/metrics")
        assert not json.loads(get(door.endpoint, "/status"))["clients"]
    assert [one["target"] for one in found[0]] == [address, address]
    assert f'zkrpc_client_connections{{server_address="{address}"}} 1.0' in text
    label = (
        f'rpc_method="Counting/echo",rpc_status_code="OK",rpc_system_name="apache_thrift",server_address="{address}"'
    )
    assert f'rpc_client_call_duration_seconds_count{{error_type="",{label}}} 2.0' in text
    assert not hub_thread.has_hub_thread()


def test_door_that_cannot_be_opened_leaves_nothing(address: str) -> None:
    """The error is the one of zkrpc.Admin."""
    with pytest.raises(zkrpc.ConfigError, match="cannot listen on"):
        zkrpc.threads.Admin(address)
    eventually(lambda: not hub_thread.has_hub_thread())


def seen_at(address: str) -> list[ClientStatus]:
    """The clients of that address, as this thread sees them; others may be left from elsewhere."""
    return [one for one in statuses() if isinstance(one, ClientStatus) and one.target == address]


def test_other_threads_see_the_states_of_these_stubs(stub: Any, address: str) -> None:
    """With and without a hub; so the door of a program on gevent shows them, and whatever else scrapes. Who is not
    answered within a second sees nothing, which a slow machine may do now and then."""

    def seen(_: object = None) -> list[str]:
        return [one.target for one in seen_at(address) if one.connections]

    assert stub.echo("x") == "x"
    eventually(lambda: seen() == [address])
    eventually(lambda: in_threads(seen, 2) == [[address], [address]])
    metrics = Metrics()

    def counted() -> list[Any]:
        return [one.get((address,)) for family, one in metrics.families() if family is table.CLIENT_CONNECTIONS]

    eventually(lambda: counted() == [1.0])
    with zkrpc.Admin() as door:

        def shown() -> list[str]:
            asked = gevent.get_hub().threadpool.spawn(get, door.endpoint, "/status")
            return [one["target"] for one in json.loads(asked.get(60))["clients"] if one["target"] == address]

        eventually(lambda: shown() == [address])


def test_probes_do_not_wait_for_a_blocked_thread(address: str) -> None:
    """Nor do states for longer than a second: what cannot answer is left out."""
    begun, ended = threading.Event(), threading.Event()

    def block(call: Any, proceed: Any) -> Any:
        begun.set()
        ended.wait(60)
        return proceed(call)

    with zkrpc.threads.connect(idl.Counting, [address], interceptors=[block]) as stub, zkrpc.Admin() as door:
        blocked = stub.options(timeout=100).submit.echo("x")
        assert begun.wait(60)
        pool = gevent.get_hub().threadpool
        assert seen_at(address) == [] and pool.apply(seen_at, (address,)) == []
        assert pool.spawn(get, door.endpoint, "/livez").get(60) == "ok\n" and not ended.is_set()
        ended.set()
        assert blocked.result(60) == "x"
        eventually(lambda: len(seen_at(address)) == 1)


def test_forked_child_closes_the_door(address: str) -> None:
    """Its own: the parent's goes on, and answers the child as anybody."""
    lines = run_program(
        """
        import urllib.request
        door = zkrpc.threads.Admin()

        def ask():
            with urllib.request.urlopen(f"http://{door.endpoint}/livez", timeout=60) as answer:
                return answer.read()

        def in_child():
            say(ask(), len(sockets()))
            door.close()

        say(status(child(in_child)), ask())
        door.close()
        """,
        address,
    )
    assert lines == ["b'ok\\n' 0", "0 b'ok\\n'"]


@both_ways
def test_program_that_waits_for_nothing_but_futures(address: str, way: str) -> None:
    """From its first wait on, in whatever way; and nothing keeps it awake for what is over or was cancelled."""
    lines = run_program(
        """
        import concurrent.futures
        with zkrpc.threads.connect(idl.Counting, [address]) as stub:
            say(stub.submit.nap(50).result())
            futures = [stub.submit.nap(50) for _ in range(3)]
            done, left = concurrent.futures.wait(futures)
            say(len(done), len(left))
            futures.append(stub.options(timeout=60).submit.nap(100_000))
            say(futures[-1].cancel())
            while any(one._look for one in futures): time.sleep(0.01)
        say("over")
        """,
        address,
        way,
    )
    assert lines == ["None", "3 0", "True", "over"]


@both_ways
def test_programs_with_threads(address: str, way: str) -> None:
    """Threads, futures and a pool, patched or not; nobody closes anything, and nothing is left but a clean end."""
    lines = run_program(
        """
        import concurrent.futures
        stub = zkrpc.threads.connect(idl.Counting, [address])
        found = []
        threads = [threading.Thread(target=lambda n=n: found.append(stub.echo(str(n)))) for n in range(20)]
        for one in threads: one.start()
        for one in threads: one.join()
        say(sorted(map(int, found)) == list(range(20)))
        futures = [stub.submit.echo(str(n)) for n in range(20)]
        say(sorted(int(one.result()) for one in concurrent.futures.as_completed(futures, 60)) == list(range(20)))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            say(list(pool.map(stub.echo, "abc")))
        say(stub.echo("main"), len(sockets()) > 0)
        """,
        address,
        way,
    )
    assert lines == ["True", "True", "['a', 'b', 'c']", "main True"]
