"""Calls are counted by caller and method, and peers that make up names cost others nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.echo import idl
from tests.support.requests import call_of, oneway_of
from zkrpc.caller import NOBODY, Caller
from zkrpc.codec import decode_failure
from zkrpc.config import WireLimits
from zkrpc.identity import Identity
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface, wire_names
from zkrpc.server.accounts import STRANGER, Account, Accounts, Meter, Tally, kind_of
from zkrpc.server.dispatch import Answer
from zkrpc.server.permissions import Permissions
from zkrpc.telemetry.status import CallerStatus
from zkrpc.wire import headers as keys
from zkrpc.wire.hello import caller_headers, hello_frame
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol

HERE, THERE = "10.0.0.1", "10.0.0.2"


class Bench:
    """Accounts, and the time."""

    def __init__(self, **options: Any) -> None:
        self.accounts = Accounts(idl.Echo, **options)
        self.now = 0.0

    def call(self, account: Account, *names: bytes) -> None:
        """One call of each, a second apart, counted as a connection does it."""
        for name in names:
            self.now += 1
            tally = account.known.get(name)
            if tally is None:
                self.accounts.count(account, name, self.now)
            else:
                tally.calls += 1
                tally.called_at = self.now

    def caller(self, name: str, *names: bytes, address: str = HERE, stays: bool = True) -> Account:
        """A connection of that caller makes these calls."""
        account = self.accounts.join(Caller(name), address, self.now)
        self.call(account, *(names or (b"echo",)))
        if not stays:
            self.accounts.leave(account)
        return account

    def status(self) -> dict[str, CallerStatus]:
        """What is said of each name; for names with one version."""
        return {one.name: one for one in self.accounts.status(self.now, self.now + 1000.0)}

    def calls(self) -> dict[str, int]:
        """How often each has called."""
        return {name: one.calls for name, one in self.status().items()}


def test_calls_are_counted_by_caller_and_method() -> None:
    """With the errors among them, and when the last one came, in Unix time."""
    bench = Bench()
    account = bench.caller("billing", b"echo", b"slow", b"echo")
    bench.accounts.count_error(account, b"slow")
    (billing,) = bench.status().values()
    assert (billing.calls, billing.errors, billing.called_at, billing.connections) == (3, 1, 1003.0, 1)
    told = [(one.method, one.calls, one.errors, one.called_at) for one in billing.methods]
    assert told == [("echo", 2, 0, 1003.0), ("slow", 1, 1, 1002.0)]
    bench.accounts.leave(account)
    assert bench.status()["billing"].connections == 0 and "billing" in repr(account)


def test_connections_of_one_program_share_an_account_and_versions_do_not() -> None:
    """A rolling upgrade shows both versions."""
    accounts = Accounts(idl.Echo)
    old, new = Caller("billing", "1"), Caller("billing", "2")
    assert accounts.join(old, HERE, 0.0) is accounts.join(old, THERE, 1.0)
    assert accounts.join(new, HERE, 0.0) is not accounts.join(old, HERE, 0.0)
    assert [(one.version, one.connections) for one in accounts.status(0.0, 0.0)] == [("1", 3), ("2", 1)]
    assert repr(accounts) == "<Accounts 2 named=2>"


def test_methods_that_nobody_has_are_one() -> None:
    """However many a peer makes up; and a multiplexing client's name for a method is that method."""
    bench = Bench()
    account = bench.caller("billing", *(b"x%d" % number for number in range(100)), b"Echo:echo", b"echo")
    assert {one.method: one.calls for one in bench.status()["billing"].methods} == {"_OTHER": 100, "echo": 2}
    assert set(account.known) == {b"Echo:echo", b"echo"}
    bench.accounts.count_error(account, b"x1")
    assert bench.status()["billing"].errors == 1


def test_callers_without_a_name_are_counted_by_their_kind_of_address() -> None:
    """As plain Thrift clients are."""
    bench = Bench()
    for address in ("127.0.0.1", "::/64", "10.1.2.3", "fe80::/64", "8.8.8.8", "2a00::/64", "memory"):
        bench.caller("", address=address)
    assert bench.calls() == {"unnamed:loopback": 2, "unnamed:private": 2, "unnamed:public": 2, "unnamed:local": 1}
    assert kind_of("192.168.3.4") == "private"


@pytest.mark.parametrize("name", ["_OTHER", "unnamed:public", "a\x1b[2J", "x" * 65, "ü", " "])
def test_impossible_names_are_not_repeated(name: str) -> None:
    """They are counted under ``_OTHER``."""
    bench = Bench()
    bench.caller(name)
    assert bench.calls() == {"_OTHER": 1}
    account = bench.accounts.join(Caller("billing", name), HERE, 0.0)
    assert account.caller in (Caller("billing"), Caller("billing", "_OTHER"))


def test_peer_that_makes_up_names_uses_up_its_own() -> None:
    """Those of others stay, even while they do not call; what it made up is added to ``_OTHER``, and nothing is
    lost."""
    bench = Bench(most=8)
    bench.caller("nightly", stays=False)
    bench.caller("billing", address=THERE)
    for number in range(1000):
        bench.caller(f"x{number}", address="6.6.6.6", stays=number % 2 == 0)
    calls = bench.calls()
    assert calls["nightly"] == calls["billing"] == 1 and len(calls) == 9
    assert sum(calls.values()) == 1002 and calls["_OTHER"] == 1002 - 8
    assert bench.status()["_OTHER"].connections == 500 - sum(
        one.connections for name, one in bench.status().items() if name.startswith("x")
    )


def test_of_one_address_those_stay_that_are_there_or_have_called_last() -> None:
    """All callers behind one proxy have the same address."""
    bench = Bench(most=3)
    early = bench.caller("early")
    bench.caller("gone", stays=False)
    late = bench.caller("late")
    bench.call(early, b"echo")
    bench.caller("fourth")
    assert set(bench.calls()) == {"early", "late", "fourth", "_OTHER"}
    bench.caller("fifth")
    assert set(bench.calls()) == {"early", "fourth", "fifth", "_OTHER"}
    bench.call(late, b"echo", b"slow")
    assert bench.calls()["_OTHER"] == 4 and late.caller.name == "_OTHER"
    assert bench.status()["_OTHER"].connections == 1
    bench.accounts.leave(late)
    assert bench.status()["_OTHER"].connections == 0
    bench.caller("late")
    assert bench.calls()["late"] == 1


def test_caller_that_comes_back_is_counted_on() -> None:
    """As long as nobody else needed the place."""
    bench = Bench()
    bench.caller("billing", stays=False)
    bench.caller("billing", stays=False)
    assert bench.calls() == {"billing": 2}


def test_counts_are_bounded_too() -> None:
    """Callers with many methods take the place of several; the last one that is left may fold itself."""
    bench = Bench(most_tallies=4)
    bench.caller("first", b"echo", b"slow")
    bench.caller("second", b"echo", b"slow")
    third = bench.caller("third", b"echo", b"slow", b"pair")
    assert bench.calls() == {"third": 3, "_OTHER": 4}
    bench.call(third, b"fail", b"note", b"echo")
    assert bench.calls() == {"_OTHER": 10} and len(bench.accounts) == 1


# -- quotas


def taken(bench: Bench, account: Account, calls: int) -> int:
    """How many of these calls, all at the same moment, are not refused."""
    return sum(bench.accounts.count(account, b"echo", bench.now) == 0 for _ in range(calls))


def test_caller_beyond_its_quota_is_refused() -> None:
    """It is counted, told when to come back, and served then; others are not held to anything."""
    bench = Bench()
    billing, others = bench.caller("billing"), bench.caller("others")
    bench.accounts.limit({"billing": 10.0}, bench.now)
    assert not billing.known and others.known
    assert taken(bench, billing, 15) == 10 and taken(bench, others, 15) == 15
    assert bench.accounts.count(billing, b"echo", bench.now) == pytest.approx(0.1)
    assert bench.accounts.count(billing, b"echo", bench.now + 0.11) == 0
    told = bench.status()["billing"]
    assert (told.calls, told.refused, told.max_rate) == (18, 6, 10.0)
    assert (bench.status()["others"].max_rate, bench.status()["others"].refused) == (None, 0)


def test_quota_holds_for_all_versions_and_connections_of_a_name() -> None:
    """Otherwise a second version would double it."""
    bench = Bench()
    bench.accounts.limit({"billing": 10.0}, 0.0)
    accounts = [bench.accounts.join(Caller("billing", version), HERE, 0.0) for version in ("1", "2", "2")]
    assert sum(taken(bench, account, 10) for account in accounts) == 10


def test_quota_of_all_that_say_no_name_and_of_all_others() -> None:
    """Each is shared, so that nobody gets more by another name; ``_OTHER`` does not speak of those without one."""
    bench = Bench()
    bench.accounts.limit({"billing": 10.0, "_OTHER": 5.0}, 0.0)
    strangers = [bench.caller(name) for name in ("a", "b", "\x1b")]
    assert sum(taken(bench, account, 10) for account in strangers) == 4
    plain = [bench.accounts.join(NOBODY, address, 0.0) for address in ("127.0.0.1", "8.8.8.8")]
    assert sum(taken(bench, account, 10) for account in plain) == 20
    bench.accounts.limit({"unnamed": 5.0}, bench.now)
    assert sum(taken(bench, account, 10) for account in plain) == 5
    assert sum(taken(bench, account, 10) for account in strangers) == 30


def test_quota_is_changed_while_calls_come() -> None:
    """What was used of it stays used; without one, calls are counted where they are met again."""
    bench = Bench()
    billing = bench.caller("billing")
    bench.accounts.limit({"billing": 10.0}, bench.now)
    taken(bench, billing, 10)
    bench.accounts.limit({"billing": 1000.0}, bench.now)
    assert taken(bench, billing, 1) == 0
    bench.accounts.limit({}, bench.now)
    assert taken(bench, billing, 100) == 100 and billing.known


def test_caller_that_is_counted_among_others_keeps_its_quota() -> None:
    """Peers that make up names neither lift it nor share theirs with it."""
    bench = Bench(most=1)
    billing = bench.caller("billing")
    bench.caller("made-up")
    assert billing.caller.name == "_OTHER"
    bench.accounts.limit({"billing": 10.0}, bench.now)
    assert taken(bench, billing, 15) == 10
    assert bench.status()["_OTHER"].refused == 5
    bench.accounts.leave(billing)
    assert not bench.accounts._folded


WEB = Identity(spiffe="spiffe://prod/ns/shop/sa/web", common_name="web")


def test_identity_has_an_account_of_its_own_whatever_its_holder_says() -> None:
    """It is shown by what it has proven, shares its account with nobody who only says the same name, and what cannot be
    a name is left out."""
    bench = Bench()
    said = bench.accounts.join(Caller("web", "1"), HERE, 0.0)
    proven = [bench.accounts.join(Caller(name, "1", WEB), HERE, 0.0) for name in ("web", "web", "", "\x1b")]
    assert proven[0] is proven[1] and proven[2] is proven[3] and len({id(one) for one in (said, *proven)}) == 3
    assert [one.caller for one in proven[1:]] == [Caller("web", "1", WEB), Caller("", "1", WEB), Caller("", "1", WEB)]
    assert {one.name for one in bench.accounts.status(0.0, 0.0)} == {"web", WEB.spiffe}
    nameless = bench.accounts.join(Caller("", "", Identity()), HERE, 0.0)
    assert "a certificate without a name" in repr(nameless)


def test_quota_of_an_identity_comes_before_that_of_a_name() -> None:
    """Whatever name its holder says; without one of its own it has that of the name, or of all others."""
    bench = Bench()
    web = [bench.accounts.join(Caller(name, "", WEB), HERE, 0.0) for name in ("", "billing")]
    bench.accounts.limit({WEB.spiffe: 10.0, "billing": 5.0}, 0.0)
    assert sum(taken(bench, account, 10) for account in web) == 10 and web[1].quota == WEB.spiffe
    bench.accounts.limit({"cn:web": 5.0, "billing": 3.0}, 0.0)
    assert sum(taken(bench, account, 10) for account in web) == 5
    bench.accounts.limit({"billing": 3.0}, 0.0)
    assert (taken(bench, web[1], 10), taken(bench, web[0], 20)) == (3, 20)
    bench.accounts.limit({"_OTHER": 2.0, "unnamed": 9.0}, 0.0)
    assert sum(taken(bench, account, 10) for account in web) == 2


def test_identity_stays_proven_among_too_many_others() -> None:
    """A caller that is not counted by itself any more is still who it is; and whoever makes up names while it has an
    identity uses up its own."""
    bench = Bench(most=2)
    other = bench.caller("other", address=THERE)
    web = [bench.accounts.join(Caller(f"web-{number}", "", WEB), THERE, float(number)) for number in range(3)]
    assert web[0].caller == Caller("_OTHER", "", WEB) and other.caller == Caller("other")
    assert web[0].caller.shown == WEB.spiffe


def test_stranger_has_no_name_and_no_counts() -> None:
    """A connection that makes no call is nobody's."""
    assert STRANGER.caller is NOBODY and not STRANGER.known


# -- the calls of one connection


class Line:
    """A connection's meter, and what its peer is answered in place of calls that are not run."""

    def __init__(self, accounts: Accounts, *, hello: Caller | None = None, address: str = HERE) -> None:
        self.meter = Meter(accounts, address)
        self.protocol = ServerProtocol(WireLimits(), 0.0)
        if hello is not None:
            self.protocol.receive_data(hello_frame(WireLimits(), hello), 0.0)
        self.refused: list[Answer] = []

    def meet(self, request: Request, now: float = 0.0) -> bool:
        """One request, which the connection has not met before."""
        return self.meter.meet(request, self.protocol, now, lambda request, answer: self.refused.append(answer))


def said(name: str) -> dict[str, str]:
    """The headers by which a first call says who calls."""
    return caller_headers(Caller(name))


def test_connection_is_its_caller_s_from_the_first_call_to_its_end() -> None:
    """Before the first call nobody knows whose it is, so that it is counted nowhere, even when it ends."""
    accounts = Accounts(idl.Echo)
    line, silent = Line(accounts), Line(accounts)
    assert line.meter.account is STRANGER and len(accounts) == 0
    assert line.meet(call_of("echo", headers=said("billing")), 1.0)
    silent.meter.close()
    (status,) = accounts.status(1.0, 1.0)
    assert (status.name, status.calls, status.connections) == ("billing", 1, 1)
    assert repr(line.meter) == "<Meter <Account billing  methods=1>>"
    line.meter.close()
    assert accounts.status(1.0, 1.0)[0].connections == 0 and STRANGER.connections == 0


def test_hello_says_who_calls_and_a_later_call_cannot_say_otherwise() -> None:
    """Otherwise a peer could pass each call off as somebody else's, quota included."""
    accounts = Accounts(idl.Echo)
    greeted, plain = Line(accounts, hello=Caller("billing", "1.2")), Line(accounts)
    assert greeted.meet(call_of("echo", headers=said("somebody-else")))
    assert greeted.meet(call_of("slow", headers=said("somebody-else")))
    assert plain.meet(call_of("echo", headers=said("nightly")))
    assert plain.meet(call_of("slow", headers=said("somebody-else")))
    told = {(one.name, one.version): one.calls for one in accounts.status(0.0, 0.0)}
    assert told == {("billing", "1.2"): 2, ("nightly", ""): 2}


def test_hosts_of_one_ipv6_network_are_one_address() -> None:
    """Whoever has a network cannot make up names from each of its addresses."""
    accounts = Accounts(idl.Echo)
    for host in range(1, 4):
        Line(accounts, address=f"2001:db8::{host}").meet(call_of("echo", headers=said(f"x{host}")))
    assert {account.address for account in accounts._named.values()} == {"2001:db8::/64"}


def test_what_was_proven_goes_with_whatever_is_said() -> None:
    """Of a connection whose peer has shown a certificate."""
    accounts = Accounts(idl.Echo)
    line = Line(accounts, hello=Caller("billing", "1"))
    line.meter.identity = WEB
    assert line.meet(call_of("echo"))
    assert line.meter.account.caller == Caller("billing", "1", WEB)


def test_call_beyond_the_quota_is_answered_with_when_to_come_back() -> None:
    """And with which quota it was, so that the caller's own log says whom to ask for more."""
    accounts = Accounts(idl.Echo)
    accounts.limit({"billing": 4.0}, 0.0)
    line = Line(accounts, hello=Caller("billing"))
    assert all(line.meet(call_of("echo")) for _ in range(4)) and not line.refused
    assert not line.meet(call_of("echo"))
    (answer,) = line.refused
    assert answer is not None and answer.headers is not None
    assert (answer.headers[keys.ERROR], answer.headers[keys.EXECUTED]) == ("Overloaded", "no")
    assert answer.headers[keys.RETRY_AFTER] == "250"
    message, _ = decode_failure(answer.body, 0)
    assert message == "the quota of billing is used up: 4 calls a second of this instance"
    assert line.meet(call_of("echo"), 0.25)


def kinds_of(line: Line) -> list[tuple[str, str]]:
    """What the refusals of a connection are, and which errors they tell of."""
    return [(one.kind.name, one.headers[keys.ERROR]) for one in line.refused if one.headers is not None]


def test_oneway_call_beyond_the_quota_is_dropped() -> None:
    """Nobody waits for its answer, but it is refused and counted as any other."""
    accounts = Accounts(idl.Echo)
    accounts.limit({"billing": 1.0}, 0.0)
    line = Line(accounts, hello=Caller("billing"))
    assert line.meet(oneway_of("note")) and not line.meet(oneway_of("note"))
    assert kinds_of(line) == [("ONEWAY", "Overloaded")] and accounts.status(0.0, 0.0)[0].refused == 1


class Guarded:
    """Accounts of a server whose ``echo`` and ``note`` are for ``WEB``, and what was told of those who are not it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        permissions = Permissions(idl.Echo, None, {"echo": [WEB.spiffe], "note": [WEB.spiffe]})
        self.accounts = Accounts(idl.Echo, permissions, lambda peer, reason: self.told.append((peer, reason)))

    def line(self, identity: Identity | None = None) -> Line:
        """A connection of a peer with this identity, which says that it is ``web``."""
        line = Line(self.accounts, hello=Caller("web"))
        line.meter.identity = identity
        return line


def test_call_outside_the_list_is_answered_and_counted() -> None:
    """Each time, whatever the caller says it is, before anything of it is decoded; other methods are not concerned."""
    guarded = Guarded()
    line, other = guarded.line(), guarded.line(Identity(common_name="other"))
    assert not line.meet(call_of("echo")) and not line.meet(call_of("echo")) and not other.meet(call_of("Echo:echo"))
    assert line.meet(call_of("slow")) and list(line.meter.account.known) == [b"slow"]
    answer = line.refused[0]
    assert answer is not None and answer.headers is not None
    assert (answer.headers[keys.ERROR], answer.headers[keys.EXECUTED]) == ("PermissionDenied", "no")
    assert decode_failure(answer.body, 0)[0].startswith("echo is for callers on the list of the service's code")
    assert {one.name: one.calls for one in guarded.accounts.status(0.0, 0.0)} == {"web": 3, "cn:other": 1}
    assert [peer for peer, _ in guarded.told] == [HERE, HERE, "cn:other"]


def test_list_holds_by_whichever_name_a_call_comes() -> None:
    """The plain one, behind the interface's, its parents' or the service's name: a name that the list does not know
    must not lead to the same method."""
    base = load_text("service Base { void get() } service Shop extends Base { void put() }")
    served = ServedInterface([base.Shop], "shop")
    accounts = Accounts(served, Permissions(served, None, {"get": [WEB.spiffe]}))
    line = Line(accounts)
    names = ["get", "Shop:get", "shop:get", "Base:get"]
    assert sorted(names) == sorted(name.decode() for name, label in wire_names(served).items() if label == "get")
    assert not any(line.meet(call_of(name)) for name in names) and line.meet(call_of("shop:put"))


def test_oneway_call_outside_the_list_is_dropped() -> None:
    """Also if the caller has sent it as one that has an answer: it would take that for its next call's."""
    guarded = Guarded()
    line = guarded.line()
    assert not line.meet(oneway_of("note")) and not line.meet(call_of("note"))
    assert kinds_of(line) == [("ONEWAY", "PermissionDenied")] * 2 and len(guarded.told) == 2


def test_caller_on_the_list_is_looked_up_once() -> None:
    """From then on its calls are counted where they are met, as if there were no list; until that changes."""
    guarded = Guarded()
    line = guarded.line(WEB)
    assert line.meet(call_of("echo")) and line.meet(call_of("slow")) and not guarded.told
    assert set(line.meter.account.known) == {b"echo", b"slow"}
    guarded.accounts.narrow({"echo": ["cn:nobody"]})
    assert not line.meter.account.known and not line.meet(call_of("echo")) and line.meet(call_of("slow"))
    guarded.accounts.narrow({"echo": ["cn:nobody"]})
    assert list(line.meter.account.known) == [b"slow"]
    guarded.accounts.narrow({})
    assert line.meet(call_of("echo"))


def test_list_for_everything_holds_for_methods_that_nobody_has() -> None:
    """Whoever may call nothing learns nothing, not even which methods there are."""
    accounts = Accounts(idl.Echo, Permissions(idl.Echo, None, ["cn:web"]))
    line = Line(accounts)
    assert not line.meet(call_of("nothing"))
    assert line.refused[0] is not None and "an unknown method is for" in decode_failure(line.refused[0].body, 0)[0]


def test_nobody_is_told_to_stay_away_for_long() -> None:
    """Operators who raise a quota of a call in a minute see its effect within a second."""
    accounts = Accounts(idl.Echo)
    accounts.limit({"billing": 1 / 64}, 0.0)
    line = Line(accounts, hello=Caller("billing"))
    line.meet(call_of("echo"))
    line.meet(call_of("echo"))
    (answer,) = line.refused
    assert answer is not None and answer.headers is not None and answer.headers[keys.RETRY_AFTER] == "1000"


def test_errors_of_built_in_services_are_not_the_caller_s() -> None:
    """Whoever asks for a server's health has not called its interface."""
    accounts = Accounts(idl.Echo)
    line = Line(accounts, hello=Caller("billing"))
    for name in ("echo", "nothing", "zkrpc.health"):
        line.meet(call_of("nothing"))
        line.meet(call_of("echo"))
        line.meter.count_error(call_of(name))
    (status,) = accounts.status(0.0, 0.0)
    assert [(one.method, one.calls, one.errors) for one in status.methods] == [("_OTHER", 3, 1), ("echo", 3, 1)]


def test_tally_adds_up_and_keeps_the_later_time() -> None:
    """One that has counted nothing changes nothing."""
    one, other = Tally(), Tally()
    one.calls, one.errors, one.called_at = 3, 1, 7.0
    other.calls, other.called_at = 2, 5.0
    one.add(other)
    one.add(Tally())
    assert (one.called_at, repr(one)) == (7.0, "<Tally calls=5 errors=1>")


def test_methods_of_other_interfaces_are_counted_by_their_labels() -> None:
    """Whichever name a call comes by; services and methods that nobody has share one count, however many names a peer
    makes up, and are never known."""
    several = load_text("service Users { void get() } service Audit { void get(), void log() }")
    accounts = Accounts(ServedInterface([several.Users, several.Audit], "users"))
    line = Line(accounts, hello=Caller("billing"))
    for name in ("get", "users:get", "Audit:get", "Audit:log", *(f"Third{number}:get" for number in range(100))):
        line.meet(call_of(name))
    line.meter.count_error(call_of("Third7:get"))
    (status,) = accounts.status(0.0, 0.0)
    assert [(one.method, one.calls, one.errors) for one in status.methods] == [
        *(("Audit:get", 1, 0), ("Audit:log", 1, 0), ("_OTHER", 100, 1), ("get", 2, 0))
    ]
    assert sorted(line.meter.account.known) == [b"Audit:get", b"Audit:log", b"get", b"users:get"]
