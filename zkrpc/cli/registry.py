"""What the commands that ask ZooKeeper have in common: how they connect, and errors about names that do not exist.

Such an error suggests similar names that may have been meant, or lists the names that there are.
"""

from __future__ import annotations

import contextlib
import difflib
import getpass
import logging
import os
import platform
from collections.abc import Iterable, Iterator, Sequence

from zkrpc.cli.options import CONNECT_TIMEOUT
from zkrpc.config import RegistryConfig
from zkrpc.coordination import Registry
from zkrpc.errors import CoordinationError, OutcomeUnknown, SessionSuspended
from zkrpc.inspection.survey import Survey
from zkrpc.legible import legible
from zkrpc.registry.foreign import Tree, is_tree
from zkrpc.registry.schema import Paths

_MOST_SHOWN = 8
_LONGEST_OPERATOR = 200


@contextlib.contextmanager
def connected(
    zookeeper: str, timeout: float = CONNECT_TIMEOUT, config: RegistryConfig | None = None
) -> Iterator[Registry]:
    """Gives a registry that is connected and whose chroot exists. Raises CoordinationError, which says what to try, if
    that is not so within ``timeout`` seconds, and where a request of the block is not answered why that may be."""
    with _in_one_line(), Registry(zookeeper, config=config) as registry:
        if not registry.session.wait_connected(timeout):
            if registry.session.refusal:
                raise CoordinationError(registry.session.refusal)
            reason = registry.session.explain()
            raise CoordinationError(f"no ZooKeeper at {zookeeper} within {timeout:g} s: {reason}")
        if missing := registry.session.znodes.explain_missing_chroot(timeout=timeout):
            raise CoordinationError(missing)
        try:
            yield registry
        except SessionSuspended as error:
            raise SessionSuspended(f"{error}: {registry.session.explain()}; try again when it answers") from error
        except OutcomeUnknown as error:
            why = registry.session.explain()
            raise OutcomeUnknown(f"{error}: {why}; if it was to change something, see first whether it has") from error


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """Silences the session's log while it connects, as the error says the same; ``--verbose`` shows both."""
    log = logging.getLogger("zkrpc.zookeeper.session")
    before = log.level
    if log.getEffectiveLevel() > logging.DEBUG:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def operator() -> str:
    """Who types this command, ``user@host``: for colleagues who read it later, not for any right."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{platform.node()}"[:_LONGEST_OPERATOR]


class NoSuchName(CoordinationError):
    """There is nothing of that name. ``alike`` are similar names, the most similar first."""

    def __init__(self, message: str, alike: Iterable[str]) -> None:
        super().__init__(message)
        self.alike = tuple(alike)


def missing(what: str, name: str, known: Iterable[str], *, where: str, nothing: str) -> NoSuchName:
    """The error for a ``name`` that is not among the ``known`` ones; ``nothing`` is the message if there are no names
    at all."""
    names = sorted(known)
    return NoSuchName(f"there is no {what} {name!r} {where}; {hint(name, names) or nothing}", find_alike(name, names))


def find_alike(name: str, known: Sequence[str]) -> list[str]:
    """The ``known`` names that may have been meant by ``name``: those with the name of an interface before it, or else
    those that look alike."""
    return [one for one in known if one.endswith(f":{name}")] or difflib.get_close_matches(name, known, n=3, cutoff=0.6)


def hint(name: str, known: Sequence[str]) -> str:
    """Names that may have been meant, or else all that there are, as text; empty if there are none."""
    if alike := find_alike(name, known):
        return f"did you mean {' or '.join(map(legible, alike))}?"
    more = f" and {len(known) - _MOST_SHOWN} more" if len(known) > _MOST_SHOWN else ""
    return f"there are {', '.join(map(legible, known[:_MOST_SHOWN]))}{more}" if known else ""


def no_service(registry: Registry, service: str) -> NoSuchName:
    """The error for a service that was never served."""
    names = [name for name in services_of(registry)[0] if name != service]
    return missing("service", service, names, where=f"at {registry.hosts}", nothing="nothing has been served there")


def services_of(registry: Registry) -> tuple[list[str], list[str]]:
    """The names of all services in order, and the other names found beside them, which cannot be a service's."""
    return Survey(registry).services()


def require_members(registry: Registry, service: str) -> Paths | None:
    """As :func:`require_service`, for commands that look at members: ``service`` may be the text of a tree of another
    library's as well, which has no such paths. Raises CoordinationError if there is nothing at its path."""
    if not is_tree(service):
        return require_service(registry, service)
    path = Tree.parse(service).path
    if registry.session.znodes.exists(path) is None:
        raise CoordinationError(
            f"there is nothing at {path} in the ZooKeeper at {registry.hosts}; the path starts there"
        )
    return None


def require_service(registry: Registry, service: str) -> Paths:
    """The paths of a service that was served or configured at some time. Raises NoSuchName if it never was, ConfigError
    for what cannot be a service's name."""
    paths = Paths(service)
    if registry.session.znodes.exists(paths.root) is None:
        raise no_service(registry, service)
    return paths
