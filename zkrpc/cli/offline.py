"""``zkrpc offline`` and ``zkrpc online``: take a running instance out of service, and bring it back.

The order is a node in ZooKeeper, :mod:`zkrpc.registry.offline`, and the instance obeys it by itself. One that hangs
does not; then its entry among the members is removed here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import click
from gevent.event import Event

from zkrpc.cli.completion import complete_instances, complete_services
from zkrpc.cli.options import SECONDS_OR_NONE, json_option, timeout_option, zookeeper_option
from zkrpc.cli.output import several, tell, tell_json
from zkrpc.cli.registry import connected, missing, operator, require_service, services_of
from zkrpc.coordination import Registry
from zkrpc.errors import CoordinationError
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.orders import give_order, is_listed, remove_entry, require_others, withdraw_order
from zkrpc.registry.schema import Paths, check_name, worker_id_of

_service_option = click.option(
    "--service", shell_complete=complete_services, help="Whose instance; needed only if several have one of that name."
)
_wait_option = click.option(
    "--wait",
    type=SECONDS_OR_NONE,
    default=10.0,
    show_default=True,
    help="Seconds that the instance has to obey.",
)


class _Place(NamedTuple):
    """One instance: of which service it is, and what there is of it."""

    paths: Paths
    instance: str
    listed: bool
    resting: bool
    ordered: bool

    @property
    def order_path(self) -> str:
        """The node of its order."""
        return self.paths.offline_order(self.instance)


@click.command()
@click.argument("instance", shell_complete=complete_instances)
@click.option("--reason", required=True, help="For colleagues who wonder.")
@click.option("--force", is_flag=True, help="Also the only one that serves.")
@_service_option
@_wait_option
@zookeeper_option
@timeout_option
@json_option
def offline(
    instance: str,
    reason: str,
    force: bool,
    service: str | None,
    wait: float,
    zookeeper: str,
    timeout: float,
    as_json: bool,
) -> None:
    """Take INSTANCE out of service while it runs, also after a restart under the same name.

    It hands over what it leads, leaves the list of instances, sends its callers away, and finishes the calls that it
    has. ``zkrpc online`` undoes it.
    """
    order = OfflineOrder(reason=reason, by=operator())
    order.dump()  # refuses too long a reason before ZooKeeper is asked for anything
    with connected(zookeeper, timeout) as registry:
        place = _find(registry, instance, service)
        if place.listed and not place.ordered and not force:
            require_others(registry.session, place.paths, place.instance, "say --force if nobody shall")
        changed = give_order(registry.session, place.paths, place.instance, order)
        obeyed = not place.listed or _await(
            registry, lambda changes: not is_listed(registry.session, place.paths, place.instance, changes), wait
        )
        if not obeyed:
            remove_entry(registry.session, place.paths, place.instance)
    if as_json:
        tell_json({**_plain(place), "offline": True, "changed": changed, "obeyed": obeyed, "reason": order.reason})
        return
    name = f"{place.instance} of {place.paths.service}"
    tell(f"{name} {'is' if changed else 'was'} offline{'' if changed else ' already, for the same reason'}: {order}")
    if not obeyed:
        tell(
            f"it has not obeyed within {wait:g} s, so its entry was removed here; if it leads, another one can lead "
            f"when its session ends: zkrpc describe {place.paths.service}",
            err=True,
        )
    elif not (place.listed or place.resting):
        tell("it does not run now; it will be offline when it does", err=True)


@click.command()
@click.argument("instance", shell_complete=complete_instances)
@_service_option
@_wait_option
@zookeeper_option
@timeout_option
@json_option
def online(instance: str, service: str | None, wait: float, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Bring INSTANCE back into service."""
    with connected(zookeeper, timeout) as registry:
        place = _find(registry, instance, service)
        if place.ordered:
            withdraw_order(registry.session, place.paths, place.instance)
        back = place.listed or (
            place.resting
            and _await(
                registry, lambda changes: is_listed(registry.session, place.paths, place.instance, changes), wait
            )
        )
    if as_json:
        tell_json({**_plain(place), "offline": False, "changed": place.ordered, "serves": back})
        return
    name = f"{place.instance} of {place.paths.service}"
    if not place.ordered:
        tell(f"{name} was not offline")
    elif back:
        tell(f"{name} serves again")
    elif place.resting:
        tell(f"{name} may serve again, and has not registered within {wait:g} s; does it hang?")
    else:
        tell(f"{name} may serve again, and does not run now")


def _find(registry: Registry, instance: str, service: str | None) -> _Place:
    """The instance of that name. Raises NoSuchName if there is none, CoordinationError if several services have one."""
    check_name("worker id", instance)
    if service is not None:
        require_service(registry, service)
    services = services_of(registry)[0] if service is None else [service]
    known: set[str] = set()
    found = []
    for name in services:
        paths = Paths(name)
        listed, resting, ordered = (
            {worker_id_of(child) for child in registry.session.znodes.children(parent) or ()}
            for parent in (paths.members, paths.resting, paths.offline)
        )
        known |= {*listed, *resting, *ordered}
        place = _Place(paths, instance, instance in listed, instance in resting, instance in ordered)
        found += [place] if any(place[2:]) else []
    if not found:
        where = f"at {registry.hosts}" if service is None else f"of {service}"
        raise missing("instance", instance, known, where=where, nothing="no instance is registered there")
    if len(found) > 1:
        names = several([place.paths.service for place in found])
        raise CoordinationError(f"several services have an instance {instance}: {names}; say which with --service")
    return found[0]


def _await(registry: Registry, met: Callable[[Event], bool], timeout: float) -> bool:
    """Waits until ``met`` holds, which is asked again whenever its event is set; False if the time ran out before."""
    changed, give_up_at = Event(), time.monotonic() + timeout
    while not met(changed):
        left = give_up_at - time.monotonic()
        if left <= 0:
            return False
        changed.wait(left)
        changed.clear()
    return True


def _plain(place: _Place) -> dict[str, object]:
    return {"service": place.paths.service, "instance": place.instance}
