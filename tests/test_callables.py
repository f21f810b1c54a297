"""Functions that are handed over."""

from __future__ import annotations

import functools
import unittest.mock
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from zkrpc.callables import (
    OFFLOADED,
    Kind,
    attribute_of,
    can_take,
    kind_of,
    name_of,
    never_run,
    require_callable,
    require_interceptors,
)
from zkrpc.errors import ConfigError


class Good:
    """Called like a function."""

    def __call__(self, call: Any, proceed: Any) -> Any:
        return proceed(call)


class Bad:
    """Called in vain."""

    async def __call__(self, call: Any, proceed: Any) -> Any:
        return proceed(call)


class Unsaid(Good):
    """Says of itself what ``inspect`` cannot read, as some mocks do."""

    __signature__ = 3


async def coroutine(call: Any, proceed: Any) -> Any:
    """Awaited by nobody."""


async def coroutines(call: Any, proceed: Any) -> AsyncIterator[int]:
    """Iterated by nobody."""
    yield 1


def generator(call: Any, proceed: Any) -> Iterator[int]:
    """Nor this."""
    yield 1


@pytest.mark.parametrize(
    "function", [Good(), Good().__call__, lambda call, proceed, more=1: 1, lambda *some: 1, max, Unsaid()]
)
def test_function_that_can_be_called_is_taken(function: Any) -> None:
    """Objects, methods, defaults, ``*args``, and what has no signature."""
    require_callable("it", function, "call", "proceed")
    assert can_take(function, 2)


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (coroutine, "it coroutine is async, and nobody would await it"),
        (coroutines, "it coroutines is async"),
        (functools.partial(coroutine), " is async"),
        (Bad(), " is async"),
        (generator, "it generator is a generator, and nothing would iterate it"),
        (Good, "it Good must take (call, proceed); give an instance of the class"),
        (lambda call: 1, " must take (call, proceed)"),
        (7, "it must be a function of (call, proceed), got 7"),
        (None, "it must be a function of (call, proceed), got None"),
    ],
)
def test_function_that_would_do_nothing_is_refused(function: Any, complaint: str) -> None:
    """When it is handed over, in one line that says what to do."""
    with pytest.raises(ConfigError) as caught:
        require_callable("it", function, "call", "proceed")
    assert complaint in str(caught.value) and str(caught.value).startswith("it ")


def marked(call: Any, proceed: Any) -> None:
    """As ``zkrpc.offload`` marks it."""


setattr(marked, OFFLOADED, True)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (Good(), Kind.GREENLET),
        (max, Kind.GREENLET),
        (generator, Kind.GREENLET),
        (coroutines, Kind.GREENLET),
        (unittest.mock.MagicMock(), Kind.GREENLET),
        (coroutine, Kind.TASK),
        (functools.partial(coroutine, 1), Kind.TASK),
        (Bad(), Kind.TASK),
        (marked, Kind.THREAD),
    ],
)
def test_handler_runs_where_its_form_says(function: Any, kind: Kind) -> None:
    """``async def`` on the event loop, what is marked in a thread, all else on the hub."""
    assert kind_of(function) is kind


def test_nothing_is_said_of_what_is_no_function() -> None:
    """A hook that is not there."""
    assert never_run(None) == ""


def test_interceptors_are_a_sequence_of_functions() -> None:
    """Any iterable will do; a single function, or something else, is told what is expected."""
    good = Good()
    assert require_interceptors(iter([good, good])) == (good, good) and require_interceptors(()) == ()
    for wrong in (3, good, None):
        with pytest.raises(ConfigError, match=r"interceptors must be a list of functions of \(call, proceed\), got"):
            require_interceptors(wrong)
    with pytest.raises(ConfigError, match="the interceptor coroutine is async"):
        require_interceptors([good, coroutine])


class Strict:
    """Says KeyError where Python expects AttributeError."""

    there = 7

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)


def test_attributes_are_read_or_the_reason_is_told() -> None:
    """What is there, what is not, and what cannot be read, with the advice."""
    assert (attribute_of(Strict(), "there"), attribute_of(Good(), "there")) == (7, None)
    assert attribute_of(Good(), "there", 3) == 3
    with pytest.raises(
        ConfigError, match=r"Strict\.gone cannot be read: KeyError: 'gone'; .* has to raise AttributeError"
    ):
        attribute_of(Strict(), "gone")
    assert (name_of(Strict()), name_of(Good), name_of(Good()), name_of(generator)) == (
        "Strict",
        "Good",
        "Good",
        "generator",
    )
