"""A whole service in zkrpc's own thread, called from event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.testing.services import COUNTERS, FAST, SERVICE, Counter
from zkrpc.testing.aio import Loopback
from zkrpc.worlds import hub_thread


def run(program: Callable[[], Awaitable[object]]) -> None:
    """Runs a coroutine in a loop of its own; nothing is left behind."""
    said: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        await program()
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert not said
    ends_at = time.monotonic() + 60
    while hub_thread.has_hub_thread():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def test_tasks_call_a_service_in_memory() -> None:
    """Any number of them; errors are raised where the call is awaited, and asyncio's timeouts end calls."""

    async def program() -> None:
        loopback = Loopback(SERVICE, replicas=2)
        assert repr(loopback) == "<Loopback 'echo'>"
        async with loopback as stub:
            assert await asyncio.gather(*(stub.echo(str(n)) for n in range(20))) == [str(n) for n in range(20)]
            with pytest.raises(idl.Oops):
                await stub.fail("declared")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await stub.options(timeout=60).slow("x", 60_000)
            assert loopback.stub is stub and loopback.handlers.keys() == {0, 1}
            assert repr(loopback) == "<Loopback 'echo' replicas=[0, 1]>"
        with pytest.raises(zkrpc.Unavailable, match="the client is closed"):
            await stub.echo("late")
        await loopback.close()

    run(program)


def test_replicas_come_and_go() -> None:
    """While the loop goes on."""

    async def program() -> None:
        loopback = Loopback(SERVICE)
        async with loopback as stub:
            assert await loopback.add() == 1
            await loopback.kill(0)
            assert [await stub.echo(str(n)) for n in range(20)] == [str(n) for n in range(20)]
            await loopback.unlist(0)
            assert [one.instance for one in (await zkrpc.aio.status(stub)).members] == ["replica-1"]
            await loopback.add()
            await loopback.drain(1)
            assert await stub.echo("x") == "x" and loopback.handlers.keys() == {2}

    run(program)


def test_replicas_elect_a_primary() -> None:
    """And calls follow it, by stubs of both interfaces, which end with the Loopback."""
    service = zkrpc.Service([COUNTERS.Counter, COUNTERS.Other], [Counter, Counter], "both", config=FAST)

    async def program() -> None:
        loopback = Loopback(service, replicas=3)
        async with loopback as stub:
            assert await stub.add(1) == 1
            await loopback.step_down(to=2)
            assert await loopback.primary() == 2 and await stub.add(2) == 2
            await loopback.expire(2)
            assert await stub.add(3) in (3, 4, 5)
            other = await loopback.connect(COUNTERS.Other)
            assert threading.current_thread().name not in {await other.where(), await stub.where()}
        with pytest.raises(zkrpc.Unavailable, match="the client is closed"):
            await other.where()

    run(program)


def test_loopback_begins_by_async_with() -> None:
    """Before, there is nothing to move; what cannot begin leaves nothing."""

    async def program() -> None:
        loopback = Loopback(SERVICE)
        with pytest.raises(zkrpc.ConfigError, match="has not begun: use it by `async with`"):
            await loopback.add()
        service = zkrpc.Service(idl.Echo, EchoHandler, is_ready=lambda: False, ready_timeout=0.05)
        with pytest.raises(zkrpc.ConfigError, match=r"was not ready within 0\.05 s"):
            async with Loopback(service):
                raise AssertionError("it has begun")

    run(program)


def test_loopback_whose_beginning_is_cancelled_leaves_nothing() -> None:
    """At whichever moment."""

    async def once() -> None:
        async with Loopback(SERVICE) as stub:
            await stub.echo("x")

    async def program() -> None:
        for turns in range(6):
            task = asyncio.create_task(once())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run(program)
