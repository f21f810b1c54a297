"""The order of things around one attempt, with a scripted channel and no sockets."""

from __future__ import annotations

import contextlib
import gc
import random
import sys
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tests.support.echo import idl
from tests.support.listening import Listener
from zkrpc.balancing.load import Load
from zkrpc.call import Call, Proceed
from zkrpc.client.hedging import Hedge
from zkrpc.client.observing import CallObserver, observer_of
from zkrpc.client.policy import PolicyTable
from zkrpc.client.primary_router import PrimaryRouter
from zkrpc.client.stack import Plan, build_stack, in_turn, waiting_first
from zkrpc.codec import FailureKind, Payload, encode_failure
from zkrpc.config import BreakerConfig, ClientConfig, MethodConfig, ServiceConfig, WireLimits
from zkrpc.deadline import Deadline
from zkrpc.endpoint import Endpoint
from zkrpc.errors import (
    ConnectionLost,
    DeadlineExceeded,
    Executed,
    Overloaded,
    RemoteError,
    RemoteProtocolError,
    Unavailable,
    UnknownMethod,
)
from zkrpc.policies.backoff import Backoff
from zkrpc.policies.breaker import Breaker
from zkrpc.telemetry.events import CallFinished, Event
from zkrpc.telemetry.observer import Observers
from zkrpc.telemetry.recording import MOST, Recording
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Reply


class NotFound(Exception):
    """What the IDL declares."""


def answer(value: str, **headers: str) -> Reply:
    """A reply with this content."""
    named = {f"zkrpc-{name}": told for name, told in headers.items()}
    return Reply(MessageKind.REPLY, named, value.encode(), 0, Dialect.HEADER_BINARY)


def refusal(error: str, executed: str = "no", **more: str) -> Reply:
    """An EXCEPTION as a zkrpc server sends it."""
    body = encode_failure("because", FailureKind.INTERNAL_ERROR)
    headers = {f"zkrpc-{name}": told for name, told in {"error": error, "executed": executed, **more}.items()}
    return Reply(MessageKind.EXCEPTION, headers, body, 0, Dialect.HEADER_BINARY)


def read_result(buffer: bytes, offset: int, payload: Payload, max_elements: int) -> str:
    """Plays a method's reader."""
    text = buffer[offset:].decode()
    assert max_elements == WireLimits().max_elements
    if text == "not found":
        raise NotFound
    if text == "garbage":
        raise RemoteProtocolError("truncated")
    return text


def encode_arguments(body: Any, payload: Payload) -> bytes:
    """Plays a method's writer."""
    if body is None:
        raise TypeError("does not fit")
    return bytes(body)


METHOD: Any = SimpleNamespace(
    interface="Users",
    name="get",
    wire_name=b"get",
    throws=(NotFound,),
    attempt_read=None,
    read_result=read_result,
    encode_arguments=encode_arguments,
)


class NamesAt:
    """Plays the names of methods at one instance."""

    def __init__(self, before: str) -> None:
        self.before = before

    def __getitem__(self, method: Any) -> bytes:
        return f"{self.before}{method.name}".encode()


class Subchannel:
    """A subchannel and its connection in one."""

    payload = Payload.BINARY
    ready = None
    is_heard = True
    names: Any = None

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.taken = 0

    def acquire(self, deadline_at: float) -> Subchannel:
        self.taken += 1
        return self

    def release(self, connection: Subchannel) -> None:
        self.taken -= 1

    def call(
        self,
        name: bytes,
        body: bytes,
        deadline_at: float,
        headers: Mapping[str, str] | None,
        oneway: bool,
        movable: bool,
    ) -> Reply | None:
        self.scene.movable.append(movable)
        self.scene.sent.append((name, body, dict(headers or {}), oneway))
        self.scene.now += 0.01
        outcome = self.scene.outcomes.pop(0)
        if callable(outcome):
            outcome = outcome()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome  # type: ignore[no-any-return]


class Scene:
    """A channel of two members whose connections answer by script."""

    def __init__(self, *outcomes: Any) -> None:
        self.now = 50.0
        self.outcomes = list(outcomes)
        self.sent: list[Any] = []
        self.config = ClientConfig()
        self.backoff = Backoff(first=0.025, longest=1.0)
        self.rng = random.Random(1).random
        self.clock = lambda: self.now
        self.members = [
            SimpleNamespace(
                endpoint=Endpoint("h", number),
                load=Load(),
                subchannel=Subchannel(self),
                breaker=Breaker(BreakerConfig(), rng=self.rng, now=self.now),
            )
            for number in (1, 2)
        ]
        self.nobody = False
        self.movable: list[bool] = []
        self.heard: list[Any] = []
        self.tokens = 100
        self.budget = SimpleNamespace(withdraw=self.withdraw)

    def pick(self, call: Call, now: float) -> Any:
        if self.nobody:
            raise Unavailable("nobody")
        return next((one for one in self.members if one.endpoint not in call.tried), self.members[0])

    def has_untried(self, call: Call) -> bool:
        return not self.nobody and len(call.tried) < 2

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return True

    def withdraw(self, now: float) -> bool:
        self.tokens -= 1
        return self.tokens >= 0

    def receive_success(self, member: Any, now: float) -> None:
        self.heard.append((member.endpoint.port, "success"))

    def receive_failure(self, member: Any, error: Any, now: float) -> None:
        self.heard.append((member.endpoint.port, type(error).__name__))

    def abandon(self, member: Any, now: float) -> None:
        self.heard.append((member.endpoint.port, "abandoned"))

    def find(self, endpoint: Endpoint) -> Any:
        return next((one for one in self.members if one.endpoint == endpoint), None)

    def tell_news(self) -> None:
        self.heard.append("news")

    def router(self) -> PrimaryRouter:
        channel: Any = self
        return PrimaryRouter(channel)

    def call(self, body: Any = b"b", **options: Any) -> Call:
        return Call("get", body, Deadline(55.0), descriptor=METHOD, began=self.now, **options)

    def run(self, *interceptors: Any, body: Any = b"b", **options: Any) -> Any:
        return self.make(self.call(body, **options), *interceptors)

    def make(self, call: Call, *interceptors: Any, router: PrimaryRouter | None = None, **layers: Any) -> Any:
        channel: Any = self
        try:
            return build_stack(channel, router or self.router(), interceptors, **layers)(call)
        finally:
            assert [(one.load.pending, one.subchannel.taken) for one in self.members] == [(0, 0), (0, 0)]

    def costs(self) -> list[float]:
        return [round(one.load.cost(self.now), 3) for one in self.members]


def test_call_is_sent_to_the_picked_member_and_its_value_returned() -> None:
    """The way of a call that meets no obstacle; its first attempt carries no number."""
    scene = Scene(answer("Ada"))
    assert scene.run(headers={"tenant": "t1"}) == "Ada"
    assert scene.sent == [(b"get", b"b", {"tenant": "t1"}, False)]
    assert scene.costs() == [0.01, 0.0]


def test_oneway_call_returns_nothing() -> None:
    """There is no reply to read."""
    scene = Scene(None)
    assert scene.run(oneway=True) is None
    assert scene.sent[0][3] is True


def test_declared_exception_is_raised_as_itself_and_counts_as_an_answer() -> None:
    """It is one."""
    scene = Scene(answer("not found"))
    with pytest.raises(NotFound):
        scene.run()
    assert scene.costs() == [0.01, 0.0]


def test_refused_call_goes_to_the_other_member_and_says_it_is_the_second_attempt() -> None:
    """The one that refused looks dear from now on."""
    scene = Scene(refusal("Overloaded"), answer("Ada"))
    assert scene.run(headers={"tenant": "t1"}) == "Ada"
    assert scene.sent[1][2] == {"tenant": "t1", "zkrpc-attempt": "2"}
    first, second = scene.members
    assert first.load.cost(scene.now) > 5 * second.load.cost(scene.now)


def test_last_error_knows_where_and_how_often() -> None:
    """What an operator asks first."""
    scene = Scene(*[refusal("Overloaded")] * 4)
    with pytest.raises(Overloaded) as caught:
        scene.run()
    assert (caught.value.attempts, caught.value.endpoint) == (4, Endpoint("h", 1))


def test_unknown_method_says_nothing_bad_of_the_instance() -> None:
    """It is retried elsewhere, for another version may know it."""
    scene = Scene(refusal("UnknownMethod"), answer("Ada"))
    assert scene.run() == "Ada"
    assert scene.costs() == [0.01, 0.01]


def test_unknown_method_everywhere_is_raised() -> None:
    """In the end there is nobody left who might know it."""
    scene = Scene(*[refusal("UnknownMethod")] * 4)
    with pytest.raises(UnknownMethod):
        scene.run()


def test_lost_connection_is_final_unless_idempotent() -> None:
    """The stack knows what the stub said of the method."""
    with pytest.raises(ConnectionLost) as caught:
        Scene(ConnectionLost("gone")).run()
    assert caught.value.endpoint == Endpoint("h", 1)
    assert Scene(ConnectionLost("gone"), answer("Ada")).run(idempotent=True) == "Ada"


def test_unreadable_reply_is_a_remote_error_and_not_repeated() -> None:
    """The handler ran; only we could not read what it said."""
    scene = Scene(answer("garbage"))
    with pytest.raises(RemoteError) as caught:
        scene.run(idempotent=True)
    assert (caught.value.executed, caught.value.endpoint) == (Executed.YES, Endpoint("h", 1))
    assert scene.heard == [(1, "RemoteError")], "an instance that answers so is not well"


@pytest.mark.parametrize("bad", ["garbage", "refusal"])
def test_error_does_not_keep_the_reply_it_came_from(bad: str) -> None:
    """It is gone with its last reference, for a reply may be large and the garbage collector late."""
    made = answer("garbage") if bad == "garbage" else refusal("RemoteError", "yes")
    scene = Scene(made)
    gc.collect()
    gc.disable()
    try:
        before = sys.getrefcount(made)
        with contextlib.suppress(RemoteError):
            scene.run()
        assert sys.getrefcount(made) == before - 1, "the scene has handed it out"
    finally:
        gc.enable()


def test_arguments_that_do_not_fit_are_not_sent() -> None:
    """A mistake of the caller's is raised as it is, and blames no instance."""
    scene = Scene()
    with pytest.raises(TypeError, match="does not fit"):
        scene.run(body=None)
    assert (scene.sent, scene.costs()) == ([], [0.0, 0.0])


def test_abandoned_call_leaves_the_books_in_order() -> None:
    """Killed or timed out by its caller: an exception that is no Exception."""

    class Kill(BaseException):
        """Plays GreenletExit."""

    scene = Scene(Kill())
    with pytest.raises(Kill):
        scene.run()
    assert scene.costs() == [0.01, 0.0]


def test_expired_call_is_not_sent() -> None:
    """Nobody waits for it any more."""
    scene = Scene()
    scene.now = 55.0
    with pytest.raises(DeadlineExceeded) as caught:
        scene.run()
    assert (caught.value.executed, caught.value.attempts, scene.sent) == (Executed.NO, 1, [])


def test_nobody_to_ask_is_asked_again_until_the_deadline() -> None:
    """Instances come back."""
    scene = Scene()
    scene.nobody = True
    with pytest.raises(Unavailable) as caught:
        scene.run()
    assert scene.now > 53.0
    assert caught.value.attempts > 4


def test_connection_that_is_ready_is_shared_and_not_taken() -> None:
    """Neither a call that is answered nor one that fails takes it from the others or gives it back."""

    def observe() -> Any:
        taken.append((subchannel.taken, other.taken))
        return outcomes.pop(0)

    taken: list[Any] = []
    outcomes = [answer("Ada"), ConnectionLost("gone"), answer("Bob")]
    scene = Scene(*[observe] * 3)
    subchannel, other = (one.subchannel for one in scene.members)
    subchannel.ready = subchannel
    assert scene.run() == "Ada"
    assert scene.run(idempotent=True) == "Bob"
    assert taken == [(0, 0), (0, 0), (0, 1)], "only the other member's was not ready"


def test_method_has_the_name_by_which_its_instance_knows_it() -> None:
    """Each attempt asks for it anew, as the next instance may know it by another."""
    scene = Scene(ConnectionLost("gone", executed=Executed.NO), answer("Ada"))
    for number, member in enumerate(scene.members):
        member.subchannel.names = NamesAt(f"Users{number}:")
    assert scene.run() == "Ada"
    assert sorted(name for name, *_ in scene.sent) == [b"Users0:get", b"Users1:get"]


def test_call_for_a_primary_goes_where_the_call_before_found_it() -> None:
    """A refusal redirects the first one; its answer's epoch is the call's own, and is remembered with the place."""
    told = {"primary": "h:2", "epoch": "7", "group": "default"}
    scene = Scene(refusal("NotPrimary", **told), answer("Ada", epoch="7"), answer("Bob", epoch="8"))
    router = scene.router()
    calls = [scene.call(), scene.call()]
    for call, value in zip(calls, ("Ada", "Bob")):
        router.lead(call)
        assert scene.make(call, router=router) == value
    assert [(call.attempt, call.endpoint, call.epoch) for call in calls] == [
        (2, Endpoint("h", 2), 7),
        (1, Endpoint("h", 2), 8),
    ]


def test_epoch_in_an_answer_is_nothing_to_a_call_that_any_instance_may_serve() -> None:
    """It gets no route by it, and nobody who waits for a primary is told."""
    scene = Scene(answer("Ada", epoch="7"))
    call = scene.call()
    assert scene.make(call) == "Ada"
    assert (call.route, call.epoch, scene.heard) == (None, None, [])


def test_interceptors_see_one_call_however_many_attempts_it_takes() -> None:
    """The first one given is the outermost."""
    order: list[str] = []

    def outer(call: Call, proceed: Proceed[Call]) -> Any:
        order.append("outer")
        return proceed(call)

    def inner(call: Call, proceed: Proceed[Call]) -> Any:
        result = proceed(call)
        order.append(f"inner {call.attempt} {call.endpoint}")
        return result

    assert Scene(refusal("Draining"), answer("Ada")).run(outer, inner) == "Ada"
    assert order == ["outer", "inner 2 h:2"]


@pytest.mark.parametrize("payload", Payload)
def test_arguments_are_encoded_once_for_binary(payload: Payload) -> None:
    """For all attempts of a call that no interceptor has seen; bytes of another encoding are made for the attempt."""
    scene = Scene(refusal("Draining"), answer("Ada"))
    for one in scene.members:
        one.subchannel.payload = payload
    call = scene.call()
    call.encoded = b"before"
    assert scene.make(call) == "Ada"
    assert [body for _, body, *_ in scene.sent] == [b"before" if payload is Payload.BINARY else b"b"] * 2


def test_what_interceptors_leave_is_what_is_sent() -> None:
    """Each may change the arguments, however deep inside."""

    def change(call: Call, proceed: Proceed[Call]) -> Any:
        call.body += b"!"
        return proceed(call)

    scene = Scene(refusal("Draining"), answer("Ada"))
    call = scene.call()
    call.encoded = b"before"
    assert scene.make(call, change, change) == "Ada"
    assert [body for _, body, *_ in scene.sent] == [b"b!!"] * 2


def test_every_attempt_tells_what_it_says_of_its_instance() -> None:
    """Failures and abandoned ones always; a success only where there was trouble, else it is just counted."""

    class Kill(BaseException):
        """Plays GreenletExit."""

    scene = Scene(ConnectionLost("gone"), refusal("Overloaded"), answer("Ada"), answer("Bob"), Kill())
    assert scene.run(idempotent=True) == "Ada"
    assert scene.heard == [(1, "ConnectionLost"), (2, "Overloaded")]
    assert [member.breaker.successes for member in scene.members] == [1, 0]
    scene.members[0].breaker.receive_failure(scene.now)
    assert scene.run() == "Bob"
    with pytest.raises(Kill):
        scene.run()
    assert scene.heard[2:] == [(1, "success"), (1, "abandoned")]


def test_attempts_draw_on_one_budget() -> None:
    """When it is empty, the error of the attempt before stands."""
    scene = Scene(refusal("Overloaded"), refusal("Overloaded"), answer("Ada"))
    scene.tokens = 1
    with pytest.raises(Overloaded) as caught:
        scene.run()
    assert caught.value.attempts == 2


def test_only_what_may_be_sent_twice_leaves_a_silent_connection() -> None:
    """The connection is told which calls these are."""
    scene = Scene(answer("Ada"), answer("Bob"))
    scene.run(idempotent=True)
    scene.run()
    assert scene.movable == [True, False]


# -- who watches


class Telling(Listener):
    """Says what it is told, and of which attempt, in a story that others tell as well."""

    def __init__(self, story: list[str], *kinds: type[Event]) -> None:
        super().__init__(*kinds)
        self.story = story

    def receive(self, event: Event) -> None:
        super().receive(event)
        attempt = getattr(event, "attempt", "")
        self.story.append(f"{type(event).__name__} {attempt}".strip())


class Spans:
    """Plays the tracing of a client."""

    def __init__(self, story: list[str]) -> None:
        self.story = story

    def around_attempt(self, call: Call, proceed: Proceed[Call]) -> Any:
        self.story.append(f"span {call.attempt}")
        try:
            return proceed(call)
        finally:
            self.story.append(f"end {call.attempt}")

    def hedged(self, call: Call) -> None:
        self.story.append(f"hedged {call.attempt}")


def observing(scene: Scene, *listeners: Listener) -> CallObserver | None:
    """What the client makes of its observers."""
    return observer_of(Observers(listeners), lambda: "users", scene.clock)


def test_observers_see_what_the_caller_sees_and_each_attempt_within_its_span() -> None:
    """From the outside in: the call's events, the application's interceptors, retries, the span, the attempt's."""
    scene, story = Scene(refusal("Overloaded"), answer("Ada")), list[str]()

    def own(call: Call, proceed: Proceed[Call]) -> Any:
        story.append("own")
        scene.now += 1.0
        try:
            return proceed(call)
        finally:
            story.append("own ends")

    listener = Telling(story)
    assert scene.make(scene.call(), own, observer=observing(scene, listener), tracing=Spans(story)) == "Ada"
    assert story == [
        *("CallStarted", "own"),
        *("span 1", "AttemptStarted 1", "AttemptFinished 1", "end 1"),
        "CallRetried 1",
        *("span 2", "AttemptStarted 2", "AttemptFinished 2", "end 2"),
        *("own ends", "CallFinished"),
    ]
    (finished,) = listener.of(CallFinished)
    assert finished.seconds == pytest.approx(1.02), "with the time that the interceptor took, and both attempts"


def test_observers_hear_that_the_budget_of_attempts_is_empty() -> None:
    """Where the next attempt would have begun."""
    scene, story = Scene(refusal("Overloaded")), list[str]()
    scene.tokens = 0
    with pytest.raises(Overloaded):
        scene.make(scene.call(), observer=observing(scene, Telling(story)))
    assert story == [
        *("CallStarted", "AttemptStarted 1", "AttemptFinished 1"),
        *("RetryBudgetExhausted", "CallFinished"),
    ]


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("with_observer", [True, False])
def test_second_copy_of_a_call_is_told_to_its_span_first_and_is_an_attempt_of_its_own(with_observer: bool) -> None:
    """It draws on the budget that retries draw on, and goes to another member."""
    scene, story = Scene(lambda: gevent.sleep(60), answer("Ada")), list[str]()
    call = scene.call(idempotent=True)
    call.plan = SimpleNamespace(hedge=Hedge(0.001), max_attempts=4)
    observer = observing(scene, Telling(story)) if with_observer else None
    assert scene.make(call, observer=observer, tracing=Spans(story)) == "Ada"
    assert (call.endpoint, scene.tokens) == (Endpoint("h", 2), 99)
    expected = [
        *("CallStarted", "span 1", "AttemptStarted 1", "hedged 2", "CallHedged 2", "span 2", "AttemptStarted 2"),
        *("AttemptFinished 2", "end 2", "AttemptFinished 1", "end 1", "CallFinished"),
    ]
    assert story == [one for one in expected if with_observer or one.startswith(("span", "hedged", "end"))]


def test_stack_without_hedges_sends_no_second_copy() -> None:
    """Not even if a plan asks for one: such a stack is for methods whose plans do not."""
    scene = Scene(lambda: gevent.sleep(0.02) or answer("Ada"))
    call = scene.call(idempotent=True)
    call.plan = SimpleNamespace(hedge=Hedge(0.001), max_attempts=4)
    assert scene.make(call, hedges=False) == "Ada"
    assert (len(scene.sent), scene.tokens) == (1, 100)


@pytest.mark.parametrize("hedges", [True, False])
def test_durations_of_calls_that_go_well_are_noted(hedges: bool) -> None:
    """In the attempt if nothing around it could think otherwise, else around the whole; at once if slow, or many."""
    handed: list[list[float]] = []

    def record(seconds: Sequence[float]) -> None:
        handed.append([round(one) for one in seconds])

    recording = Recording([lambda: record], 5.0, lambda number: None)
    observer = observer_of(Observers([Listener(CallFinished)]), lambda: "users", lambda: scene.now)
    assert observer is not None
    scene = Scene(answer("Ada"), refusal("RemoteError", "yes"), answer("Ada"), *[answer("Ada")] * MOST)
    layers: dict[str, Any] = {"observer": observer, "recording": recording, "hedges": hedges}

    def run(seconds: float) -> None:
        call = scene.call()
        call.began = scene.now - seconds
        scene.make(call, **layers)

    run(1.0)
    with pytest.raises(RemoteError):
        run(1.0)
    assert (handed, len(recording.seconds)) == ([], 1)
    run(10.0)
    assert (handed, recording.seconds) == ([[1, 10]], [])
    for _ in range(MOST):
        run(2.0)
    assert handed[1:] == [[2] * MOST]


@pytest.mark.parametrize("is_observed", [True, False])
def test_call_that_fails_while_it_waits_is_told_and_not_made(is_observed: bool) -> None:
    """There is no layer yet that would see it."""
    told: list[Any] = []
    observer: Any = (
        SimpleNamespace(failed=lambda call, error: told.append((call, type(error)))) if is_observed else None
    )
    made: list[Any] = []

    def wait(call: Any) -> None:
        if call == "early":
            raise Unavailable("nobody is known")

    def proceed(call: Any) -> str:
        made.append(call)
        return "value"

    first: Any = waiting_first(wait, proceed, observer)
    with pytest.raises(Unavailable):
        first("early")
    assert first("late") == "value" and made == ["late"]
    assert told == ([("early", Unavailable)] if is_observed else [])


def test_in_turn_calls_both_and_costs_nothing_if_there_is_only_one() -> None:
    """The first one first."""
    story: list[str] = []

    def first(call: Call) -> None:
        story.append(f"first {call.method}")

    def second(call: Call) -> None:
        story.append(f"second {call.method}")

    in_turn(first, second)(Scene().call())
    assert story == ["first get", "second get"]
    assert in_turn(first, None) is first


# -- the plan of a method

ECHO = idl.Echo.methods["echo"]


def plan(config: ClientConfig = ClientConfig(), service: ServiceConfig = ServiceConfig()) -> Plan:
    """For ``echo(text)``."""
    policies = PolicyTable(config)
    policies.receive_service_config(service)
    return Plan(ECHO, policies)


def test_plan_says_what_the_policies_say() -> None:
    """Everything in one object."""
    service = ServiceConfig(timeout=2.0, methods={"echo": MethodConfig(idempotent=True, hedge=0.02, max_attempts=7)})
    some = plan(service=service)
    assert (some.timeout, some.idempotent, some.max_attempts, some.primary) == (2.0, True, 7, False)
    assert some.hedge is not None and some.hedge.delay() == 0.02
    assert repr(some) == "<Plan timeout=2 max_attempts=7 hedge=True>"
    assert plan().hedge is None


@pytest.mark.parametrize(
    "config, service, key",
    [
        (ClientConfig(balancing="consistent_hash", hash_key="text"), ServiceConfig(), "text"),
        (ClientConfig(), ServiceConfig(balancing="consistent_hash", hash_key="text"), "text"),
        (ClientConfig(balancing="p2c"), ServiceConfig(balancing="consistent_hash", hash_key="text"), None),
        (ClientConfig(hash_key="text"), ServiceConfig(), None),
        (ClientConfig(balancing="consistent_hash", hash_key="id"), ServiceConfig(), None),
        (ClientConfig(), ServiceConfig(), None),
    ],
)
def test_plan_knows_the_argument_to_hash_by(config: ClientConfig, service: ServiceConfig, key: str | None) -> None:
    """Only if it is hashed at all, and if the method has it."""
    assert plan(config, service).hash_key == key
