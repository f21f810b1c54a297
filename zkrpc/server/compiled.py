"""The methods that a dispatcher has, and the part of it that is compiled.

``Core`` is the base of :class:`~zkrpc.server.dispatch.Dispatcher` that has ``dispatch`` in C. It takes a request from
its name to the answer as long as all goes well: the method is known, its deadline has not passed, its arguments and its
result fit, and a reply is due. Anything else it leaves to the methods of the dispatcher in Python, without ever running
a handler twice:

===============================================================  ======================
it finds                                                         and calls
===============================================================  ======================
before the handler runs, anything that is out of the ordinary    ``dispatch_in_python``
that the handler has raised                                      ``_settle_error``
no reply due, a value that does not fit, an epoch, or that the   ``_settle``
outcome was revoked
===============================================================  ======================

The interceptors are Python, and called as such. A dispatcher of which each request is to be told, well or not, is not
prepared, and does everything in Python.

``CrewCore`` is the base of :class:`~zkrpc.server.crew.Crew`, with the loop that runs a connection's requests, and what
is around that from a read to the last send. ``ReaderCore`` and ``PoolCore`` are the bases of
:class:`~zkrpc.server.intake.Intake` and of :class:`~zkrpc.server.greenlet_pool.GreenletPool`. Each has in C what every
read goes through, as long as all is as usual; beside it stands the method in Python that does the same, and whose name
ends in ``_in_python``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from zkrpc import compiled
from zkrpc.call import ServerCall
from zkrpc.callables import Kind, kind_of
from zkrpc.idl import Interface, Method
from zkrpc.idl.served import wire_names
from zkrpc.server.handlers import pairs_of
from zkrpc.server.signatures import check_handler, generic_of
from zkrpc.telemetry.recording import Recording

UNINTERRUPTIBLE = "zkrpc_uninterruptible"
"""The attribute of a handler's method that says that it is not to be ended from outside."""
_module = compiled.load("zkrpc.server._compiled")
IS_COMPILED = _module is not None

if TYPE_CHECKING or _module is None:

    class Core:
        """The base of a dispatcher."""

        if TYPE_CHECKING:

            def dispatch(self, request: Any, peer: str, now: float, caller: Any = None) -> Any:
                """Runs one request of ``caller`` and returns the answer; None if none is expected, because the method
                is oneway, or the caller sent it as one."""

        def prepare(self, table: dict[bytes, Any], max_elements: int, clock: Callable[[], float], known: Any) -> None:
            """Takes in what requests are dispatched by: entries by names, the bound of elements in their arguments,
            monotonic seconds, and what all dispatchers know (``_KNOWN`` in :mod:`zkrpc.server.dispatch`)."""

    class CrewCore:
        """The base of a crew (:mod:`zkrpc.server.crew`)."""

        __slots__ = (
            "_admission",
            "_admitted",
            "_dispatch",
            "_flushed_at",
            "_greenlets",
            "_holds",
            "_intake",
            "_is_sent",
            "_outbox",
            "_queue",
            "_received",
            "_serving",
            "_turn_ends",
            "_turn_is_over",
            "_turns",
            "clock",
            "closed",
            "meter",
            "peer",
            "protocol",
            "share",
            "used_at",
        )

        if TYPE_CHECKING:

            def _run_requests(self, worker: Any) -> None: ...

            def receive(self, chunk: bytes, now: float, wait: bool) -> None: ...

            def _work(self, began: float) -> None: ...

    class ReaderCore:
        """The base of an intake."""

        __slots__ = ("_owner", "_recv", "_size", "_turns", "is_reading", "is_waiting")

        if TYPE_CHECKING:

            def _read(self) -> None: ...

    class PoolCore:
        """The base of a pool of greenlets."""

        if TYPE_CHECKING:

            def begin(self, work: Any) -> bool: ...

            def employ(self, worker: Any, hub: Any) -> None: ...

    def learn(*_: object) -> None:
        """Takes in what the loop of all crews works with."""

else:
    Core, CrewCore, learn = _module.Core, _module.Crew, _module.learn
    ReaderCore, PoolCore = _module.Reader, _module.Pool

acquaint: Callable[..., None] = functools.partial(compiled.acquaint, _module)
"""Tells the compiled part classes whose objects it looks into."""
acquaint(Recording)


class Entry(NamedTuple):
    """One method as it is dispatched. The compiled part knows the fields by their places."""

    method: Method
    handler: Callable[..., Any]
    recording: Recording | None
    """Where to note how long requests that go well take; None if nobody wants to know."""
    interruptible: bool
    label: str
    """What the method is called where only a name tells which it is."""
    run: Callable[[ServerCall], Any]
    """The interceptors, and the handler where its kind runs."""
    attempt_arguments: Callable[..., tuple[Any, ...] | None] | None
    """The method's; the compiled part uses it."""
    attempt_result: Callable[..., bytes | None] | bool | None
    """The same; False if the method is void, None if Python encodes its results or there are none."""


def make_table(
    interface: Interface,
    handler: object,
    recordings: Mapping[str, Recording],
    runs: Mapping[Kind, Callable[[ServerCall], Any]],
) -> dict[bytes, Entry]:
    """The entries of an interface by the names of its methods on the wire. Raises ConfigError if the handler does not
    fit."""
    for part, one in pairs_of(interface, handler):
        check_handler(part, one)
    entries = {}
    for label, method in interface.methods.items():
        if method.refusal:
            continue  # as a method that nobody knows
        function = getattr(handler, label)
        interruptible = not (method.oneway or getattr(function, UNINTERRUPTIBLE, False))
        # Decided here and not by each call, so that a handler on the hub costs what it would without the others.
        run = runs[kind_of(generic_of(handler, label) or function)]
        encode = None if method.oneway else not method.void and method.attempt_result
        entries[label] = Entry(
            method, function, recordings.get(label), interruptible, label, run, method.attempt_arguments, encode
        )
    return {name: entries[label] for name, label in wire_names(interface).items() if label in entries}
