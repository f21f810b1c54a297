"""``zkrpc rm``: removes what a service that is no longer served has left in ZooKeeper."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from zkrpc.cli.completion import service_argument
from zkrpc.cli.options import SECONDS, json_option, timeout_option, zookeeper_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import connected, require_service
from zkrpc.election.tree import EpochRecord
from zkrpc.errors import CoordinationError, RemoteProtocolError
from zkrpc.legible import legible
from zkrpc.registry.removal import Remains, note_vacancy, remove, survey
from zkrpc.zookeeper.session import Session

_DAY = 86400.0
_MOST_SHOWN = 5


@click.command()
@service_argument()
@click.option(
    "--unseen", type=SECONDS, default=_DAY, show_default=True, help="Seconds for which nobody must have come or gone."
)
@click.option("--force", is_flag=True, help="Whatever --unseen says, and whatever its epochs are.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@zookeeper_option
@timeout_option
@json_option
def rm(service: str, unseen: float, force: bool, dry_run: bool, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Remove SERVICE, which nobody serves any more: its config, its elections and its place in the list.

    Never one that has an instance. Since when it has had none is not known at first: then that is noted, and the same
    command removes it when nobody has come or gone for as long as --unseen says.
    """
    with connected(zookeeper, timeout) as registry:
        remains = survey(registry.session, require_service(registry, service))
        check_lifeless(remains)
        if not force:
            check_epochs(remains)
            check_unseen(registry.session, remains, unseen, note=not dry_run)
        removed = list(remains.nodes) if dry_run else remove(registry.session, remains)
    if as_json:
        tell_json({"service": service, "removed": removed, "dry_run": dry_run})
        return
    tell(f"{service}: {len(removed)} nodes {'would be removed' if dry_run else 'removed'}")
    for path in removed:
        tell(f"  {path}")


def check_lifeless(remains: Remains) -> None:
    """Raises CoordinationError if an instance is registered, or if there are nodes that are not zkrpc's."""
    service = remains.paths.service
    if living := remains.living:
        raise CoordinationError(f"{service} is alive, stop it first: {_listed(living)}")
    if strange := remains.strange:
        raise CoordinationError(f"{service} has nodes that are not zkrpc's, remove them first: {_listed(strange)}")


def check_epochs(remains: Remains, wall_clock: Callable[[], float] = time.time) -> None:
    """Raises CoordinationError if an epoch would be forgotten that later epochs might not exceed.

    A group's first epoch is above the milliseconds since 1970 at which its primary became a candidate. That is more
    than any epoch before, unless an epoch was raised above the time or cannot be read.
    """
    now = wall_clock() * 1000
    odd = [
        f"{group} {epoch}"
        for group, epoch in sorted(_epochs(remains).items())
        if not epoch.isdigit() or int(epoch) >= now
    ]
    if odd:
        raise CoordinationError(
            f"{remains.paths.service} has epochs that the next ones would not be above ({_listed(odd)}), and "
            "stores may remember them: see docs/fencing.md, and say --force if that is meant"
        )


def check_unseen(
    session: Session, remains: Remains, unseen: float, *, note: bool, wall_clock: Callable[[], float] = time.time
) -> None:
    """Raises CoordinationError if an instance may have been there less than ``unseen`` seconds ago."""
    service, since = remains.paths.service, remains.is_vacant_since
    if since is None:
        if note:
            note_vacancy(session, remains)
        raise CoordinationError(
            f"{service} has no instances, and ZooKeeper does not tell since when; "
            f"{'that is noted now, and ' if note else ''}the same command removes it if nobody has come for {unseen:g} "
            "s after it was noted; --force removes it now"
        )
    age = wall_clock() - since
    if age < unseen:
        raise CoordinationError(
            f"{service} has had no instances for {max(0.0, age):.0f} s, and --unseen says {unseen:g} s; "
            "--force removes it now"
        )


def _epochs(remains: Remains) -> dict[str, str]:
    found = {}
    for group, value in remains.epochs.items():
        try:
            found[group] = str(EpochRecord.parse(value).epoch)
        except RemoteProtocolError:
            found[group] = "unreadable"
    return found


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"{', '.join(map(legible, names[:_MOST_SHOWN]))}{more}"
