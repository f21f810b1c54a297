"""``zkrpc config``: shows, changes and clears the config that operators give to all clients of a service.

Every change is a version with its author, time and reason, and can be undone. Each is one transaction that fails if
somebody else has changed the config since it was read, so that nobody's change is overwritten unseen.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, BinaryIO

import click

from zkrpc.cli.completion import complete_services, service_argument
from zkrpc.cli.config_names import OVERRIDE, check_against, check_for_set, described, interfaces_for_check, named
from zkrpc.cli.options import json_option, security_option, timeout_option, zookeeper_option
from zkrpc.cli.output import counted, tell, tell_json, tell_table
from zkrpc.cli.registry import NoSuchName, connected, no_service, operator, require_service
from zkrpc.config import ServiceConfig
from zkrpc.coordination import Registry
from zkrpc.errors import ConfigError, VersionConflict
from zkrpc.legible import moment
from zkrpc.registry.config_history import ConfigChange, ConfigVersion, Present, changes_between
from zkrpc.registry.config_store import look_at_config, read_versions, text_of_version, write_config
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import dump_service_config, flatten, parse_service_config

_NOT_SET = "not set"
_COLUMNS = ("VERSION", "WRITTEN", "BY", "VALUES", "REASON")

_reason_option = click.option("--reason", default="", help="For colleagues who look at the history.")
_dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what would change.")


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
        present = look_at_config(registry.session, paths)
        node = registry.session.znodes.exists(paths.config)
    stored, refusal = _parsed(registry, present)
    if refusal:
        raise ConfigError(
            f"clients refuse what {paths.config} holds: {refusal}; "
            f"replace it: zkrpc config set {service} FILE, or zkrpc config clear {service}"
        )
    document = json.loads(dump_service_config(stored))
    if as_json:
        modified_at = None if node is None else node.modified_at
        number = None if present.value is None else present.number
        tell_json({"service": service, "version": number, "modified_at": modified_at, "config": document})
        return
    if present.value is None:
        tell(f"{service} has no config; its clients do what the IDL and their own code say", err=True)
    for line in json.dumps(document, indent=2).split("\n"):
        tell(line)


@config.command("set")
@service_argument()
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Only check FILE and show what would change.")
@click.option("--force", is_flag=True, help="Also for a service that nobody has served so far.")
@click.option(
    "--expect", type=click.IntRange(0), help="Only if the config is still at this version, which FILE is from."
)
@click.option(OVERRIDE, "unknown_names", is_flag=True, help="Also if it names methods that no instance's IDL has.")
@_reason_option
@zookeeper_option
@timeout_option
@json_option
def set_(
    service: str,
    file: BinaryIO,
    dry_run: bool,
    force: bool,
    expect: int | None,
    unknown_names: bool,
    reason: str,
    zookeeper: str,
    timeout: float,
    as_json: bool,
) -> None:
    """Have the clients of SERVICE do what FILE (- for standard input) says, from their next call on."""
    paths = Paths(service)
    with connected(zookeeper, timeout) as registry:
        wanted = _read(file, registry.config.max_record)
        known = registry.session.znodes.exists(paths.members) is not None
        present = look_at_config(registry.session, paths)
        if not known and present.value is None and not force and not dry_run:
            unknown = no_service(registry, service)
            raise NoSuchName(f"{unknown}; say --force if it is going to be served", unknown.alike)
        if expect is not None and expect != present.number:
            raise VersionConflict(
                f"the config of {service} is at version {present.number}, not {expect}; see what has changed: "
                f"zkrpc config diff {service} {expect}"
            )
        notes = check_for_set(wanted, registry, service, _named(file), allowed=unknown_names) if known else ()
        stored, refusal = _parsed(registry, present)
        changes = changes_between(flatten(stored), flatten(wanted))
        needed = bool(changes or refusal)
        write = needed and not dry_run
        if write:
            write_config(registry.session, paths, present, dump_service_config(wanted), by=operator(), reason=reason)
    if as_json:
        _tell_changes(service, changes, written=write, number=present.number + write, notes=notes)
        return
    for note in notes:
        tell(f"note: {note}", err=True)
    if refusal:
        tell(f"what was there is refused by clients: {refusal}", err=True)
    if not known:
        tell(f"no instance of {service} has registered so far; is the name right?", err=True)
    tell(_headline(service, changes, needed, dry_run))
    _print_changes(changes)


@config.command()
@service_argument()
@_reason_option
@zookeeper_option
@timeout_option
@json_option
def clear(service: str, reason: str, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Leave the clients of SERVICE to the IDL and their own code."""
    with connected(zookeeper, timeout) as registry:
        paths = require_service(registry, service)
        present = look_at_config(registry.session, paths)
        there = present.value is not None
        if there:
            write_config(registry.session, paths, present, None, by=operator(), reason=reason)
    changes = changes_between(flatten(_parsed(registry, present)[0]), {})
    if as_json:
        _tell_changes(service, changes, written=there, number=present.number + there)
        return
    tell(f"{service}: {'config cleared' if there else 'it had no config'}")
    _print_changes(changes)


@config.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--service", shell_complete=complete_services, help="Also compare the names in it with the IDL it publishes."
)
@click.option(
    "--idl", multiple=True, metavar="FILE[:SERVICE]", help="Also compare the names in it with this IDL, or these."
)
@click.option("--zookeeper", envvar="ZKRPC_ZOOKEEPER", metavar="HOSTS", help="host:port,…[/chroot], for --service.")
@security_option
@timeout_option
@json_option
def check(
    file: BinaryIO, service: str | None, idl: tuple[str, ...], zookeeper: str | None, timeout: float, as_json: bool
) -> None:
    """Say whether clients would accept FILE (- for standard input); writes nothing.

    With --service or --idl a method that is not there is an error, too. Only --service needs ZooKeeper.
    """
    wanted = _read(file, _LARGEST)
    values = flatten(wanted)
    served = interfaces_for_check(service, idl, zookeeper, timeout)
    notes = () if served is None else check_against(wanted, served, _named(file))
    if as_json:
        told = {"file": _named(file), "good": True, "values": values}
        tell_json({**told, "interfaces": described(served), "notes": list(notes)})
        return
    for note in notes:
        tell(f"note: {note}", err=True)
    compared = named(served) if served is not None else ""
    tell(
        f"{_named(file)}: clients accept it, {counted(len(values), 'value')}"
        + (f"; compared with {compared}" if compared else "")
    )


@config.command()
@service_argument()
@zookeeper_option
@timeout_option
@json_option
def history(service: str, zookeeper: str, timeout: float, as_json: bool) -> None:
    """The versions of SERVICE's config, the newest first."""
    with connected(zookeeper, timeout) as registry:
        paths = require_service(registry, service)
        versions = read_versions(registry.session, paths, look_at_config(registry.session, paths))
    if as_json:
        tell_json({"service": service, "versions": [_plain(one) for one in versions]})
    elif versions:
        tell_table(_COLUMNS, [_row(one) for one in versions])
    else:
        tell(f"{service}: its config was never changed by zkrpc config", err=True)


@config.command()
@service_argument()
@click.argument("old", type=click.IntRange(0), required=False)
@click.argument("new", type=click.IntRange(0), required=False)
@zookeeper_option
@timeout_option
@json_option
def diff(service: str, old: int | None, new: int | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """What version NEW of SERVICE's config (by default the present one) says otherwise than OLD (the one before it).

    Version 0 is no config.
    """
    with connected(zookeeper, timeout) as registry:
        paths = require_service(registry, service)
        present = look_at_config(registry.session, paths)
        after_number = present.number if new is None else new
        before_number = max(0, after_number - 1) if old is None else old
        before, after = (_values(registry, paths, present, number) for number in (before_number, after_number))
    changes = changes_between(before, after)
    if as_json:
        told = [dataclasses.asdict(one) for one in changes]
        tell_json({"service": service, "old": before_number, "new": after_number, "changes": told})
        return
    differ = "differs" if len(changes) == 1 else "differ"
    tell(f"{service}: {counted(len(changes), 'value')} {differ} from version {before_number} to {after_number}")
    _print_changes(changes)


@config.command()
@service_argument()
@click.argument("version", type=click.IntRange(0), required=False)
@_dry_run_option
@_reason_option
@zookeeper_option
@timeout_option
@json_option
def rollback(
    service: str, version: int | None, dry_run: bool, reason: str, zookeeper: str, timeout: float, as_json: bool
) -> None:
    """Make the config of SERVICE what it was at VERSION, by default at the one before the present.

    That is a new version; nothing is lost, and it can be rolled back as well.
    """
    with connected(zookeeper, timeout) as registry:
        paths = require_service(registry, service)
        present = look_at_config(registry.session, paths)
        number = max(0, present.number - 1) if version is None else version
        text = text_of_version(registry.session, paths, present, number)
        wanted = None if text is None else dump_service_config(_parse(text.encode(), registry.config.max_record))
        changes = changes_between(flatten(_parsed(registry, present)[0]), _values(registry, paths, present, number))
        needed = present.value != wanted
        if needed and not dry_run:
            write_config(
                registry.session,
                paths,
                present,
                wanted,
                by=operator(),
                reason=reason or f"rolled back to version {number}",
            )
    if as_json:
        _tell_changes(
            service, changes, written=needed and not dry_run, number=present.number + (needed and not dry_run)
        )
        return
    headline = _headline(service, changes, needed, dry_run)
    tell(f"{headline}, as at version {number}" if needed else headline)
    _print_changes(changes)


_LARGEST = 65536
"""Bytes of a config that clients read; ``RegistryConfig.max_record``."""


def _read(file: BinaryIO, max_size: int) -> ServiceConfig:
    try:
        return _parse(file.read(max_size + 1), max_size)
    except ConfigError as error:
        raise ConfigError(f"{_named(file)}: {error}") from error


def _named(file: BinaryIO) -> str:
    return str(getattr(file, "name", "-"))


def _parse(payload: bytes, max_size: int) -> ServiceConfig:
    return parse_service_config(payload, max_size=max_size)


def _parsed(registry: Registry, present: Present) -> tuple[ServiceConfig, str]:
    """The config that is there, and why clients refuse it; an empty one if there is none, or if they do."""
    if present.value is None:
        return ServiceConfig(), ""
    try:
        return _parse(present.value, registry.config.max_record), ""
    except ConfigError as error:
        return ServiceConfig(), str(error)


def _values(registry: Registry, paths: Paths, present: Present, number: int) -> dict[str, Any]:
    """The values of that version. Raises ConfigError for one that clients refused."""
    text = text_of_version(registry.session, paths, present, number)
    try:
        return {} if text is None else flatten(_parse(text.encode(), registry.config.max_record))
    except ConfigError as error:
        raise ConfigError(f"version {number} is one that clients refuse: {error}") from error


def _headline(service: str, changes: Sequence[ConfigChange], needed: bool, dry_run: bool) -> str:
    if not needed:
        return f"{service}: nothing changes"
    if not changes:
        return f"{service}: the bad config {'would be' if dry_run else 'is'} replaced"
    return f"{service}: {counted(len(changes), 'value')} {'would change' if dry_run else 'changed'}"


def _print_changes(changes: Sequence[ConfigChange]) -> None:
    for one in changes:
        tell(f"  {one.path}: {_shown(one.old)} -> {_shown(one.new)}")


def _shown(value: Any) -> str:
    return _NOT_SET if value is None else json.dumps(value)


def _tell_changes(
    service: str, changes: Sequence[ConfigChange], *, written: bool, number: int, notes: Sequence[str] = ()
) -> None:
    told = [dataclasses.asdict(one) for one in changes]
    tell_json({"service": service, "written": written, "version": number, "changes": told, "notes": list(notes)})


def _plain(one: ConfigVersion) -> dict[str, Any]:
    return {**dataclasses.asdict(one), "config": one.text}


def _row(one: ConfigVersion) -> tuple[str, ...]:
    written = moment(one.at) if one.at else "-"
    return str(one.number), written, one.by or "-", _count(one), one.reason or "-"


def _count(one: ConfigVersion) -> str:
    if one.text is None:
        return "no config"
    try:
        return str(len(flatten(_parse(one.text.encode(), _LARGEST))))
    except ConfigError:
        return "refused by clients"
