"""A small service with every kind of behaviour, for tests of both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent

import zkrpc
from zkrpc.errors import Unavailable

idl = zkrpc.load(Path(__file__).with_name("echo.thrift"))


class EchoHandler:
    """Answers, waits, or fails as asked."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.seen: list[zkrpc.call.ServerCall] = []

    def echo(self, text: str) -> str:
        call = zkrpc.current_call()
        assert call is not None
        self.seen.append(call)
        return text

    def slow(self, text: str, milliseconds: int) -> str:
        gevent.sleep(milliseconds / 1000)
        return text

    def pair(self, pair: Any) -> Any:
        return pair

    def fail(self, how: str) -> None:
        if how == "declared":
            raise idl.Oops(why="as declared")
        if how == "timeout":
            raise gevent.Timeout(0.1)
        if how == "called out":
            raise Unavailable("another service was away")
        raise ValueError("a secret detail")

    def note(self, text: str) -> None:
        self.notes.append(text)
        if text == "bad":
            raise ValueError("nobody hears this")

    def large(self, size: int) -> Any:
        return "x" * size if size >= 0 else size
