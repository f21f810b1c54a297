"""What a stop waits for, over real sockets: work, and not those who ought to speak."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.server.test_server import METHODS, Running, idl
from tests.support.waiting import eventually
from zkrpc.config import ServerConfig
from zkrpc.server.dispatch import Dispatcher, uninterruptible


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts servers that end with the test."""
    started: list[Running] = []

    def starter(**fields: Any) -> Running:
        started.append(Running(config=ServerConfig(**fields)))
        return started[-1]

    yield starter
    for running in started:
        running.close()


@pytest.mark.parametrize("linger", [0.0, 1.0])
def test_server_stop_takes_its_linger_time_and_no_more(start: Any, linger: float) -> None:
    """Also when a client has a connection and is itself blocked, so that it never says that nothing more will come."""
    running = start(linger=linger, drain_timeout=60.0)
    for zkrpc in (True, False):
        assert running.peer(zkrpc=zkrpc).call(METHODS["echo"], "before") == "before"
    began = time.monotonic()
    assert running.server.stop(60)
    assert linger <= time.monotonic() - began < linger + 30


def test_server_stop_waits_for_work_that_nobody_waits_for(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A oneway call and an uninterruptible one run to their ends, though their callers have left."""
    running = start(linger=0.0, drain_timeout=60.0)
    begun, done, go_on = [], [], Event()

    @uninterruptible
    def slow(text: str, milliseconds: int) -> str:
        begun.append(text)
        go_on.wait(60)
        done.append(text)
        return text

    def note(text: str) -> None:
        slow(text, 0)

    running.handler.slow, running.handler.note = slow, note
    running.server.dispatcher = Dispatcher(idl.Echo, running.handler, on_failure=lambda *_: None)
    peer = running.peer()
    peer.send(METHODS["slow"], "uninterruptible", 0, timeout=0.5)
    peer.send(METHODS["note"], "oneway")
    eventually(lambda: len(begun) == 2)
    peer.close()
    gevent.sleep(0.6)
    with caplog.at_level(logging.INFO):
        stopping = gevent.spawn(running.server.stop, 60)
        eventually(lambda: "waiting up to" in caplog.text)
        go_on.set()
        assert stopping.get(timeout=60)
    assert sorted(done) == ["oneway", "uninterruptible"]
    assert "draining: 2 calls in flight (" in caplog.text and "waiting up to 60 s for 2 calls" in caplog.text
    assert " s: no call in flight" in caplog.text


def test_server_stop_ends_work_that_nobody_waits_for_when_the_drain_time_is_over(
    start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever left has no answer to get, but the stop has its bound all the same, and says what it cut off."""
    running = start(linger=0.0, drain_timeout=0.3)
    begun, ended = [], []

    def note(text: str) -> None:
        begun.append(text)
        try:
            gevent.sleep(600)
        finally:
            ended.append(text)

    running.handler.note = note
    running.server.dispatcher = Dispatcher(idl.Echo, running.handler, on_failure=lambda *_: None)
    peer = running.peer()
    peer.send(METHODS["note"], "oneway")
    eventually(lambda: begun)
    peer.close()
    assert running.server.stop(60)
    gevent.sleep(0)
    assert ended == ["oneway"]
    assert "ending what outlasted drain_timeout: 1 call in flight (note)" in caplog.text
