"""``zkrpc rm``: what is over goes, what lives stays, whatever happens in between."""

from __future__ import annotations

import json
import time
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.command import Command
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.registry.removal import note_vacancy, remove, survey
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper
PATHS = Paths("echo")


@pytest.fixture
def rm(command: Command, zookeeper: str) -> Any:
    """Types ``zkrpc rm``."""
    return lambda *arguments: command.run("rm", *arguments, ZKRPC_ZOOKEEPER=zookeeper)


def serve(registry: zkrpc.Registry) -> zkrpc.app.App:
    """One instance, registered, its IDL published."""
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0))
    app = zkrpc.serve(service, zookeeper=registry, worker_id="w")
    assert app.registrar is not None
    app.registrar.wait_registered(60)
    eventually(lambda: registry.session.znodes.exists(PATHS.publication))
    return app


def test_rm_never_touches_a_service_that_lives(rm: Any, registry: zkrpc.Registry) -> None:
    """Not by force either: its instances are named, and have to be stopped first."""
    with serve(registry):
        before = survey(registry.session, PATHS)
        for arguments in (["echo"], ["echo", "--force"]):
            assert rm(*arguments) == (1, "zkrpc: echo is alive, stop it first: w\n")
        assert survey(registry.session, PATHS) == before


def test_rm_removes_at_once_what_is_over_only_by_force(rm: Any, registry: zkrpc.Registry) -> None:
    """ZooKeeper does not tell since when nobody is there; ``--dry-run`` changes nothing, not even a note."""
    serve(registry).stop()
    registry.session.znodes.create(PATHS.config, b"{}")
    status, text = rm("echo", "--dry-run")
    assert status == 1 and "ZooKeeper does not tell since when; the same command removes it" in text
    assert registry.session.znodes.exists(PATHS.vacancy) is None
    status, text = rm("echo")
    assert status == 1 and "that is noted now" in text and len(text.splitlines()) == 1
    status, text = rm("echo")
    assert status == 1 and " s, and --unseen says 86400 s; --force removes it now" in text
    status, text = rm("echo", "--force", "--dry-run", "--json")
    wanted = {PATHS.root, PATHS.members, PATHS.incarnations, PATHS.config, PATHS.publication, PATHS.vacancy}
    told = json.loads(text)
    assert status == 0 and set(told["removed"]) == wanted and told["dry_run"] and told["removed"][0] == PATHS.root
    status, text = rm("echo", "--force")
    assert status == 0 and text.splitlines()[0] == "echo: 6 nodes removed" and len(text.splitlines()) == 7
    assert registry.session.znodes.exists(PATHS.root) is None and rm("echo", "--force")[0] == 1
    with serve(registry) as app:
        with zkrpc.connect(idl.Echo, "echo", zookeeper=registry) as stub:
            assert stub.echo("again") == "again" and app.is_serving


def test_rm_believes_its_note_until_somebody_comes(rm: Any, registry: zkrpc.Registry) -> None:
    """An instance that was there in between makes the note worthless, even if it has gone again."""
    serve(registry).stop()
    assert rm("echo", "--unseen=0.01")[0] == 1
    serve(registry).stop()
    status, text = rm("echo", "--unseen=0.01")
    assert status == 1 and "that is noted now" in text
    eventually(lambda: rm("echo", "--unseen=0.01")[0] == 0)
    assert registry.session.znodes.exists(PATHS.root) is None


def test_rm_says_that_epochs_would_be_forgotten(rm: Any, registry: zkrpc.Registry) -> None:
    """Those that the clock would not exceed, since fenced stores remember them; one that cannot be read may be any."""
    election = ElectionPaths("echo", "g")
    registry.session.znodes.ensure_path(election.candidates)
    registry.session.znodes.create(election.epoch, EpochRecord(epoch=7, instance="w").dump())
    assert "ZooKeeper does not tell since when" in rm("echo", "--dry-run")[1]
    high = int(time.time() * 1000) + 3_600_000
    registry.session.znodes.set(election.epoch, EpochRecord(epoch=high, instance="w").dump())
    status, text = rm("echo", "--unseen=0.01")
    assert status == 1 and f"has epochs that the next ones would not be above (g {high}), and stores may" in text
    registry.session.znodes.set(election.epoch, b"?")
    assert "(g unreadable)" in rm("echo")[1]
    registry.session.znodes.create(election.primary, b"", ephemeral=True)
    assert f"echo is alive, stop it first: {election.primary}" in rm("echo", "--force")[1]
    registry.session.znodes.delete(election.primary)
    assert rm("echo", "--force")[0] == 0


def test_rm_leaves_what_is_not_zkrpcs(rm: Any, registry: zkrpc.Registry) -> None:
    """A persistent member is somebody's work, and notes of other programs are theirs."""
    for path in (f"{PATHS.members}/member_squatter", f"{PATHS.root}/notes/\u202efunny"):
        registry.session.znodes.ensure_path(path)
    status, text = rm("echo", "--force")
    assert status == 1 and "has nodes that are not zkrpc's, remove them first: " in text
    assert "member_squatter" in text and "/notes/\\u202efunny" in text and len(text.splitlines()) == 1


def test_rm_fails_as_a_whole_when_somebody_comes_meanwhile(registry: zkrpc.Registry) -> None:
    """Registered between the look and the transaction: nothing is removed, and the newcomer notices nothing."""
    serve(registry).stop()
    remains = survey(registry.session, PATHS)
    with serve(registry):
        with pytest.raises(zkrpc.VersionConflict, match="nothing was removed, look again"):
            remove(registry.session, remains)
        registry.session.znodes.create(PATHS.config, b"{}")
        assert survey(registry.session, PATHS).living == ["w"]
    remains = survey(registry.session, PATHS)
    registry.session.znodes.set(PATHS.config, b'{"timeout_ms": 1}')
    with pytest.raises(zkrpc.VersionConflict, match="nothing was removed, look again"):
        remove(registry.session, remains)
    note_vacancy(registry.session, remains)
    assert registry.session.znodes.exists(PATHS.config) is not None


def test_rm_races_with_services_that_start(registry: zkrpc.Registry) -> None:
    """Whoever wins, an instance that serves is listed in the end, and its callers find it."""
    running = True

    def remover() -> int:
        removals = 0
        while running:
            try:
                remains = survey(registry.session, PATHS)
                if remains.nodes and not remains.living:
                    remove(registry.session, remains)
                    removals += 1
            except zkrpc.CoordinationError:
                pass
            gevent.sleep(0)
        return removals

    removing = gevent.spawn(remover)
    began = time.monotonic()
    for _ in range(20):
        serve(registry).stop()
        if time.monotonic() - began > 30:
            break
    app = serve(registry)
    running = False
    assert removing.get(timeout=60) > 0
    eventually(lambda: survey(registry.session, PATHS).living == ["w"])
    app.stop()
