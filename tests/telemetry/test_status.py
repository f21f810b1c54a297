"""What all values of state have in common, and that everything which can say how it stands is found."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import threading
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.worlds import World
from zkrpc.telemetry import status
from zkrpc.telemetry.status import AppStatus, ClientStatus, SessionStatus

KINDS = [kind for kind in vars(status).values() if dataclasses.is_dataclass(kind)]


def sample(hint: Any) -> Any:
    """A value of a type."""
    origin = get_origin(hint)
    if type(None) in get_args(hint):
        return None
    if origin is not None and issubclass(origin, Mapping):
        return {"text": 1}
    if origin is not None:
        return (sample(get_args(hint)[0]),)
    plain = {str: "text", int: 1, float: 0.5, bool: True}
    return plain[hint] if hint in plain else make(hint)


def make(kind: Any) -> Any:
    """A value with something in each field."""
    return kind(**{name: sample(hint) for name, hint in get_type_hints(kind).items()})


@pytest.mark.parametrize("kind", KINDS)
def test_status_is_a_documented_value_of_plain_fields(kind: Any) -> None:
    """It cannot be changed, and can be written as JSON with everything in it."""
    value = make(kind)
    assert kind.__doc__.endswith(".")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, next(iter(get_type_hints(kind))), None)
    written = json.loads(json.dumps(dataclasses.asdict(value), allow_nan=False))
    assert written.keys() == get_type_hints(kind).keys()


def targets() -> list[str]:
    """The clients that are found."""
    return [one.target for one in status.statuses() if isinstance(one, ClientStatus)]


def test_client_is_found_while_it_is_open(world: World) -> None:
    """In the thread that makes its calls, and not when it was closed, or nobody has it any more."""
    stub = world.connect(idl.Echo, ["127.0.0.1:1"])
    assert "127.0.0.1:1" in world.where_clients_are(targets)
    zkrpc.close(stub)
    assert "127.0.0.1:1" not in world.where_clients_are(targets)


def test_being_found_keeps_nothing_alive() -> None:
    """What nobody closes is forgotten with it."""

    class Source:
        def status(self) -> Any:
            return SessionStatus(
                hosts="h",
                state="lost",
                session=None,
                timeout_asked=1.0,
                timeout=None,
                heard=None,
                histories=0,
                servers=(),
                server=None,
                explanation="",
            )

    source = Source()
    status.announce(source)
    status.announce(source)
    assert [one for one in status.statuses() if isinstance(one, SessionStatus) and one.hosts == "h"] != []
    del source
    gc.collect()
    assert [one for one in status.statuses() if isinstance(one, SessionStatus) and one.hosts == "h"] == []


def test_client_of_another_thread_is_passed_over() -> None:
    """It may only be asked there."""
    found: list[list[str]] = []
    with zkrpc.connect(idl.Echo, ["127.0.0.1:2"]):
        asking = threading.Thread(target=lambda: found.append(targets()))
        asking.start()
        asking.join(60)
        assert "127.0.0.1:2" in targets() and "127.0.0.1:2" not in found[0]


def test_forked_child_finds_nothing_of_its_parent() -> None:
    """Not before it uses it."""
    with zkrpc.connect(idl.Echo, ["127.0.0.1:3"]):
        child = os.fork()
        if not child:
            os._exit(len(targets()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_app_and_registry_are_found(zookeeper: str, world: World) -> None:
    """The service with its parts, the session, and clients by where they look, each in its own thread."""
    service = zkrpc.Service(idl.Echo, EchoHandler, name="echoes", config=zkrpc.ServerConfig(linger=0, drain_timeout=2))
    with zkrpc.serve(service, zookeeper=zookeeper), world.connect(idl.Echo, "echoes", zookeeper=zookeeper) as stub:
        assert stub.echo("x") == "x"
        found = list(status.statuses())
        assert any(isinstance(one, AppStatus) and one.service == "echoes" for one in found)
        assert f"zookeeper://{zookeeper}/echoes" in world.where_clients_are(targets)
        found += world.where_clients_are(lambda: list(status.statuses()))
        sessions = {one.session for one in found if isinstance(one, SessionStatus) and one.hosts == zookeeper}
        assert len(sessions) == 2
