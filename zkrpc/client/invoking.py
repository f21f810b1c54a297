"""What a call is made with, and how it is made: options, and the base of :class:`~zkrpc.client.client.Client` that
binds the arguments and makes a Call with a deadline of them.

``Invoking`` is compiled where that is in use, else ``PureInvoking``, which says the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gevent import getcurrent

from zkrpc import compiled
from zkrpc.belonging import is_in_event_loop
from zkrpc.call import Call, ServerCall, find_current_call, make_call
from zkrpc.client.replies import misfit
from zkrpc.client.stack import Plan
from zkrpc.config import LONGEST_TIMEOUT, is_timeout
from zkrpc.deadline import Deadline, make_deadline
from zkrpc.endpoint import MAX_EPOCH, NO_EPOCH
from zkrpc.errors import ConfigError
from zkrpc.idl import Method
from zkrpc.policies.budget import RetryBudget
from zkrpc.wire.headers import DEADLINE_BUDGET, EPOCH

_NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """The options of one call, or of all calls of one stub. None leaves a value to the configs and the IDL."""

    timeout: float | None = None
    """Seconds for the call with all its attempts. The deadline of a call being served applies if it is earlier."""
    idempotent: bool | None = None
    """Whether the call may be sent again when it is not known whether it ran."""
    headers: Mapping[str, str] | None = None
    """Application metadata; servers that speak zkrpc or THeader see it."""
    min_epoch: int | None = None
    """The lowest epoch of a primary that may serve the call, for callers that have seen that epoch elsewhere."""
    sent: Mapping[str, str] | None = dataclasses.field(init=False, repr=False, compare=False, default=None)
    """All headers of a call: the application's, and zkrpc's."""

    def __post_init__(self) -> None:
        """Checks every field; raises ConfigError that names the option."""
        if self.timeout is not None and not is_timeout(self.timeout):
            raise ConfigError(
                f"option timeout must be seconds, more than 0 and at most {LONGEST_TIMEOUT:g}, got {self.timeout!r}"
            )
        if self.idempotent is not None and not isinstance(self.idempotent, bool):
            raise ConfigError(f"option idempotent must be True or False, got {self.idempotent!r}")
        for key, value in (self.headers or {}).items():
            if not is_text(key) or not is_text(value):
                raise ConfigError(f"option headers must be text to text, got {key!r}: {value!r}")
            if key == DEADLINE_BUDGET or key.startswith("zkrpc-"):
                raise ConfigError(f"header {key!r} is zkrpc's own; use options(timeout=...) or another name")
        sent = self.headers
        if self.min_epoch is not None:
            if type(self.min_epoch) is not int or not NO_EPOCH <= self.min_epoch <= MAX_EPOCH:
                raise ConfigError(f"option min_epoch must be an epoch, a whole number from 0, got {self.min_epoch!r}")
            sent = MappingProxyType({**(self.headers or {}), EPOCH: str(self.min_epoch)})
        object.__setattr__(self, "sent", sent)

    def but(
        self,
        *,
        timeout: float | None = None,
        idempotent: bool | None = None,
        headers: Mapping[str, str] | None = None,
        min_epoch: int | None = None,
    ) -> CallOptions:
        """These options with those given replaced, and headers added."""
        if headers is not None and not isinstance(headers, Mapping):
            raise ConfigError(f"option headers must be a mapping of text to text, got {headers!r}")
        merged = {**(self.headers or {}), **(headers or {})}
        return CallOptions(
            timeout=self.timeout if timeout is None else timeout,
            idempotent=self.idempotent if idempotent is None else idempotent,
            headers=MappingProxyType(merged) if merged else None,
            min_epoch=self.min_epoch if min_epoch is None else min_epoch,
        )


DEFAULT_OPTIONS = CallOptions()


def is_text(value: object) -> bool:
    """Whether a value can be sent as a header: a str that stands for bytes, as UTF-8 or as a peer's header that is
    passed on."""
    try:
        return isinstance(value, str) and value.encode("utf-8", "surrogateescape") is not None
    except UnicodeEncodeError:
        return False


class PureInvoking:
    """The hot part of a client."""

    _budget: RetryBudget
    _clock: Callable[[], float]
    _has_members: bool
    _hub: Any
    _learnt: Collection[str]
    _plans: dict[Method, Plan]
    _root: Any

    def invoke(
        self,
        method: Method,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = _NO_ARGUMENTS,
        options: CallOptions = DEFAULT_OPTIONS,
        began: float | None = None,
    ) -> Any:
        """Makes one call and returns its value; None for a void or oneway method.

        ``began`` is when the program made it, in monotonic seconds, if that was in another thread.

        Raises TypeError for arguments that do not fit, the exceptions that the IDL declares, and CallError.
        """
        caller = getcurrent()
        if caller.parent is not self._hub and (caller is not self._root or is_in_event_loop()):
            self._come_home()
        plan = self._plans.get(method) or self._make_plan(method)
        try:
            bound, encoded = method.pack(args, kwargs)
        except TypeError as error:
            raise misfit(method, error) from None
        self._budget.calls += 1
        began = self._clock() if began is None else began
        call = make_call(
            method.name,
            bound,
            make_deadline(Deadline, (began + (options.timeout or plan.timeout),)),
            options.sent,
            plan.idempotent if options.idempotent is None else options.idempotent,
            method.oneway,
            method,
            plan,
            began,
            encoded,
        )
        if plan.hash_key is not None:
            call.key = str(getattr(call.body, plan.hash_key))
        serving = find_current_call()
        if serving is not None:
            self._inherit(call, serving)
        if plan.primary or call.method in self._learnt:
            self._lead(call)
        return plan.proceed(call) if self._has_members else plan.first(call)

    # -- what is out of the ordinary

    def _come_home(self) -> None:
        """Checks that the current greenlet may make calls."""
        raise NotImplementedError

    def _make_plan(self, method: Method) -> Plan:
        """Makes the plan of a method, and keeps it."""
        raise NotImplementedError

    def _inherit(self, call: Call, serving: ServerCall) -> None:
        """A handler makes the call."""
        raise NotImplementedError

    def _lead(self, call: Call) -> None:
        """Only a primary serves the method."""
        raise NotImplementedError


_part = compiled.load("zkrpc.client._compiled")
compiled.acquaint(_part, CallOptions, RetryBudget)
if TYPE_CHECKING or _part is None:
    Invoking = PureInvoking
else:
    Invoking = _part.Invoking
