"""Clients of threads and of asyncio that find their service by name: what its server sees of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.counting import run_program
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.worlds import hub_thread

pytestmark = pytest.mark.zookeeper


class Handler(EchoHandler):
    """Notes what was begun and how it ended, and calls another service if it has a way to."""

    def __init__(self, onward: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self.begun = 0
        self.cancelled = 0
        self._onward = onward

    def echo(self, text: str) -> str:
        super().echo(text)
        return text if self._onward is None else self._onward(text)

    def slow(self, text: str, milliseconds: int) -> str:
        self.begun += 1
        try:
            return super().slow(text, milliseconds)
        except gevent.GreenletExit:
            self.cancelled += 1
            raise


Serve = Callable[..., Handler]


@pytest.fixture
def serve(zookeeper: str) -> Iterator[Serve]:
    """Serves by name until the end of the test; returns the handler."""
    apps: list[zkrpc.App] = []

    def start(name: str, onward: Callable[[str], str] | None = None) -> Handler:
        handler = Handler(onward)
        config = zkrpc.ServerConfig(linger=0.0, drain_timeout=2.0)
        service = zkrpc.Service(idl.Echo, lambda: handler, name=name, config=config)
        apps.append(zkrpc.serve(service, zookeeper=zookeeper))
        apps[-1].registrar.wait_registered(60)
        return handler

    yield start
    for app in apps:
        app.kill()
    assert not hub_thread.has_hub_thread()


def in_loop(program: Any) -> Any:
    """What a coroutine function returns, in an event loop in a thread of its own; the hub serves meanwhile."""
    return gevent.get_hub().threadpool.apply(lambda: asyncio.run(program()))


def test_threads_find_the_service_and_cancel_at_its_server(serve: Serve, zookeeper: str) -> None:
    """By name, with a session of the stub's own; a cancelled future ends the handler."""
    handler = serve("echo")
    with zkrpc.threads.connect(idl.Echo, "echo", zookeeper=zookeeper) as stub:
        assert stub.echo("x") == "x" and zkrpc.explain(stub).service == "echo"
        assert gevent.get_hub().threadpool.map(stub.echo, "abc") == ["a", "b", "c"]
        futures = [stub.options(timeout=60).submit.slow("x", 60_000) for _ in range(4)]
        eventually(lambda: handler.begun == 4)
        assert all(one.cancel() for one in futures)
        eventually(lambda: handler.cancelled == 4)


def test_tasks_find_the_service_and_cancel_at_its_server(serve: Serve, zookeeper: str) -> None:
    """By name; a cancelled task, and a timeout of asyncio's, end the handler."""
    handler = serve("echo")

    async def program() -> str:
        async with zkrpc.aio.connect(idl.Echo, "echo", zookeeper=zookeeper) as stub:
            task = asyncio.create_task(stub.options(timeout=60).slow("x", 60_000))
            while handler.begun < 1:
                await asyncio.sleep(0.005)
            task.cancel()
            while handler.cancelled < 1:
                await asyncio.sleep(0.005)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await stub.options(timeout=60).slow("x", 60_000)
            while handler.cancelled < handler.begun:
                await asyncio.sleep(0.005)
            return str(await stub.echo("x"))

    assert in_loop(program) == "x"


@pytest.mark.parametrize("place", ["greenlet", "thread", "task"])
def test_deadline_of_the_call_that_is_served_goes_on(serve: Serve, zookeeper: str, place: str) -> None:
    """Into a handler's threads, and into tasks of event loops there: the next server hears of it."""
    inner = serve("inner")
    stub = zkrpc.threads.connect(idl.Echo, "inner", zookeeper=zookeeper)

    async def await_it(text: str) -> str:
        async with zkrpc.aio.connect(idl.Echo, "inner", zookeeper=zookeeper) as tasks:
            return str(await asyncio.create_task(tasks.options(timeout=100).echo(text)))

    def onward(text: str) -> str:
        patient = stub.options(timeout=100)
        if place == "greenlet":
            return str(patient.echo(text))
        if place == "thread":
            return str(zkrpc.offload(patient.echo, text))
        return str(zkrpc.offload(lambda: asyncio.run(await_it(text))))

    serve("outer", onward)
    with stub, zkrpc.connect(idl.Echo, "outer", zookeeper=zookeeper) as caller:
        assert caller.options(timeout=30).echo("x") == "x"
    deadline = inner.seen[-1].deadline
    assert deadline is not None and deadline.remaining(time.monotonic()) <= 30


def test_forked_children_have_sessions_of_their_own(zookeeper: str) -> None:
    """They find the service by name; no socket is the parent's, whose session goes on."""
    lines = run_program(
        """
        import asyncio
        app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler, name="counting"), zookeeper=address)
        app.registrar.wait_registered(60)
        stub = zkrpc.threads.connect(idl.Counting, "counting", zookeeper=address)
        stub.echo("x")
        mine = sockets()

        def work():
            if mine & sockets(): os._exit(3)
            patient = stub.options(timeout=30)
            assert patient.echo("child") == patient.submit.echo("child").result(60)
            stub.close()

        def ended(pid):
            while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0): gevent.sleep(0.01)
            return os.waitstatus_to_exitcode(found[1])

        children = [child(work) for _ in range(3)]
        say(*(ended(pid) for pid in children), stub.echo("parent"))
        stub.close(); app.kill()
        """,
        zookeeper,
    )
    assert lines == ["0 0 0 parent"]
