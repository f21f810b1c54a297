"""``zkrpc acl``: whether the access lists of nodes are what they should be, and putting them right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from zkrpc.cli.completion import service_argument
from zkrpc.cli.options import json_option, timeout_option, zookeeper_option
from zkrpc.cli.output import counted, ending_with, several, tell, tell_json
from zkrpc.cli.registry import connected, require_service, services_of
from zkrpc.coordination import Registry
from zkrpc.errors import ConfigError
from zkrpc.inspection.acls import NodeState, StrangersNode, find_strangers, is_others, mend, our_names, survey_access
from zkrpc.zookeeper.access import Identity


@click.group()
def acl() -> None:
    """Whose the nodes are: compare, and put right."""


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (json_option, timeout_option, zookeeper_option, service_argument(required=False)):
        command = option(command)
    return command


@acl.command()
@_common
def check(service: str | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """List the nodes of SERVICE, or of all our services, whose access lists are not as if we had made them.

    Without SERVICE also the nodes of strangers beside ours: of whoever is neither us nor among the owners and users of
    the settings. If these name no users, strangers cannot be told from others who may be there, and are only listed.

    Exit status: 0 if there are none, 1 if there are some. It reads only.
    """
    with connected(zookeeper, timeout) as registry:
        found, count, us = _look(registry, service)
        strangers = find_strangers(registry, us) if service is None else []
        are_known = bool(registry.session.security.users)
    wrong = len(found) + (len(strangers) if are_known else 0)
    with ending_with(1 if wrong else 0):
        if as_json:
            others = [{"path": one.path, "owners": list(map(str, one.owners))} for one in strangers]
            tell_json({**_plain(service, us, count, found), "wrong": wrong, "strangers": others})
            return
        _tell(found, lambda state: "WRONG    " if state.ours else "FOREIGN  ")
        _tell_strangers(strangers, are_known)
        tell(f"{counted(count, 'node')} seen as {_names(us)}: {wrong} not as they should be")


@acl.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be put right.")
@_common
def fix(dry_run: bool, service: str | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Give the nodes of SERVICE, or of all our services, the access lists as if we had made them.

    First give every process the credentials: those without can register no more. Exit status: 0 if all are as they
    should be now (or would be, with --dry-run), 1 if some are not ours to put right.
    """
    with connected(zookeeper, timeout) as registry:
        found, count, us = _look(registry, service)
        if not dry_run:
            found = list(mend(registry, found, us))
    left = [state for state in found if state.error or not state.ours]
    with ending_with(1 if left else 0):
        if as_json:
            tell_json({**_plain(service, us, count, found), "dry_run": dry_run, "left": len(left)})
            return
        _tell(found, lambda state: _outcome(state, dry_run))
        done = "would be put right" if dry_run else "put right"
        tell(f"{counted(count, 'node')} seen as {_names(us)}: {len(found) - len(left)} {done}, {len(left)} left")


def _look(registry: Registry, service: str | None) -> tuple[list[NodeState], int, tuple[Identity, ...]]:
    if not registry.session.security.is_known:
        raise ConfigError(
            "whose the nodes should be follows from credentials, and there are none: give --zookeeper-security FILE, "
            "or set ZKRPC_ZOOKEEPER_USERNAME and its like (docs/zookeeper-security.md)"
        )
    if service is not None:
        require_service(registry, service)
    us = our_names(registry)
    if service is None:
        names = [one for one in services_of(registry)[0] if not is_others(registry, one, us)]
    else:
        names = [service]
    found, count = survey_access(registry, names, us)
    return found, count, us


def _outcome(state: NodeState, dry_run: bool) -> str:
    if not state.ours:
        return "FOREIGN  "
    return "FAILED   " if state.error else "would fix" if dry_run else "fixed    "


def _tell(found: Sequence[NodeState], mark: Callable[[NodeState], str]) -> None:
    for state in found:
        why = f"; {state.error}" if state.error else ""
        tell(f"{mark(state)} {state.path}: {'; '.join(state.differences)}{why}")
    if any(not state.ours for state in found):
        tell("          FOREIGN ones are for their owners to put right: have them run zkrpc acl fix")


def _tell_strangers(strangers: Sequence[StrangersNode], are_known: bool) -> None:
    if are_known:
        for one in strangers:
            tell(f"STRANGER  {one.path}: it belongs to {_names(one.owners)}, whom the settings do not name")
        if strangers:
            tell(
                "          name those whom you know in users or owners; have the others' nodes deleted by whoever made"
            )
            tell("          the parent, or ZooKeeper's super user, and let zkrpc acl fix keep them from making more")
    elif strangers:
        paths, owners = [one.path for one in strangers], sorted({str(who) for one in strangers for who in one.owners})
        tell(f"note: {counted(len(strangers), 'node')} beside ours belong to {several(owners)}: {several(paths)}")
        tell(
            "      name the users whom you know in the settings, and what is others' is found (and kept out by acl fix)"
        )


def _names(us: Sequence[Identity]) -> str:
    return ", ".join(map(str, us))


def _plain(service: str | None, us: Sequence[Identity], count: int, found: Sequence[NodeState]) -> dict[str, Any]:
    nodes = [
        {"path": one.path, "differences": list(one.differences), "ours": one.ours, "error": one.error} for one in found
    ]
    return {"service": service, "as": list(map(str, us)), "seen": count, "wrong": len(found), "nodes": nodes}
