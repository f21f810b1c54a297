"""The door for the services that every server answers beside its own, such as ``zkrpc.Health``.

The wire machine sets their requests aside, by their names. Here each runs in a greenlet of its own, outside of the
server's admission, which may be full just when somebody asks how the server is. They have bounds of their own
(:mod:`~zkrpc.server.allowance`), are not among the requests that observers are told of, and go on during a drain, for
as long as their connection does. Ordinary calls do not come by here.

A built-in service is an interface that :func:`zkrpc.idl.built_in` knows, and a handler for it;
:class:`~zkrpc.server.server.Server` lists its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Protocol

import gevent

from zkrpc.caller import Caller
from zkrpc.idl import SCOPE, built_in
from zkrpc.server.accounts import Meter
from zkrpc.server.allowance import LONGEST, Allowance
from zkrpc.server.dispatch import Answer, Dispatcher, FailureObserver, refuse
from zkrpc.server.permissions import Judge
from zkrpc.server.shares import Share
from zkrpc.wire import status
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol


class Asker(Protocol):
    """The connection that a request came on."""

    peer: str
    share: Share
    meter: Meter
    protocol: ServerProtocol

    def answer_aside(self, request: Request, answer: Answer | None) -> None:
        """Sends the answer soon, if there is one; the request is over."""


class BuiltIns:
    """The built-in services of one server. Belongs to its hub.

    Args:
        handlers: the handler of each service, by its name without ``zkrpc.``.
        judge: why a caller may not call a service, by its name; None if it may.
        on_failure: called with every failure of a handler.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        handlers: Mapping[str, object],
        judge: Judge = lambda service, identity: None,
        *,
        on_failure: FailureObserver,
        clock: Callable[[], float],
    ) -> None:
        self._judge = judge
        self._dispatchers = {
            f"{SCOPE}{name}": Dispatcher(built_in(name), handler, on_failure=on_failure, clock=clock)
            for name, handler in handlers.items()
        }
        self._allowance = Allowance()
        self._clock = clock
        self._running: dict[Asker, dict[Request, gevent.Greenlet[..., Answer | None]]] = {}

    def __repr__(self) -> str:
        """Their names, and what runs."""
        return f"<BuiltIns {', '.join(self._dispatchers)} {self._allowance!r}>"

    def take_in(self, asker: Asker) -> None:
        """Runs the requests that a connection has set aside, or refuses them. Does not wait."""
        requests, asker.protocol.aside = asker.protocol.aside, []
        for request in requests:
            self._begin(request, asker)

    def _begin(self, request: Request, asker: Asker) -> None:
        service, now = request.name.partition(b":")[0].decode("utf-8", "replace"), self._clock()
        dispatcher, address = self._dispatchers.get(service), asker.share.address
        if dispatcher is None:
            unknown = f"there is no built-in service {service!r}"
            asker.answer_aside(request, refuse(request, unknown, status.UNKNOWN_METHOD))
            return
        caller = asker.meter.identity
        if (denial := self._judge(service, caller)) is not None:
            asker.answer_aside(request, refuse(request, denial, status.PERMISSION_DENIED))
            return
        refusal = self._allowance.refusal(service, len(request.frame), address, now)
        if refusal is not None:
            asker.answer_aside(request, refuse(request, *refusal))
            return
        greenlet = self._running.setdefault(asker, {})[request] = gevent.spawn(
            self._run, dispatcher, request, asker.peer, Caller("", identity=caller)
        )
        # Also called if it is killed before it has begun.
        greenlet.rawlink(functools.partial(self._settle, request, asker, service))

    def cancel(self, request: Request, asker: Asker) -> None:
        """The answer is no longer wanted."""
        greenlet = self._running.get(asker, {}).get(request)
        if greenlet is not None:
            greenlet.kill(block=False)

    def forget(self, asker: Asker) -> None:
        """The connection is closed: ends what runs for it."""
        for greenlet in self._running.get(asker, {}).values():
            greenlet.kill(block=False)

    def _run(self, dispatcher: Dispatcher, request: Request, peer: str, caller: Caller) -> Answer | None:
        try:
            with gevent.Timeout(LONGEST):
                return dispatcher.dispatch(request, peer, self._clock(), caller)
        except gevent.Timeout as late:
            return dispatcher.failed(request, peer, late)

    def _settle(
        self, request: Request, asker: Asker, service: str, greenlet: gevent.Greenlet[..., Answer | None]
    ) -> None:
        """In the hub: a call is over, or was ended."""
        self._allowance.leave(service, asker.share.address)
        running = self._running[asker]
        del running[request]
        if not running:
            del self._running[asker]
        asker.answer_aside(request, greenlet.value if isinstance(greenlet.value, Answer) else None)
