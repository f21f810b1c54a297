"""``zkrpc config``: shows, changes and clears the config that operators give to all clients of a service."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, NamedTuple

import click

from zkrpc.cli.completion import service_argument
from zkrpc.cli.options import json_option, timeout_option, zookeeper_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import NoSuchName, connected, no_service, require_service
from zkrpc.config import ServiceConfig
from zkrpc.coordination import Registry
from zkrpc.errors import ConfigError, NodeExists, NodeMissing, OutcomeUnknown, VersionConflict
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import dump_service_config, flatten, parse_service_config
from zkrpc.zookeeper.operations import Stat

_NOT_SET = "not set"


@click.group()
def config() -> None:
    """Show, set or clear the live config of SERVICE: timeouts, retries, hedges and balancing of its clients."""


@config.command()
@service_argument()
@zookeeper_option
@timeout_option
@json_option
def show(service: str, zookeeper: str, timeout: float, as_json: bool) -> None:
    """The config of SERVICE, as ``set`` reads it."""
    with connected(zookeeper, timeout) as registry:
        paths = require_service(registry, service)
        stored = _look(registry, paths)
    if stored.refusal:
        raise ConfigError(
            f"clients refuse what {paths.config} holds: {stored.refusal}; "
            f"replace it: zkrpc config set {service} FILE, or zkrpc config clear {service}"
        )
    document = json.loads(dump_service_config(stored.config))
    if as_json:
        stat = stored.stat
        version, modified_at = (None, None) if stat is None else (stat.version, stat.modified_at)
        told = {"service": service, "version": version, "modified_at": modified_at, "config": document}
        tell_json(told)
        return
    if stored.stat is None:
        tell(f"{service} has no config; its clients do what the IDL and their own code say", err=True)
    for line in json.dumps(document, indent=2).split("\n"):
        tell(line)


@config.command("set")
@service_argument()
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only check FILE and show what would change.")
@click.option("--force", is_flag=True, help="Also for a service that nobody has served so far.")
@zookeeper_option
@timeout_option
@json_option
def set_(
    service: str, file: BinaryIO, dry_run: bool, force: bool, zookeeper: str, timeout: float, as_json: bool
) -> None:
    """Have the clients of SERVICE do what FILE (- for standard input) says, from their next call on."""
    paths = Paths(service)
    with connected(zookeeper, timeout) as registry:
        wanted = _read(file, registry.config.max_record)
        known = registry.session.znodes.exists(paths.members) is not None
        stored = _look(registry, paths)
        if not known and stored.stat is None and not force and not dry_run:
            unknown = no_service(registry, service)
            raise NoSuchName(f"{unknown}; say --force if it is going to be served", unknown.alike)
        changes = _changes(stored.config, wanted)
        needed = bool(changes or stored.refusal)
        if needed and not dry_run:
            _write(registry, paths, dump_service_config(wanted), stored.stat)
    if as_json:
        _tell_changes(service, changes, written=needed and not dry_run)
        return
    if stored.refusal:
        tell(f"what was there is refused by clients: {stored.refusal}", err=True)
    if not known:
        tell(f"no instance of {service} has registered so far; is the name right?", err=True)
    tell(_headline(service, changes, needed, dry_run))
    _print_changes(changes)


@config.command()
@service_argument()
@zookeeper_option
@timeout_option
@json_option
def clear(service: str, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Leave the clients of SERVICE to the IDL and their own code."""
    with connected(zookeeper, timeout) as registry:
        paths = require_service(registry, service)
        stored = _look(registry, paths)
        if stored.stat is not None:
            _write(registry, paths, None, stored.stat)
    changes = _changes(stored.config, ServiceConfig())
    if as_json:
        _tell_changes(service, changes, written=stored.stat is not None)
        return
    tell(f"{service}: {'it had no config' if stored.stat is None else 'config cleared'}")
    _print_changes(changes)


class _Stored(NamedTuple):
    """The config that ZooKeeper holds now: an empty one if there is no node, or one that cannot be used."""

    config: ServiceConfig
    stat: Stat | None
    refusal: str


class _Change(NamedTuple):
    """One value that changes; None stands for a value that is not set."""

    path: str
    old: Any
    new: Any


def _read(file: BinaryIO, max_size: int) -> ServiceConfig:
    try:
        return parse_service_config(file.read(max_size + 1), max_size=max_size)
    except ConfigError as error:
        raise ConfigError(f"{getattr(file, 'name', '-')}: {error}") from error


def _look(registry: Registry, paths: Paths) -> _Stored:
    found = registry.session.znodes.get(paths.config)
    if found is None:
        return _Stored(ServiceConfig(), None, "")
    payload, stat = found
    try:
        return _Stored(parse_service_config(payload, max_size=registry.config.max_record), stat, "")
    except ConfigError as error:
        return _Stored(ServiceConfig(), stat, str(error))


def _write(registry: Registry, paths: Paths, payload: bytes | None, seen: Stat | None) -> None:
    """Replaces the version that was read, or deletes it. VersionConflict if the node has changed meanwhile."""
    session, path, look = registry.session, paths.config, f"zkrpc config show {paths.service}"
    try:
        if seen is None:
            session.znodes.ensure_path(paths.root)
            session.znodes.create(path, payload or b"")
        elif payload is None:
            session.znodes.delete(path, seen.version)
        else:
            session.znodes.set(path, payload, seen.version)
    except (NodeExists, NodeMissing, VersionConflict) as error:
        message = f"somebody else changed the config of {paths.service} meanwhile; look at it and try again: {look}"
        raise VersionConflict(message) from error
    except OutcomeUnknown as error:
        raise OutcomeUnknown(f"{error}; see what came of it: {look}") from error


def _changes(old: ServiceConfig, new: ServiceConfig) -> list[_Change]:
    before, after = flatten(old), flatten(new)
    paths = [*after, *(path for path in before if path not in after)]
    changes = [_Change(path, before.get(path), after.get(path)) for path in paths]
    return [change for change in changes if change.old != change.new]


def _headline(service: str, changes: list[_Change], needed: bool, dry_run: bool) -> str:
    if not needed:
        return f"{service}: nothing changes"
    if not changes:
        return f"{service}: the bad config {'would be' if dry_run else 'is'} replaced"
    count = f"{len(changes)} value{'s' if len(changes) != 1 else ''}"
    return f"{service}: {count} {'would change' if dry_run else 'changed'}"


def _print_changes(changes: list[_Change]) -> None:
    for path, old, new in changes:
        tell(f"  {path}: {_shown(old)} -> {_shown(new)}")


def _shown(value: Any) -> str:
    return _NOT_SET if value is None else json.dumps(value)


def _tell_changes(service: str, changes: list[_Change], *, written: bool) -> None:
    tell_json({"service": service, "written": written, "changes": [change._asdict() for change in changes]})
