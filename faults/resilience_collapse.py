"""The registry loses everybody while the replicas live; and, not to be mistaken for it, everybody leaves on purpose."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import gevent

import zkrpc
from faults import target
from faults.fleet import Fleet, Scene, seconds_until, window
from faults.load import failures, percentile
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.operations import Create, Delete

_CALM = 2.0
_AWAY = 8.0
_BACK_WITHIN = 10.0
_HONOURED_WITHIN = 1.0


def collapse(scene: Scene) -> None:
    """All entries vanish at once and stay away; they come back; then all replicas are asked to stop."""
    check, fleet = scene.report.check, scene.main_fleet()
    with scene.load(fleet) as load:
        window(_CALM)
        with _emptied(scene, fleet):
            begin, end = window(_AWAY)
        # Asked of ZooKeeper itself: what a client makes of an empty list is the very question.
        back = seconds_until(lambda: len(_entries(scene, fleet)) == len(fleet.instances), 4 * _BACK_WITHIN)
        gevent.sleep(1.0)
    lost, during = failures(load.outcomes), load.due_between(begin, end)
    check("collapse: calls made with nobody listed", len(during), 1000, comparison=">=")
    check(
        "collapse: failed calls",
        len(lost),
        0,
        comparison="==",
        note=str(lost[0].error) if lost else f"p99 with nobody listed {percentile(during, 0.99)} ms",
    )
    check("collapse: everybody registered again, s", back, _BACK_WITHIN)
    _scale_down(scene, fleet)


def _entries(scene: Scene, fleet: Fleet) -> list[str]:
    return scene.registry.session.znodes.children(Paths(fleet.service).members) or []


@contextlib.contextmanager
def _emptied(scene: Scene, fleet: Fleet) -> Iterator[None]:
    """Nobody is listed within the block, and nobody can come back.

    One transaction deletes all entries and puts an ephemeral node in the place of their parent: ZooKeeper gives such a
    node no children, so the registrars try in vain.
    """
    session, folder = scene.registry.session, Paths(fleet.service).members
    for _ in range(20):
        entries = [Delete(path=f"{folder}/{name}") for name in _entries(scene, fleet)]
        with contextlib.suppress(zkrpc.CoordinationError):
            session.znodes.multi([*entries, Delete(path=folder), Create(path=folder, ephemeral=True)])
            break
    else:
        raise TimeoutError("the entries change faster than they can be deleted")
    try:
        yield
    finally:
        session.znodes.delete(folder)


def _scale_down(scene: Scene, fleet: Fleet) -> None:
    """Everybody stops in order: nobody shall go on calling them, or wait for them until the deadline."""
    check = scene.report.check
    with scene.load(fleet) as load:
        window(1.0)
        fleet.drain()
        gone = time.monotonic()
        with zkrpc.connect(target.idl.Target, fleet.service, zookeeper=scene.registry) as newcomer:
            told = [_seconds_to_fail(lambda: newcomer.get(1)) for _ in range(3)]
        gevent.sleep(1.0)
        end = time.monotonic()
    scene.dismiss(fleet)
    late = load.due_between(gone + 0.2, end)
    answered = [one for one in late if not one.error]
    strange = [one for one in late if one.error and not isinstance(one.error, zkrpc.Unavailable)]
    waits = [one.ended_at - one.started_at for one in late]
    check("collapse: calls made after the planned end", len(late), 100, comparison=">=")
    check("collapse: answers after the planned end", len(answered), 0, comparison="==")
    check(
        "collapse: errors other than Unavailable after it",
        len(strange),
        0,
        comparison="==",
        note=str(strange[0].error) if strange else "",
    )
    check("collapse: longest wait for that error, s", round(max(waits, default=0.0), 2), _HONOURED_WITHIN)
    check("collapse: longest wait of a client that starts then, s", round(max(told), 2), _HONOURED_WITHIN)


def _seconds_to_fail(call: Callable[[], object]) -> float:
    began = time.monotonic()
    with contextlib.suppress(zkrpc.Unavailable):
        call()
    return time.monotonic() - began
