"""Who may call what: three have a say, and nobody opens what another has closed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.errors import ConfigError
from zkrpc.identity import AllowList, Identity
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.server.handlers import Handlers
from zkrpc.server.permissions import Permissions, Rule, allow

ADMIN, WEB = Identity(common_name="admin"), Identity(spiffe="spiffe://prod/ns/shop/sa/web", dns=("web.internal",))
SHOP = load_text("""
    service Shop {
      void get(), void put() (zkrpc.allow = "cn:admin, dns:web.internal"), void remove() (zkrpc.allow = "any"),
    }
    """).Shop


class ShopHandler:
    """Has marks of its own."""

    def get(self) -> None: ...

    def put(self) -> None: ...

    @allow("cn:admin", "spiffe://prod/ns/*/sa/jobs")
    def remove(self) -> None: ...


def may(permissions: Permissions, identity: Identity | None) -> set[str]:
    """The methods that a caller may call."""
    return {name for name in SHOP.methods if permissions.judge(name, identity) is None}


def test_without_a_list_anybody_may_call() -> None:
    """Also whoever has shown no certificate: that is every service that says nothing."""
    permissions = Permissions(idl.Echo, EchoHandler())
    assert permissions.judge("echo", None) is None and not list(permissions.rules("echo"))
    assert repr(permissions) == "<Permissions lists=0>"


def test_idl_and_marks_and_config_each_take_away() -> None:
    """A caller must be on every list that there is for the method; those without one are open to everybody."""
    permissions = Permissions(SHOP, ShopHandler())
    assert (may(permissions, None), may(permissions, WEB)) == ({"get"}, {"get", "put"})
    assert may(permissions, ADMIN) == {"get", "put", "remove"}
    assert [str(rule) for rule in permissions.rules("remove")] == [
        "the service's code: cn:admin, spiffe://prod/ns/*/sa/jobs",
        "the IDL: any",
    ]
    assert permissions.narrow({"put": ["dns:*.web.internal"], "get": ["any"]})
    assert list(permissions.lists()) == [
        ("remove", "code", ("cn:admin", "spiffe://prod/ns/*/sa/jobs")),
        ("put", "IDL", ("cn:admin", "dns:web.internal")),
        ("remove", "IDL", ("any",)),
        ("put", "config", ("dns:*.web.internal",)),
        ("get", "config", ("any",)),
    ]
    assert (may(permissions, WEB), may(permissions, ADMIN), may(permissions, None)) == (
        {"get"},
        {"get", "remove"},
        set(),
    )
    assert not permissions.narrow({"get": ["any"], "put": ["dns:*.web.internal"]})
    assert permissions.narrow({}) and may(permissions, WEB) == {"get", "put"}


def test_config_cannot_open_what_the_code_closes() -> None:
    """Nor can it be opened by taking the config away."""
    permissions = Permissions(SHOP, ShopHandler(), allowed=["cn:admin"])
    for said in ({"*": ["any"], "remove": ["any"]}, {}):
        permissions.narrow(said)
        assert may(permissions, WEB) == may(permissions, None) == set()


def test_list_for_all_methods_gives_way_to_one_for_a_method() -> None:
    """Of the same source; so a config may close everything but one method, and the code all but a few."""
    permissions = Permissions(SHOP, None, {"*": [], "get": ["any"]})
    assert (may(permissions, WEB), may(permissions, None)) == ({"get"}, set())
    permissions.narrow({"*": ["cn:admin"], "get": ["dns:web.internal"]})
    assert (may(permissions, WEB), may(permissions, ADMIN)) == ({"get"}, set())
    assert list(permissions.rules("put")) == [
        Rule("the service's code", AllowList([])),
        Rule("the IDL", AllowList(["cn:admin", "dns:web.internal"])),
        Rule("the service's config", AllowList(["cn:admin"])),
    ]


def test_built_in_services_have_lists_by_their_names() -> None:
    """Those for all methods hold for them, too; but whoever watches over the process may always ask for its health."""
    permissions = Permissions(SHOP, None, ["dns:web.internal"])
    assert permissions.judge("zkrpc.Introspection", WEB) is None
    assert permissions.judge("zkrpc.Introspection", None) and permissions.judge("zkrpc.Health", None) is None
    permissions.narrow({"zkrpc.Introspection": ["cn:admin"]})
    assert permissions.judge("zkrpc.Introspection", WEB) and permissions.judge("get", WEB) is None


def test_reason_says_who_and_which_list_and_not_who_is_on_it() -> None:
    """So that a caller knows whom to ask, and whoever probes learns nobody's name."""
    permissions = Permissions(SHOP, ShopHandler())
    assert permissions.judge("remove", WEB) == (
        "spiffe://prod/ns/shop/sa/web may not call remove: it is not on the list of the service's code"
    )
    assert permissions.judge("put", None) == (
        "put is for callers on the list of the IDL, and this one has shown no certificate"
    )
    assert "cn:admin" not in str(permissions.judge("remove", Identity()))


def test_methods_of_several_interfaces_go_by_their_labels() -> None:
    """Marks and annotations of each count for its own methods."""
    served = ServedInterface([idl.Echo, SHOP])
    permissions = Permissions(served, Handlers(served, [EchoHandler(), ShopHandler()]), {"Shop:get": ["cn:admin"]})
    assert permissions.judge("echo", None) is None
    assert [bool(permissions.judge(f"Shop:{name}", WEB)) for name in ("get", "put", "remove")] == [True, False, True]


def test_config_speaks_of_a_method_of_all_interfaces_or_of_one() -> None:
    """What it says of one counts more."""
    served = ServedInterface([idl.Echo, SHOP, load_text("service Audit { void get() }").Audit])
    permissions = Permissions(served)
    permissions.narrow({"get": ["cn:admin"], "Audit:get": ["dns:web.internal"], "Echo:echo": []})
    labels = ("Shop:get", "Audit:get", "echo", "slow")
    assert [bool(permissions.judge(label, WEB)) for label in labels] == [True, False, True, False]
    assert [bool(permissions.judge(label, ADMIN)) for label in labels] == [False, True, True, False]
    permissions.narrow({"echo": ["cn:admin"], "Echo:echo": ["any"], "Shop:get": [], "get": ["any"]})
    assert [bool(permissions.judge(label, WEB)) for label in labels] == [True, False, False, False]
    permissions.narrow({"*": [], "Shop:get": ["any"]})
    assert [bool(permissions.judge(label, WEB)) for label in labels] == [False, True, True, True]


@pytest.mark.parametrize(
    ("allowed", "said"),
    [
        ("any", "a list of patterns, or such lists by names of methods; got 'any'"),
        (7, "a list of patterns, or such lists"),
        (["web"], "is a SPIFFE ID such as"),
        ({"gett": ["any"]}, "allow has 'gett', which is no method; did you mean get\\?"),
        ({"zkrpc.Health": ["any"]}, "which is no method"),
        ({"\x1b": ["any"]}, r"which is no method; there are \*, get, put, remove, zkrpc.Introspection"),
        ({"get": "any"}, "not one text"),
        ({"remove": ["cn:admin"]}, "remove has two lists: that of @zkrpc.allow, and that of Service"),
    ],
)
def test_bad_lists_are_refused_at_the_start(allowed: Any, said: str) -> None:
    """What would not hold must not be taken for a lock."""
    with pytest.raises(ConfigError, match=said):
        Permissions(SHOP, ShopHandler(), allowed)


@pytest.mark.parametrize("patterns", [(), (len,), ("web",)])
def test_mark_without_good_patterns_is_refused(patterns: tuple[Any, ...]) -> None:
    """``@zkrpc.allow`` without its parentheses is the mistake that is easily made."""
    with pytest.raises(ConfigError):
        allow(*patterns)


def test_bad_config_changes_nothing() -> None:
    """The lists that held hold on."""
    permissions = Permissions(SHOP)
    narrower: Mapping[str, Collection[str]] = {"get": ["cn:admin"]}
    permissions.narrow(narrower)
    with pytest.raises(ConfigError):
        permissions.narrow({"get": ["bad"]})
    assert permissions.judge("get", WEB) and permissions.judge("get", ADMIN) is None


class Seen(zkrpc.Observer):
    """Notes which requests were refused, and with what."""

    kinds = (zkrpc.RequestRefused,)

    def __init__(self) -> None:
        self.refused: list[tuple[str, str, str]] = []

    def receive(self, event: Any) -> None:
        self.refused.append((event.method, event.caller, event.error))


def test_denied_call_never_runs_and_is_not_tried_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets PermissionDenied of the one instance that it asked, with executed NO; it is told to observers
    and logged, and the connection goes on with what is allowed."""
    seen = Seen()
    about = {"name": "echo", "allow": {"slow": ["cn:admin"], "note": ["cn:admin"]}, "observers": [seen]}
    services = [zkrpc.Service(idl.Echo, EchoHandler(), config=zkrpc.ServerConfig(linger=0), **about) for _ in range(2)]
    with zkrpc.serve(services[0]) as one, zkrpc.serve(services[1]) as other:
        config = zkrpc.ClientConfig(name="billing")
        with zkrpc.connect(idl.Echo, [str(one.endpoint), str(other.endpoint)], config=config) as stub:
            with pytest.raises(zkrpc.PermissionDenied, match="has shown no certificate") as caught:
                stub.slow("a", 0)
            assert (caught.value.executed, caught.value.attempts) == (zkrpc.Executed.NO, 1)
            assert stub.echo("a") == "a"
            stub.note("dropped")
            eventually(lambda: len(seen.refused) == 2)
        handlers = [service.handler for service in services]
        assert [one.notes for one in handlers] == [[], []]  # type: ignore[attr-defined, union-attr]
    assert seen.refused == [("slow", "billing", "PermissionDenied"), ("note", "billing", "PermissionDenied")]
    assert "denied a call of 127.0.0.1: slow is for callers on the list of the service's code" in caplog.text
