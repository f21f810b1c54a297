"""Who may call what, and who says so, as ``zkrpc explain`` and ``describe`` show it."""

from __future__ import annotations

import zkrpc
from tests.support.echo import EchoHandler, idl
from zkrpc.cli.allowed import CodeLists, judge_lists, lists_in_code, who_may_call
from zkrpc.config import ServiceConfig
from zkrpc.idl import load_text

SHOP = load_text('service Shop { void get(), void put() (zkrpc.allow = "cn:a, cn:b") }').Shop


def rows(config: ServiceConfig, code: CodeLists) -> dict[str, tuple[object, str, str]]:
    """The row of each method that has one."""
    found = {name: [*who_may_call(one, config, code)] for name, one in SHOP.methods.items()}
    return {name: (one.value, one.source, one.note) for name, some in found.items() for one in some}


def test_lists_of_who_may_call_are_a_row() -> None:
    """Each list in effect with who says it, in the order in which they narrow each other; without a list there is no
    row. What is not known of the code is said."""
    unknown, none = CodeLists(), CodeLists(lists={})
    narrow = "the service's code may narrow it"
    assert rows(ServiceConfig(), none) == {"put": ("cn:a, cn:b", "IDL", "")}
    assert rows(ServiceConfig(allow={"put": ("cn:a",)}), unknown) == {
        "put": ("cn:a, cn:b; of these cn:a", "IDL and service config", narrow)
    }
    assert rows(ServiceConfig(allow={"*": ()}), none)["get"] == ("nobody", "service config", "")
    code = CodeLists(lists={"*": ["any"], "put": ["cn:a"]})
    assert rows(ServiceConfig(), code) == {
        "get": ("any", "service code", ""),
        "put": ("cn:a; of these cn:a, cn:b", "service code and IDL", ""),
    }


def test_method_of_another_interface_has_the_list_of_its_label() -> None:
    """And not that of the method of the same name."""
    code = CodeLists(lists={"Shop:get": ["cn:b"], "get": ["cn:a"]})
    (row,) = who_may_call(SHOP.methods["get"], ServiceConfig(), code, "Shop:get")
    assert row.value == "cn:b"
    config = ServiceConfig(allow={"Shop:get": ("cn:c",), "get": ("cn:d",)})
    (row,) = who_may_call(SHOP.methods["get"], config, CodeLists(lists={}), "Shop:get")
    assert row.value == "cn:c"


def test_newest_instance_s_lists_are_shown() -> None:
    """Whoever has others is named, and so is who does not tell."""
    one, other = {"*": ["cn:a"]}, {"*": ["cn:b"]}
    assert judge_lists([], {}, {}) == CodeLists()
    assert judge_lists(["new", "old"], {"new": one, "old": one}, {}) == CodeLists(lists=one)
    mixed = judge_lists(["new", "mid", "old"], {"mid": one, "old": other}, {"new": "PermissionDenied"})
    assert mixed.lists == one and mixed.notes == (
        "the code of old has other lists of who may call than that of mid, shown here",
        "not all instances tell who may call by their code; new: PermissionDenied",
    )
    nothing = judge_lists(["new"], {}, {"new": "it does not tell"})
    assert nothing.lists is None
    assert nothing.notes == ("who may call by the service's code is not known; new: it does not tell",)


def test_instances_tell_the_lists_of_their_code() -> None:
    """Over their port; nothing is asked of those of other libraries."""
    allowed = {"slow": ["cn:admin"], "*": ["any"], "zkrpc.Introspection": ["cn:sre"]}
    open_one, closed = {"slow": ["cn:admin"]}, allowed
    found = {}
    for name, lists in (("open", open_one), ("closed", closed)):
        service = zkrpc.Service(idl.Echo, EchoHandler, allow=lists, config=zkrpc.ServerConfig(linger=0))
        with zkrpc.serve(service) as app:
            instances = [
                zkrpc.Instance(id=name, endpoint=app.endpoint, protocols=("zkrpc",)),
                zkrpc.Instance(id="foreign", endpoint=app.endpoint, protocols=("framed",)),
            ]
            found[name] = lists_in_code(instances, 10.0)
    assert found["open"] == CodeLists(lists={"slow": ("cn:admin",)})
    assert found["closed"].lists is None and "PermissionDenied" not in found["closed"].notes[0]
    assert "closed: " in found["closed"].notes[0] and "no certificate" in found["closed"].notes[0]
