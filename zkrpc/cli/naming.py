"""Names that are not there, and those that were perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from zkrpc.coordination import Registry
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.legible import legible
from zkrpc.registry.schema import SERVICES, Paths, check_name

_MOST_SHOWN = 8


class NoSuchName(CoordinationError):
    """Nothing of that name is there. ``alike`` are the names like it, most alike first."""

    def __init__(self, message: str, alike: Iterable[str]) -> None:
        super().__init__(message)
        self.alike = tuple(alike)


def missing(what: str, name: str, known: Iterable[str], *, where: str, nothing: str) -> NoSuchName:
    """The error for a ``name`` that is not among the ``known`` ones; ``nothing`` is said if there are none at all."""
    names = sorted(known)
    return NoSuchName(f"there is no {what} {name!r} {where}; {hint(name, names) or nothing}", find_alike(name, names))


def find_alike(name: str, known: Sequence[str]) -> list[str]:
    """Those of the ``known`` names that ``name`` may have been meant to be."""
    return difflib.get_close_matches(name, known, n=3, cutoff=0.6)


def hint(name: str, known: Sequence[str]) -> str:
    """What may have been meant, or else what there is; empty if there is nothing."""
    if alike := find_alike(name, known):
        return f"did you mean {' or '.join(map(legible, alike))}?"
    more = f" and {len(known) - _MOST_SHOWN} more" if len(known) > _MOST_SHOWN else ""
    return f"there are {', '.join(map(legible, known[:_MOST_SHOWN]))}{more}" if known else ""


def no_service(registry: Registry, service: str) -> NoSuchName:
    """The error for a service that nobody has served."""
    names = [name for name in services_of(registry)[0] if name != service]
    return missing("service", service, names, where=f"at {registry.hosts}", nothing="nothing has been served there")


def services_of(registry: Registry) -> tuple[list[str], list[str]]:
    """The services' names in order, and the names beside them that cannot be a service's."""
    good, strange = [], []
    for name in sorted(registry.session.children(SERVICES) or ()):
        try:
            good.append(check_name("service name", name))
        except ConfigError:
            strange.append(name)
    return good, strange


def require_service(registry: Registry, service: str) -> Paths:
    """The paths of a service that somebody has served or configured. Raises NoSuchName if nobody has, ConfigError for
    what is no service's name."""
    paths = Paths(service)
    if registry.session.exists(paths.root) is None:
        raise no_service(registry, service)
    return paths
