"""Spawning with the context kept."""

from __future__ import annotations

import contextvars
from typing import Any

import gevent
import pytest

from zkrpc.callables import Kind, kind_of
from zkrpc.errors import ConfigError
from zkrpc.greenlets import offload, spawn

_place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")


def test_spawned_greenlet_sees_a_copy_of_the_context() -> None:
    """What it sees is what held here; what it changes stays there."""

    def look(later: str) -> str:
        seen = _place.get()
        _place.set(later)
        return seen

    _place.set("here")
    assert gevent.spawn(look, "there").get(timeout=60) == "nowhere"
    assert spawn(look, later="there").get(timeout=60) == "here"
    assert _place.get() == "here"


def test_error_of_what_was_offloaded_is_raised_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """It tells where it was raised, in the thread; whoever catches it has said all that is to be said."""

    def look_up(text: str, *, base: int) -> int:
        return int(text, base=base)

    assert offload(look_up, "ff", base=16) == 255
    with pytest.raises(ValueError, match="invalid literal") as raised:
        offload(look_up, "x", base=10)
    assert raised.traceback[-1].name == "look_up"
    with pytest.raises(SystemExit):
        offload(raise_it, SystemExit(3))
    assert capfd.readouterr() == ("", "")


def test_offload_marks_what_cannot_be_called_alone_and_runs_the_rest() -> None:
    """A method above all, with or without parentheses; what needs no argument is run, and may be marked as well. The
    method itself is not changed."""

    class Handler:
        @offload
        def method(self) -> str:
            return "run"

        @staticmethod
        @offload()
        def alone() -> str:
            return "run"

    assert Handler().method() == "run" and kind_of(Handler().method) is Kind.THREAD
    assert Handler().alone() == "run" and kind_of(Handler().alone) is Kind.THREAD
    assert offload(lambda: "run") == "run" and offload(lambda some=1: some) == 1


def test_offload_refuses_what_no_thread_could_run() -> None:
    """An ``async def`` has an event loop; what is no function is named."""

    async def later(self: object) -> None: ...

    with pytest.raises(ConfigError, match="later is async and runs on an event loop: @zkrpc.offload is for a plain"):
        offload(later)
    wrong: Any = 7
    with pytest.raises(ConfigError, match="offload wants a function and its arguments, got 7"):
        offload(wrong, 1)
    with pytest.raises(ConfigError, match="offload marks a method, and 7 is none"):
        offload()(wrong)


def test_offloaded_function_sees_the_context() -> None:
    """So it knows the call that is served, and its deadline."""
    _place.set("here")
    assert offload(_place.get) == "here" and offload(lambda: _place.set("there")) and _place.get() == "here"


def raise_it(error: BaseException) -> None:
    """Does so."""
    raise error
