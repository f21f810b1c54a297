"""Reads and writes a service's config and its versions, for commands and pages.

A shell around :mod:`zkrpc.registry.config_history`. A change fails if anybody else has changed the config since it was
looked at, so that nobody's change is overwritten unseen.
"""

from __future__ import annotations

from zkrpc.errors import CoordinationError, NodeExists, NodeMissing, OutcomeUnknown, VersionConflict
from zkrpc.registry.config_history import ConfigVersion, Present, numbers_of, path_of, plan_change
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.session import Session


def look_at_config(session: Session, paths: Paths) -> Present:
    """What there is now. The config is read first: a change between the two reads makes a write fail."""
    found = session.znodes.get(paths.config)
    numbers = numbers_of(session.znodes.children(paths.config_history) or ())
    newest = _read_version(session, paths, numbers[-1]) if numbers else None
    return Present(
        value=None if found is None else found[0],
        version=-1 if found is None else found[1].version,
        numbers=tuple(numbers),
        newest=newest,
    )


def read_versions(session: Session, paths: Paths, present: Present, most: int | None = None) -> list[ConfigVersion]:
    """The newest first, ``most`` of them; and before them what is there, if it is no version."""
    found = [_read_version(session, paths, number) for number in [*reversed(present.numbers)][:most]]
    unrecorded = [] if present.is_recorded else [ConfigVersion(number=present.number, text=present.text)]
    return [*unrecorded, *(one for one in found if one is not None)]


def text_of_version(session: Session, paths: Paths, present: Present, number: int) -> str | None:
    """The config of that version; None for none. Raises CoordinationError for a version that is not there."""
    if number == 0:
        return None
    if number == present.number:
        return present.text
    version = _read_version(session, paths, number)
    if version is None:
        kept = f"there are {present.numbers[0]} to {present.number}" if present.numbers else "there are none"
        raise CoordinationError(f"the config of {paths.service} has no version {number}; {kept}")
    return version.text


def write_config(
    session: Session, paths: Paths, present: Present, payload: bytes | None, *, by: str, reason: str
) -> None:
    """Makes the config and its version, in one transaction. VersionConflict if somebody else was faster."""
    look = f"zkrpc config show {paths.service}"
    operations = plan_change(paths, present, payload, by=by, reason=reason)
    try:
        session.znodes.ensure_path(paths.config_history)
        session.znodes.multi(operations)
    except (NodeExists, NodeMissing, VersionConflict) as error:
        message = f"somebody else changed the config of {paths.service} meanwhile; look at it and try again: {look}"
        raise VersionConflict(message) from error
    except OutcomeUnknown as error:
        raise OutcomeUnknown(f"{error}; see what came of it: {look}") from error


def _read_version(session: Session, paths: Paths, number: int) -> ConfigVersion | None:
    found = session.znodes.get(path_of(paths, number))
    return None if found is None else ConfigVersion.parse(number, found[0], found[1].modified_at)
