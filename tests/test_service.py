"""What is said of a service before anything runs; how it is served is shown on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.echo import EchoHandler, idl
from zkrpc.config import ElectionConfig
from zkrpc.errors import ConfigError
from zkrpc.idl import load_text
from zkrpc.service import Service


def test_service_has_a_name_and_defaults() -> None:
    """The interface's name unless another is given; nothing is made before it is asked for."""
    service = Service(idl.Echo, EchoHandler)
    assert (service.name, repr(service)) == ("echo", "<Service 'echo' Echo>")
    assert service.groups == () and service.election == ElectionConfig() and service.interceptors == ()
    named = Service(idl.Echo, EchoHandler, "other", groups=["a", "b"], metadata={"team": "blue"})
    assert (named.name, named.groups, named.metadata) == ("other", ("a", "b"), {"team": "blue"})


def test_service_asks_its_health_of_the_handler_or_of_nobody() -> None:
    """A method of the handler's class is called with the handler that serves; anything else is told at once."""

    class Healthy(EchoHandler):
        def is_healthy(self) -> bool:
            return isinstance(self, Healthy)

    assert Service(idl.Echo, Healthy).health_hook(Healthy()) is None
    by_handler = Service(idl.Echo, Healthy, is_healthy=Healthy.is_healthy).health_hook(Healthy())
    by_nobody = Service(idl.Echo, Healthy, is_healthy=lambda: True).health_hook(Healthy())
    assert by_handler is not None and by_handler() is True and by_nobody is not None and by_nobody() is True
    with pytest.raises(ConfigError, match=r"is_healthy .* must take \(handler\)"):
        Service(idl.Echo, Healthy, is_healthy=lambda handler, more: True)
    with pytest.raises(ConfigError, match="is_healthy must be a function"):
        Service(idl.Echo, Healthy, is_healthy=True)  # type: ignore[arg-type]  # the mistake to be explained

    async def soon() -> bool:
        return True

    with pytest.raises(ConfigError, match="is async"):
        Service(idl.Echo, Healthy, is_healthy=soon)


def test_service_makes_its_handler() -> None:
    """A class and a function are called; an object is taken, even one that can be called."""

    class Callable_(EchoHandler):
        def __call__(self) -> None:
            raise AssertionError("a complete handler is no factory")

    ready, callable_one = EchoHandler(), Callable_()
    assert isinstance(Service(idl.Echo, EchoHandler).make_handler(), EchoHandler)
    assert Service(idl.Echo, lambda: ready).make_handler() is ready
    assert Service(idl.Echo, ready).make_handler() is ready
    assert Service(idl.Echo, callable_one).make_handler() is callable_one


def test_service_says_what_is_wrong_with_what_makes_its_handler() -> None:
    """A class that wants arguments, a function that forgets to return; and an object is not called because a method of
    it is missing. What a constructor raises is its author's to see."""

    class Wanting(EchoHandler):
        def __init__(self, database: str) -> None:
            raise AssertionError("never called")

    class Half:
        echo = slow = None

        def __call__(self) -> None:
            raise AssertionError("no factory")

    class Failing(EchoHandler):
        def __init__(self) -> None:
            raise TypeError("its own")

    async def soon() -> EchoHandler:
        return EchoHandler()

    def each() -> Iterator[EchoHandler]:
        yield EchoHandler()

    class Strict:
        def __getattr__(self, name: str) -> object:
            raise KeyError(name)

        def __call__(self) -> None:
            raise AssertionError("never called")

    with pytest.raises(ConfigError, match=r"the handler Wanting wants arguments; .*lambda: Wanting\(\.\.\.\)"):
        Service(idl.Echo, Wanting).make_handler()
    with pytest.raises(ConfigError, match="soon, which makes the handler, is async, and nobody would await it"):
        Service(idl.Echo, soon).make_handler()
    with pytest.raises(ConfigError, match="each, which makes the handler, is a generator, .*; return the handler"):
        Service(idl.Echo, each).make_handler()
    with pytest.raises(ConfigError, match="Strict.* cannot be read: KeyError"):
        Service(idl.Echo, Strict()).make_handler()
    with pytest.raises(ConfigError, match=r"<lambda>\(\) made no handler: it returned None"):
        Service(idl.Echo, lambda: None).make_handler()
    half = Half()
    assert Service(idl.Echo, half).make_handler() is half
    with pytest.raises(TypeError, match="its own"):
        Service(idl.Echo, Failing).make_handler()


def test_service_wants_an_interface() -> None:
    """Not the file, and not a struct of it."""
    for wrong in (idl, idl.Pair):
        with pytest.raises(ConfigError, match="Service wants a service of a loaded IDL"):
            Service(wrong, EchoHandler)


def test_service_refuses_functions_that_would_do_nothing() -> None:
    """An ``async def`` that says whether it is ready would always say yes."""

    async def ready() -> bool:
        return False

    async def intercept(call: object, proceed: object) -> None: ...

    with pytest.raises(ConfigError, match="is_ready .*ready is async"):
        Service(idl.Echo, EchoHandler, is_ready=ready)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigError, match=r"is_ready .* must take \(\)"):
        Service(idl.Echo, EchoHandler, is_ready=lambda service: True)  # type: ignore[arg-type, misc]  # the mistake
    with pytest.raises(ConfigError, match="the interceptor .*intercept is async"):
        Service(idl.Echo, EchoHandler, interceptors=[intercept])  # type: ignore[list-item]  # the mistake
    with pytest.raises(ConfigError, match=r"interceptors must be a list of functions of \(call, proceed\), got 3"):
        Service(idl.Echo, EchoHandler, interceptors=3)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ConfigError, match=r"the interceptor .* must take \(call, proceed\)"):
        Service(idl.Echo, EchoHandler, interceptors=[lambda call: None])  # type: ignore[list-item, misc]  # the mistake


def test_service_says_what_taps_may_show_by_names_of_its_idl() -> None:
    """A misspelt one is refused when the service is made."""
    service = Service(idl.Echo, EchoHandler, tap_bodies=["echo"], tap_masked=["Oops.why"])
    assert service.make_bodies().allows("echo") and not service.make_bodies().allows("slow")
    with pytest.raises(ConfigError, match="tap_bodies has 'ehco', which is not in the IDL; did you mean echo?"):
        Service(idl.Echo, EchoHandler, tap_bodies=["ehco"])


BOTH = load_text("service Users { string get(1: i64 id) } service Audit { void log(1: string text) }")


class Users:
    """Serves the one."""

    def get(self, id: int) -> str:
        return str(id)


class Audit:
    """Serves the other."""

    def log(self, text: str) -> None:
        pass


class Whole(Users, Audit):
    """Serves both."""


def test_service_serves_several_interfaces() -> None:
    """The first one is the default; each has a handler of its own, or all have one."""
    service = Service([BOTH.Users, BOTH.Audit], [Users, Audit()])
    assert (service.name, repr(service)) == ("users", "<Service 'users' Users, Audit>")
    assert service.interface is BOTH.Users and service.served.parts == (BOTH.Users, BOTH.Audit)
    assert list(service.served.methods) == ["get", "Audit:log"] and service.served.alias == "users"
    made: Any = service.make_handler()
    assert [type(one) for one in made.given] == [Users, Audit]
    whole: Any = Service((BOTH.Users, BOTH.Audit), Whole, tap_bodies=["get", "Audit:log"]).make_handler()
    assert type(whole.given[0]) is Whole and whole.given[0] is whole.given[1]
    assert type(Service([BOTH.Users], Users).make_handler()) is Users
    alone: Any = Service([BOTH.Users], [Users]).make_handler()
    assert alone.get(1) == "1"


def test_service_asks_its_health_of_the_handlers_that_it_was_given() -> None:
    """Of one for all interfaces that one, of several the tuple of them."""
    asked: list[object] = []

    def is_healthy(handler: object) -> bool:
        asked.append(handler)
        return True

    for handler in (Whole(), [Users(), Audit()]):
        service = Service([BOTH.Users, BOTH.Audit], handler, is_healthy=is_healthy)
        hook = service.health_hook(service.make_handler())
        assert hook is not None and hook()
        assert asked.pop() == (tuple(handler) if isinstance(handler, list) else handler)


def test_service_says_what_is_wrong_with_several_interfaces() -> None:
    """Two of one name, none at all, something else, and the wrong number of handlers."""
    with pytest.raises(ConfigError, match="two of the interfaces are called Users"):
        Service([BOTH.Users, BOTH.Audit, BOTH.Users], Whole)
    for wrong in ([], [BOTH.Users, "Audit"], [BOTH]):
        with pytest.raises(ConfigError, match="Service wants a service of a loaded IDL"):
            Service(wrong, Whole)  # type: ignore[arg-type]  # the mistake to be explained
    for handlers in ([Users], [Users, Audit, Whole()]):
        with pytest.raises(ConfigError, match=rf"want as many handlers, .* got {len(handlers)}"):
            Service([BOTH.Users, BOTH.Audit], handlers).make_handler()
    with pytest.raises(ConfigError, match="tap_bodies has 'log', which is not in the IDL; there are Audit:log, get"):
        Service([BOTH.Users, BOTH.Audit], Whole, tap_bodies=["log"])
