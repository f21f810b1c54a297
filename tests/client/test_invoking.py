"""The hot part of a client: the compiled one and its twin in Python do the same; and the options of calls."""

from __future__ import annotations

import gc
import sys
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.call import Call, enter_call, leave_call
from zkrpc.client.invoking import DEFAULT_OPTIONS, CallOptions, Invoking, PureInvoking, is_text
from zkrpc.errors import ConfigError, ConnectionLost

KINDS = list(dict.fromkeys([PureInvoking, Invoking]))


def raised(it: Any) -> Any:
    """Gives a value, or raises it."""
    if isinstance(it, BaseException):
        raise it.with_traceback(None)
    return it


class World:
    """A method, its plan, the client's clock and budget, and what comes of calls; and what was asked of them."""

    interface, name, oneway = "Users", "get", False
    timeout, idempotent, max_attempts = 3.0, True, 4

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.log: list[Any] = []
        self.calls = 0
        self.hash_key = script.get("hash_key")
        self.primary = script.get("primary", False)

    @property
    def attempt_pack(self) -> Any:
        """As of what is compiled, where the script has it."""
        return self._attempt if "attempted" in self.script else None

    def _attempt(self, args: Any) -> Any:
        self.log += [] if self.script["attempted"] is None else ["packed"]
        return raised(self.script["attempted"])

    def pack(self, args: Any, kwargs: Any) -> Any:
        attempted = None if kwargs else self.script.get("attempted")
        self.log.append(("pack", args, kwargs) if attempted is None else "packed")
        packed = self.script.get("packed", (SimpleNamespace(id=args), None))
        return raised(packed if attempted is None else attempted)

    def proceed(self, call: Call) -> Any:
        told = [getattr(call, name) for name in sorted(set(Call.__slots__) - {"body", "descriptor", "plan"})]
        self.log.append(("proceed", call.body.id, *told, call.descriptor is self, call.plan is self))
        return raised(self.script.get("value", "value"))

    def first(self, call: Call) -> Any:
        self.log.append("first")
        return self.proceed(call)


def client(kind: Any, world: World) -> Any:
    """A client of one kind in a world."""

    class Tested(kind):  # type: ignore[misc]  # either
        _invoke = PureInvoking.invoke

        def _come_home(self) -> None:
            world.log.append("home")
            raised(world.script.get("home"))

        def _make_plan(self, method: Any) -> Any:
            world.log.append("plan")
            self._plans[method] = world
            return world

        def _inherit(self, call: Call, serving: Any) -> None:
            world.log.append(("inherit", serving))
            raised(world.script.get("inherited"))

        def _lead(self, call: Call) -> None:
            world.log.append("lead")

    it = Tested()
    it._budget = world
    it._clock = lambda: 5.0
    it._has_members = world.script.get("has_members", True)
    it._hub = None if world.script.get("foreign") else gevent.getcurrent().parent
    it._root = gevent.getcurrent() if world.script.get("root") else None
    it._plans = {world: world} if world.script.get("planned", True) else {}
    it._learnt = {"get"} if world.script.get("learnt") else set()
    return it


def run(it: Any, *arguments: Any, **words: Any) -> Any:
    """What it returned or raised."""
    try:
        return it.invoke(*arguments, **words)
    except BaseException as error:
        return type(error), str(error)


SCRIPTS = st.fixed_dictionaries(
    {},
    optional={
        "hash_key": st.sampled_from([None, "id"]),
        "primary": st.booleans(),
        "learnt": st.booleans(),
        "planned": st.booleans(),
        "has_members": st.booleans(),
        "foreign": st.booleans(),
        "root": st.booleans(),
        "home": st.sampled_from([None, ConnectionLost("no home")]),
        "attempted": st.sampled_from([None, (SimpleNamespace(id=4), b"bytes"), KeyboardInterrupt()]),
        "packed": st.sampled_from([TypeError("misfit"), ValueError("odd"), (SimpleNamespace(id=3), b"bytes")]),
        "value": st.sampled_from([None, "value", ConnectionLost("gone"), KeyboardInterrupt()]),
        "inherited": st.sampled_from([None, ConnectionLost("revoked")]),
    },
)
OPTIONS = st.sampled_from(
    [
        DEFAULT_OPTIONS,
        CallOptions(timeout=0.5, idempotent=False, headers={"a": "b"}),
        CallOptions(min_epoch=3),
    ]
)
SERVING: list[Any] = [None, SimpleNamespace(deadline=None)]


@given(SCRIPTS, OPTIONS, st.sampled_from(SERVING), st.sampled_from(["stub", "places", "words", "began", "bare"]))
def test_both_kinds_do_the_same(script: dict[str, Any], options: CallOptions, serving: Any, way: str) -> None:
    """The same calls are made, and the same asked of others in the same order."""
    seen = []
    token = None if serving is None else enter_call(serving)
    try:
        for kind in KINDS:
            world = World(script)
            it = client(kind, world)
            args: tuple[Any, ...] = (world, (1,), {} if way == "places" else {"b": 2}, options)
            if way in ("stub", "places"):
                found = run(it, *args)
            elif way == "words":
                found = run(it, world, (1,), kwargs={"b": 2}, options=options)
            elif way == "began":
                found = run(it, *args, 4.0)
            else:
                found = run(it, world)
            # What changes nothing may be done twice.
            log = [step for place, step in enumerate(world.log) if step not in world.log[:place]]
            seen.append((found, log, world.calls))
    finally:
        if token is not None:
            leave_call(token)
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_arguments_are_refused(kind: Any) -> None:
    """As by any function."""
    it = client(kind, World({}))
    for arguments in [(), range(6), range(20)]:
        with pytest.raises(TypeError):
            it.invoke(*arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaks(kind: Any) -> None:
    """Calls again and again, with every kind of end."""
    scripts: list[dict[str, Any]] = [
        {},
        {"value": ConnectionLost("gone")},
        {"packed": TypeError("misfit")},
        {"attempted": None},
        {"attempted": (SimpleNamespace(id=4), b"bytes")},
        {"foreign": True, "home": ConnectionLost("no home")},
        {"foreign": True, "root": True},
        {"hash_key": "id"},
        {"learnt": True},
        {"has_members": False},
    ]
    worlds = [World(script) for script in scripts]
    its = [client(kind, world) for world in worlds]
    fixed = [Call, DEFAULT_OPTIONS, CallOptions, *worlds, *its]

    def work() -> None:
        for world, it in zip(worlds, its, strict=True):
            for _ in range(150):
                run(it, world, (1,), {}, DEFAULT_OPTIONS)
                world.log.clear()

    work()
    gc.collect()
    before = list(map(sys.getrefcount, fixed))
    for _ in range(10):
        work()
    gc.collect()
    assert all(abs(one - other) < 10 for one, other in zip(before, map(sys.getrefcount, fixed), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_circle_is_collected(kind: Any) -> None:
    """A client that knows itself does not stay."""
    it = client(kind, World({}))
    it._plans = {1: it}
    gc.collect()
    del it
    assert gc.collect() > 0


def test_headers_are_text() -> None:
    """Nothing else can be sent."""
    assert is_text("x") and is_text("\udcff") and not is_text(1) and not is_text("\ud800")
    with pytest.raises(ConfigError, match="text to text"):
        CallOptions(headers={"a": 1})  # type: ignore[dict-item]
