"""What a server tells of itself to whoever asks."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.call import ServerCall, enter_call, leave_call
from zkrpc.caller import Caller
from zkrpc.identity import Identity
from zkrpc.idl import built_in_idl
from zkrpc.server.bodies import Bodies
from zkrpc.server.introspection import IntrospectionHandler
from zkrpc.server.permissions import Permissions
from zkrpc.server.tap import MOST_TAPS


@dataclasses.dataclass(frozen=True)
class Moment:
    """A state with what JSON does not have."""

    share: float = math.nan
    limits: tuple[float, ...] = (math.inf, 1.0)


def handler_of(server: zkrpc.Server, moment: Any = None) -> IntrospectionHandler:
    """Its handler."""
    return IntrospectionHandler(
        server.status,
        lambda: moment or server.status(),
        idl.Echo.methods,
        server.taps,
        gevent.sleep,
        server.clock,
        server.accounts.permissions,
    )


def test_state_is_json_that_every_parser_reads() -> None:
    """Whatever is in it."""
    server = zkrpc.Server(idl.Echo, EchoHandler(), name="echo")
    assert json.loads(handler_of(server, Moment()).status()) == {"share": None, "limits": [None, 1.0]}
    assert json.loads(handler_of(server).status())["service"] == "echo"


def test_callers_are_told_as_the_status_has_them() -> None:
    """Those without a quota have no rate."""
    server = zkrpc.Server(idl.Echo, EchoHandler(), name="echo")
    account = server.accounts.join(Caller("billing", "1"), "10.0.0.1", 0.0)
    server.accounts.count(account, b"echo", server.clock())
    told = handler_of(server).callers()
    (one,) = told.callers
    assert (told.service, told.started_at, one.name, one.version, one.connections) == ("echo", 0.0, "billing", "1", 1)
    assert (one.max_rate, one.refused) == (None, 0)
    assert [(some.method, some.calls, some.errors) for some in one.methods] == [("echo", 1, 0)]
    server.accounts.limit({"billing": 5.0}, server.clock())
    assert handler_of(server).callers().callers[0].max_rate == 5.0


@pytest.fixture
def app() -> Iterator[zkrpc.App]:
    """A server that serves."""
    with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0))) as served:
        yield served


def test_tap_shows_calls_while_they_are_served(app: zkrpc.App) -> None:
    """Of connections that were there before, too: who called what, how long it took, and how it ended. While nobody
    taps, requests are run as if there were no such thing."""
    untapped = type(app.server.dispatcher)
    place = [str(app.endpoint)]
    with (
        zkrpc.connect(idl.Echo, place, config=zkrpc.ClientConfig(name="billing")) as stub,
        zkrpc.connect(zkrpc.built_in("Introspection"), place) as asking,
    ):
        stub.echo("before")
        assert type(app.server.dispatcher) is untapped
        begun = asking.tap(timeout_ms=0)
        assert (begun.calls, begun.seen) == ([], 0) and type(app.server.dispatcher) is not untapped
        stub.echo("x")
        with pytest.raises(idl.Oops):
            stub.fail("declared")
        with pytest.raises(zkrpc.RemoteError):
            stub.fail("undeclared")
        batch = asking.tap(begun.tap)
        assert [(one.caller, one.method, one.error, one.declared, one.executed) for one in batch.calls] == [
            ("billing", "echo", "", False, "yes"),
            ("billing", "fail", "Oops", True, "yes"),
            ("billing", "fail", "ValueError", False, "yes"),
        ]
        assert all(0 <= (one.seconds or 0) < 60 and one.at > 1e9 for one in batch.calls)
        waiting = gevent.spawn(asking.tap, begun.tap, "", 1.0, 10_000)
        gevent.sleep(0.1)
        stub.echo("x")
        assert [one.method for one in waiting.get(timeout=60).calls] == ["echo"]


def test_tap_shows_bodies_where_the_service_allows_it() -> None:
    """Of calls of both payloads, over the wire; nothing of others, and nothing while nobody wants them."""
    service = zkrpc.Service(
        idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0), tap_bodies=["echo", "fail"], tap_masked=["fail.how"]
    )
    with zkrpc.serve(service) as app:
        place = [str(app.endpoint)]
        with (
            zkrpc.connect(idl.Echo, place) as stub,
            zkrpc.connect(zkrpc.built_in("Introspection"), place) as asking,
        ):
            plain, whole = asking.tap(timeout_ms=0).tap, asking.tap(timeout_ms=0, bodies=True).tap
            assert stub.echo("a" * 5000) == "a" * 5000
            with pytest.raises(idl.Oops):
                stub.fail("declared")
            stub.slow("secret", 0)
            told = [(one.arguments, one.result, one.exception_value, one.cut) for one in asking.tap(whole).calls]
            large, *others = told
            assert large[3] is True and "<cut: " in large[0] and "<cut: " in large[1] and len(large[0]) < 1100
            assert others == [
                ('{"how": "<masked>"}', None, '{"type": "Oops", "value": {"why": "as declared"}}', False),
                (None, None, None, None),
            ]
            assert {one.arguments for one in asking.tap(plain).calls} == {None}
            with pytest.raises(Exception, match="does not allow bodies of slow to be shown: Service"):
                asking.tap(method="slow", bodies=True)
            app.server.taps.narrow(False, ())
            with pytest.raises(Exception, match="the service's config in ZooKeeper switches it off"):
                asking.tap(method="echo", bodies=True)
            stub.echo("x")
            assert [one.arguments for one in asking.tap(whole).calls] == [None]


def test_tap_ends_with_the_connection_of_whoever_waits(app: zkrpc.App) -> None:
    """At once, not when it would have run out."""
    untapped = type(app.server.dispatcher)
    asking = zkrpc.connect(zkrpc.built_in("Introspection"), [str(app.endpoint)])
    waiting = gevent.spawn(asking.tap, "", "", 1.0, 10_000)
    eventually(lambda: type(app.server.dispatcher) is not untapped)
    waiting.kill()
    zkrpc.close(asking)
    eventually(lambda: type(app.server.dispatcher) is untapped)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"method": "ech\x1b"}, r"there is no method ech\\x1b"),
        ({"sample": 0.0}, "a sample is a share"),
        ({"sample": 1.5}, "a sample is a share"),
        ({"sample": math.nan}, "a sample is a share"),
        ({"tap": "gone"}, "the tap has ended"),
    ],
)
def test_tap_of_what_there_is_not_is_refused(app: zkrpc.App, asked: dict[str, Any], complaint: str) -> None:
    """With the reason, and nothing is observed on its behalf."""
    with zkrpc.connect(zkrpc.built_in("Introspection"), [str(app.endpoint)]) as asking:
        with pytest.raises(built_in_idl("Introspection").TapRefused) as caught:
            asking.tap(**asked)
    assert re.search(complaint, caught.value.message) and repr(app.server.taps) == "<Taps 0>"


def test_only_so_many_tap_one_server(app: zkrpc.App) -> None:
    """Others are told so."""
    with zkrpc.connect(zkrpc.built_in("Introspection"), [str(app.endpoint)]) as asking:
        for _ in range(MOST_TAPS):
            asking.tap(timeout_ms=0)
        with pytest.raises(built_in_idl("Introspection").TapRefused) as caught:
            asking.tap(timeout_ms=0)
    assert "8 others tap this instance" in caught.value.message


def test_every_served_port_answers_unless_it_is_switched_off() -> None:
    """Beside its own interface; a question is no call of the service's."""
    for on in (True, False):
        service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0, introspection=on))
        with zkrpc.serve(service) as app:
            with zkrpc.connect(zkrpc.built_in("Introspection"), [str(app.endpoint)]) as stub:
                if on:
                    assert json.loads(stub.status())["server"]["endpoint"] == str(app.endpoint)
                    assert stub.callers().callers == []
                else:
                    with pytest.raises(zkrpc.UnknownMethod):
                        stub.callers()
    with pytest.raises(zkrpc.ConfigError, match="introspection must be True or False"):
        zkrpc.ServerConfig(introspection="no")  # type: ignore[arg-type]


def test_bodies_are_for_those_who_may_call_the_method() -> None:
    """Else a list would keep a caller from asking a method, and not from reading what others are answered."""
    server = zkrpc.Server(idl.Echo, EchoHandler(), bodies=Bodies(idl.Echo, ["echo", "slow"]))
    web = Identity(common_name="web")
    permissions = Permissions(idl.Echo, None, {"echo": ["cn:web"]})
    about = (server.status, server.status, idl.Echo.methods, server.taps, gevent.sleep, server.clock)
    handler = IntrospectionHandler(*about, permissions)

    def tap(method: str, identity: Identity | None) -> str:
        token = enter_call(ServerCall("tap", tap, (), {}, "", 0.0, Caller("", "", identity)))
        try:
            return str(handler.tap("", method, 1.0, 0, True).tap)
        finally:
            leave_call(token)

    for method, identity in (("echo", None), ("", None), ("echo", Identity(common_name="other"))):
        with pytest.raises(built_in_idl("Introspection").TapRefused, match="for those who may call the method"):
            tap(method, identity)
    assert tap("slow", None) and tap("", web) and tap("echo", web)
    with pytest.raises(built_in_idl("Introspection").TapRefused, match="for those who may call"):
        handler.tap("", "echo", 1.0, 0, True)
    server.kill()
