"""What happens to a call between the stub and the connection, in which order, and why in that one.

The deadline comes before everything, and needs no interceptor: it is a value on the call, and whatever waits below (for
a pause, a connection, a reply) is bounded by it.

Following a primary is no layer of its own either. It is another answer to two questions that are asked anyway, whom to
pick and whether to ask again at once; a call that any instance may serve pays one comparison for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zkrpc.call import Call, Interceptor, Proceed, compose
from zkrpc.client.channel import Channel
from zkrpc.client.hedging import Hedge, hedging
from zkrpc.client.member import Member
from zkrpc.client.observing import CallObserver
from zkrpc.client.policy import PolicyTable
from zkrpc.client.primary_router import PrimaryRouter
from zkrpc.client.replies import failure_of, is_refusal, misfit, tell_more, unreadable
from zkrpc.client.subchannel import Subchannel
from zkrpc.errors import CallError, DeadlineExceeded, Executed, RemoteProtocolError, TooLarge
from zkrpc.idl import Method
from zkrpc.policies.retry import RetryPolicy, retrying
from zkrpc.wire import headers as keys
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Reply
from zkrpc.wire.status import epoch_of

_EXCEPTION = MessageKind.EXCEPTION


class Plan:
    """How calls of one method are made, until the service's config changes: settled before the first of them, so that
    each costs one look-up."""

    __slots__ = ("hash_key", "hedge", "idempotent", "max_attempts", "primary", "proceed", "timeout")

    def __init__(self, method: Method, policies: PolicyTable) -> None:
        resolved = policies.resolve(method)
        self.timeout = resolved.timeout
        """Seconds for the whole call."""
        self.idempotent = resolved.idempotent
        """It may be sent again when nobody knows whether it ran."""
        self.max_attempts = resolved.max_attempts
        """Times one call may reach a server."""
        self.hedge = None if resolved.hedge is None else Hedge(resolved.hedge)
        """When a second copy is sent; None for never."""
        self.proceed: Proceed[Call]
        """The layers that its calls go through; whoever makes the plan puts it there."""
        self.primary = method.policy.primary
        """Only the primary serves it."""
        key = policies.client.hash_key
        self.hash_key = key if any(one.name == key for one in method.parameters) else None
        """The parameter whose argument decides which instance is asked; None if none does."""

    def __repr__(self) -> str:
        """What it says."""
        return f"<Plan timeout={self.timeout:g} max_attempts={self.max_attempts} hedge={self.hedge is not None}>"


def build_stack(
    channel: Channel,
    router: PrimaryRouter,
    interceptors: Iterable[Interceptor[Call]] = (),
    *,
    hedges: bool = True,
    observer: CallObserver | None = None,
) -> Proceed[Call]:
    """The function that makes a call and returns or raises what became of it.

    Without ``hedges`` it lacks that layer, for methods that want none. Without ``observer`` it lacks those that tell of
    calls and attempts.
    """
    config = channel.config
    policy = RetryPolicy(backoff=channel.backoff, patience=config.patience)
    may_repeat_now: Callable[[float], bool] = channel.budget.withdraw
    on_retry, on_hedge = None, None
    if observer is not None:
        on_retry, on_hedge = observer.retried, observer.hedged
        may_repeat_now = observer.withdrawing(may_repeat_now)
    return compose(
        (
            # Outermost, so that observers hear of a call what its caller gets of it, after as long a time.
            *(observer.around_calls if observer is not None else ()),
            # The application's own: they see one logical call, however many attempts it takes.
            *interceptors,
            # Retries: inside what counts calls, outside what picks an instance, for each attempt must pick anew.
            # Waiting through an election is a pause like any other, ended by news.
            retrying(
                policy,
                clock=channel.clock,
                sleep=channel.pause,
                rng=channel.rng,
                is_worth_asking=router.is_worth_asking,
                may_repeat_now=may_repeat_now,
                on_retry=on_retry,
            ),
            # Hedges: inside retries, for each copy is an attempt and draws on the same budget, and what both copies met
            # is one failure to the retry; outside what picks an instance, for a copy must go to another one.
            *([hedging(clock=channel.clock, may_repeat_now=may_repeat_now, on_hedge=on_hedge)] if hedges else []),
            # Observers of attempts hear of each one, of both copies of a hedged call too, and whom it went to.
            *(observer.around_attempts if observer is not None else ()),
        ),
        # Pick, connect, send, wait. A breaker belongs to what is picked and must see the attempt's timeout, so it has
        # its place in there, beside the load that sees the same. What an attempt teaches of primaries is learnt in
        # there too: only here it is known who said so, and the next pick must know it.
        _Attempt(channel, router).run,
    )


class _Attempt:
    """One attempt: the innermost end of the stack."""

    __slots__ = ("_clock", "_max_elements", "_channel", "_router")

    def __init__(self, channel: Channel, router: PrimaryRouter) -> None:
        self._channel = channel
        self._max_elements = channel.config.wire.max_elements
        self._router = router
        self._clock = channel.clock

    def run(self, call: Call) -> Any:
        """Returns the value, or raises a declared exception or a CallError that knows its endpoint."""
        began, deadline_at = self._clock(), call.deadline.at
        if began >= deadline_at:
            name = f"{call.descriptor.interface}.{call.method}"
            raise DeadlineExceeded(f"no time left for {name}", executed=Executed.NO)
        member = self._channel.pick(call, began) if call.route is None else self._router.pick(call, began)
        call.endpoint = member.endpoint
        load, subchannel, method = member.load, member.subchannel, call.descriptor
        load.pending += 1
        shared = subchannel.ready
        try:
            connection = shared or subchannel.acquire(deadline_at)
            try:
                try:
                    body = method.encode_arguments(call.body, connection.payload)
                except TypeError as error:
                    raise misfit(method, error) from None
                headers = call.headers if call.attempt < 2 else _with_attempt(call.headers, call.attempt)
                reply = connection.call(method.wire_name, body, deadline_at, headers, call.oneway, call.idempotent)
            finally:
                if shared is None:
                    subchannel.release(connection)
        except CallError as error:
            now = self._clock()
            tell_more(error, method, now - began)
            # A call that was too large for anybody says nothing of the instance.
            (load.abandon if isinstance(error, TooLarge) else load.fail)(now - began, now)
            self._receive_failure(call, member, error, now)
            raise
        except BaseException:  # killed, a timeout of the caller's own, a hedge's loser, or arguments that do not fit
            now = self._clock()
            load.abandon(now - began, now)
            self._channel.abandon(member, now)
            raise
        now = self._clock()
        if reply is not None and reply.kind is _EXCEPTION:
            raise self._failure(call, member, reply, now - began, now)
        load.finish(now - began, now)
        breaker = member.breaker
        breaker.successes += 1
        if breaker.troubled:
            self._channel.receive_success(member, now)
        if reply is None:
            return None
        if call.route is not None:
            self._router.receive_reply(call, epoch_of(reply.headers))
        try:
            return method.read_result(reply.frame, reply.offset, reply.dialect.payload, self._max_elements)
        except RemoteProtocolError as error:
            breaker.successes -= 1  # it was an answer, and no good one
            raise self._unreadable(call, member, error) from error

    # An error knows the frame that raised it; if that frame knew the error, both would stay until the garbage collector
    # comes, and with them the reply, which may be large. So errors are made in frames that have ended by then.

    def _failure(self, call: Call, member: Member[Subchannel], reply: Reply, elapsed: float, now: float) -> CallError:
        failure = failure_of(call.descriptor, reply)
        (member.load.fail if is_refusal(failure) else member.load.finish)(elapsed, now)
        self._receive_failure(call, member, failure, now)
        return failure

    def _unreadable(self, call: Call, member: Member[Subchannel], error: RemoteProtocolError) -> CallError:
        failure = unreadable(call.descriptor, error)
        self._receive_failure(call, member, failure, self._clock())
        return failure

    def _receive_failure(self, call: Call, member: Member[Subchannel], error: CallError, now: float) -> None:
        error.endpoint = member.endpoint
        self._channel.receive_failure(member, error, now)
        self._router.receive_failure(call, error)


def _with_attempt(headers: Mapping[str, str] | None, attempt: int) -> Mapping[str, str]:
    # Told only when it says something: calls without headers of their own are the ones the wire can write fastest.
    return {**(headers or {}), keys.ATTEMPT: str(attempt)}
