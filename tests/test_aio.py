"""Stubs on asyncio: tasks, their ends, and several loops; in this process, and in programs of their own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import zkrpc
from tests.support.counting import idl, run_program, start_server
from zkrpc.worlds import hub_thread


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where calls are counted."""
    process, place = start_server()
    yield place
    process.kill()
    process.communicate()


def run(program: Callable[[], Awaitable[object]]) -> None:
    """Runs a coroutine in a loop of its own, which must hear of no error that nobody took; nothing is left behind."""
    said: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        await program()
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    gc.collect()
    assert not said
    until(lambda: not hub_thread.has_hub_thread())


def until(condition: Callable[[], object], bound: float = 60.0) -> None:
    """Waits in the thread."""
    ends_at = time.monotonic() + bound
    while not condition():
        assert time.monotonic() < ends_at, "did not come in time"
        time.sleep(0.005)


async def eventually(condition: Callable[[], Awaitable[object]], bound: float = 60.0) -> None:
    """Waits in the loop."""
    async with asyncio.timeout(bound):
        while not await condition():
            await asyncio.sleep(0.005)


async def in_flight(stub: Any) -> int:
    """Calls that the client believes to be under way."""
    return sum(one.in_flight for one in (await zkrpc.aio.status(stub)).members)


def test_tasks_share_a_stub(address: str) -> None:
    """Each gets its own answers, by one connection; errors are raised where the call is awaited."""

    async def program() -> None:
        async with zkrpc.aio.connect(idl.Counting, [address]) as stub:
            assert await asyncio.gather(*(stub.echo(str(n)) for n in range(64))) == [str(n) for n in range(64)]
            assert (await zkrpc.aio.status(stub)).connections == 1 and zkrpc.status(stub).connections == 1
            assert (await zkrpc.aio.explain(stub)).instances and zkrpc.explain(stub).instances
            with pytest.raises(TypeError, match="must be a str"):
                await stub.echo(3)
            with pytest.raises(zkrpc.DeadlineExceeded):
                await stub.options(timeout=0.05).nap(20_000)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(stub.options(timeout=30).echo(str(n))) for n in range(3)]
            assert [one.result() for one in tasks] == ["0", "1", "2"]

    run(program)


def test_methods_are_coroutine_functions(address: str) -> None:
    """With the signatures of the interface."""

    async def program() -> None:
        stub = await zkrpc.aio.connect(idl.Counting, [address])
        assert (
            inspect.iscoroutinefunction(stub.echo)
            and str(inspect.signature(stub.echo)) == "(text: 'string') -> 'string'"
        )
        async with stub:
            assert await stub.echo("x") == "x"
        await stub.close()
        with pytest.raises(zkrpc.Unavailable, match="the client is closed"):
            await stub.echo("x")
        with pytest.raises(TypeError, match="async with"):
            stub.__enter__()
        with pytest.raises(TypeError, match="as zkrpc.aio.connect gives it"):
            await zkrpc.aio.close(object())
        assert repr(zkrpc.aio.connect(idl.Counting, [address])) == "<Connecting to Counting>"

    run(program)


def test_cancelled_task_cancels_the_call(address: str) -> None:
    """So does a timeout of asyncio's; nothing is in flight afterwards, and the stub is none the worse for it."""

    async def program() -> None:
        async with zkrpc.aio.connect(idl.Counting, [address]) as stub:
            patient = stub.options(timeout=60)
            tasks = [asyncio.create_task(patient.nap(60_000)) for _ in range(5)]

            async def all_are_sent() -> bool:
                return await in_flight(stub) == 5

            async def none_is_left() -> bool:
                return await in_flight(stub) == 0

            await eventually(all_are_sent)
            for one in tasks:
                one.cancel()
            assert all(
                isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*tasks, return_exceptions=True)
            )
            await eventually(none_is_left)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await patient.nap(60_000)
            await eventually(none_is_left)
            tasks = [asyncio.create_task(stub.echo("x"))]
            tasks[0].cancel()  # before it has begun
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await stub.echo("and on") == "and on"

    run(program)


def test_calls_cancelled_at_random_leave_nothing(address: str) -> None:
    """No call, no greenlet that runs, no entry in a queue."""
    dice = random.Random(7)

    async def program() -> None:
        async with zkrpc.aio.connect(idl.Counting, [address]) as stub:

            async def one() -> None:
                call = asyncio.create_task(stub.options(timeout=60).nap(dice.choice((0, 1, 5, 20))))
                await asyncio.sleep(dice.choice((0, 0, 0.001, 0.005)))
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)

            for _ in range(4):
                await asyncio.gather(*(one() for _ in range(100)))
            entrance = hub_thread.hub_thread().entrance

            async def none_is_left() -> bool:
                return await in_flight(stub) == 0 and (entrance.running, entrance.waiting) == (0, 0)

            await eventually(none_is_left)
            assert await stub.echo("and on") == "and on"

    run(program)


def test_connecting_may_be_cancelled(address: str) -> None:
    """At whichever moment: no client is left, and so no thread."""

    async def program() -> None:
        for turns in range(4):
            task = asyncio.ensure_future(_connect(address))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(zkrpc.ConfigError, match="needs zookeeper="):
            await zkrpc.aio.connect(idl.Counting, "counting")

    run(program)


async def _connect(address: str) -> None:
    await (await zkrpc.aio.connect(idl.Counting, [address])).close()


def test_interceptors_see_the_context_of_the_task(address: str) -> None:
    """Each task has its own."""
    who = contextvars.ContextVar("who", default="nobody")
    seen: list[str] = []

    def note(call: Any, proceed: Any) -> Any:
        seen.append(who.get())
        return proceed(call)

    async def one(stub: Any, number: int) -> None:
        who.set(f"task {number}")
        await stub.echo("x")

    async def program() -> None:
        async with zkrpc.aio.connect(idl.Counting, [address], interceptors=[note]) as stub:
            await asyncio.gather(*(one(stub, number) for number in range(3)))
            await asyncio.gather(*(asyncio.create_task(one(stub, number)) for number in range(3)))

    run(program)
    assert sorted(seen) == sorted(2 * ["task 0", "task 1", "task 2"])


def test_stub_of_gevent_is_refused_in_an_event_loop(address: str) -> None:
    """At once, in words that say by which function to connect; outside of the loop it goes on working."""
    with zkrpc.connect(idl.Counting, [address]) as stub:
        before = stub.total("loop")

        async def program() -> None:
            for call in (lambda: stub.add("loop"), lambda: zkrpc.status(stub), lambda: zkrpc.explain(stub)):
                with pytest.raises(zkrpc.WrongThread, match=r"connect by zkrpc.aio.connect\(\)") as caught:
                    call()
                assert caught.value.executed is zkrpc.Executed.NO

        asyncio.run(program())
        assert stub.total("loop") == before


def test_oneway_calls_wait_until_they_have_left() -> None:
    """A peer that does not read holds them up, and only them: the loop goes on."""
    talking = zkrpc.idl.load_text("service Talking { oneway void tell(1: string text) }")

    async def program() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            place = "127.0.0.1:%d" % listener.getsockname()[1]
            async with zkrpc.aio.connect(talking.Talking, [place], dialect="framed") as stub:
                with pytest.raises(zkrpc.CallError):
                    for _ in range(64):
                        await stub.options(timeout=0.5).tell("x" * 1_000_000)

    run(program)


def test_program_leaves_nothing(address: str) -> None:
    """No descriptor, no thread, no warning: with many loops one after another, and at an end in the middle of calls."""
    lines = run_program(
        """
        import asyncio

        async def once():
            async with zkrpc.aio.connect(idl.Counting, [address]) as stub:
                await asyncio.gather(*(stub.echo("x") for _ in range(10)))

        before = held()
        for _ in range(6): asyncio.run(once())
        while holds_more(before): time.sleep(0.01)

        async def ends():
            stub = await zkrpc.aio.connect(idl.Counting, [address])
            asyncio.create_task(stub.options(timeout=100).nap(100_000))
            await stub.echo("x")

        asyncio.run(ends())
        say("ends")
        """,
        address,
        options=("-W", "always"),
    )
    assert lines == ["ends"]
