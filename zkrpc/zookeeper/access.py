"""Who a session is for ZooKeeper, and whom a node's access list lets do what.

An access list grants rights to identities, each a scheme and a name: ``world``/``anyone`` is everybody, ``digest`` has
a user's name and a hash of his password, ``ip`` an address or a network. A session has one for each way in which it has
shown who it is. From version 3.7 on ZooKeeper tells them (``whoami``); it says of a password's user his name only. Nor
does it show the hash in an access list to those who have no ``ADMIN`` right by it: the name is ``user:x`` then.

Pure, as requests are values that a ZooKeeper client sends.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import ipaddress
import struct
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

_MOST_IDENTITIES = 64
_HIDDEN = ":x"
"""In the place of a hash that we may not see."""


class Right(enum.IntFlag):
    """What may be done with a node. Its children are deleted by a right to the node itself."""

    READ = 1
    WRITE = 2
    CREATE = 4
    DELETE = 8
    ADMIN = 16


CHANGING = Right.WRITE | Right.CREATE | Right.DELETE | Right.ADMIN
"""Whoever has one of these can do harm."""


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, in ZooKeeper's eyes."""

    scheme: str
    name: str

    def __str__(self) -> str:
        """For people: without the hash of a password."""
        if self == ANYONE:
            return "anyone"
        return f"{self.scheme} {self.name.partition(':')[0] if self.scheme == 'digest' else self.name}"

    def is_within(self, granted: Identity) -> bool:
        """Whether what is granted to the other is granted to this one."""
        if granted == ANYONE or self.scheme == "super":
            return True
        if self.scheme != granted.scheme:
            return False
        if self.scheme == "ip":
            return _is_in_network(self.name, granted.name)
        if self.scheme == "digest" and (":" not in self.name or granted.name.endswith(_HIDDEN)):
            return self.name.partition(":")[0] == granted.name.partition(":")[0]
        return self.name == granted.name


ANYONE = Identity("world", "anyone")


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """One entry of an access list."""

    to: Identity
    rights: Right

    @property
    def is_others(self) -> bool:
        """Whether it cannot be ours: its hash is hidden, as it is not from those who have the ADMIN right by it."""
        return self.to.scheme == "digest" and self.to.name.endswith(_HIDDEN) and Right.ADMIN in self.rights


def rights_of(identities: Iterable[Identity], grants: Iterable[Grant]) -> Right:
    """What a session with these identities may do."""
    ours, found = [ANYONE, *identities], Right(0)
    for grant in grants:
        if not grant.is_others and any(identity.is_within(grant.to) for identity in ours):
            found |= grant.rights
    return found


def spelled(rights: Right) -> str:
    """``read, create``; for people."""
    return ", ".join(str(right.name).lower() for right in Right if right in rights)


def user(name: str, password: str) -> Identity:
    """The identity that ZooKeeper makes of digest credentials, with the hash that access lists have."""
    digest = hashlib.sha1(f"{name}:{password}".encode(), usedforsecurity=False).digest()
    return Identity("digest", f"{name}:{base64.b64encode(digest).decode()}")


FIRST_TO_TELL = (3, 7)
"""The first version of ZooKeeper that knows ``whoami``. Earlier ones refuse it, and hang up."""


class WhoAmI:
    """The request for a session's identities, in the form that kazoo sends."""

    type: ClassVar[int] = 107

    def serialize(self) -> bytes:
        """The request has no fields."""
        return b""

    @classmethod
    def deserialize(cls, answer: bytes, offset: int) -> list[Identity]:
        """Reads the answer. Raises ValueError or struct.error for one that is none."""
        (count,) = struct.unpack_from(">i", answer, offset)
        if not 0 <= count <= _MOST_IDENTITIES:
            raise ValueError(f"{count} identities")
        texts = _texts(answer, offset + 4)
        return [Identity(next(texts), next(texts)) for _ in range(count)]


def who_am_i(kazoo: Any) -> Any:
    """Asks for the session's identities, through a kazoo client, which has no method for that."""
    result = kazoo.handler.async_result()
    kazoo._call(WhoAmI(), result)
    return result


def _texts(answer: bytes, offset: int) -> Iterator[str]:
    while True:
        (length,) = struct.unpack_from(">i", answer, offset)
        offset += 4
        size = max(0, length)
        yield bytes(answer[offset : offset + size]).decode("utf-8", "replace")
        offset += size


def grants_of(theirs: Iterable[Any]) -> tuple[Grant, ...]:
    """An access list as kazoo has it."""
    return tuple(Grant(Identity(one.id.scheme, one.id.id), Right(one.perms & 31)) for one in theirs)


def _is_in_network(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
