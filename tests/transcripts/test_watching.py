"""Which servers are asked for watches that stay, and what is read again when such a watch tells something."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.transcript import Transcript
from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.listing import Listing
from zkrpc.registry.roster import Record
from zkrpc.registry.view import Publish, Save, ServiceView
from zkrpc.zookeeper.subtrees import Change, ChangeKind, WatchOffers

OLD, NEW = (Endpoint("old", 2181),), (Endpoint("new", 2181),)


class Offers(WatchOffers):
    """With what a transcript wants of a machine: these have no timers."""

    def next_timer(self) -> None:
        """Never."""


def offers(intent: str) -> Transcript:
    """A session without a connection, and what it is told."""
    return Transcript(Offers(), intent, drain=lambda: (), show=_show)


def view(intent: str) -> Transcript:
    """A view without a connection, and what it is told."""
    config = RegistryConfig(debounce=0.1, refresh_interval=60.0)
    return Transcript(ServiceView("users", config, rng=lambda: 0.5, now=0.0), intent, show=_show)


def listing(*names: str, changes: int, parent: int = 1) -> Listing:
    """The members' parent at one moment."""
    return Listing(names=frozenset(names), created_zxid=parent, changes=changes)


def records(**ports: int | None) -> dict[str, Record | None]:
    """What was read; None for a node that is gone."""
    return {name: None if port is None else _record(port) for name, port in ports.items()}


def came(name: str) -> Change:
    """A member's node was created."""
    return Change(ChangeKind.CREATED, name)


def went(name: str) -> Change:
    """A member's node was deleted."""
    return Change(ChangeKind.DELETED, name)


def _record(port: int) -> Record:
    payload = dump_serverset(Instance(id="x", endpoint=Endpoint("10.0.0.1", port)))
    return Record(payload=payload, created_zxid=1)


def _show(value: object) -> str:
    match value:
        case Publish(snapshot=snapshot):
            return f"Publish(ports {', '.join(str(one.endpoint.port) for one in snapshot.instances) or 'none'})"
        case Save():
            return "Save"
        case Listing(names=names, changes=changes, created_zxid=parent):
            return f"{', '.join(sorted(names)) or 'nobody'} after {changes} changes of parent {parent}"
        case Mapping():
            return ", ".join(f"{name} is {'gone' if node is None else 'there'}" for name, node in value.items())
        case Change(kind=kind, name=name):
            return f"{name or 'the parent'} {kind.name.lower()}"
        case list():
            return ", ".join(map(_show, value))
        case (Endpoint() as server,):
            return server.host
        case _:
            return repr(value)


def test_each_connection_of_a_rolling_upgrade_is_decided_anew() -> None:
    """A server that hung up is not asked again for a while, the others are."""
    told = offers(
        "One of two servers is older than AddWatch. It refuses, and hangs up. At the other one the watch is set.\n"
        "Back at the old one nothing is asked, until ten minutes later it has been upgraded."
    )
    told.tell("receive_connected", OLD, 0.0)
    told.tell("receive_refused", 0.1)
    told.tell("receive_lost")
    told.tell("receive_connected", OLD, 0.2)
    told.tell("receive_lost")
    told.tell("receive_connected", NEW, 1.0)
    told.tell("receive_granted")
    told.tell("receive_lost")
    told.tell("receive_connected", OLD, 500.0)
    told.tell("receive_lost")
    told.tell("receive_connected", OLD, 700.0)
    told.tell("receive_granted")
    told.check("watching/rolling_upgrade")


def test_server_that_hangs_up_without_an_answer_is_asked_twice() -> None:
    """Once may be chance; then it counts as a refusal, or nothing but connecting would be done."""
    told = offers("Connections are lost right after the question. The first time that may be chance.")
    told.tell("receive_connected", OLD, 0.0)
    told.tell("receive_silence", 0.1)
    told.tell("receive_lost")
    told.tell("receive_connected", OLD, 0.2)
    told.tell("receive_silence", 0.3)
    told.tell("receive_lost")
    told.tell("receive_connected", OLD, 0.4)
    told.check("watching/silence")


def test_server_that_has_answered_in_between_is_not_suspected() -> None:
    """Two losses with an answer between them are chance."""
    told = offers("Two connections are lost before an answer, and between them there is one.")
    told.tell("receive_connected", NEW, 0.0)
    told.tell("receive_silence", 0.1)
    told.tell("receive_connected", NEW, 0.2)
    told.tell("receive_granted")
    told.tell("receive_connected", NEW, 90.0)
    told.tell("receive_silence", 90.1)
    told.tell("receive_connected", NEW, 90.2)
    told.check("watching/answered_in_between")


def test_members_that_are_told_by_name() -> None:
    """One listing, and then each change is one read."""
    told = view("Members come, are replaced and go. After the first listing only those that were named are read.")
    told.tell("receive_session", True, 0.0)
    told.tell("receive_listing", listing("a", "b", changes=2), 0.1, followed=True)
    told.tell("receive_records", records(a=1, b=2), 0.2)
    told.tell("receive_events", [came("c")], 10.0)
    told.tell("receive_records", records(c=3), 10.1)
    told.tell("receive_events", [went("a"), came("a")], 20.0)
    told.tell("receive_records", records(a=9), 20.1)
    told.tell("receive_events", [went("b")], 30.0)
    told.tell("receive_records", records(b=None), 30.1)
    told.tell("handle_timer", 60.2)
    told.tell("receive_listing", listing("a", "c", changes=6), 60.3, followed=True)
    told.tell("receive_records", records(a=9, c=3), 60.4)
    told.check("watching/by_name")


def test_members_after_a_reconnect() -> None:
    """What happened in between was told to nobody: everything is listed, and followed as the new server can."""
    told = view(
        "The connection is lost, and the next server knows no watches that stay: what it signals leads to a listing.\n"
        "Then there is a third one, to which the watch is lost before the view has heard of it."
    )
    told.tell("receive_session", True, 0.0)
    told.tell("receive_listing", listing("a", changes=1), 0.1, followed=True)
    told.tell("receive_records", records(a=1), 0.2)
    told.tell("receive_session", False, 10.0)
    told.tell("receive_session", True, 11.0)
    told.tell("receive_listing", listing("a", "b", changes=2), 11.1)
    told.tell("receive_records", records(b=2), 11.2)
    told.tell("receive_change", 20.0)
    told.tell("receive_listing", listing("a", changes=3), 20.1)
    told.tell("receive_session", False, 30.0)
    told.tell("receive_session", True, 31.0)
    told.tell("receive_listing", listing("a", changes=3), 31.1, followed=True)
    told.tell("receive_change", 40.0)
    told.tell("receive_listing", listing("a", changes=3), 40.1, followed=True)
    told.check("watching/reconnect")


def test_members_whose_parent_is_deleted_and_created_again() -> None:
    """The watch stays, and the counter begins anew."""
    told = view("The parent is deleted with the last member, and created again with another one.")
    told.tell("receive_session", True, 0.0)
    told.tell("receive_listing", listing("a", changes=1), 0.1, followed=True)
    told.tell("receive_records", records(a=1), 0.2)
    told.tell("receive_events", [went("a"), went("")], 10.0)
    told.tell("receive_listing", None, 10.1, followed=True)
    told.tell("receive_events", [came("")], 20.0)
    told.tell("receive_listing", listing("b", changes=1, parent=7), 20.1, followed=True)
    told.tell("receive_records", records(b=2), 20.2)
    told.tell("receive_events", [came("c")], 30.0)
    told.tell("receive_records", records(c=3), 30.1)
    told.check("watching/parent")
