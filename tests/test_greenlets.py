"""Spawning with the context kept."""

from __future__ import annotations

import contextvars

import gevent

from zkrpc.greenlets import spawn

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
