"""One call as a value, its context, and the algebra that stacks interceptors around it.

A client-side :class:`Call` flows down through interceptors to a connection; a server-side :class:`ServerCall` is what a
handler sees through :func:`current_call`. An interceptor is a function of the call and of the rest of the stack; it
answers by returning what ``proceed(call)`` returned, or by raising. The first interceptor in a list is the outermost.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from zkrpc.deadline import DEADLINE_BUDGET, Deadline

if TYPE_CHECKING:
    from zkrpc.endpoint import Endpoint
    from zkrpc.errors import CallError

CallT = TypeVar("CallT")
Proceed = Callable[[CallT], Any]
Interceptor = Callable[[CallT, Proceed[CallT]], Any]


def compose(interceptors: Iterable[Interceptor[CallT]], last: Proceed[CallT]) -> Proceed[CallT]:
    """One function out of many: each interceptor gets the call and a ``proceed`` that runs the rest."""
    proceed = last
    for interceptor in reversed(tuple(interceptors)):
        proceed = _bind(interceptor, proceed)
    return proceed


def _bind(interceptor: Interceptor[CallT], proceed: Proceed[CallT]) -> Proceed[CallT]:
    def run(call: CallT) -> Any:
        return interceptor(call, proceed)

    return run


_NOBODY: frozenset[Endpoint] = frozenset()


class CallPlan(Protocol):
    """What the layers below the client need to know of how a method is called."""

    max_attempts: int
    """Times one call may reach a server."""
    hedge: Any
    """When a second copy is sent; None for never. The client's."""


class Call:
    """A call on its way out, made by a stub and refined by interceptors.

    Not frozen: one is made per call on the hot path, and interceptors note on it where it went.
    """

    __slots__ = (
        "attempt",
        "body",
        "deadline",
        "endpoint",
        "headers",
        "idempotent",
        "key",
        "method",
        "oneway",
        "plan",
        "repeated",
        "reply_to",
        "route",
        "tried",
    )

    def __init__(
        self,
        method: str,
        body: Any,
        deadline: Deadline,
        *,
        headers: Mapping[str, str] | None = None,
        idempotent: bool = False,
        oneway: bool = False,
        reply_to: Any = None,
    ) -> None:
        self.method = method
        """The name as it goes over the wire."""
        self.body = body
        """The checked argument struct, encoded by the connection in the dialect its peer speaks."""
        self.deadline = deadline
        self.headers = headers
        """Application metadata, or None."""
        self.idempotent = idempotent
        self.oneway = oneway
        self.reply_to = reply_to
        """The IDL method: knows how to encode the arguments and to read the answer."""
        self.attempt = 0
        """Which attempt is being made; 1 is the first."""
        self.tried: Set[Endpoint] = _NOBODY
        """Instances that refused or lost this call already; to be replaced, not changed."""
        self.endpoint: Endpoint | None = None
        """The instance the current attempt went to."""
        self.plan: CallPlan | None = None
        """How its method is called, as far as that is not said here already; the client's."""
        self.key: str | None = None
        """What it is about, where instances are picked by that."""
        self.repeated = False
        """True if it is made by a handler for a call that is itself a repetition: then it is not repeated here."""
        self.route: Any = None
        """How the call is led to a primary; None if any instance will do. The client's."""

    def copy(self) -> Call:
        """The same call, to be made beside this one; what either meets is not seen by the other."""
        copy = Call.__new__(Call)
        for name in Call.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.endpoint = None
        return copy

    def __repr__(self) -> str:
        """Name, attempt and place."""
        return f"<Call {self.method} attempt={self.attempt} endpoint={self.endpoint}>"


_new_call: Callable[[type[Call]], Call] = object.__new__


def make_call(
    method: str,
    body: Any,
    deadline: Deadline,
    headers: Mapping[str, str] | None,
    idempotent: bool,
    oneway: bool,
    reply_to: Any,
    plan: CallPlan,
) -> Call:
    """A Call, for less than half of what it costs to call the class (measured), on the path of every call."""
    call = _new_call(Call)
    call.method = method
    call.body = body
    call.deadline = deadline
    call.headers = headers
    call.idempotent = idempotent
    call.oneway = oneway
    call.reply_to = reply_to
    call.plan = plan
    call.attempt = 0
    call.tried = _NOBODY
    call.endpoint = call.key = call.route = None
    call.repeated = False
    return call


class ServerCall:
    """A call being served: what a handler may want to know about it."""

    __slots__ = ("arguments", "entered", "epoch", "handler", "headers", "method", "peer", "received_at", "revoked")

    def __init__(
        self,
        method: str,
        handler: Callable[..., Any],
        arguments: tuple[Any, ...],
        headers: Mapping[str, str],
        peer: str,
        received_at: float,
    ) -> None:
        self.method = method
        self.handler = handler
        """The bound method that will run."""
        self.arguments = arguments
        """What it will be given, in the order of the IDL."""
        self.headers = headers
        """Metadata the caller sent, empty for plain Thrift callers."""
        self.peer = peer
        """The caller's ``host:port``."""
        self.received_at = received_at
        """Monotonic time at which the request's last byte was read."""
        self.entered = False
        """True once the handler was called: from then on an error no longer means that nothing was done."""
        self.epoch: int | None = None
        """The fencing token of the primary that runs this call; None outside primary-only methods."""
        self.revoked: CallError | None = None
        """What to answer instead of what the handler returned or raised: an interceptor found out that its outcome no
        longer counts."""

    @property
    def deadline(self) -> Deadline | None:
        """When the caller stops waiting; None if it did not say."""
        budget = self.headers.get(DEADLINE_BUDGET)
        return None if budget is None else Deadline.from_budget(budget, self.received_at)

    def __repr__(self) -> str:
        """Name and caller."""
        return f"<ServerCall {self.method} from {self.peer}>"


_new_server_call: Callable[[type[ServerCall]], ServerCall] = object.__new__


def make_server_call(
    method: str,
    handler: Callable[..., Any],
    arguments: tuple[Any, ...],
    headers: Mapping[str, str],
    peer: str,
    received_at: float,
) -> ServerCall:
    """A ServerCall, for half of what it costs to call the class; see ``make_call``."""
    call = _new_server_call(ServerCall)
    call.method = method
    call.handler = handler
    call.arguments = arguments
    call.headers = headers
    call.peer = peer
    call.received_at = received_at
    call.entered = False
    call.epoch = call.revoked = None
    return call


def run_handler(call: ServerCall) -> Any:
    """The innermost end of the server's stack: the handler itself."""
    call.entered = True
    return call.handler(*call.arguments)


_current: contextvars.ContextVar[ServerCall | None] = contextvars.ContextVar("zkrpc_current_call", default=None)


def current_call() -> ServerCall | None:
    """The call this greenlet is serving, or None outside a handler.

    A greenlet starts with an empty context; one that a handler spawns sees the call if ``zkrpc.spawn`` made it.
    """
    return _current.get()


find_current_call: Callable[[], ServerCall | None] = _current.get
"""The same, for the path of every call."""
enter_call = _current.set
"""Makes a call the current one; returns the token for ``leave_call``."""
leave_call = _current.reset
"""Ends what ``enter_call`` began."""


@contextlib.contextmanager
def detach() -> Iterator[None]:
    """Calls made within the block are on their own: they inherit no deadline from the call being served here.

    For work that a handler starts and that shall outlive its caller's patience. Inside, ``current_call`` is None; what
    ``zkrpc.spawn`` starts inside stays detached.
    """
    token = enter_call(None)
    try:
        yield
    finally:
        leave_call(token)
