"""``zkrpc idl``: compares versions of an IDL, and shows the one that a service is served with."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click

from zkrpc.cli.options import json_option, security_option, timeout_option, zookeeper_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import connected, require_service
from zkrpc.errors import IdlError, RpcError
from zkrpc.idl.compatibility import Break, Level, Severity, compare, read_file, read_text
from zkrpc.idl.source import Source
from zkrpc.registry.published import newest_publication, text_of_publication

_REGISTRY = "registry:"
_LEVELS = {level.word: level for level in Level}
_MOST_METHODS = 6


@click.group()
def idl() -> None:
    """Compare versions of an IDL, or show the one that a service is served with."""


class CannotCompare(click.ClickException):
    """One of the two versions cannot be had, or cannot be read."""

    exit_code = 2


class _Version(NamedTuple):
    """One side of the comparison."""

    given: str
    source: Source
    interface: str | None
    """The one interface that counts: the one of a service that is served; None for a file."""


@idl.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--level",
    type=click.Choice(list(_LEVELS)),
    default=Level.POLICY.word,
    show_default=True,
    help="How much must not break; each level contains the ones before it.",
)
@click.option("-I", "--include", "include_dirs", multiple=True, metavar="DIR", help="Where included files are, too.")
@click.option("--zookeeper", envvar="ZKRPC_ZOOKEEPER", metavar="HOSTS", help="host:port,…[/chroot], for registry:.")
@security_option
@timeout_option
@json_option
def check(
    old: str,
    new: str,
    level: str,
    include_dirs: tuple[str, ...],
    zookeeper: str | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Whether NEW breaks those who rely on OLD. Each is a file, or registry:SERVICE for what is served now.

    Exit status: 0 if nothing breaks, 1 if something does, 2 if they cannot be compared.
    """
    try:
        with _versions((old, new), include_dirs, zookeeper, timeout) as (before, after):
            breaks = compare(before.source, after.source, services=_services(before, after))
    except RpcError as error:
        raise CannotCompare(str(error)) from error
    told = [some for some in breaks if some.rule.level <= _LEVELS[level]]
    errors = sum(some.rule.severity is Severity.ERROR for some in told)
    if as_json:
        tell_json({"old": old, "new": new, "level": level, "compatible": not errors, "breaks": [*map(plain, told)]})
    else:
        for line in render(told):
            tell(line)
        warnings = f", {_counted(len(told) - errors, 'warning')}" if len(told) > errors else ""
        tell(f"{new}: {_counted(errors, 'break') if errors else 'compatible'}{warnings}", err=True)
    sys.exit(1 if errors else 0)


@idl.command()
@click.argument("service")
@click.argument("interface", default="")
@zookeeper_option
@timeout_option
@json_option
def show(service: str, interface: str, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Print the IDL that SERVICE is served with; of several, that of the instance that was started last. INTERFACE
    names one that is served beside the default one."""
    with connected(zookeeper, timeout) as registry:
        require_service(registry, service)
        newest = newest_publication(registry.session, service, interface)
        text = text_of_publication(registry.session, newest)
    if as_json:
        tell_json({"service": service, "interface": newest.interface, "digest": newest.digest, "text": text})
        return
    for line in text.splitlines():
        tell(line)


def plain(some: Break) -> dict[str, Any]:
    """A break as a JSON value."""
    return {
        "rule": some.rule.name,
        "level": some.rule.level.word,
        "severity": some.rule.severity.value,
        "subject": some.subject,
        "change": some.change,
        "reason": some.rule.reason,
        "remedy": some.rule.remedy,
        "file": some.file,
        "line": some.line,
        "before": some.before,
        "methods": list(some.methods),
    }


def render(breaks: Sequence[Break]) -> Iterator[str]:
    """The lines for people: the place and what is broken, then what to do and what it concerns."""
    for some in breaks:
        yield f"{some}{' (a warning)' if some.rule.severity is Severity.WARNING else ''}"
        yield f"    instead: {some.rule.remedy}"
        if some.before and not some.before.startswith(f"{some.file}:"):
            yield f"    before: {some.before}"
        if some.methods and some.methods != (some.subject,):
            more = f" and {len(some.methods) - _MOST_METHODS} more" if len(some.methods) > _MOST_METHODS else ""
            yield f"    concerns {', '.join(some.methods[:_MOST_METHODS])}{more}"


@contextlib.contextmanager
def _versions(
    given: Sequence[str], include_dirs: Sequence[str], zookeeper: str | None, timeout: float
) -> Iterator[list[_Version]]:
    if not any(some.startswith(_REGISTRY) for some in given):
        yield [_Version(some, read_file(some, include_dirs=include_dirs), None) for some in given]
        return
    if zookeeper is None:
        raise click.UsageError(f"{_REGISTRY}SERVICE needs --zookeeper or ZKRPC_ZOOKEEPER")
    with connected(zookeeper, timeout) as registry:
        versions = []
        for some in given:
            if some.startswith(_REGISTRY):
                require_service(registry, service := some.removeprefix(_REGISTRY))
                newest = newest_publication(registry.session, service)
                text = text_of_publication(registry.session, newest)
                versions.append(_Version(some, read_text(text, name=f"{service}.thrift"), newest.interface))
            else:
                versions.append(_Version(some, read_file(some, include_dirs=include_dirs), None))
        yield versions


def _services(old: _Version, new: _Version) -> tuple[str, str] | None:
    """The one service to compare, if one of the two is served as such."""
    if old.interface is None and new.interface is None:
        return None
    names = old.interface or new.interface or "", new.interface or old.interface or ""
    for version, name in zip((old, new), names):
        definition = version.source.definitions.get(name)
        if definition is None or definition.kind != "service":
            raise IdlError(f"no service {name} to compare with the one of the other version", file=version.source.name)
    return names


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
