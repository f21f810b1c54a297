"""Spawning with the context kept."""

from __future__ import annotations

import contextvars

import gevent
import pytest

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


def raise_it(error: BaseException) -> None:
    """Does so."""
    raise error
