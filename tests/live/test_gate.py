"""Starts that are refused and accepted on a real server, by what is served there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import zkrpc
from tests.live.conftest import SessionOpener
from tests.support.command import Command
from tests.support.programs import Programs
from tests.support.waiting import eventually
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface, interfaces_of, load_text
from zkrpc.registry.publication import Publication, pack
from zkrpc.registry.published import last_publication
from zkrpc.registry.schema import Paths, idl_path
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

OLD = 'service Desk { i32 open(1: i32 n) (zkrpc.idempotent = "true"), i32 close(1: i32 n) }\n'
REFUSED = {
    "method-removed": OLD.replace(", i32 close(1: i32 n)", ""),
    "type-changed": OLD.replace("close(1: i32 n)", "close(1: i64 n)"),
    "exception-added": "exception E {}\n" + OLD.replace("close(1: i32 n)", "close(1: i32 n) throws (1: E e)"),
    "idempotent-lost": OLD.replace("true", "false"),
}
ACCEPTED = {
    "method added": OLD.replace("i32 close", "i32 more(), i32 close"),
    "argument added": OLD.replace("close(1: i32 n)", "close(1: i32 n, 2: string why)"),
    "argument renamed": OLD.replace("close(1: i32 n)", "close(1: i32 number)"),
    "timeout shortened": OLD.replace('"true")', '"true", zkrpc.timeout_ms = "10")'),
}


class Desk:
    """Has whatever method is asked for."""

    def open(self, n: int) -> int:
        """The number."""
        return n

    def close(self, *args: object, **named: object) -> int:
        """Another number."""
        return 0

    def more(self) -> int:
        """One more."""
        return 1


def interface(text: str) -> Interface:
    """The interface of a text."""
    return interfaces_of(load_text(text))["Desk"]


def serve(text: str, zookeeper: str, **given: object) -> zkrpc.App:
    """An instance that serves this text, registered and published."""
    service = zkrpc.Service(interface(text), Desk(), config=zkrpc.ServerConfig(linger=0))
    app = zkrpc.serve(service, zookeeper=zookeeper, **given)  # type: ignore[arg-type]
    assert app.registrar is not None
    app.registrar.wait_registered(60)
    return app


@pytest.fixture
def session(session_opener: SessionOpener) -> Session:
    """A session to look with."""
    return session_opener()


def is_last(session: Session, text: str) -> bool:
    """Whether this is what was published last."""
    return last_publication(session, "desk") == Publication(interface="Desk", digest=interface(text).digest)


def test_start_that_breaks_a_living_member_is_refused_until_it_is_allowed(session: Session, zookeeper: str) -> None:
    """For several rules, each with its name and the member; nothing of it is registered or published."""
    with serve(OLD, zookeeper, worker_id="d-0"):
        eventually(lambda: is_last(session, OLD))
        for rule, text in REFUSED.items():
            with pytest.raises(
                ConfigError, match=f"(?s)breaks 1 thing of what d-0 serves.*: {rule}: .*--allow-breaking"
            ):
                serve(text, zookeeper, worker_id="d-1")
        assert session.znodes.children(Paths("desk").members) == ["member_d-0"] and is_last(session, OLD)
        with serve(REFUSED["method-removed"], zookeeper, worker_id="d-1", allow_breaking=True):
            eventually(lambda: is_last(session, REFUSED["method-removed"]))
            with serve(OLD, zookeeper, worker_id="d-2"):
                pass  # a member serves it already


def test_compatible_start_is_accepted(session: Session, zookeeper: str) -> None:
    """What adds to the interface, and what only concerns names and times."""
    with serve(OLD, zookeeper, worker_id="d-0"):
        eventually(lambda: is_last(session, OLD))
        for text in ACCEPTED.values():
            serve(text, zookeeper, worker_id="d-1").stop()


def test_service_that_is_down_is_protected_by_what_was_published_last(session: Session, zookeeper: str) -> None:
    """Its callers wait for it; whoever asks for the same again is let in."""
    with serve(OLD, zookeeper):
        eventually(lambda: is_last(session, OLD))
    with pytest.raises(ConfigError, match="of what was published last"):
        serve(REFUSED["method-removed"], zookeeper)
    serve(OLD, zookeeper).stop()


def test_start_without_zookeeper_is_not_held_up(caplog: pytest.LogCaptureFixture) -> None:
    """It serves, and says that it has not compared."""
    service = zkrpc.Service(interface(OLD), Desk(), config=zkrpc.ServerConfig(linger=0))
    with zkrpc.serve(service, zookeeper="127.0.0.1:1") as app:
        assert app.is_serving and "the IDL of desk is not compared with what is served" in caplog.text


def pretend_last(session: Session, text: str) -> None:
    """As if somebody had published this since."""
    said = Publication(interface="Desk", digest=interface(text).digest)
    if session.znodes.exists(idl_path(said.digest)) is None:
        session.znodes.create(idl_path(said.digest), pack(text))
    session.znodes.set(Paths("desk").publication, said.dump())


PROGRAM = """
import pathlib, zkrpc
from zkrpc.idl import interfaces_of, load
idl = load("desk.thrift")
class Desk:
    def open(self, n): return n
    def close(self, n): return n
    def more(self): return 1
service = zkrpc.Service(idl.Desk, Desk, config=zkrpc.ServerConfig(linger=0))
"""


def test_workers_under_a_supervisor_are_refused_and_come_back(session: Session, zookeeper: str, tmp_path: Path) -> None:
    """A reload that breaks is refused and what runs stays; one that adds is a rolling restart; a start that breaks ends
    with status 78, and with --allow-breaking it serves; killed workers come back unasked."""
    programs = Programs(tmp_path)
    command, folder = Command(programs, tmp_path), tmp_path / "desk"
    folder.mkdir()
    (folder / "desk_service.py").write_text(PROGRAM)
    idl = folder / "desk.thrift"
    arguments = ("serve", "desk_service:service", "--zookeeper", zookeeper, "--workers", "2")

    def pids() -> set[str]:
        members = Paths("desk").members
        records = [session.znodes.get(f"{members}/{name}") for name in session.znodes.children(members) or ()]
        return {found[0].partition(b'"pid":"')[2].partition(b'"')[0].decode() for found in records if found}

    def are_others_than(before: set[str]) -> bool:
        now = pids()  # asked for once: between two looks they may go
        return len(now) == 2 and not now & before

    try:
        idl.write_text(OLD)
        running = command.start(*arguments, folder=folder)
        eventually(lambda: len(pids()) == 2 and is_last(session, OLD))
        before = pids()
        idl.write_text(REFUSED["method-removed"])
        running.tell(signal.SIGHUP)
        eventually(lambda: "what runs stays as it is" in running.output)
        assert "method-removed: Desk.close is gone" in running.output and pids() == before
        status, text = command.run(*arguments, folder=folder)
        assert status == 78 and "say --allow-breaking" in text and pids() == before
        idl.write_text(ACCEPTED["method added"])
        running.tell(signal.SIGHUP)
        eventually(lambda: are_others_than(before) and is_last(session, ACCEPTED["method added"]))
        pretend_last(session, OLD.replace("i32 close", "i32 gone(), i32 close"))
        killed = pids()
        for pid in killed:
            os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: are_others_than(killed))
        eventually(lambda: "that is allowed" in running.output)
        running.tell(signal.SIGTERM)
        assert running.wait() == 0
        pretend_last(session, OLD)
        idl.write_text(REFUSED["method-removed"])
        allowed = command.start(*arguments, "--allow-breaking", folder=folder)
        eventually(lambda: len(pids()) == 2 and is_last(session, REFUSED["method-removed"]))
        eventually(lambda: "that is allowed" in allowed.output)
        allowed.tell(signal.SIGTERM)
        assert allowed.wait() == 0
    finally:
        programs.close()
