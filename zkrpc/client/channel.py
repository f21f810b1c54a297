"""The members of one service with their subchannels, and which of them gets the next call.

A shell around the balancer: it makes and retires subchannels as the list changes, passes the outcomes of calls and
connections to the balancer, and checks all connections for silence ten times a second. When a change makes another
attempt worthwhile, it wakes the calls that pause."""

from __future__ import annotations

import time
from collections.abc import Callable

from gevent import get_hub
from gevent.event import Event

from zkrpc.call import Call
from zkrpc.caller import Caller, this_program
from zkrpc.client.connection import Connection
from zkrpc.client.connectivity import ConnectivityState, Report, Standing
from zkrpc.client.dialect_search import make_subchannel
from zkrpc.client.explanation import InstanceView, Probe, view_of, view_of_member, with_obstacle
from zkrpc.client.load_balancer import LoadBalancer, Picking
from zkrpc.client.member import Member
from zkrpc.client.member_observing import member_observer_of, status_of
from zkrpc.client.naming import PLAIN, Naming
from zkrpc.client.policy import ResolvedClient, resolve_client
from zkrpc.client.resolver import USUAL
from zkrpc.client.secured import Dialler, expiry_of
from zkrpc.client.subchannel import Subchannel
from zkrpc.config import ClientConfig, ServiceConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    Executed,
    Overloaded,
    RemoteError,
    Unavailable,
    WrongProcess,
)
from zkrpc.policies.backoff import Backoff
from zkrpc.policies.budget import RetryBudget
from zkrpc.telemetry.observer import NOBODY, Observers
from zkrpc.telemetry.status import ClientStatus
from zkrpc.wire.keepalive import KeepalivePolicy

_TICK = 0.1
"""Seconds between checks of all connections."""
_SPARE = 0.025
"""Seconds for which an overloaded instance is avoided, if it does not say for how long."""


class Channel:
    """The channel to one service. Belongs to the hub of the thread that made it."""

    def __init__(
        self,
        config: ClientConfig,
        *,
        rng: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        dial: Dialler = Connection.dial,
        client_id: str = "",
        wall_clock: Callable[[], float] = time.time,
        observers: Observers = NOBODY,
        target: str = "",
        dialect: str | None = None,
        naming: Naming = PLAIN,
    ) -> None:
        self.config = config
        self.dialect = dialect
        """What members speak whose records do not say; None if that is to be found out."""
        self.found = USUAL
        """What the last such member was found to speak: the next one probably does so, too."""
        self.naming = naming
        """What methods are called at each member, and which members serve what is called."""
        self._others: tuple[Instance, ...] = ()
        """Members that serve something else."""
        self._target = target
        self.observer = member_observer_of(observers, lambda: self._balancer.service, clock, target)
        """Emits the events of members and connections; None without observers."""
        self.backoff = Backoff(first=config.backoff, longest=config.max_backoff)
        self.keepalive = KeepalivePolicy(
            time=config.keepalive_time,
            idle_time=config.keepalive_idle_time,
            patience=config.keepalive_patience,
            timeout=config.keepalive_timeout,
        )
        self.rng = rng
        self.clock = clock
        self.dial = dial
        self.closed = False
        self._is_parents = False
        self.connections: set[Connection] = set()
        policy = resolve_client(config, ServiceConfig())
        self.budget = RetryBudget(ratio=policy.retry_ratio, reserve=policy.retry_reserve, now=clock())
        """The budget for retries and hedges; a call adds to it by incrementing ``calls``."""
        self._news = Event()
        self._balancer: LoadBalancer[Subchannel] = LoadBalancer(
            self._make_subchannel,
            config,
            rng=rng,
            client_id=client_id,
            wall_clock=wall_clock,
        )
        self.receive_policy(policy)
        # ref=False: the timer must not keep a program running that waits for nothing else.
        self._ticker = get_hub().loop.timer(_TICK, _TICK, ref=False)
        self._ticker.start(self._tick)

    def __repr__(self) -> str:
        """The balancer, and whether the channel is closed."""
        return f"<Channel {self._balancer!r}{' closed' if self.closed else ''}>"

    @property
    def caller(self) -> Caller:
        """Who calls, as servers are told: asked for with each connection, as a program that imports the service it is
        to serve learns only then what it goes by."""
        name, version = self.config.name, self.config.version
        program = this_program()
        return Caller(name or program.name, version or ("" if name and name != program.name else program.version))

    def receive_policy(self, policy: ResolvedClient) -> None:
        """Takes in the values that are in effect now: how members are picked, and the retry budget."""
        self._balancer.receive_picking(Picking(balancing=policy.balancing, subset_size=policy.subset_size))
        self.budget.change(ratio=policy.retry_ratio, reserve=policy.retry_reserve, now=self.clock())

    # -- members

    def _make_subchannel(self, instance: Instance) -> Subchannel:
        made = make_subchannel(instance, self)
        made.names = self.naming.names_at(instance)
        return made

    def receive_snapshot(self, snapshot: Snapshot) -> None:
        """Adopts a list of members. Never blocks."""
        if self.closed:
            return
        known = set(self._balancer.members.values())
        snapshot, self._others = self.naming.narrow(snapshot)
        left = self._balancer.receive_snapshot(snapshot, self.clock())
        for member in [one for one in self._balancer.kept if any(one.id == other.id for other in self._others)]:
            self._balancer.drop(member)  # it has not vanished: its new record says that it serves something else
            left.append(member)
        if self.observer is not None:
            self.observer.changed(left, [one for one in self._balancer.members.values() if one not in known])
        for member in left:
            member.subchannel.retire()
        for member in list(self._balancer.kept):
            member.subchannel.verify()
        if not known.issuperset(self._balancer.members.values()):
            self.tell_news()

    def pick(self, call: Call, now: float) -> Member[Subchannel]:
        """The member for a call's next attempt. Raises Unavailable if there is none."""
        if self.closed:
            if self._is_parents:
                raise WrongProcess(
                    "a call that was begun before a fork is the parent's, so nothing was done; make it anew here"
                )
            raise Unavailable("the client is closed; make a new one")
        member = self._balancer.pick(call.tried, self.rng, now, call.key)
        if member is None:
            others = self._others if not self._balancer.members else ()
            absence = self.naming.absence(self._balancer.service, others) if others else ""
            raise Unavailable(absence or self._balancer.explain_absence(), nobody=True)
        return member

    def find(self, endpoint: Endpoint) -> Member[Subchannel] | None:
        """The member at this endpoint; None if there is none."""
        return None if self.closed else self._balancer.find(endpoint)

    def is_marked(self, method: str) -> bool:
        """Whether the registry's records say that only a primary serves this method: those of at least half of the
        members."""
        members, labels = self._balancer.members.values(), self.naming.labels(method)
        marked = sum(1 for one in members if any(label in one.instance.primary_only for label in labels))
        return 0 < len(members) <= 2 * marked

    def has_untried(self, call: Call) -> bool:
        """Whether there is a member that looks well and that this call has not tried."""
        return not self.closed and self._balancer.has_untried(call.tried, self.clock())

    def explain(self, wall_now: float) -> list[InstanceView]:
        """Every member as this client sees it, and why it is picked or not. ``wall_now`` is in seconds since 1970."""
        instances = [member.instance for member in self._balancer.members.values()]
        zone, warm_up = self.config.zone, self.config.warm_up
        seen = [
            view_of_member(instance, status, wall_now=wall_now, zone=zone, warm_up=warm_up)
            for instance, status in zip(instances, self.status().members, strict=True)
        ]
        for other in self._others:
            view = view_of(other, Probe(), wall_now=wall_now, zone=zone, warm_up=warm_up)
            seen.append(with_obstacle(view, self.naming.obstacle(other)))
        return seen

    def status(self) -> ClientStatus:
        """The state of the client and its members at this moment."""
        now, load_balancer = self.clock(), self._balancer
        picked = load_balancer.candidates(now)
        return ClientStatus(
            service=load_balancer.service,
            target=self._target or load_balancer.service,
            closed=self.closed,
            connections=len(self.connections),
            calls=self.budget.calls,
            retry_tokens=self.budget.balance(now),
            members=tuple(
                status_of(member, now, is_picked=member in picked, is_kept=member in load_balancer.kept)
                for member in load_balancer.members.values()
            ),
            certificate_expires_at=expiry_of(self.dial),
        )

    # -- outcomes of calls

    def receive_success(self, member: Member[Subchannel], now: float) -> None:
        """A call went well. Only needed for members whose breaker is ``troubled``."""
        if self._balancer.receive_success(member, now) and self.observer is not None:
            self.observer.closed_breaker(member)

    def receive_failure(self, member: Member[Subchannel], error: CallError, now: float) -> None:
        """A call has failed; the error decides what that means for the instance."""
        if isinstance(error, Overloaded):
            self._balancer.abandon(member, now)
            pause = _SPARE if error.retry_after is None else error.retry_after
            self._balancer.spare(member, now + pause, now)
            if self.observer is not None:
                self.observer.spared(member, pause)
        elif speaks_against(error):
            if self._balancer.receive_failure(member, now) and self.observer is not None:
                self.observer.opened_breaker(member, now)
        else:
            self._balancer.abandon(member, now)

    def abandon(self, member: Member[Subchannel], now: float) -> None:
        """A call has ended in a way that says nothing of the instance."""
        if member.breaker.troubled:
            self._balancer.abandon(member, now)

    # -- pauses

    def pause(self, seconds: float) -> bool:
        """Waits, at most until the next :meth:`tell_news`. False if the client is closed."""
        if not self.closed:
            self._news.wait(seconds)
        return not self.closed

    def tell_news(self) -> None:
        """Wakes the calls that pause, because something has changed that makes another attempt worthwhile."""
        # Wakes only the calls that wait now.
        self._news.set()
        self._news.clear()

    # -- reports of subchannels

    def receive_report(self, subchannel: Subchannel, report: Report) -> None:
        """The state or the standing of a subchannel has changed. Everything that follows from that is done here."""
        member = self._balancer.member_of(subchannel)
        if member is None:
            return
        kept = member in self._balancer.kept
        if self.observer is not None:
            self.observer.reported(member, report)
        if report.standing is not report.was:
            self._balancer.receive_standing(member)
            if report.standing is Standing.WELL:
                self.tell_news()
            elif kept:  # it was kept only while it answered
                self._balancer.drop(member)
                subchannel.retire()
                if self.observer is not None:
                    self.observer.changed([member], [])
                return
        if kept and report.state is ConnectivityState.IDLE:
            subchannel.verify()

    def may_leave_unheard(self, subchannel: Subchannel) -> bool:
        """Whether a subchannel's member has never answered a call, and another one looks well."""
        member, now = self._balancer.member_of(subchannel), self.clock()
        if member is not None and member.breaker.successes:
            return False
        well = self._balancer.candidates(now)
        return any(one.subchannel is not subchannel and not one.down and not one.is_suspect(now) for one in well)

    # -- the end, and time

    def close(self) -> None:
        """Ends all subchannels. Never blocks."""
        self.closed = True
        self._ticker.stop()
        self._ticker.close()
        for member in self._balancer.members.values():
            member.subchannel.retire()
        for connection in list(self.connections):
            connection.close()
        self.tell_news()

    def abandon_all(self, *, forked: bool = False) -> None:
        """Closes the descriptors and does nothing else, for when the hub no longer exists, or must not run."""
        self.closed, self._is_parents = True, forked
        for connection in self.connections:
            # Not its close(), which would wake the waiting calls through the hub.
            connection.closed = True
            connection._sock.close()

    def _tick(self) -> None:
        now = self.clock()
        for connection in list(self.connections):
            connection.tick(now)


def speaks_against(error: CallError) -> bool:
    """Whether a failed attempt is a sign that the instance is not well.

    It is one if the handler failed in a way that the IDL does not declare, the connection broke, or no answer came in
    time. A call that was never sent says nothing of the instance; a refused connection makes its standing DOWN.
    """
    if isinstance(error, (ConnectionLost, DeadlineExceeded)):
        return error.executed is Executed.MAYBE
    return isinstance(error, RemoteError)
