"""The layers of a call between the stub and the connection, and the reasons for their order.

The deadline comes before everything, and needs no interceptor: it is a value on the call, and whatever waits below (for
a pause, a connection, a reply) is bounded by it.

Following a primary is not a layer of its own either. It changes two decisions that are made anyway, which member to
pick and whether to retry at once; a call that any instance may serve pays one comparison for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zkrpc import compiled
from zkrpc.call import Call, Interceptor, Proceed, compose
from zkrpc.client.attempting import Attempting, first_try
from zkrpc.client.channel import Channel
from zkrpc.client.hedging import Hedge, hedging
from zkrpc.client.member import Member
from zkrpc.client.observing import CallObserver
from zkrpc.client.policy import PolicyTable
from zkrpc.client.primary_router import PrimaryRouter
from zkrpc.client.replies import failure_of, hint_at_dialect, is_refusal, misfit, tell_more, unreadable
from zkrpc.client.subchannel import Subchannel
from zkrpc.codec import Payload
from zkrpc.errors import CallError, DeadlineExceeded, Executed, RemoteProtocolError, TooLarge
from zkrpc.idl import Method
from zkrpc.policies.retry import RetryPolicy, go_on_after, retrying
from zkrpc.telemetry.recording import Recording
from zkrpc.telemetry.tracer import ClientTracing
from zkrpc.wire import headers as keys
from zkrpc.wire.message import Reply
from zkrpc.wire.status import epoch_of


class Plan:
    """How calls of one method are made, until the service's config changes: settled before the first of them, so that
    each costs one look-up."""

    __slots__ = ("first", "hash_key", "hedge", "idempotent", "max_attempts", "primary", "proceed", "timeout")

    def __init__(self, method: Method, policies: PolicyTable) -> None:
        resolved = policies.resolve(method)
        self.timeout = resolved.timeout
        """Seconds for the whole call."""
        self.idempotent = resolved.idempotent
        """Whether it may be sent again when it is not known whether it ran."""
        self.max_attempts = resolved.max_attempts
        """How often one call may be sent."""
        self.hedge = None if resolved.hedge is None else Hedge(resolved.hedge)
        """When a second copy is sent; None for never."""
        self.proceed: Proceed[Call]
        """The layers that its calls go through; set by the client that makes the plan."""
        self.first: Proceed[Call]
        """The same with a wait before them, while no members are known."""
        self.primary = method.policy.primary
        """Whether only the primary serves it."""
        key = policies.client.hash_key
        self.hash_key = key if any(one.name == key for one in method.parameters) else None
        """The parameter whose argument is hashed to pick an instance; None if there is none."""

    def __repr__(self) -> str:
        """The settings."""
        return f"<Plan timeout={self.timeout:g} max_attempts={self.max_attempts} hedge={self.hedge is not None}>"


def build_stack(
    channel: Channel,
    router: PrimaryRouter,
    interceptors: Iterable[Interceptor[Call]] = (),
    *,
    hedges: bool = True,
    observer: CallObserver | None = None,
    recording: Recording | None = None,
    tracing: ClientTracing | None = None,
) -> Proceed[Call]:
    """Builds the function that makes a call and returns or raises its outcome.

    Without ``hedges`` the stack lacks that layer, for methods without hedging. Without ``observer`` it lacks those that
    emit events of calls and attempts, without ``tracing`` that which makes spans of attempts. ``recording`` is the
    observer's, for how long the calls take that go well.
    """
    config = channel.config
    policy = RetryPolicy(backoff=channel.backoff, patience=config.patience)
    may_repeat_now: Callable[[float], bool] = channel.budget.withdraw
    on_retry: Callable[[Call, CallError, float], object] | None = None
    on_hedge: Callable[[Call], object] | None = None
    if observer is not None:
        on_retry, on_hedge = observer.retried, observer.hedged
        may_repeat_now = observer.withdrawing(may_repeat_now)
    if tracing is not None:
        on_hedge = in_turn(tracing.hedged, on_hedge)
    interceptors = tuple(interceptors)
    # An attempt that goes well is a call that goes well, if there is nothing around it that could think otherwise. Then
    # it notes how long the call took, for it has looked at the clock anyway: that costs half of noting it further out.
    in_attempt = recording is not None and not interceptors and not hedges
    retry = retrying(
        policy,
        clock=channel.clock,
        sleep=channel.pause,
        rng=channel.rng,
        is_worth_asking=router.is_worth_asking,
        may_repeat_now=may_repeat_now,
        on_retry=on_retry,
        on_failure=observer.on_failure if in_attempt and observer is not None else None,
    )
    attempts = compose(
        (
            # Hedges: inside retries, because each copy is an attempt and draws on the same budget, and the failure of
            # both copies is one failure to the retry; outside the layer that picks an instance, because the second copy
            # must go to another one.
            *([hedging(clock=channel.clock, may_repeat_now=may_repeat_now, on_hedge=on_hedge)] if hedges else []),
            # Each attempt has a span, and its server is told of that one.
            *((tracing.around_attempt,) if tracing is not None else ()),
            # Observers of attempts see each attempt with its endpoint, and both copies of a hedged call.
            *(observer.around_attempts if observer is not None else ()),
        ),
        # Pick, connect, send, wait. A breaker belongs to the picked member and must see the attempt's timeout, so it is
        # updated in there, beside the load. So is what an attempt tells of primaries, because only there it is known
        # which member said it, and the next pick needs it.
        _Attempt(channel, router, recording if in_attempt else None).run,
    )
    stack = compose(
        (
            # Outermost, so that observers see the same outcome and duration of a call as its caller.
            *(observer.around_calls if observer is not None else ()),
            # The application's own: they see one logical call, however many attempts it takes. They may change its
            # arguments, so these are encoded as they leave them.
            *((_encode_later, *interceptors) if interceptors else ()),
        ),
        # Retries: inside the layers that count calls, outside the one that picks an instance, because each attempt must
        # pick anew. Waiting through an election is a pause like any other, which ends when the primary becomes known.
        _with_retries(retry, attempts),
    )
    if observer is None or recording is None or in_attempt:
        return stack
    return observer.around_recording(recording, stack)


def _with_retries(retry: Interceptor[Call], attempts: Proceed[Call]) -> Proceed[Call]:
    return first_try(attempts, functools.partial(go_on_after, retry, attempts))


def _encode_later(call: Call, proceed: Proceed[Call]) -> Any:
    call.encoded = None
    return proceed(call)


def in_turn(first: Callable[[Call], object], second: Callable[[Call], object] | None) -> Callable[[Call], object]:
    """A function that calls both."""
    if second is None:
        return first

    def both(call: Call) -> None:
        first(call)
        second(call)

    return both


def waiting_first(
    wait: Callable[[Call], object], proceed: Proceed[Call], observer: CallObserver | None
) -> Proceed[Call]:
    """What makes a call after ``wait``. A call that fails there never reaches the layers, so ``observer`` is told of
    its end here."""

    def wait_and_proceed(call: Call) -> Any:
        try:
            wait(call)
        except BaseException as error:
            if observer is not None:
                observer.failed(call, error)
            raise
        return proceed(call)

    return wait_and_proceed


class _Attempt(Attempting):
    """One attempt: the innermost layer of the stack."""

    __slots__ = ()

    def __init__(self, channel: Channel, router: PrimaryRouter, recording: Recording | None = None) -> None:
        self._channel = channel
        self._recording = recording
        self._max_elements = channel.config.wire.max_elements
        self._router = router
        self._clock = channel.clock

    def _worded(self, method: Method, bound: Any, payload: Payload) -> bytes:
        try:
            return method.encode_arguments(bound, payload)
        except TypeError as error:
            raise misfit(method, error) from None

    def _with_attempt(self, headers: Mapping[str, str] | None, attempt: int) -> Mapping[str, str]:
        return {**(headers or {}), keys.ATTEMPT: str(attempt)}

    def _out_of_time(self, call: Call) -> CallError:
        return DeadlineExceeded(f"no time left for {call.descriptor.interface}.{call.method}", executed=Executed.NO)

    def _learn_epoch(self, call: Call, reply: Reply) -> None:
        self._router.receive_reply(call, epoch_of(reply.headers))

    def _failed(self, call: Call, member: Member[Subchannel], error: BaseException, began: float) -> None:
        now, load = self._clock(), member.load
        if isinstance(error, CallError):
            tell_more(error, call.descriptor, now - began)
            # A call that is too large for any instance says nothing of this one.
            (load.abandon if isinstance(error, TooLarge) else load.fail)(now - began, now)
            self._receive_failure(call, member, error, now)
        else:  # killed, a timeout of the caller's own, a hedge's loser, or arguments that do not fit
            load.abandon(now - began, now)
            self._channel.abandon(member, now)

    def _misread(self, call: Call, member: Member[Subchannel], error: BaseException, began: float) -> BaseException:
        if not isinstance(error, RemoteProtocolError):  # what the IDL declares
            self._receive_success(member, began)
            return error
        failure, now = unreadable(call.descriptor, error), self._clock()
        failure.__cause__ = error
        member.load.finish(now - began, now)
        self._receive_failure(call, member, failure, now)
        return failure

    def _receive_success(self, member: Member[Subchannel], began: float) -> None:
        now = self._clock()
        member.load.finish(now - began, now)
        member.breaker.successes += 1
        if member.breaker.troubled:
            self._channel.receive_success(member, now)

    # An error knows the frame that raised it; if that frame knew the error, both would stay until the garbage collector
    # comes, and with them the reply, which may be large. So errors are made in frames that have ended by then.

    def _failure(self, call: Call, member: Member[Subchannel], reply: Reply, began: float) -> CallError:
        failure, now = failure_of(call.descriptor, reply), self._clock()
        (member.load.fail if is_refusal(failure) else member.load.finish)(now - began, now)
        self._receive_failure(call, member, failure, now)
        return failure

    def _receive_failure(self, call: Call, member: Member[Subchannel], error: CallError, now: float) -> None:
        error.endpoint = member.endpoint
        if error.executed is Executed.MAYBE and member.subchannel.is_heard is False:
            hint_at_dialect(error, member.subchannel.speaks)
        self._channel.receive_failure(member, error, now)
        self._router.receive_failure(call, error)


compiled.acquaint(compiled.load("zkrpc.client._compiled"), Plan)
