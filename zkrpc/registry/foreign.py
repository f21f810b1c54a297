"""Where other libraries look for members, or keep them: a ServerSet at any path, or a service of Curator's.

Values only. A :class:`Tree` has a text form, which targets and options are written in, and says which of a node's
children are members, what their ids are, and what a node has to be called and to hold so that a reader of that library
finds it. What is in the records is :mod:`zkrpc.registry.formats`' business.

::

    /aurora/role/prod/job                                   read what is there, in either format
    serverset:/aurora/role/prod/job                         members, as Finagle looks for them
    serverset:/aurora/role/prod/job?endpoint=thrift         each with its additional endpoint of this name
    serverset:/discovery/users?prefix=instance-             members' names begin otherwise than with member_
    curator:/discovery/users                                <base path>/<service> of Curator's x-discovery
    curator:/discovery/users?payload=spring                 with the payload that Spring Cloud ZooKeeper needs
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from urllib.parse import unquote_plus, urlencode

from zkrpc.endpoint import Instance
from zkrpc.errors import ConfigError
from zkrpc.registry.formats import dump_curator, dump_plain_curator, dump_serverset
from zkrpc.registry.schema import IDL, MEMBER_PREFIX, SERVICES

SERVERSET, CURATOR = "serverset", "curator"
SPRING = "spring"
"""The payload that Spring Cloud ZooKeeper's readers need."""

_SEPARATOR = ":"
_OPTIONS = {"": ("endpoint", "prefix"), SERVERSET: ("endpoint", "prefix"), CURATOR: ("payload",)}
"""What may be said of a tree of each format."""
_OURS = (SERVICES, IDL, "/heartbeats", "/zookeeper")
"""Where only zkrpc and ZooKeeper itself write."""
_LONGEST = 1000
_FORBIDDEN = frozenset("?#&=!%")
"""Characters of paths that the text form needs for itself, or that shells and addresses do."""


def is_tree(target: str) -> bool:
    """Whether a target is meant as a tree's text: it begins with a path, or with something and a path."""
    return target.startswith("/") or ":/" in target


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A node whose children are the members of one service, as another library keeps them or reads them."""

    path: str
    format: str = ""
    """``serverset`` or ``curator``; empty if both are to be read, which is not enough to join."""
    prefix: str = ""
    """What members' names begin with; empty for the usual of the format."""
    endpoint: str = ""
    """The name of the additional endpoint where calls go; empty for the service endpoint."""
    payload: str = ""
    """What a Curator record that we write has as payload: ``spring``, or empty for null."""

    def __post_init__(self) -> None:
        """Checks every field; raises ConfigError that shows the tree."""
        if self.format not in _OPTIONS:
            raise ConfigError(f"{self.format!r} is no format of trees; there are {SERVERSET} and {CURATOR}")
        segments = self.path.split("/")
        good = self.path.startswith("/") and len(self.path) <= _LONGEST and self.path.isprintable()
        if not good or not {"", ".", ".."}.isdisjoint(segments[1:]) or not _FORBIDDEN.isdisjoint(self.path):
            raise ConfigError(
                f"{self.path!r} is not the path of a tree; write it from the root, without a slash at its end, as in "
                "/aurora/role/prod/job"
            )
        if self.payload not in ("", SPRING):
            raise ConfigError(f"payload must be {SPRING}, or left out, got {self.payload!r}")
        for option in ("endpoint", "prefix", "payload"):
            value = getattr(self, option)
            if value and option not in _OPTIONS[self.format]:
                raise ConfigError(f"{self.format}:{self.path} has no {option}, got {value!r}")
            if not value.isprintable() or "/" in value or len(value) > _LONGEST:
                raise ConfigError(f"{option} of the tree {self.path} cannot be {value!r:.100}")

    @classmethod
    def parse(cls, text: str) -> Tree:
        """Reads the text form; see the module's text. Raises ConfigError with what was expected."""
        place, question, options = text.partition("?")
        form, colon, path = place.partition(_SEPARATOR)
        if not colon or "/" in form:
            form, path = "", place
        pairs = [part.partition("=")[::2] for part in options.split("&")] if question else []
        said = {name: unquote_plus(value) for name, value in pairs}
        if form not in _OPTIONS:
            raise ConfigError(f"{text!r:.300} is no tree: it begins with a path, or with {SERVERSET}: or {CURATOR}:")
        if len(said) < len(pairs) or not all(name in _OPTIONS[form] and value for name, value in said.items()):
            may = " and ".join(f"{name}=..." for name in _OPTIONS[form])
            raise ConfigError(f"{text!r:.300}: after the question mark stand {may}, each once, with & between")
        return cls(path=path, format=form, **said)

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        said = {name: getattr(self, name) for name in ("endpoint", "prefix", "payload") if getattr(self, name)}
        form = f"{self.format}{_SEPARATOR}" if self.format else ""
        return f"{form}{self.path}{'?' if said else ''}{urlencode(said)}"

    @property
    def service(self) -> str:
        """What Curator calls the service: the last part of the path."""
        return self.path.rpartition("/")[2]

    def has_member(self, name: str) -> bool:
        """Whether a child of this name is a member's node. Curator's may have any name, and so may those of an unknown
        format."""
        return name.startswith(self.prefix or (MEMBER_PREFIX if self.format == SERVERSET else ""))

    def id_of(self, name: str) -> str:
        """The id of the instance in the child of this name."""
        return name if self.format == CURATOR else name.removeprefix(self.prefix or MEMBER_PREFIX)

    def require_joinable(self) -> None:
        """Raises ConfigError, which says what to do, if we cannot be a member of this tree."""
        if not self.format:
            raise ConfigError(f"who joins {self} says how its readers look: {SERVERSET}:{self} or {CURATOR}:{self}")
        if any(self.path == place or self.path.startswith(f"{place}/") for place in _OURS):
            raise ConfigError(
                f"{self} is among zkrpc's own nodes, which other libraries take for services; use a path outside of "
                f"{', '.join(_OURS)}"
            )
        if self.format == CURATOR and self.path.count("/") < 2:
            raise ConfigError(
                f"{self} has no base path; Curator looks for <base path>/<service>, as in /discovery/users"
            )

    def member(self, worker_id: str, token: str) -> Membership:
        """How an instance joins. ``token`` makes the ids of processes different: a Curator record without a payload
        does not say whose earlier life it is from."""
        if self.format == CURATOR:
            return Membership(tree=self, id=f"{worker_id}-{token}")
        return Membership(tree=self, id=worker_id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One instance's place in a tree."""

    tree: Tree
    id: str
    """The instance's id there; in Curator's trees the name of its node as well."""

    @property
    def path(self) -> str:
        """The instance's node."""
        tree = self.tree
        name = self.id if tree.format == CURATOR else f"{tree.prefix or MEMBER_PREFIX}{self.id}"
        return f"{tree.path}/{name}"

    def dump(self, instance: Instance) -> bytes:
        """The instance's record as the tree's readers expect it."""
        tree = self.tree
        if tree.format == SERVERSET:
            return dump_serverset(instance, named=tree.endpoint)
        here = dataclasses.replace(instance, id=self.id)
        return (dump_curator if tree.payload == SPRING else dump_plain_curator)(here, tree.service)


def trees_to_join(texts: Iterable[str], *, registered: bool = True) -> tuple[Tree, ...]:
    """The trees of these texts, for an instance that is ``registered``. Raises ConfigError for one that is none, that
    cannot be joined, or that is there twice."""
    if isinstance(texts, str):
        raise ConfigError(f"the trees to join are a list of texts, as in [{texts!r}]; got a text")
    trees = tuple(Tree.parse(text) for text in texts)
    if trees and not registered:
        raise ConfigError(f"joining {trees[0]} needs zookeeper='host:port'")
    paths = [tree.path for tree in trees]
    for tree in trees:
        tree.require_joinable()
        if paths.count(tree.path) > 1:
            raise ConfigError(f"{tree.path} is to be joined twice; one instance is there once")
    return trees
