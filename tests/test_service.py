"""What is said of a service before anything runs; how it is served is shown on a real server."""

from __future__ import annotations

import pytest

from tests.server.echo import EchoHandler, idl
from zkrpc.config import ElectionConfig
from zkrpc.errors import ConfigError
from zkrpc.service import Service


def test_service_has_a_name_and_defaults() -> None:
    """The interface's name unless another is given; nothing is made before it is asked for."""
    service = Service(idl.Echo, EchoHandler)
    assert (service.name, repr(service)) == ("echo", "<Service 'echo' Echo>")
    assert service.groups == () and service.election == ElectionConfig() and service.interceptors == ()
    named = Service(idl.Echo, EchoHandler, "other", groups=["a", "b"], metadata={"team": "blue"})
    assert (named.name, named.groups, named.metadata) == ("other", ("a", "b"), {"team": "blue"})


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


def test_service_wants_an_interface() -> None:
    """Not the file, and not a struct of it."""
    for wrong in (idl, idl.Pair):
        with pytest.raises(ConfigError, match="Service wants a service of a loaded IDL"):
            Service(wrong, EchoHandler)
