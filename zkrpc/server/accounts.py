"""Who calls a server, and what: calls, errors and the time of the last call, for each caller and method. Pure.

A connection has the account of its caller from its first call on. Counting a call is one look-up in the account's own
table; everything else (names, bounds, methods that nobody has) is done once for each connection and method.

=======================================  =============================================================================
a caller that                            has
=======================================  =============================================================================
says a good name                         an account for that name and version
says none, as plain Thrift clients       one that it shares with all such callers of its kind of address:
                                         ``unnamed:loopback``, ``unnamed:private``, ``unnamed:public``
says what cannot be a name               a share in ``_OTHER``
has shown a certificate                  one for that identity with the name and version that it says
=======================================  =============================================================================

Names come from peers, so there are only so many accounts, and only so many counts in all of them. Beyond that an
account is added to ``_OTHER``: of the address that has opened most, which may be the newcomer's own, the one without a
connection that has not called for longest. So a peer that makes up names uses up its own, and nobody else's.

A service's operators may set how many calls a second a caller may make (:meth:`Accounts.limit`). An account with such a
quota knows no methods, so that each of its calls comes through ``count``; the others pay nothing for it. Callers with
an identity have the quota of that, or else of the name that they say. In the same way a method that a caller may not
call (:mod:`~zkrpc.server.permissions`) is never known to its account.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

from zkrpc.caller import ALL_UNNAMED, NOBODY, OTHER_CALLERS, UNNAMED, Caller, is_name, is_version
from zkrpc.identity import Identity
from zkrpc.idl import Interface
from zkrpc.idl.served import wire_names
from zkrpc.policies.budget import TokenBucket
from zkrpc.server.dispatch import Answer, turn_down
from zkrpc.server.permissions import Permissions
from zkrpc.server.shares import network_of
from zkrpc.telemetry.events import OTHER
from zkrpc.telemetry.status import CallerMethodStatus, CallerStatus
from zkrpc.wire import status
from zkrpc.wire.hello import caller_of
from zkrpc.wire.message import BUILT_IN_PREFIX, Request
from zkrpc.wire.server import ServerProtocol

MOST_ACCOUNTS = 256
"""Names, with their versions, that are counted by themselves: more than a service has callers, and quick to show."""
MOST_TALLIES = 4096
"""Counts in all accounts of names: some hundred bytes each, and a few milliseconds to show."""


_UNKNOWN = "an unknown method"
_LONGEST_HINT = 1.0
"""Seconds after which a caller beyond its quota may come back at the latest, as its operators may have raised it."""


class Tally:
    """What one caller has called of one method."""

    __slots__ = ("called_at", "calls", "errors")

    def __init__(self) -> None:
        self.calls = self.errors = 0
        self.called_at = -math.inf
        """When the last call came, monotonic seconds."""

    def __repr__(self) -> str:
        """Its numbers."""
        return f"<Tally calls={self.calls} errors={self.errors}>"

    def add(self, other: Tally) -> None:
        """Adds what another has counted."""
        self.calls += other.calls
        self.errors += other.errors
        self.called_at = max(self.called_at, other.called_at)


class Account:
    """What one caller has called."""

    __slots__ = (
        "address",
        "bucket",
        "caller",
        "connections",
        "known",
        "opened_at",
        "quota",
        "quotas",
        "refused",
        "tallies",
    )

    def __init__(self, caller: Caller, address: str = "", opened_at: float = -math.inf, quota: str = "") -> None:
        self.caller = caller
        """What it is shown as."""
        self.quotas = (*(caller.identity.names if caller.identity is not None else ()), quota or caller.name)
        """The names by which its quota is looked up; they stay the same when it is added to ``_OTHER``."""
        self.quota = self.quotas[-1]
        """The one by which it was found."""
        self.bucket: TokenBucket | None = None
        """Allows its calls; None if it has no quota."""
        self.refused = 0
        """Calls beyond the quota."""
        self.address = address
        """The address that was the first to use the name."""
        self.opened_at = opened_at
        self.connections = 0
        self.tallies: dict[str, Tally] = {}
        """By the method's name in the IDL, of interfaces beside the default one by its label."""
        self.known: dict[bytes, Tally] = {}
        """The same by the names on the wire, as far as they have been called: whoever finds a call's name here may
        count it there and then. Empty while there is a quota."""

    def __repr__(self) -> str:
        """The caller and how much it has called."""
        return f"<Account {self.caller.shown} {self.caller.version} methods={len(self.tallies)}>"

    @property
    def used_at(self) -> float:
        """When it was last used; takes time in proportion to its methods."""
        return max((tally.called_at for tally in self.tallies.values()), default=self.opened_at)


STRANGER = Account(NOBODY)
"""The account of a connection that has not made a call yet. Nothing is counted in it."""


class Accounts:
    """The accounts of one server's callers.

    Args:
        interface: the interface that is served, or several as one.
        permissions: who may call what; anybody anything if not given.
        on_denial: told the peer, by its identity's name or its address, and why, of each call that it may not make.
        most: accounts of names.
        most_tallies: counts in all of them.
    """

    def __init__(
        self,
        interface: Interface,
        permissions: Permissions | None = None,
        on_denial: Callable[[str, str], object] = lambda peer, reason: None,
        *,
        most: int = MOST_ACCOUNTS,
        most_tallies: int = MOST_TALLIES,
    ) -> None:
        self._methods = wire_names(interface)
        self._oneway = {name for name, method in interface.methods.items() if method.oneway}
        self.permissions = permissions or Permissions(interface)
        self._on_denial = on_denial
        self._most, self._most_tallies = most, most_tallies
        self._named: dict[Caller, Account] = {}
        self._unnamed: dict[str, Account] = {}
        self._tallies = 0
        self._folded: set[Account] = set()
        """Accounts that were added to ``_OTHER`` and still have connections."""
        self._buckets: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        """How many accounts there are."""
        return len(self._named) + len(self._unnamed)

    def __repr__(self) -> str:
        """How many accounts there are, and of how many names."""
        return f"<Accounts {len(self)} named={len(self._named)}>"

    def join(self, said: Caller, address: str, now: float) -> Account:
        """The account for a connection from ``address`` whose peer says this of itself, and has proven its identity if
        there is one; once for each connection."""
        if said.identity is not None:
            caller = _cleaned(said)
            account = self._named.get(caller) or self._open(caller, said.identity.name or address, now)
        elif not said.name:
            account = self._shared(UNNAMED + kind_of(address), ALL_UNNAMED)
        elif not is_name(said.name):
            account = self._shared(OTHER_CALLERS)
        else:
            caller = _cleaned(said)
            account = self._named.get(caller) or self._open(caller, address, now)
        account.connections += 1
        return account

    def leave(self, account: Account) -> None:
        """A connection that had joined is closed."""
        account.connections -= 1
        if account in self._folded:
            self._unnamed[OTHER_CALLERS].connections -= 1
            if not account.connections:
                self._folded.discard(account)

    def count(self, account: Account, name: bytes, now: float) -> float:
        """Counts a call of a method, by its name on the wire, that ``account.known`` does not have.

        Returns 0; or, if the caller has had its quota, the seconds until it may call again: then the call is to be
        refused.
        """
        tally = self._note(account, name, now)
        if account.bucket is None:
            if name in self._methods:
                account.known[name] = tally
            return 0.0
        wait = account.bucket.take(now)
        if wait:
            (self._unnamed[OTHER_CALLERS] if account in self._folded else account).refused += 1
        return wait

    def limit(self, rates: Mapping[str, float], now: float) -> None:
        """From now on these callers may make so many calls a second, whatever their version; other callers any number.

        ``unnamed`` stands for all that say no name, and ``_OTHER`` for all that have neither a name nor a rate here:
        they share theirs.
        """
        former, self._buckets = self._buckets, {}
        for name, rate in rates.items():
            bucket = self._buckets[name] = former.get(name) or TokenBucket(rate, now)
            bucket.change(rate, now)
        for account in self._all():
            self._bind(account)

    def deny(self, account: Account, identity: Identity | None, name: bytes, address: str, now: float) -> str | None:
        """Why a caller may not call a method, by its name on the wire, in one line; the call is counted then, and noted
        for the log. None if it may."""
        reason = self.permissions.judge(self._methods.get(name, _UNKNOWN), identity)
        if reason is not None:
            self._note(account, name, now)
            self._on_denial(address if identity is None else identity.name or address, reason)
        return reason

    def narrow(self, allowed: Mapping[str, Collection[str]]) -> None:
        """From now on these lists of the service's config hold, see :class:`~zkrpc.server.permissions.Permissions`."""
        if self.permissions.narrow(allowed):
            for account in self._all():
                account.known = {}

    def is_answered(self, name: bytes) -> bool:
        """False for a oneway method: its callers read no answer, even if they sent it as a call that has one."""
        return self._methods.get(name) not in self._oneway

    def _all(self) -> Iterator[Account]:
        yield from (*self._named.values(), *self._unnamed.values(), *self._folded)

    def _note(self, account: Account, name: bytes, now: float) -> Tally:
        """Counts one call."""
        tally = self._tally(account, self._methods.get(name, OTHER))
        tally.calls += 1
        tally.called_at = now
        return tally

    def count_error(self, account: Account, name: bytes) -> None:
        """A call that was counted has been answered with something that the IDL does not declare."""
        self._tally(account, self._methods.get(name, OTHER)).errors += 1

    def status(self, now: float, wall_now: float) -> tuple[CallerStatus, ...]:
        """All accounts, those with most calls first. ``wall_now`` is the Unix time that it is at ``now``."""
        accounts = [*self._named.values(), *self._unnamed.values()]
        found = [_status_of(account, wall_now - now) for account in accounts]
        return tuple(sorted(found, key=lambda one: (-one.calls, one.name, one.version)))

    def _shared(self, name: str, quota: str = "") -> Account:
        account = self._unnamed.get(name)
        if account is None:
            account = self._unnamed[name] = Account(Caller(name), quota=quota)
            self._bind(account)
        return account

    def _bind(self, account: Account) -> None:
        """Gives an account the bucket that it has to draw on."""
        account.quota = next((name for name in account.quotas if name in self._buckets), account.quotas[-1])
        account.bucket = self._buckets.get(account.quota)
        if account.bucket is None and ALL_UNNAMED not in account.quotas:
            account.bucket = self._buckets.get(OTHER_CALLERS)
        if account.bucket is not None:
            account.known = {}

    def _open(self, caller: Caller, address: str, now: float) -> Account:
        if len(self._named) >= self._most:
            self._fold(self._victim(address))
        account = self._named[caller] = Account(caller, address, now)
        self._bind(account)
        return account

    def _tally(self, account: Account, method: str) -> Tally:
        """The count of a method; makes one, and room for it, if there is none."""
        while method not in account.tallies and self._tallies >= self._most_tallies and self._is_named(account):
            self._fold(self._victim(account.address))
        tally = account.tallies.get(method)
        if tally is None:
            tally = account.tallies[method] = Tally()
            self._tallies += self._is_named(account)
        return tally

    def _is_named(self, account: Account) -> bool:
        return self._named.get(account.caller) is account

    def _victim(self, address: str) -> Account:
        """The account that gives way to one more from ``address``."""
        opened = Counter(account.address for account in self._named.values())
        opened[address] += 1
        greediest = max(opened.values())
        return min(
            (account for account in self._named.values() if opened[account.address] == greediest),
            key=lambda account: (account.connections > 0, account.used_at),
        )

    def _fold(self, account: Account) -> None:
        """Adds an account to ``_OTHER``; what connections of it call from now on is counted there."""
        del self._named[account.caller]
        self._tallies -= len(account.tallies)
        others = self._shared(OTHER_CALLERS)
        for method, tally in account.tallies.items():
            others.tallies.setdefault(method, Tally()).add(tally)
        others.connections += account.connections
        others.refused += account.refused
        # What it has proven stays its own: it may be all that lets its calls in.
        account.caller = others.caller._replace(identity=account.caller.identity)
        account.tallies, account.known = others.tallies, {}
        if account.connections:
            self._folded.add(account)


class Meter:
    """Counts the calls of one connection, from ``address``, in the account of its caller."""

    __slots__ = ("_accounts", "_address", "account", "identity")

    def __init__(self, accounts: Accounts, address: str) -> None:
        self.account = STRANGER
        """Known from the first call on, which tells who calls unless there was a hello."""
        self.identity: Identity | None = None
        """What the peer has proven, before its first call."""
        self._accounts = accounts
        self._address = network_of(address)

    def __repr__(self) -> str:
        """The account."""
        return f"<Meter {self.account!r}>"

    def meet(
        self, request: Request, protocol: ServerProtocol, now: float, answer: Callable[[Request, Answer], object]
    ) -> bool:
        """Counts a call that ``account.known`` does not have: the first one of the connection, the first one of a
        method, or any one of a caller with a quota. If it is beyond that, or the caller may not call the method, it is
        answered, and this is False.
        """
        if self.account is STRANGER:
            said = caller_of(protocol.peer_headers if protocol.peer_is_zkrpc else request.headers)
            self.account = self._accounts.join(said._replace(identity=self.identity), self._address, now)
        account = self.account
        denial = self._accounts.deny(account, self.identity, request.name, self._address, now)
        if denial is not None:
            answered = self._accounts.is_answered(request.name)
            answer(request, turn_down(request, denial, status.PERMISSION_DENIED, answered=answered))
            return False
        wait = self._accounts.count(account, request.name, now)
        if wait and account.bucket is not None:
            message = (
                f"the quota of {account.quota} is used up: {account.bucket.rate:g} calls a second of this instance"
            )
            answer(request, turn_down(request, message, status.overloaded(min(wait, _LONGEST_HINT))))
        return not wait

    def count_error(self, request: Request) -> None:
        """A request has been answered with something that the IDL does not declare; those for built-in services do not
        count."""
        if not request.name.startswith(BUILT_IN_PREFIX):
            self._accounts.count_error(self.account, request.name)

    def close(self) -> None:
        """The connection is closed."""
        if self.account is not STRANGER:
            self._accounts.leave(self.account)


def _cleaned(said: Caller) -> Caller:
    """What a caller says and proves, without a name or version that cannot be one."""
    name, version, identity = said
    return Caller(name if is_name(name) else "", version if is_version(version) else "", identity)


def kind_of(address: str) -> str:
    """What kind of address it is: ``loopback``, ``private`` (also link-local) or ``public``; ``local`` for a text that
    is no IP address."""
    try:
        parsed = ipaddress.ip_network(address, strict=False).network_address
    except ValueError:
        return "local"
    if parsed.is_loopback or address == "::/64":  # the network of ::1
        return "loopback"
    return "private" if parsed.is_private or parsed.is_link_local else "public"


def _status_of(account: Account, to_wall: float) -> CallerStatus:
    methods = tuple(
        CallerMethodStatus(
            method=name, calls=tally.calls, errors=tally.errors, called_at=round(tally.called_at + to_wall, 3)
        )
        for name, tally in sorted(account.tallies.items())
        if tally.calls
    )
    return CallerStatus(
        name=account.caller.shown,
        version=account.caller.version,
        connections=account.connections,
        max_rate=None if account.bucket is None else account.bucket.rate,
        refused=account.refused,
        calls=sum(one.calls for one in methods),
        errors=sum(one.errors for one in methods),
        called_at=max((one.called_at for one in methods), default=None),
        methods=methods,
    )
