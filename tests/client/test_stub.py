"""An object whose methods are those of an interface."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from tests.support.worlds import World
from zkrpc.client.invoking import CallOptions
from zkrpc.client.stub import close, explain, options
from zkrpc.errors import ConfigError
from zkrpc.idl import load, load_text

IDL = """
exception Missing { 1: string key }
struct User { 1: i64 id }
service Plain {
  User get(1: required i64 id, 2: string zone = "eu", 3: i32 limit) throws (1: Missing missing)
    (zkrpc.idempotent = "true"),
  void ping(),
  oneway void note(1: list<string> words),
}
service Led {
  void write() (zkrpc.primary = "true"),
}
service Awkward {
  i32 options(1: i32 timeout),
  i32 close(),
  i32 invoke(1: i32 method),
}
"""


class Recorder:
    """Plays a client."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, Any, CallOptions]] = []
        self.closed = 0
        self.expects_primary = False

    def invoke(self, method: Any, args: Any, kwargs: Any, call_options: CallOptions, began: float = 0.0) -> str:
        self.calls.append((method.name, args, dict(kwargs), call_options))
        return f"answer of {method.name}"

    def explain(self, methods: Any, call_options: CallOptions) -> list[str]:
        return [method.name for method in methods]

    def expect_primary(self) -> None:
        self.expects_primary = True

    def close(self) -> None:
        self.closed += 1

    def __repr__(self) -> str:
        return "<Recorder>"


@pytest.fixture
def client() -> Recorder:
    """A client that notes what it is asked."""
    return Recorder()


@pytest.fixture
def idl(tmp_path: Path) -> Any:
    """The interfaces above."""
    path = tmp_path / "stubs.thrift"
    path.write_text(IDL)
    return load(path)


def test_stub_methods_take_what_the_idl_says(world: World, idl: Any, client: Any) -> None:
    """By position and by name; the client gets them as they were given."""
    stub = world.stub(idl.Plain, client)
    assert world.outcome(stub.get, 4, limit=3) == "answer of get"
    [(name, args, kwargs, call_options)] = client.calls
    assert (name, args, kwargs, call_options) == ("get", (4,), {"limit": 3}, CallOptions())
    assert repr(stub).startswith("<Stub of Plain <") and "<Recorder>" in repr(stub)


def test_stub_methods_can_be_inspected(world: World, idl: Any, client: Any) -> None:
    """Signature, name and docstring tell what the IDL says."""
    stub = world.stub(idl.Plain, client)
    signature = inspect.signature(stub.get)
    assert str(signature) == "(id: 'i64', zone: 'string' = 'eu', limit: 'i32' = None) -> 'User'"
    assert (stub.get.__name__, type(stub).get.__qualname__) == ("get", "PlainStub.get")
    assert inspect.getdoc(stub.get) == "``User get(i64 id, string zone, i32 limit) throws (Missing)`` Idempotent."
    assert inspect.getdoc(stub.note) == "``oneway void note(list<string> words)``"
    assert inspect.signature(stub.ping).return_annotation is None


def test_options_make_a_new_stub_over_the_same_client(world: World, idl: Any, client: Any) -> None:
    """The old one is as it was; headers add up, everything else is replaced."""
    stub = world.stub(idl.Plain, client)
    hasty = stub.options(timeout=0.2, headers={"tenant": "a"})
    careful = hasty.options(timeout=3.0, idempotent=True, headers={"user": "b"})
    for one in (stub, hasty, careful):
        world.outcome(one.ping)
    assert [(of.timeout, of.idempotent, of.headers) for _, _, _, of in client.calls] == [
        (None, None, None),
        (0.2, None, {"tenant": "a"}),
        (3.0, True, {"tenant": "a", "user": "b"}),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"headers": {"a": 1}},
        {"headers": {"Deadline-Budget": "99999"}},
        {"headers": {"zkrpc-attempt": "1"}},
        {"min_epoch": -1},
        {"min_epoch": 1.0},
        {"min_epoch": True},
        {"min_epoch": 2**63},
    ],
)
def test_bad_options_are_refused_when_they_are_given(world: World, idl: Any, client: Any, bad: Any) -> None:
    """Not at the first call that has them."""
    with pytest.raises(ConfigError):
        world.stub(idl.Plain, client).options(**bad)


def test_stub_closes_its_client(world: World, idl: Any, client: Any) -> None:
    """By name, as a context manager, and from any stub made from it."""
    world.outcome(world.stub(idl.Plain, client).options(timeout=1).close)
    assert client.closed == 1
    world.leave(world.stub(idl.Plain, client))
    assert client.closed == 2


def test_stub_is_copied_and_not_pickled(world: World, idl: Any, client: Any) -> None:
    """Who hands one to another process is told what to do instead; a copy is another stub over the same client."""
    stub = world.stub(idl.Plain, client).options(timeout=0.2)
    advice = rf"a stub of Plain cannot be pickled; call {world.connects_by}\(\) where it is used"
    with pytest.raises(TypeError, match=advice):
        pickle.dumps(stub)
    twin = copy.copy(stub)
    world.outcome(twin.ping)
    assert twin is not stub and type(twin) is type(stub) and repr(twin) == repr(stub)


def test_methods_of_the_idl_win_over_those_of_the_stub(world: World, idl: Any, client: Any) -> None:
    """And the stub's own stay within reach."""
    stub = world.stub(idl.Awkward, client)
    assert world.outcome(stub.options, 5) == "answer of options"
    assert world.outcome(stub.close) == "answer of close"
    assert world.outcome(zkrpc.options(stub, timeout=2.0).invoke, method=1) == "answer of invoke"
    assert client.calls[-1][3].timeout == 2.0
    assert client.closed == 0
    world.close_stub(stub)
    assert client.closed == 1
    world.leave(world.stub(idl.Awkward, client))
    assert client.closed == 2


def test_stub_has_no_other_attributes(world: World, idl: Any, client: Any) -> None:
    """A mistyped method is an AttributeError, and so is setting anything."""
    stub = world.stub(idl.Plain, client)
    with pytest.raises(AttributeError):
        stub.gte(4)
    with pytest.raises(AttributeError):
        stub.cache = {}


def test_any_name_of_an_idl_works(world: World, client: Any) -> None:
    """Words of Python, and names that a stub or its client uses itself."""
    odd = load_text("service S { i32 import(1: i32 class, 2: i32 self), i32 _client(1: i32 args), i32 _options() }")
    stub = world.stub(odd.S, client)
    assert world.outcome(getattr(stub, "import"), 1, **{"self": 2}) == "answer of import"
    assert world.outcome(stub._client, args=3) == "answer of _client"
    assert world.outcome(options(stub, timeout=1.0)._options) == "answer of _options"
    assert [call[1:3] for call in client.calls] == [((1,), {"self": 2}), ((), {"args": 3}), ((), {})]
    assert str(inspect.signature(getattr(stub, "import"))) == "(*args: 'Any', **kwargs: 'Any') -> 'Any'"
    world.close_stub(stub)
    assert client.closed == 1


def test_unknown_options_are_refused_with_what_there_is(world: World, idl: Any, client: Any) -> None:
    """A slip of the pen is named with what was perhaps meant; anything else with all options."""
    stub = world.stub(idl.Plain, client)
    with pytest.raises(ConfigError, match="no option 'time_out'; did you mean timeout?"):
        stub.options(time_out=1.0)
    with pytest.raises(ConfigError, match="no option 'x'; there are timeout, idempotent, headers, min_epoch"):
        options(stub, timeout=1.0, x=1)  # type: ignore[arg-type]  # the mistake


def test_options_and_close_want_a_stub() -> None:
    """The module's functions say what they are for."""
    with pytest.raises(TypeError, match="expected a stub"):
        options(object(), timeout=1)
    with pytest.raises(TypeError, match="expected a stub"):
        close(object())


def test_explanation_is_the_clients(world: World, idl: Any, client: Any) -> None:
    """Of all methods that the stub has."""
    told: Any = explain(world.stub(idl.Plain, client))
    assert told == ["get", "ping", "note"]


def test_stub_of_a_led_service_looks_for_its_primary_ahead(world: World, idl: Any, client: Any) -> None:
    """The first call then needs no redirect; others need not look."""
    world.stub(idl.Plain, client)
    assert not client.expects_primary
    world.stub(idl.Led, client)
    assert client.expects_primary


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("timeout", ["3", -1, 0, math.nan, math.inf, True, [1], 10**400, 1e9]),
        ("idempotent", ["yes", 1, 0]),
        ("headers", [[1], "x", {"a": 1}, {1: "a"}, {"a": "\ud800"}, {"zkrpc-epoch": "1"}, {"Deadline-Budget": "9"}]),
        ("min_epoch", [True, "1", -1, 1.0, 2**63]),
    ],
)
def test_wrong_option_is_refused_by_its_name(world: World, client: Any, name: str, values: list[Any]) -> None:
    """Where it is given, not where it would first do harm."""
    stub = world.stub(load_text(IDL).Plain, client)
    for value in values:
        with pytest.raises(ConfigError, match=f"header .* own|option {name} must be"):
            stub.options(**{name: value})
