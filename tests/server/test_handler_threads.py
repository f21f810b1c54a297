"""Handlers on the hub, on the event loop and in threads: the same to callers, to admission, and at the end."""

from __future__ import annotations

import _thread
import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.counting import run_program
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.wire_peer import Peer
from zkrpc.config import ServerConfig
from zkrpc.endpoint import Endpoint
from zkrpc.server import handler_threads as module
from zkrpc.server.server import Server
from zkrpc.testing.loopback import Loopback

SLOW, ECHO = idl.Echo.methods["slow"], idl.Echo.methods["echo"]
HERE = _thread.get_ident()


class OnHub(EchoHandler):
    """What the others do, too."""

    def echo(self, text: str) -> str:
        call = zkrpc.current_call()
        assert call is not None and call.deadline is not None
        return f"{call.method} {call.caller.name} {_thread.get_ident() == HERE}"

    @zkrpc.allow("cn:somebody")
    def slow(self, text: str, milliseconds: int) -> str:
        raise AssertionError("nobody may call it")

    @zkrpc.primary_only
    def pair(self, pair: Any) -> Any:
        call = zkrpc.current_call()
        assert call is not None
        return idl.Pair(left="epoch", right=call.epoch)


class OnLoop(OnHub):
    """``async def``, each of them."""

    async def echo(self, text: str) -> str:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().echo(text)

    @zkrpc.primary_only
    async def pair(self, pair: Any) -> Any:
        return super().pair(pair)

    async def fail(self, how: str) -> None:  # type: ignore[override]
        super().fail(how)

    async def note(self, text: str) -> None:  # type: ignore[override]
        super().note(text)

    @zkrpc.allow("cn:somebody")
    async def slow(self, text: str, milliseconds: int) -> str:  # type: ignore[override]
        return super().slow(text, milliseconds)

    async def large(self, size: int) -> Any:
        return super().large(size)


class InThreads(OnHub):
    """Marked, each of them."""

    @zkrpc.offload
    def echo(self, text: str) -> str:
        return super().echo(text)

    @zkrpc.primary_only
    @zkrpc.offload
    def pair(self, pair: Any) -> Any:
        return super().pair(pair)

    @zkrpc.offload
    def fail(self, how: str) -> None:
        super().fail(how)

    @zkrpc.offload
    def note(self, text: str) -> None:
        super().note(text)

    @zkrpc.offload
    @zkrpc.allow("cn:somebody")
    def slow(self, text: str, milliseconds: int) -> str:
        return super().slow(text, milliseconds)

    @zkrpc.offload
    def large(self, size: int) -> Any:
        return super().large(size)


@pytest.mark.parametrize("handler", [OnHub, OnLoop, InThreads])
def test_handlers_of_all_kinds_answer_alike(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Results, exceptions of all sorts, permissions, epochs, interceptors around them, and what the handler knows of
    the call."""
    around: list[str] = []

    def intercept(call: Any, proceed: Any) -> Any:
        around.append(f"{call.method} {_thread.get_ident() == HERE}")
        try:
            return proceed(call)
        finally:
            around.append(f"entered {call.entered}")

    service = zkrpc.Service(idl.Echo, handler, interceptors=[intercept])
    loopback = Loopback(service, config=zkrpc.ClientConfig(name="shop", timeout=60))
    with loopback as stub:
        assert stub.echo("") == f"echo shop {handler is OnHub}"
        assert around == ["echo True", "entered True"]
        assert stub.pair(idl.Pair(left="", right=0)) == idl.Pair(left="epoch", right=1)
        with pytest.raises(idl.Oops, match="as declared"):
            stub.fail("declared")
        for how in ("undeclared", "timeout", "called out"):
            with pytest.raises(zkrpc.RemoteError) as caught:
                stub.fail(how)
            assert caught.value.executed is zkrpc.Executed.YES and "secret" not in str(caught.value)
        with pytest.raises(zkrpc.RemoteError):
            stub.large(-1)
        stub.note("heard")
        eventually(lambda: loopback.handlers[0].notes == ["heard"])
        with pytest.raises(zkrpc.PermissionDenied):
            stub.slow("", 0)
        assert "a secret detail" in caplog.text and "returned what the IDL does not allow" in caplog.text


class Blocking(EchoHandler):
    """``slow`` is a task that hangs; ``echo`` is in a thread and waits at a gate; ``fail`` uses a stub of the hub."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.gate = threading.Event()
        self.stub: Any = None

    async def slow(self, text: str, milliseconds: int) -> str:  # type: ignore[override]
        self.events.append(f"{text} begun")
        try:
            await asyncio.sleep(milliseconds / 1000)
        except asyncio.CancelledError:
            self.events.append(f"{text} cancelled")
            raise
        return text

    @zkrpc.offload
    def echo(self, text: str) -> str:
        self.events.append(f"{text} begun")
        self.gate.wait(60)
        return text

    async def fail(self, how: str) -> None:  # type: ignore[override]
        self.stub.echo("")


class Running:
    """A server with that handler, which ends with the test."""

    def __init__(self, **fields: Any) -> None:
        self.handler = Blocking()
        config = ServerConfig(**{"linger": 0.0, "drain_timeout": 5.0, **fields})
        self.server = Server(idl.Echo, self.handler, config=config)
        self.endpoint = self.server.bind(Endpoint("127.0.0.1", 0))
        self.server.start()
        self.peers: list[Peer] = []

    def peer(self) -> Peer:
        self.peers.append(Peer(self.endpoint))
        return self.peers[-1]

    def close(self) -> None:
        self.handler.gate.set()
        for peer in self.peers:
            peer.close()
        self.server.kill()


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts servers that end with the test."""
    started: list[Running] = []

    def starter(**fields: Any) -> Running:
        started.append(Running(**fields))
        return started[-1]

    yield starter
    for running in started:
        running.close()


def busy(running: Running) -> tuple[int, int, int, int]:
    """Places taken, tasks, threads and waiting calls, as the server's status has them."""
    status = running.server.status()
    return status.running, status.tasks, status.offload_running, status.offload_queued


def last_call(peer: Peer) -> Any:
    """The id of the newest call."""
    return peer.protocol.waiting()[-1][0]


def cancel(peer: Peer, call: Any) -> None:
    """The caller gives a call up."""
    peer.protocol.cancel_call(call)
    peer.socket.sendall(peer.protocol.data_to_send())


def pass_deadlines(running: Running, seconds: float) -> None:
    """Has the server look for calls whose deadline has passed as if it were so much later; by default it is 60 s."""
    for connection in running.server.connections:
        connection.end_overdue(time.monotonic() + seconds)


def test_cancelled_call_ends_its_task(start: Any) -> None:
    """At once; its place is free, and the connection goes on."""
    running = start()
    peer = running.peer()
    peer.send(SLOW, "one", 600_000)
    eventually(lambda: running.handler.events == ["one begun"])
    assert busy(running) == (1, 1, 0, 0)
    cancel(peer, last_call(peer))
    eventually(lambda: running.handler.events == ["one begun", "one cancelled"])
    eventually(lambda: busy(running) == (0, 0, 0, 0))
    assert peer.call(SLOW, "two", 0) == "two"


def test_passed_deadline_ends_a_task(start: Any) -> None:
    """Also of a caller that does not cancel."""
    running = start()
    running.peer().send(SLOW, "one", 600_000)
    eventually(lambda: running.handler.events == ["one begun"])
    pass_deadlines(running, 100)
    eventually(lambda: running.handler.events == ["one begun", "one cancelled"])
    eventually(lambda: busy(running) == (0, 0, 0, 0))


def test_offloaded_call_is_refused_when_threads_and_queue_are_full(start: Any) -> None:
    """Without having run. A call that waits leaves when it is cancelled or its deadline passes; one that runs goes on,
    and keeps its thread, but not its place."""
    running = start(offload_threads=1, offload_queue=1)
    peer = running.peer()
    peer.send(ECHO, "runs")
    eventually(lambda: running.handler.events == ["runs begun"])
    peer.send(ECHO, "waits")
    eventually(lambda: busy(running) == (2, 0, 1, 1))
    waiting = last_call(peer)
    kind, message, headers = peer.call(ECHO, "refused")
    assert (headers["zkrpc-error"], headers["zkrpc-executed"]) == ("Overloaded", "no")
    assert "all 1 threads for offloaded handlers are busy, and 1 calls wait for one" in message
    cancel(peer, waiting)
    eventually(lambda: busy(running) == (1, 0, 1, 0))
    peer.send(ECHO, "late", timeout=20)
    eventually(lambda: busy(running) == (2, 0, 1, 1))
    pass_deadlines(running, 40)
    eventually(lambda: busy(running) == (1, 0, 1, 0))
    cancel(peer, peer.protocol.waiting()[0][0])
    eventually(lambda: busy(running) == (0, 0, 1, 0))
    running.handler.gate.set()
    eventually(lambda: busy(running) == (0, 0, 0, 0))
    assert peer.call(ECHO, "next") == "next"
    assert running.handler.events == ["runs begun", "next begun"]


def test_deadline_that_passes_just_before_a_thread_is_free_keeps_the_call_from_running(start: Any) -> None:
    """Whoever looks first, the thread or the hub."""
    running = start(offload_threads=1)
    peer = running.peer()
    peer.send(ECHO, "runs")
    eventually(lambda: running.handler.events == ["runs begun"])
    peer.send(ECHO, "late", token="late")
    eventually(lambda: busy(running) == (2, 0, 1, 1))
    running.server.threads._clock = lambda: time.monotonic() + 1000  # the hub still thinks that there is time
    running.handler.gate.set()
    peer.read(2)
    _, message, headers = peer.result("late", ECHO)
    assert "the deadline passed while the call waited for a thread" in message
    assert (headers["zkrpc-error"], headers["zkrpc-executed"]) == ("DeadlineExceeded", "no")
    assert running.handler.events == ["runs begun"]


def test_drain_waits_for_handlers_of_all_kinds_and_ends_the_threads(start: Any) -> None:
    """Their answers arrive; later calls find a server that is stopping."""
    running = start()
    assert repr(running.server.threads) == "<HandlerThreads <Seats running=0/16 queued=0/16> tasks=0>"
    assert running.server.threads._left == 0, "no thread before the first call that needs one"
    peer = running.peer()
    peer.send(SLOW, "task", 300, token="task")
    peer.send(ECHO, "thread", token="thread")
    eventually(lambda: sorted(running.handler.events) == ["task begun", "thread begun"])
    assert running.server.threads._left == 2
    running.server.begin_stop()
    gevent.sleep(0.05)
    running.handler.gate.set()
    peer.read(2)
    assert peer.result("task", SLOW) == "task" and peer.result("thread", ECHO) == "thread"
    peer.close()
    assert running.server.wait_stopped(60) and running.server.threads._left == 0
    for run in running.server.threads.runners.values():
        with pytest.raises(zkrpc.Draining, match="the server is stopping"):
            run(zkrpc.call.ServerCall("echo", print, (), {}, "10.0.0.1:5", 0.0))


def test_stop_leaves_behind_what_does_not_end(
    start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its caller is answered when the drain's time is over, tasks are cancelled, and a thread that hangs is named."""
    monkeypatch.setattr(module, "_STOP", 0.2)
    running = start(drain_timeout=0.1)
    peer = running.peer()
    peer.send(SLOW, "task", 600_000, token="task")
    peer.send(ECHO, "thread", token="thread")
    eventually(lambda: len(running.handler.events) == 2)
    with caplog.at_level(logging.WARNING):
        running.server.begin_stop()
        peer.read(2)
        assert running.server.wait_stopped(60)
    assert {peer.result(token, SLOW)[2]["zkrpc-executed"] for token in ("task", "thread")} == {"maybe"}
    assert "threads behind, whose handlers do not end: echo" in caplog.text
    eventually(lambda: "task cancelled" in running.handler.events)
    assert not running.server.threads._jobs


def test_killed_server_does_not_wait_for_a_handler_that_must_not_be_interrupted(start: Any) -> None:
    """Its task is cancelled with the loop."""
    zkrpc.uninterruptible(Blocking.slow)
    try:
        running = start()
        running.peer().send(SLOW, "one", 600_000)
        eventually(lambda: running.handler.events == ["one begun"])
        running.server.kill()
    finally:
        del Blocking.slow.zkrpc_uninterruptible  # type: ignore[attr-defined]
    assert running.handler.events == ["one begun", "one cancelled"]


def test_stub_of_the_hub_is_refused_in_the_event_loop(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    """At once, with what to do instead; it is none the worse for it."""
    running = start()
    with zkrpc.connect(idl.Echo, [str(running.endpoint)]) as stub:
        running.handler.stub = stub
        running.handler.gate.set()
        with pytest.raises(zkrpc.RemoteError):
            stub.fail("")
        assert "zkrpc.errors.WrongThread: a stub" in caplog.text and "by zkrpc.aio.connect()" in caplog.text
        assert stub.echo("works") == "works"


def test_event_loop_that_a_handler_has_stopped_is_replaced(start: Any) -> None:
    """Calls on it fail, the next one finds another loop."""
    running = start()
    peer = running.peer()
    assert peer.call(SLOW, "one", 0) == "one"
    loop = running.server.threads._loop._loop
    loop.call_soon_threadsafe(loop.stop)
    eventually(lambda: running.server.threads._left == 0)
    assert peer.call(SLOW, "two", 0) == "two"


def test_threads_are_native_with_patches_as_well() -> None:
    """The event loop's, its look-ups' and ``to_thread``'s, and those of the pool, which sleep beside each other; none
    is left when the server has stopped."""
    lines = run_program(
        """
        import asyncio
        from gevent.monkey import get_original
        me = get_original("_thread", "get_ident")
        here = me()

        class Handler(CountingHandler):
            async def echo(self, text):
                [info] = await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80, type=1)
                return f"{len({here, me(), await asyncio.to_thread(me)})} threads {info[4][0]}"

            @zkrpc.offload
            def nap(self, milliseconds):
                time.sleep(milliseconds / 1000)

        before = len(os.listdir("/proc/self/task"))
        app = zkrpc.serve(zkrpc.Service(idl.Counting, Handler), bind="127.0.0.1:0")
        with zkrpc.connect(idl.Counting, [str(app.endpoint)]) as stub:
            say(stub.echo(""))
            began = time.monotonic()
            gevent.joinall([gevent.spawn(stub.options(timeout=60).nap, 500) for _ in range(16)])
            say("together" if time.monotonic() - began < 7 else "in turn")
        app.stop()
        while len(os.listdir("/proc/self/task")) > before:
            gevent.sleep(0.01)
        """,
        "",
        "patched",
    )
    assert lines == ["3 threads 127.0.0.1", "together"]


def test_fork_in_a_thread_ends_the_child_with_its_handler() -> None:
    """Its hub and its callers are the parent's: in a task also as soon as it waits, in a thread when it returns."""
    lines = run_program(
        """
        import asyncio

        class Handler(CountingHandler):
            async def fork(self, how):
                pid = os.fork()
                if pid == 0:
                    say("child")
                    if how == "waits":
                        await asyncio.sleep(0.01)
                        say("went on")
                    return 0
                await asyncio.sleep(0)
                while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
                    await asyncio.sleep(0.01)
                return os.waitstatus_to_exitcode(ended[1])

            @zkrpc.offload
            def echo(self, text):
                pid = os.fork()
                if pid == 0:
                    return "child"
                return str(status(pid))

        app = zkrpc.serve(zkrpc.Service(idl.Counting, Handler), bind="127.0.0.1:0")
        with zkrpc.connect(idl.Counting, [str(app.endpoint)]) as stub:
            stub = stub.options(timeout=60)
            say(stub.fork("returns"), stub.fork("waits"), stub.echo(""), stub.fork("returns"))
        app.stop()
        say("stopped")
        """,
        "",
    )
    assert lines == ["child", "child", "child", "0 0 0 0", "stopped"]


@pytest.mark.parametrize("way", ["plain", "patched"])
def test_handlers_in_threads_call_out_within_the_deadline_of_their_call(way: str) -> None:
    """A task by ``zkrpc.aio``, a thread by ``zkrpc.threads``; what is called has no more time left than they have, and
    a call that is cancelled ends through both hops."""
    lines = run_program(
        """
        import asyncio, zkrpc.aio, zkrpc.threads
        ended = []

        class Back(CountingHandler):
            def add(self, who):
                return int(zkrpc.current_call().deadline.remaining(time.monotonic()))

            def nap(self, milliseconds):
                try:
                    gevent.sleep(milliseconds / 1000)
                except gevent.GreenletExit:
                    ended.append("ended")
                    raise

        class Front(CountingHandler):
            def __init__(self):
                self.threads = zkrpc.threads.connect(idl.Counting, [str(back.endpoint)])

            async def add(self, who):
                async with zkrpc.aio.connect(idl.Counting, [str(back.endpoint)]) as users:
                    return await users.options(timeout=5000).add(who)

            @zkrpc.offload
            def total(self, who):
                return self.threads.options(timeout=5000).add(who)

            async def nap(self, milliseconds):
                async with zkrpc.aio.connect(idl.Counting, [str(back.endpoint)]) as users:
                    await users.options(timeout=600).nap(milliseconds)

        back = zkrpc.serve(zkrpc.Service(idl.Counting, Back), bind="127.0.0.1:0")
        front = zkrpc.serve(zkrpc.Service(idl.Counting, Front), bind="127.0.0.1:0")
        with zkrpc.connect(idl.Counting, [str(front.endpoint)]) as stub:
            patient = stub.options(timeout=1000)
            say(1000 > patient.add("x") > 800, 1000 > patient.total("x") > 800)
            call = gevent.spawn(stub.options(timeout=300).nap, 200_000)
            while "nap" not in front.server.status().calls or "nap" not in back.server.status().calls:
                gevent.sleep(0.01)
            call.kill()
            while not ended:
                gevent.sleep(0.01)
        front.server.dispatcher._table[b"add"].handler.__self__.threads.close()
        front.stop()
        back.stop()
        say(*ended)
        """,
        "",
        way,
    )
    assert lines == ["True True", "ended"]
