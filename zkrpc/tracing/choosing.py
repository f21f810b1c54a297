"""What a call or a request costs that is not recorded: the look that tells it from those that may be. Pure.

``choose_calls`` and ``choose_requests`` are compiled where that is in use, else ``pure_choose_calls`` and
``pure_choose_requests``, which say the same. Which of the others are recorded is decided in :mod:`zkrpc.tracing.calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zkrpc import compiled
from zkrpc.call import Call, Proceed
from zkrpc.caller import NOBODY, Caller
from zkrpc.telemetry.tracer import Dispatch
from zkrpc.tracing.propagation import BAGGAGE, may_have_argument_field, read_argument_field
from zkrpc.wire.headers import TRACEPARENT
from zkrpc.wire.message import Request


def pure_choose_calls(
    plain: Proceed[Call],
    other: Callable[[Call, bool], Any],
    dice: Callable[[], float],
    ratio: float,
    get_context: Callable[[], object],
) -> Proceed[Call]:
    """What makes a client's calls: by ``other(call, begins)`` if the dice let a trace begin, or there is anything in
    the current context, else by ``plain(call)``. No dice are cast for a ``ratio`` of 0."""

    def make_call(call: Call) -> Any:
        begins = ratio > 0 and dice() < ratio
        return other(call, begins) if begins or get_context() else plain(call)

    return make_call


def pure_choose_requests(
    plain: Dispatch,
    other: Callable[[Request, str, float, Caller, bool], Any],
    dice: Callable[[], float],
    ratio: float,
    keys: tuple[str, ...],
) -> Dispatch:
    """What runs the requests of one peer: by ``other``, which is told whether a trace begins, if the dice let one
    begin, or a request has a header of these ``keys``, else by ``plain``."""

    def run_request(request: Request, peer: str, now: float, caller: Caller) -> Any:
        begins = ratio > 0 and dice() < ratio
        if begins or any(key in request.headers for key in keys):
            return other(request, peer, now, caller, begins)
        return plain(request, peer, now, caller)

    return run_request


def choose_plain_requests(
    plain: Dispatch,
    other: Callable[[Request, str, float, Caller, Mapping[str, str], bool], Any],
    dice: Callable[[], float],
    ratio: float,
) -> Dispatch:
    """The same for a peer that has not introduced itself, and may have no headers, but their like in the argument
    struct; ``other`` is told the headers, too."""

    def run_request(request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Any:
        headers = request.headers
        if TRACEPARENT not in headers and may_have_argument_field(request.frame):
            headers = read_argument_field(request.frame, request.offset, request.dialect.payload)
        begins = dice() < ratio
        if begins or TRACEPARENT in headers or BAGGAGE in headers:
            return other(request, peer, now, caller, headers, begins)
        return plain(request, peer, now, caller)

    return run_request


_part = compiled.load("zkrpc.tracing._compiled")
if TYPE_CHECKING or _part is None:
    choose_calls, choose_requests = pure_choose_calls, pure_choose_requests
else:
    choose_calls, choose_requests = _part.choose_calls, _part.choose_requests
