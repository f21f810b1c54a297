"""What a server tells of itself to whoever asks."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from zkrpc.caller import Caller
from zkrpc.server.introspection import IntrospectionHandler


@dataclasses.dataclass(frozen=True)
class Moment:
    """A state with what JSON does not have."""

    share: float = math.nan
    limits: tuple[float, ...] = (math.inf, 1.0)


def handler_of(server: zkrpc.Server, moment: Any = None) -> IntrospectionHandler:
    """Its handler."""
    return IntrospectionHandler(server.status, lambda: moment or server.status())


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
    server.limit_callers({"billing": 5.0})
    assert handler_of(server).callers().callers[0].max_rate == 5.0


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
