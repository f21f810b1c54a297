"""What can happen to a primary: each fault breaks something and mends it.

A fault is told whom the scene's primary is, and returns the moment from which a successor was wanted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

import zkrpc
from faults import bank
from faults.cluster import wait_until
from faults.processes import freeze, frozen, kill
from faults.scene import TIMEOUT, Scene
from zkrpc.election.inspection import ask_to_step_down
from zkrpc.election.tree import ElectionPaths
from zkrpc.errors import CoordinationError

Fault = Callable[[Scene, str], float]


def worker_killed(scene: Scene, name: str) -> float:
    """kill -9 of the primary's worker; its supervisor lives."""
    pid = scene.worker_pid(name)
    began = time.monotonic()
    kill(pid)
    return began


def group_killed(scene: Scene, name: str) -> float:
    """kill -9 of the primary's worker and supervisor together: nobody closes the session."""
    with scene.alone_with(name):
        supervisor, pid = scene.replicas[name].process, scene.worker_pid(name)
        # A worker that misses its supervisor drains, and a supervisor that misses its worker closes its session: each
        # of them is quick enough to do so between two kills.
        freeze(supervisor.pid)
        began = time.monotonic()
        kill(pid)
        supervisor.kill()
        supervisor.wait()
        try:
            # Not before somebody else leads, or the one that starts would be in the way. Callers know without asking
            # ZooKeeper.
            scene.succeed_again(time.monotonic(), 30)
        finally:
            scene.start(name)
    return began


def frozen_primary(scene: Scene, name: str) -> float:
    """SIGSTOP for longer than the session, then SIGCONT."""
    began = time.monotonic()
    with frozen(scene.worker_pid(name)):
        gevent.sleep(TIMEOUT * 1.4)
    return began


def black_hole(scene: Scene, name: str) -> float:
    """The primary's links to ZooKeeper swallow everything; its TCP connections stay open."""
    began = time.monotonic()
    scene.lab.blackhole(name)
    gevent.sleep(TIMEOUT * 1.4)
    scene.lab.heal(name)
    return began


def own_node_killed(scene: Scene, name: str) -> float:
    """The ZooKeeper server that the primary talks to dies."""
    node = scene.lab.node_of(name)
    if node is None:
        raise CoordinationError(f"{name} talks to no ZooKeeper server now")
    began = time.monotonic()
    scene.lab.kill(node)
    gevent.sleep(2.0)
    scene.lab.restart(node)
    return began


def own_node_cut_off(scene: Scene, name: str) -> float:
    """The primary's ZooKeeper server loses its leader, and goes on answering pings."""
    leader = scene.lab.leader()
    follower = next(node for node in range(3) if node != leader)
    try:
        scene.lab.pin(name, follower)
        wait_until(lambda: scene.lab.node_of(name) == follower, 15, "the primary moved to a follower")
        gevent.sleep(1.0)
        began = time.monotonic()
        scene.lab.cut(follower, leader)
        gevent.sleep(TIMEOUT * 1.2)
    finally:
        scene.lab.join_all()
        scene.lab.heal(name)
    return began


def leader_killed(scene: Scene, name: str) -> float:
    """ZooKeeper's own leader dies."""
    leader = scene.lab.leader()
    began = time.monotonic()
    scene.lab.kill(leader)
    gevent.sleep(2.0)
    scene.lab.restart(leader)
    return began


def ensemble_stopped_briefly(scene: Scene, name: str) -> float:
    """All of ZooKeeper is away for 3 s."""
    return _stopped(scene, 3.0)


def ensemble_stopped_long(scene: Scene, name: str) -> float:
    """All of ZooKeeper is away for two session timeouts."""
    return _stopped(scene, 2 * TIMEOUT)


def _stopped(scene: Scene, seconds: float) -> float:
    began = time.monotonic()
    scene.lab.stop_all()
    gevent.sleep(seconds)
    scene.lab.start_all()
    return began


def ensemble_forgot(scene: Scene, name: str) -> float:
    """All of ZooKeeper is lost with its data, and comes back as another one on the old addresses."""
    began = time.monotonic()
    scene.lab.forget_all()
    gevent.sleep(1.0)
    scene.lab.start_all()
    return began


def hand_over(scene: Scene, name: str) -> float:
    """The primary is asked to step down."""
    began = time.monotonic()
    ask_to_step_down(scene.registry.session, ElectionPaths("bank", "main"), timeout=15)
    return began


def hub_blocked(scene: Scene, name: str) -> float:
    """A handler computes for longer than the session lasts."""
    began = time.monotonic()
    with zkrpc.connect(bank.idl.Bank, "bank", zookeeper=scene.registry) as stub:
        try:
            stub.options(timeout=TIMEOUT * 2).burn(int(TIMEOUT * 1400))
        except zkrpc.CallError:
            pass
    scene.burns.append((began, time.monotonic()))
    return began


FAULTS: tuple[Fault, ...] = (
    worker_killed,
    group_killed,
    frozen_primary,
    black_hole,
    own_node_killed,
    own_node_cut_off,
    leader_killed,
    ensemble_stopped_briefly,
    ensemble_stopped_long,
    ensemble_forgot,
    hand_over,
    hub_blocked,
)

ENSEMBLE: tuple[Fault, ...] = (
    own_node_killed,
    own_node_cut_off,
    leader_killed,
    ensemble_stopped_briefly,
    ensemble_stopped_long,
    ensemble_forgot,
)
"""Those that break ZooKeeper itself."""
