"""One call as a value, its context, and the composition of interceptors around it.

A client-side :class:`Call` flows down through interceptors to a connection; a server-side :class:`ServerCall` is what a
handler sees through :func:`current_call`. An interceptor is a function of the call and of the rest of the stack; it
answers by returning what ``proceed(call)`` returned, or by raising. The first interceptor in a list is the outermost.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from zkrpc.caller import NOBODY, Caller
from zkrpc.deadline import DEADLINE_BUDGET, Deadline
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CallError, Executed

if TYPE_CHECKING:  # loading it loads all that reads IDL files, which a call does not need
    from zkrpc.idl.model import Method

CallT = TypeVar("CallT")
Proceed = Callable[[CallT], Any]
Interceptor = Callable[[CallT, Proceed[CallT]], Any]


def compose(interceptors: Iterable[Interceptor[CallT]], last: Proceed[CallT]) -> Proceed[CallT]:
    """Makes one function of many interceptors: each gets the call and a ``proceed`` that runs the rest."""
    proceed = last
    for interceptor in reversed(tuple(interceptors)):
        proceed = _bind(interceptor, proceed)
    return proceed


def _bind(interceptor: Interceptor[CallT], proceed: Proceed[CallT]) -> Proceed[CallT]:
    def run(call: CallT) -> Any:
        return interceptor(call, proceed)

    return run


NO_ENDPOINTS: frozenset[Endpoint] = frozenset()
"""Those that a call has tried at first."""
_CANCELLED = "Cancelled"


class CallPlan(Protocol):
    """What the layers below the client need to know of how a method is called."""

    max_attempts: int
    """Times one call may reach a server."""
    hedge: Any
    """When a second copy is sent; None for never. Only the client interprets it."""


class Call:
    """A call on its way out, made by a stub and refined by interceptors.

    Not frozen: one is made per call on the hot path, and interceptors note on it which instance it went to.
    """

    __slots__ = (
        "attempt",
        "began",
        "body",
        "deadline",
        "descriptor",
        "encoded",
        "endpoint",
        "headers",
        "idempotent",
        "key",
        "method",
        "oneway",
        "plan",
        "repeated",
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
        descriptor: Any = None,
        began: float = 0.0,
    ) -> None:
        self.method = method
        """The method's name on the wire."""
        self.began = began
        """When the program made it, in monotonic seconds."""
        self.body = body
        """The checked argument struct, encoded for each attempt in the dialect its peer speaks."""
        self.encoded: bytes | None = None
        """Its bytes in binary, where checking it has made them and no interceptor may have changed it since."""
        self.deadline = deadline
        self.headers = headers
        """Application metadata, or None."""
        self.idempotent = idempotent
        self.oneway = oneway
        self.descriptor: Method = descriptor
        """The method as the IDL declares it: knows how to encode the arguments and to read the answer."""
        self.attempt = 0
        """The number of the current attempt, from 1."""
        self.tried: Set[Endpoint] = NO_ENDPOINTS
        """Instances that refused or lost this call already. The set is replaced and never changed."""
        self.endpoint: Endpoint | None = None
        """The instance the current attempt went to."""
        self.plan: CallPlan | None = None
        """Further settings of its method; only the client interprets them."""
        self.key: str | None = None
        """The key of the call, if instances are picked by key."""
        self.repeated = False
        """True if a handler makes it for a call that is itself a repetition: then it is not repeated here."""
        self.route: Any = None
        """How the call is routed to a primary; None if any instance will do. Only the client interprets it."""

    @property
    def epoch(self) -> int | None:
        """The epoch in the answer: that of the primary that served the call. None without an answer, and where any
        instance may serve the method."""
        return None if self.route is None else self.route.epoch

    def copy(self) -> Call:
        """A copy of the call, to be sent beside this one; what interceptors note on one does not change the other."""
        copy = Call.__new__(Call)
        for name in Call.__slots__:
            setattr(copy, name, getattr(self, name))
        copy.endpoint = None
        return copy

    def __repr__(self) -> str:
        """Name, attempt and instance."""
        return f"<Call {self.method} attempt={self.attempt} endpoint={self.endpoint}>"


_new_call: Callable[[type[Call]], Call] = object.__new__


def make_call(
    method: str,
    body: Any,
    deadline: Deadline,
    headers: Mapping[str, str] | None,
    idempotent: bool,
    oneway: bool,
    descriptor: Method,
    plan: CallPlan,
    began: float,
    encoded: bytes | None = None,
) -> Call:
    """Makes a Call in less than half the time that calling the class takes (measured); this is on the path of every
    call."""
    call = _new_call(Call)
    call.method = method
    call.body = body
    call.encoded = encoded
    call.deadline = deadline
    call.headers = headers
    call.idempotent = idempotent
    call.oneway = oneway
    call.descriptor = descriptor
    call.plan = plan
    call.began = began
    call.attempt = 0
    call.tried = NO_ENDPOINTS
    call.endpoint = call.key = call.route = None
    call.repeated = False
    return call


def outcome_of(call: Call, error: BaseException | None) -> tuple[str, bool, str]:
    """The outcome of a call for its event and its span: the error's name, whether the IDL declares it, and whether the
    call was executed."""
    if error is None:
        return "", False, Executed.YES.value
    name = type(error).__name__
    if isinstance(error, CallError):
        return name, False, error.executed.value
    if isinstance(error, call.descriptor.throws):
        return name, True, Executed.YES.value
    # Arguments that do not fit are never sent; after other errors it is not known whether the call ran.
    executed = Executed.NO if isinstance(error, TypeError) else Executed.MAYBE
    return name if isinstance(error, Exception) else _CANCELLED, False, executed.value


class ServerCall:
    """A call that is being served, with what a handler may want to know about it."""

    __slots__ = (
        "arguments",
        "caller",
        "entered",
        "epoch",
        "handler",
        "headers",
        "method",
        "peer",
        "received_at",
        "revoked",
    )

    def __init__(
        self,
        method: str,
        handler: Callable[..., Any],
        arguments: tuple[Any, ...],
        headers: Mapping[str, str],
        peer: str,
        received_at: float,
        caller: Caller = NOBODY,
    ) -> None:
        self.method = method
        self.handler = handler
        """The bound method that will run."""
        self.arguments = arguments
        """The handler's arguments, in the order of the IDL."""
        self.headers = headers
        """Metadata that the caller sent, empty for plain Thrift callers."""
        self.peer = peer
        """The caller's ``host:port``."""
        self.caller = caller
        """What the calling program says that it is, as the server counts it: a name and a version, which prove nothing.
        Its ``identity`` is proven, by a certificate; None without one."""
        self.received_at = received_at
        """Monotonic time at which the request's last byte was read."""
        self.entered = False
        """True once the handler was called: from then on an error no longer means that the call was not executed."""
        self.epoch: int | None = None
        """The fencing token of the primary that runs this call; None outside primary-only methods."""
        self.revoked: CallError | None = None
        """The error to answer instead of the handler's outcome, set by an interceptor that found that the outcome no
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
    caller: Caller = NOBODY,
) -> ServerCall:
    """Makes a ServerCall in half the time that calling the class takes; see ``make_call``."""
    call = _new_server_call(ServerCall)
    call.method = method
    call.handler = handler
    call.arguments = arguments
    call.headers = headers
    call.peer = peer
    call.caller = caller
    call.received_at = received_at
    call.entered = False
    call.epoch = call.revoked = None
    return call


def run_handler(call: ServerCall) -> Any:
    """The innermost end of the server's stack: the handler itself."""
    call.entered = True
    return call.handler(*call.arguments)


CURRENT: contextvars.ContextVar[ServerCall | None] = contextvars.ContextVar("zkrpc_current_call", default=None)
"""The call that is being served."""


def current_call() -> ServerCall | None:
    """The call this greenlet is serving, or None outside a handler.

    A greenlet starts with an empty context; one that a handler spawns sees the call if ``zkrpc.spawn`` made it.
    """
    return CURRENT.get()


find_current_call: Callable[[], ServerCall | None] = CURRENT.get
"""``current_call`` itself, without a function around it, for the path of every call."""
enter_call = CURRENT.set
"""Makes a call the current one; returns the token for ``leave_call``."""
leave_call = CURRENT.reset
"""Ends what ``enter_call`` began."""


@contextlib.contextmanager
def detach() -> Iterator[None]:
    """Calls made within the block inherit no deadline from the call that is being served.

    For work that a handler starts and that is to go on after its caller's deadline. Inside, ``current_call`` is None;
    what
    ``zkrpc.spawn`` starts inside stays detached.
    """
    token = enter_call(None)
    try:
        yield
    finally:
        leave_call(token)
