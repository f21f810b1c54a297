"""Which methods only the primary serves, and the interceptor and the gates in front of them.

A method is marked by :func:`primary_only` or by the IDL's ``zkrpc.primary``; either is enough. The interceptor asks the
gate of the call's group before the handler and again before its reply, and knows nothing else of elections.

The second check is for a handler that has outlived its lease. It ran, so "not executed" would be wrong; but the present
primary may have begun without its effects, and a store may have refused them, so "executed" would be wrong, too. The
answer says MAYBE, whatever the handler returned or raised.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

from gevent.event import Event

from zkrpc.call import Proceed, ServerCall
from zkrpc.callables import attribute_of
from zkrpc.election.machine import ElectionMachine
from zkrpc.election.states import LEADING, ElectionState
from zkrpc.endpoint import DEFAULT_GROUP, Epoch, read_epoch
from zkrpc.errors import ConfigError, Executed, NotPrimary, Rejected, StaleEpoch
from zkrpc.idl import Interface
from zkrpc.registry.schema import check_name
from zkrpc.wire import headers as keys

MethodT = TypeVar("MethodT", bound=Callable[..., Any])
GroupOfArguments = Callable[..., str]
"""Returns the group of a call, given the call's arguments in the order of the IDL."""

_MARK = "zkrpc_primary_only"
# From the claim on, as callers may read our record in the registry before the claim's answer has arrived here.
_ABOUT_TO_SERVE = (ElectionState.CLAIMING, ElectionState.CONFIRMING, ElectionState.SYNCHRONISING)


@dataclasses.dataclass(frozen=True, slots=True)
class PrimaryOnly:
    """The mark that the decorator leaves on a handler's method."""

    group: str | GroupOfArguments = DEFAULT_GROUP

    def group_of(self, arguments: Sequence[Any]) -> str:
        """The group that a call with these arguments belongs to."""
        return self.group if isinstance(self.group, str) else self.group(*arguments)


@overload
def primary_only(method: MethodT, /) -> MethodT: ...


@overload
def primary_only(*, group: str | GroupOfArguments = DEFAULT_GROUP) -> Callable[[MethodT], MethodT]: ...


def primary_only(method: Any = None, /, *, group: str | GroupOfArguments = DEFAULT_GROUP) -> Any:
    """Marks a handler's method as one that only the elected primary serves.

    Other instances answer NotPrimary, which zkrpc's clients follow by themselves. ``group`` is the name of the group
    whose primary serves it, or a function of the call's arguments that returns the name; the names that it can return
    are given to the Service. The method itself is not changed.
    """

    def mark(function: MethodT) -> MethodT:
        setattr(function, _MARK, PrimaryOnly(group))
        return function

    if method is None:
        return mark
    if not callable(method):
        raise ConfigError(f"primary_only marks a method; write @primary_only(group={method!r}) for a group")
    return mark(method)


def find_marks(interface: Interface, handler: object) -> dict[str, PrimaryOnly]:
    """The primary-only methods of a handler, by name."""
    found = {}
    for name, method in interface.methods.items():
        mark = getattr(attribute_of(handler, name), _MARK, None)
        if mark is not None or method.policy.primary:
            found[name] = mark or PrimaryOnly()
    return found


def groups_of(marks: Iterable[PrimaryOnly], declared: Sequence[str]) -> tuple[str, ...]:
    """The groups to stand for. Raises ConfigError if the declared ones and the marks do not go together."""
    named = {mark.group for mark in marks if isinstance(mark.group, str)}
    computed = any(not isinstance(mark.group, str) for mark in marks)
    if computed and not declared:
        raise ConfigError("primary_only(group=<function>) needs the names it can give: Service(..., groups=[...])")
    if declared and (missing := sorted(named - set(declared))):
        raise ConfigError(f"primary_only names the group {missing[0]!r}, which Service(..., groups=...) lacks")
    groups = tuple(dict.fromkeys(declared)) or tuple(sorted(named))
    return tuple(check_name("group name", group) for group in groups) if computed or named else ()


class PrimaryGate:
    """Lets calls run while the machine serves. ``clock`` gives monotonic seconds; ``turn`` must be called after every
    change."""

    def __init__(self, machine: ElectionMachine, clock: Callable[[], float]) -> None:
        self.running = 0
        """The number of calls that run."""
        self.departing: Epoch | None = None
        """The epoch that is being handed over on purpose, until ``on_deposed`` has returned: calls that still run in it
        are valid."""
        self.closed = False
        """True once no further call may run, whatever the machine's state."""
        self._machine = machine
        self._clock = clock
        self._paused: Epoch | None = None
        self._turned = Event()

    def __repr__(self) -> str:
        """How many calls run, and whether others may."""
        return f"<PrimaryGate running={self.running} paused={self._paused} closed={self.closed}>"

    def enter(self, give_up_at: float) -> Epoch | None:
        """Admits a call and returns the epoch to serve it in, after which ``leave`` must follow; None if it must not
        run here.

        While the primary gets ready the call waits, until ``give_up_at`` at the latest.
        """
        epoch = self._serving_epoch()
        while epoch is None:
            left = give_up_at - self._clock()
            if left <= 0 or self.closed or self._machine.state not in _ABOUT_TO_SERVE:
                return None
            self._turned.wait(left)
            epoch = self._serving_epoch()
        self.running += 1
        return epoch

    def leave(self, epoch: Epoch) -> bool:
        """The call is done. False if its outcome must not be reported as certain, because the epoch is no longer
        held."""
        self.running -= 1
        if not self.running:
            self.turn()
        return self.holds(epoch)

    def holds(self, epoch: Epoch) -> bool:
        """True while this instance holds that epoch under a valid lease, and the term has not ended, unless by stepping
        down on purpose."""
        if self._machine.held_epoch(self._clock()) != epoch:
            return False
        return self._machine.state in LEADING or self.departing == epoch

    @property
    def is_paused(self) -> bool:
        """True while no further calls may run in the present epoch."""
        return self._paused is not None or self.closed

    def pause(self, epoch: Epoch, timeout: float) -> None:
        """Stops admitting calls in this epoch, and waits up to ``timeout`` seconds for those that run. ``resume`` must
        follow."""
        self._paused = epoch
        self.wait_until(lambda: not self.running, timeout)

    def resume(self) -> None:
        """Ends ``pause``."""
        self._paused = None

    def close(self) -> None:
        """Stops admitting calls for good, and ends all waits."""
        self.closed = True
        self.turn()

    def turn(self) -> None:
        """Wakes all waiting calls, because something has changed."""
        turned, self._turned = self._turned, Event()
        turned.set()

    def wait_until(self, met: Callable[[], bool], timeout: float) -> bool:
        """Waits until ``met()`` holds at a turn; False if the time ran out before."""
        give_up_at = self._clock() + timeout
        while not met():
            left = give_up_at - self._clock()
            if left <= 0:
                return False
            self._turned.wait(left)
        return True

    def _serving_epoch(self) -> Epoch | None:
        epoch = None if self.closed else self._machine.serving_epoch(self._clock())
        return None if epoch == self._paused else epoch


class Contest(Protocol):
    """The part of a group's campaign that the interceptor uses."""

    gate: PrimaryGate

    def refusal(self, executed: Executed = Executed.NO) -> NotPrimary:
        """Why a call for the primary is not served here."""

    def receive_epoch(self, epoch: Epoch) -> None:
        """Takes in an epoch from a trusted source, such as a store."""

    def look_again(self) -> None:
        """Has ZooKeeper read again, because an untrusted source named an unknown epoch."""


class Primacy:
    """The interceptor of primary-only methods. It is the innermost one, so that nothing waits between the lease's check
    and the handler.

    ``contests`` are the campaigns by group; a group that is missing is refused. ``patience`` is how many seconds a call
    without a deadline waits while a primary gets ready.
    """

    def __init__(
        self,
        marks: Mapping[str, PrimaryOnly],
        contests: Mapping[str, Contest],
        *,
        patience: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._marks = marks
        self._contests = contests
        self._patience = patience
        self._clock = clock

    def __call__(self, call: ServerCall, proceed: Proceed[ServerCall]) -> Any:
        """Runs a call, or refuses it."""
        mark = self._marks.get(call.method)
        if mark is None:
            return proceed(call)
        contest = self._contest(mark.group_of(call.arguments))
        epoch = contest.gate.enter(self._give_up_at(call))
        if epoch is None:
            raise contest.refusal()
        call.epoch = epoch
        try:
            self._meet_demand(call, contest, epoch)
            return proceed(call)
        except StaleEpoch as error:
            # From a store, unless it is our own refusal, or that of another service which the handler called.
            if call.entered and error.current == epoch:
                contest.receive_epoch(error.seen)
                call.revoked = _revoked(error)
            raise
        finally:
            if not contest.gate.leave(epoch) and call.entered and call.revoked is None:
                call.revoked = contest.refusal(Executed.MAYBE)

    def _contest(self, group: str) -> Contest:
        contest = self._contests.get(group)
        if contest is None:
            raise Rejected(f"this instance takes no part in elections of the group {group!r}")
        return contest

    def _give_up_at(self, call: ServerCall) -> float:
        deadline = call.deadline
        return self._clock() + self._patience if deadline is None else deadline.at

    def _meet_demand(self, call: ServerCall, contest: Contest, epoch: Epoch) -> None:
        """Refuses a call whose caller has seen a later epoch. As callers are not trusted, that does not end our
        term."""
        demanded = read_epoch(call.headers.get(keys.EPOCH, ""))
        if demanded is not None and demanded > epoch:
            contest.look_again()
            raise StaleEpoch(f"the caller has seen epoch {demanded}", seen=demanded, current=epoch)


def _revoked(error: StaleEpoch) -> StaleEpoch:
    return StaleEpoch(error.args[0], seen=error.seen, current=error.current, executed=Executed.MAYBE)
