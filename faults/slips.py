"""What people and their deployments do to a service with a primary: each fault breaks something and mends it.

Unlike :mod:`faults.breakages` nothing dies here: nodes are touched, deleted and squatted on, links are slow, and
replicas that are elected cannot begin. A fault is told whom to pick on; those that need the next in line find it
themselves, and replace the primary so that its turn comes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import gevent

import zkrpc
from faults.breakages import Fault
from faults.cluster import wait_until
from faults.processes import kill
from faults.scene import TIMEOUT, Scene
from zkrpc.election.tree import ElectionPaths
from zkrpc.registry.schema import Paths

HOLD = 2 * TIMEOUT
"""Seconds for which what was broken stays so."""
SLOW = 0.15 * TIMEOUT
"""A link's delay, each way: 0.6 s for sessions of 4 s. A round trip takes longer than a quarter of a session."""
_PATHS = ElectionPaths("bank", "main")
_INSIST_FOR = 60.0


def slow_link_of_the_next(scene: Scene, name: str) -> float:
    """The next in line is elected over a link that is too slow for a lease; somebody else has to serve meanwhile."""
    heir = scene.next_in_line()
    scene.lab.slow(heir, SLOW)
    try:
        began = _replace_primary(scene)
        scene.succeed_again(began, HOLD + TIMEOUT)
        gevent.sleep(max(0.0, began + HOLD - time.monotonic()))
    finally:
        scene.lab.heal(heir)
    return began


def sick_heir(scene: Scene, name: str) -> float:
    """The next in line raises from ``on_elected``, for as long as this lasts."""
    return _sick(scene, "raise")


def hanging_heir(scene: Scene, name: str) -> float:
    """The next in line never returns from ``on_elected``, for as long as this lasts."""
    return _sick(scene, "hang")


def _sick(scene: Scene, how: str) -> float:
    heir = scene.next_in_line()
    with scene.sick(heir, how):
        began = _replace_primary(scene)
        gevent.sleep(HOLD)
    return began


def squatted_member(scene: Scene, name: str) -> float:
    """A persistent node that nobody owns takes the place of the next in line, whom callers then cannot find."""
    heir = scene.next_in_line()
    path = Paths("bank").member(f"{heir}-0")
    began = time.monotonic()
    session = scene.registry.session
    with contextlib.suppress(zkrpc.NodeMissing):
        session.znodes.delete(path)
    try:
        with contextlib.suppress(zkrpc.NodeExists):  # it was quicker to come back
            session.znodes.create(path, b"squatter")
        began = _replace_primary(scene)
        gevent.sleep(HOLD)
    finally:
        insist(lambda: _remove_squatter(scene, path))
    return began


def _remove_squatter(scene: Scene, path: str) -> None:
    found = scene.registry.session.znodes.get(path)
    if found is not None and found[0] == b"squatter":
        scene.registry.session.znodes.delete(path, found[1].version)


def touched_epoch(scene: Scene, name: str) -> float:
    """Somebody writes the epoch's node, with the value that it has."""
    began = time.monotonic()
    found = scene.registry.session.znodes.get(_PATHS.epoch)
    if found is not None:
        value, stat = found
        with contextlib.suppress(zkrpc.VersionConflict):
            scene.registry.session.znodes.set(_PATHS.epoch, value, stat.version)
    return began


def unreadable_epoch(scene: Scene, name: str) -> float:
    """The epoch's node cannot be read while the primary dies; then it is put right."""
    began = time.monotonic()
    found = scene.registry.session.znodes.get(_PATHS.epoch)
    assert found is not None
    garbage = scene.registry.session.znodes.set(_PATHS.epoch, b"\xffnot a record", found[1].version)
    try:
        _replace_primary(scene)
        gevent.sleep(TIMEOUT / 2)
    finally:

        def put_right() -> None:
            with contextlib.suppress(zkrpc.NodeMissing, zkrpc.VersionConflict):
                scene.registry.session.znodes.set(_PATHS.epoch, found[0], garbage.version)

        insist(put_right)
    return began


def tree_deleted(scene: Scene, name: str) -> float:
    """Somebody removes all of the election's nodes, those of the living included."""
    began = time.monotonic()
    insist(lambda: _delete_tree(scene, _PATHS.root))
    return began


def _delete_tree(scene: Scene, path: str) -> None:
    for child in scene.registry.session.znodes.children(path) or ():
        _delete_tree(scene, f"{path}/{child}")
    with contextlib.suppress(zkrpc.CoordinationError):  # others make new ones all the time
        scene.registry.session.znodes.delete(path)


def supervisor_killed(scene: Scene, name: str) -> float:
    """kill -9 of a supervisor alone; it is started again at once, while its orphan still serves."""
    with scene.alone_with(name):
        began = time.monotonic()
        scene.replicas[name].process.kill()
        scene.replicas[name].process.wait()
        scene.start(name)
        wait_until(lambda: scene.is_registered(name), 60, f"{name} registered again")
    return began


def _replace_primary(scene: Scene) -> float:
    """Kills the worker that leads; returns when."""
    name, _ = scene.primary()
    pid = scene.worker_pid(name)
    began = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        kill(pid)
    return began


def insist(action: Callable[[], None]) -> None:
    """Does it, however long ZooKeeper cannot be asked; what was broken must be mended. Raises when a minute is over."""
    give_up_at = time.monotonic() + _INSIST_FOR
    while True:
        try:
            return action()
        except (zkrpc.SessionLost, zkrpc.SessionSuspended, zkrpc.OutcomeUnknown):
            if time.monotonic() > give_up_at:
                raise
            gevent.sleep(0.2)


SLIPS: tuple[Fault, ...] = (
    slow_link_of_the_next,
    sick_heir,
    hanging_heir,
    squatted_member,
    touched_epoch,
    unreadable_epoch,
    tree_deleted,
    supervisor_killed,
)
