"""One attempt of a call that goes well: pick, send, wait, read the value, and note how long it took. The base of the
innermost layer of :mod:`zkrpc.client.stack`, which does the rest.

``Attempting`` and ``first_try`` are compiled where that is in use, else ``PureAttempting`` and ``pure_first_try``,
which say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zkrpc import compiled
from zkrpc.balancing.load import Load
from zkrpc.balancing.p2c import P2C
from zkrpc.call import Call, Proceed
from zkrpc.client.channel import Channel
from zkrpc.client.load_balancer import LoadBalancer
from zkrpc.client.member import Member
from zkrpc.client.primary_router import PrimaryRouter
from zkrpc.client.subchannel import Subchannel
from zkrpc.codec import Payload
from zkrpc.errors import CallError
from zkrpc.idl import Method
from zkrpc.policies.breaker import Breaker
from zkrpc.telemetry.recording import MOST, Recording
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Reply

_EXCEPTION = MessageKind.EXCEPTION


class PureAttempting:
    """The hot part of an attempt."""

    __slots__ = ("_channel", "_clock", "_max_elements", "_recording", "_router")

    _channel: Channel
    _clock: Callable[[], float]
    _max_elements: int
    _recording: Recording | None
    _router: PrimaryRouter

    def run(self, call: Call) -> Any:
        """Returns the value, or raises a declared exception or a CallError that knows its endpoint."""
        began, deadline_at = self._clock(), call.deadline.at
        if began >= deadline_at:
            raise self._out_of_time(call)
        member = self._channel.pick(call, began) if call.route is None else self._router.pick(call, began)
        call.endpoint = member.endpoint
        load, subchannel, method = member.load, member.subchannel, call.descriptor
        load.pending += 1
        shared = subchannel.ready
        try:
            connection = shared or subchannel.acquire(deadline_at)
            try:
                body = call.encoded if connection.payload is Payload.BINARY else None
                if body is None:
                    try:
                        body = method.encode_arguments(call.body, connection.payload)
                    except TypeError:
                        body = self._worded(method, call.body, connection.payload)
                names = subchannel.names
                headers = call.headers if call.attempt < 2 else self._with_attempt(call.headers, call.attempt)
                wire_name = method.wire_name if names is None else names[method]
                reply = connection.call(wire_name, body, deadline_at, headers, call.oneway, call.idempotent)
            finally:
                if shared is None:
                    subchannel.release(connection)
        except BaseException as error:
            self._failed(call, member, error, began)
            raise
        value = None
        if reply is not None:
            if reply.kind is _EXCEPTION:
                raise self._failure(call, member, reply, began)
            if call.route is not None:
                self._learn_epoch(call, reply)
            try:
                value = method.read_result(reply.frame, reply.offset, reply.dialect.payload, self._max_elements)
            except BaseException as error:
                raise self._misread(call, member, error, began)
        now = self._clock()
        load.finish(now - began, now)
        breaker = member.breaker
        breaker.successes += 1
        if breaker.troubled:
            self._channel.receive_success(member, now)
        recording = self._recording
        if recording is not None:
            # As in ``Recording.note``.
            seconds, took = recording.seconds, now - call.began
            seconds.append(took)
            if took >= recording.urgent or len(seconds) >= MOST:
                recording.settle()
        return value

    # -- what is out of the ordinary

    def _out_of_time(self, call: Call) -> CallError:
        """The error of a call whose time is over before an attempt."""
        raise NotImplementedError

    def _worded(self, method: Method, bound: Any, payload: Payload) -> bytes:
        """Encodes arguments that do not fit, and raises what says so."""
        raise NotImplementedError

    def _with_attempt(self, headers: Mapping[str, str] | None, attempt: int) -> Mapping[str, str]:
        """The headers of another attempt than the first. Calls without headers are the ones that are written
        fastest."""
        raise NotImplementedError

    def _learn_epoch(self, call: Call, reply: Reply) -> None:
        """What a reply tells of its group's primary."""
        raise NotImplementedError

    def _failed(self, call: Call, member: Member[Subchannel], error: BaseException, began: float) -> None:
        """The attempt has ended without a reply, by this error."""
        raise NotImplementedError

    def _failure(self, call: Call, member: Member[Subchannel], reply: Reply, began: float) -> CallError:
        """The error that a reply stands for."""
        raise NotImplementedError

    def _misread(self, call: Call, member: Member[Subchannel], error: BaseException, began: float) -> BaseException:
        """The error to raise when reading a reply has raised one, which may be the same."""
        raise NotImplementedError


def pure_first_try(proceed: Proceed[Call], go_on: Callable[[Call, BaseException], Any]) -> Proceed[Call]:
    """A function of a call that counts the attempt and makes it by ``proceed(call)``, and if that fails returns
    ``go_on(call, error)``: what retries are as long as nothing fails."""

    def first_try(call: Call) -> Any:
        call.attempt += 1
        try:
            return proceed(call)
        except BaseException as error:
            failure = error
        try:
            return go_on(call, failure)
        finally:
            del failure  # its traceback knows this frame

    return first_try


_part = compiled.load("zkrpc.client._compiled")
compiled.acquaint(_part, Call, Method, Member, Load, Channel, LoadBalancer, P2C, Breaker, Recording)
if TYPE_CHECKING or _part is None:
    Attempting = PureAttempting
    first_try = pure_first_try
else:
    Attempting, first_try = _part.Attempting, _part.FirstTry
