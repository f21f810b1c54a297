"""The paths of all znodes outside elections, under the chroot. Knows names and paths, not the contents of nodes.

::

    /services/<service>/members/member_<worker id>     ephemeral, one record
    /services/<service>/incarnations/member_<worker id>~<digest>-<token>    ephemeral, empty, made with the record
    /services/<service>/config                         live policy
    /services/<service>/idl                            what was published for it last; zkrpc.registry.publication
    /services/<service>/config-history/<number>        its versions; zkrpc.registry.config_history
    /services/<service>/offline/<worker id>            an operator's order; zkrpc.registry.offline
    /services/<service>/resting/member_<worker id>     ephemeral, the record of an instance that obeys such an order
    /services/<service>/vacant                         somebody has looked and found no members; zkrpc.registry.removal
    /services/<service>/election/<group>/primary       ephemeral, who leads; what else is there: zkrpc.election.tree
    /idl/<sha256>                                      persistent, the text of an IDL; zkrpc.registry.publication
"""

from __future__ import annotations

import dataclasses
import hashlib

from zkrpc.errors import ConfigError

SERVICES = "/services"
"""The parent of all services; its children are named after them."""

IDL = "/idl"
"""The parent of all published texts; its children are named after their digests."""

MEMBER_PREFIX = "member_"
"""Fixed by ServerSets: Finagle looks only at children whose names begin so."""

_MAX_NAME = 128
_MARK = "~"
"""Separates a member's name from the rest of a mark's name; worker ids must not contain it."""


def check_name(what: str, name: str) -> str:
    """Returns ``name`` if it can be the name of a znode. Raises ConfigError, which calls it ``what``, otherwise.

    The rule is stricter than ZooKeeper's (which also takes spaces and most of Unicode), because these names are typed
    in shells, URLs and metrics, and a long name is repeated in every reply that lists it.
    """
    plain = name.isascii() and all(char.isalnum() or char in "-_.:@" for char in name)
    if not plain or not 0 < len(name) <= _MAX_NAME or name in (".", ".."):
        raise ConfigError(f"{what} {name!r} must be 1 to {_MAX_NAME} ASCII letters, digits and any of - _ . : @")
    return name


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """The paths of one service."""

    service: str

    def __post_init__(self) -> None:
        """Checks the service's name."""
        check_name("service name", self.service)

    @property
    def root(self) -> str:
        """The node under which everything of this service is."""
        return f"{SERVICES}/{self.service}"

    @property
    def members(self) -> str:
        """The parent of the members; a ServerSet as Finagle understands it."""
        return f"{self.root}/members"

    @property
    def incarnations(self) -> str:
        """The parent of the marks, of which there is one for each record."""
        return f"{self.root}/incarnations"

    @property
    def config(self) -> str:
        """The service config: what operators set for all clients."""
        return f"{self.root}/config"

    @property
    def publication(self) -> str:
        """The node that notes which IDL was published for the service last."""
        return f"{self.root}/idl"

    @property
    def config_history(self) -> str:
        """The parent of the config's versions."""
        return f"{self.root}/config-history"

    @property
    def offline(self) -> str:
        """The parent of the orders by which operators take instances out of service."""
        return f"{self.root}/offline"

    @property
    def resting(self) -> str:
        """The parent of the records of instances that run and are out of service."""
        return f"{self.root}/resting"

    @property
    def vacancy(self) -> str:
        """The node that notes when the service was first found without members."""
        return f"{self.root}/vacant"

    @property
    def elections(self) -> str:
        """The parent of the groups' elections; its children are named after the groups."""
        return f"{self.root}/election"

    def election(self, group: str) -> str:
        """The node under which everything of one group's election is."""
        return f"{self.elections}/{check_name('group name', group)}"

    def primary(self, group: str) -> str:
        """The node that exists while the group has a primary."""
        return f"{self.election(group)}/primary"

    def member(self, worker_id: str) -> str:
        """The node of one worker: always the same for the same worker id. It is never sequential, as a lost reply would
        make two."""
        return f"{self.members}/{MEMBER_PREFIX}{check_name('worker id', worker_id)}"

    def offline_order(self, worker_id: str) -> str:
        """The node whose existence takes one worker out of service."""
        return f"{self.offline}/{check_name('worker id', worker_id)}"

    def rester(self, worker_id: str) -> str:
        """The node of one worker while it is out of service."""
        return f"{self.resting}/{MEMBER_PREFIX}{check_name('worker id', worker_id)}"


def worker_id_of(name: str) -> str:
    """The worker id in the name of a member's node. Other names (Curator's plain ids) are returned as they are."""
    return name.removeprefix(MEMBER_PREFIX)


def idl_path(digest: str) -> str:
    """The node of the text with this digest."""
    return f"{IDL}/{digest}"


def mark_path(member_path: str, record: bytes, token: str) -> str:
    """The path of the mark that is created together with a member's node and names its record's digest; ``token`` makes
    it unique."""
    parent, _, name = member_path.rpartition("/")
    return f"{parent.rpartition('/')[0]}/incarnations/{name}{_MARK}{digest_of(record)}-{token}"


def read_mark(name: str) -> tuple[str, str]:
    """Splits a mark's name into the member's name and the digest of its record."""
    member, _, rest = name.rpartition(_MARK)
    return member, rest.partition("-")[0]


def digest_of(record: bytes) -> str:
    """A short hash that tells records of one member apart."""
    return hashlib.blake2b(record, digest_size=8).hexdigest()
