"""Whether the names in a config are those of the IDL that a service is served with, for ``zkrpc config``.

``check`` and ``set`` refuse a name that certainly stands for nothing; what cannot be judged is told and is no error.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from zkrpc.cli.registry import connected, require_service
from zkrpc.cli.target import load_interface
from zkrpc.config import ServiceConfig
from zkrpc.coordination import Registry
from zkrpc.errors import ConfigError
from zkrpc.inspection.config_names import UnknownName, has_names, judge_names
from zkrpc.registry.published import ServedInterfaces, served_interfaces

OVERRIDE = "--allow-unknown-names"


class UnknownNames(ConfigError):
    """A config has names that stand for nothing. ``alike`` are those that may have been meant."""

    def __init__(self, message: str, alike: Sequence[str]) -> None:
        super().__init__(message)
        self.alike = tuple(alike)


def interfaces_for_check(
    service: str | None, idl: Sequence[str], zookeeper: str | None, timeout: float
) -> ServedInterfaces | None:
    """The interfaces that the options of ``config check`` name; None if they name none, and nothing is asked then."""
    if service is not None and idl:
        raise click.UsageError("--service and --idl exclude each other: names are compared with one or the other")
    if idl:
        return ServedInterfaces(interfaces=tuple(map(load_interface, idl)))
    if service is None:
        return None
    if zookeeper is None:
        raise click.UsageError("--service is found in ZooKeeper: give --zookeeper HOSTS, or set ZKRPC_ZOOKEEPER")
    with connected(zookeeper, timeout) as registry:
        require_service(registry, service)
        return served_interfaces(registry.session, service)


def check_against(config: ServiceConfig, served: ServedInterfaces, file: str, *, hint: str = "") -> tuple[str, ...]:
    """What could not be judged. Raises UnknownNames for names that stand for nothing; ``hint`` ends its message."""
    judged = judge_names(config, served.interfaces, served.unknown)
    if judged.wrong:
        raise _refusal(judged.wrong, file, hint)
    return judged.notes


def check_for_set(
    config: ServiceConfig, registry: Registry, service: str, file: str, *, allowed: bool
) -> tuple[str, ...]:
    """The same for a config that is to be written; where unknown names are ``allowed``, they are told of only."""
    if not has_names(config):
        return ()
    served = served_interfaces(registry.session, service)
    if not allowed:
        return check_against(
            config, served, file, hint=f"; say {OVERRIDE} if a version that is going to be served has it"
        )
    judged = judge_names(config, served.interfaces, served.unknown)
    return (*map(str, judged.wrong), *judged.notes)


def _refusal(wrong: Sequence[UnknownName], file: str, hint: str) -> UnknownNames:
    alike = [name for one in wrong for name in one.alike]
    if len(wrong) == 1:
        return UnknownNames(f"{file}: {wrong[0]}{hint}", alike)
    lines = "".join(f"\n  {one}" for one in wrong)
    return UnknownNames(f"{file}: {len(wrong)} names stand for nothing{hint}{lines}", alike)


def described(served: ServedInterfaces | None) -> list[dict[str, str]]:
    """The interfaces as JSON values."""
    return [{"name": one.name, "digest": one.digest} for one in (served.interfaces if served is not None else ())]


def named(served: ServedInterfaces) -> str:
    """The interfaces in a line for people; empty if none is known."""
    return ", ".join(f"{one.name} {one.digest[:12]}" for one in served.interfaces)
