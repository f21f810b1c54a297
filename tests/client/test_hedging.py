"""Two copies of one call: who wins, who is cancelled, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tests.support.waiting import eventually
from zkrpc.call import Call
from zkrpc.client.hedging import Hedge, hedging
from zkrpc.deadline import Deadline
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError, ConnectionLost, Executed, Overloaded, RemoteError, Unavailable

pytestmark = pytest.mark.usefixtures("clean")

A, B = Endpoint("a", 1), Endpoint("b", 2)


class Declared(Exception):
    """An exception that the IDL declares."""


def hedged(scene: Scene) -> bool:
    """Both copies are under way."""
    return len(scene.attempts) == 2


def logged(text: str) -> Callable[[Scene], bool]:
    """The scene's log says this."""
    return lambda scene: text in scene.log


Pause = float | Callable[["Scene"], bool]
"""What an instance waits for before it answers: so many seconds, or that something is so."""
NEVER = 60.0


class Scene:
    """Two instances; what each does is scripted as a pause and an outcome."""

    def __init__(self, first: tuple[Pause, Any], second: tuple[Pause, Any] = (0.0, "second"), *, tokens: int = 9):
        self.script = {A: first, B: second}
        self.tokens = tokens
        self.log: list[str] = []
        self.attempts: list[Any] = []

    def call(self, hedge: Hedge | None = None, **fields: Any) -> Call:
        """A call of an idempotent method, hedged after 20 ms."""
        call = Call("get", None, Deadline(time.monotonic() + 2 * NEVER), idempotent=True)
        call.plan = SimpleNamespace(hedge=hedge or Hedge(0.02), max_attempts=4)
        call.attempt = 1
        for name, value in fields.items():
            setattr(call, name, value)
        return call

    def proceed(self, call: Call) -> Any:
        """Plays the stack below."""
        call.endpoint = B if A in call.tried else A
        self.attempts.append((call.attempt, call.endpoint))
        pause, outcome = self.script[call.endpoint]
        try:
            if callable(pause):
                eventually(lambda: pause(self))
            else:
                gevent.sleep(pause)
        except BaseException as error:
            self.log.append(f"{call.endpoint.host} {type(error).__name__}")
            raise
        self.log.append(f"{call.endpoint.host} done")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def run(self, call: Call | None = None) -> Any:
        """Makes the call."""

        def may_repeat(now: float) -> bool:
            self.tokens -= 1
            return self.tokens >= 0

        return hedging(clock=time.monotonic, may_repeat_now=may_repeat)(call or self.call(), self.proceed)


def test_quick_call_has_no_second_copy() -> None:
    """It costs nothing but a timer."""
    scene = Scene((0.0, "first"))
    assert scene.run() == "first"
    gevent.sleep(0.04)
    assert (scene.log, scene.tokens) == (["a done"], 9)


def test_second_copy_goes_elsewhere_and_its_answer_counts() -> None:
    """The first one is ended where it waits; the call says who answered, and whom not to ask again."""
    scene = Scene((NEVER, "first"))
    call = scene.call()
    assert scene.run(call) == "second"
    assert scene.attempts == [(1, A), (2, B)]
    assert scene.log == ["b done", "a _Superseded"]
    assert (call.endpoint, call.tried, scene.tokens) == (B, {A, B}, 8)


def test_first_copy_that_answers_after_all_ends_the_second() -> None:
    """Its greenlet is killed, so that its server is told, too."""
    scene = Scene((hedged, "first"), (NEVER, "second"))
    assert scene.run() == "first"
    gevent.sleep(0)
    assert scene.log == ["a done", "b GreenletExit"]


def test_declared_exception_of_the_second_copy_is_an_answer() -> None:
    """As good as any."""
    with pytest.raises(Declared):
        Scene((NEVER, "first"), (0.0, Declared())).run()


def test_failure_of_the_second_copy_changes_nothing() -> None:
    """The first one goes on."""
    assert Scene((logged("b done"), "first"), (0.0, Unavailable("refused"))).run() == "first"


def test_first_copy_that_fails_leaves_it_to_the_second() -> None:
    """If there is one: the retry learns of a failure only when both have failed."""
    scene = Scene((hedged, ConnectionLost("gone")), (logged("a done"), "second"))
    assert scene.run() == "second"
    lone = Scene((0.0, ConnectionLost("gone")))
    with pytest.raises(ConnectionLost):
        lone.run()
    assert lone.tokens == 9


def test_both_copies_failing_is_the_failure_of_the_first() -> None:
    """The second one's server is not asked again either."""
    scene = Scene((hedged, ConnectionLost("gone")), (logged("a done"), Overloaded("no")))
    call = scene.call()
    with pytest.raises(ConnectionLost):
        scene.run(call)
    assert call.tried == {A, B}


def test_failure_that_was_executed_does_not_wait_for_the_second_copy() -> None:
    """It would be no better elsewhere."""
    scene = Scene((hedged, RemoteError("bug")), (NEVER, "second"))
    with pytest.raises(RemoteError) as caught:
        scene.run()
    assert caught.value.executed is Executed.YES
    gevent.sleep(0)
    assert scene.log == ["a done", "b GreenletExit"]


def test_caller_that_leaves_takes_both_copies_along() -> None:
    """Killed, or timed out on its own account."""
    scene = Scene((NEVER, "first"), (NEVER, "second"))
    caller = gevent.spawn(scene.run)
    eventually(lambda: hedged(scene))
    caller.kill()
    gevent.sleep(0)
    assert sorted(scene.log) == ["a GreenletExit", "b GreenletExit"]
    waiting, timeout = (Scene((hedged, ConnectionLost("gone")), (NEVER, "second")), gevent.Timeout())
    caller = gevent.spawn(waiting.run)
    eventually(lambda: waiting.log == ["a done"])
    caller.kill(timeout)
    assert caller.exception is timeout
    gevent.sleep(0)
    assert waiting.log == ["a done", "b GreenletExit"]


def test_no_second_copy_without_a_token() -> None:
    """Hedges and retries share one budget."""
    scene = Scene((0.05, "first"), tokens=0)
    assert scene.run() == "first"
    assert scene.attempts == [(1, A)]


@pytest.mark.parametrize(
    "fields",
    [
        {"idempotent": False},
        {"repeated": True},
        {"route": "to the primary"},
        {"plan": None},
        {"plan": SimpleNamespace(hedge=None, max_attempts=4)},
        {"deadline": Deadline(0.0)},
    ],
)
def test_some_calls_are_never_hedged(fields: dict[str, Any]) -> None:
    """Those that may not be made twice, that have only one place to go, or no time for it."""
    scene = Scene((0.05, "first"))
    assert scene.run(scene.call(**fields)) == "first"
    assert scene.attempts == [(1, A)]


def test_percentile_is_known_after_enough_calls() -> None:
    """Until then there is no second copy; what is recorded is what the caller saw."""
    hedge = Hedge("p95")
    slow = Scene((0.3, "first"))
    assert hedge.delay() is None and slow.run(slow.call(hedge)) == "first"
    quick = Scene((0.0, "first"))
    for _ in range(100):
        quick.run(quick.call(hedge))
    delay = hedge.delay()
    assert delay is not None and 0.001 <= delay < 0.25
    stuck = Scene((NEVER, "first"))
    assert stuck.run(stuck.call(hedge)) == "second"


def test_failures_are_not_recorded() -> None:
    """One that comes at once would make the method look fast."""
    hedge = Hedge("p95")
    failing = Scene((0.0, Unavailable("no")))
    for _ in range(200):
        with pytest.raises(Unavailable):
            failing.run(failing.call(hedge))
    assert hedge.delay() is None


def test_hedge_wants_a_time_or_a_percentile() -> None:
    """Anything else is a mistake."""
    assert Hedge(0.02).delay() == 0.02
    Hedge(0.02).record(1.0)
    with pytest.raises(ConfigError):
        Hedge("soon")


def test_many_calls_race_at_once() -> None:
    """Each gets its own answer, and nothing is left behind."""
    scenes = [Scene((0.03 * (number % 3), number), (0.01, -number)) for number in range(60)]
    runs: list[Callable[[], Any]] = [scene.run for scene in scenes]
    answers = [one.get(timeout=60) for one in [gevent.spawn(run) for run in runs]]
    assert all(abs(answer) == number for number, answer in enumerate(answers))
