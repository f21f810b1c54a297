"""The publication of an IDL: how its text is kept in ZooKeeper, and the state machine that keeps it there. Pure.

A text lies at ``/idl/<its SHA-256>``, compressed, so writing it twice is writing it once, and nobody can exchange it
unnoticed: whoever reads it computes the digest anew. Beside each service's members there is a note
(:class:`Publication`) of what was published for it last, which outlives its instances.

*Use* is told by the node's modification time, which ZooKeeper sets: an instance that finds its text older than a day
writes it again, so a thousand instances of one interface cost one write a day. What nobody has written for
``KEEP_FOR`` is deleted by :class:`Collect`, which any instance does, once a day for the whole ensemble. It names the
version that it judged, so a text that was renewed meanwhile stays; one that was deleted is missed by the watch of each
instance that uses it, and is written again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable
from typing import TypeAlias

from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.formats import MAX_RECORD
from zkrpc.registry.untrusted import load_object

MAX_TEXT = 1024 * 1024
"""Bytes of one text with everything it includes. Also bounds what reading one costs, as a text is untrusted."""
MAX_PACKED = 256 * 1024
"""Bytes of one text as it is kept: a quarter of what ZooKeeper takes (``jute.maxbuffer``), as every server holds all of
them in memory."""
RENEW_AFTER = 86_400.0
"""Seconds after which a text that is in use is written again."""
KEEP_FOR = 30 * 86_400.0
"""Seconds since the last writing after which nobody uses a text any more."""
COLLECT_EVERY = 86_400.0
"""Seconds between two collections in one ensemble."""

_LOOK_EVERY = 3600.0
_COLLECT_WITHIN = 3600.0
"""Seconds within which an instance looks for the first time whether a collection is due."""
_RETRY_AFTER = 1.0
_RETRY_AT_LATEST = 300.0
_INTERFACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Publication:
    """Which interface of which text: what a service is served with."""

    interface: str
    """The name that the IDL gives to the service."""
    digest: str
    """The SHA-256 of the text in hex: ``Interface.digest``."""

    def __post_init__(self) -> None:
        """Checks both, as they are read from ZooKeeper."""
        if not _INTERFACE.fullmatch(self.interface):
            raise RemoteProtocolError(f"{self.interface!r:.100} is no name of an interface")
        if not _DIGEST.fullmatch(self.digest):
            raise RemoteProtocolError(f"{self.digest!r:.100} is no SHA-256 in hex")

    def __str__(self) -> str:
        """The name, and enough of the digest to compare."""
        return f"{self.interface} {self.digest[:12]}"

    def dump(self) -> bytes:
        """The note's value."""
        return json.dumps({"interface": self.interface, "idl": self.digest}, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, payload: bytes) -> Publication:
        """Reads what ``dump`` wrote. RemoteProtocolError for anything else."""
        document = load_object(payload, MAX_RECORD, "a note of an IDL")
        interface, digest = document.get("interface"), document.get("idl")
        if not isinstance(interface, str) or not isinstance(digest, str):
            raise RemoteProtocolError("a note of an IDL that lacks its interface or its digest")
        return cls(interface=interface, digest=digest)


def pack(text: str) -> bytes:
    """The text as it is kept in ZooKeeper: UTF-8, compressed by zlib. ConfigError if it is too large."""
    plain = text.encode("utf-8", "surrogatepass")
    if len(plain) > MAX_TEXT:
        raise ConfigError(f"the IDL has {len(plain)} bytes with all it includes, and at most {MAX_TEXT} are published")
    packed = zlib.compress(plain, 9)
    if len(packed) > MAX_PACKED:
        raise ConfigError(f"the IDL has {len(packed)} bytes compressed, and at most {MAX_PACKED} are published")
    return packed


def unpack(digest: str, payload: bytes) -> str:
    """The text that ``pack`` was given. RemoteProtocolError unless it is the one of this digest."""
    if len(payload) > MAX_PACKED:
        raise RemoteProtocolError(f"{len(payload)} bytes are over {MAX_PACKED}")
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(payload, MAX_TEXT + 1)
    except zlib.error as exc:
        raise RemoteProtocolError(f"not compressed as an IDL is: {exc}") from None
    if len(plain) > MAX_TEXT:
        raise RemoteProtocolError(f"more than {MAX_TEXT} bytes when unpacked")
    if hashlib.sha256(plain).hexdigest() != digest:
        raise RemoteProtocolError("other contents than its name says")
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("not UTF-8") from None


# -- the machine


@dataclasses.dataclass(frozen=True, slots=True)
class LookUp:
    """Look for the node of the text, and watch it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """Create the node of the text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Renew:
    """Write the text again if its node is still at this version, so that its time begins anew."""

    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class Announce:
    """Note beside the service's members that this is what was published for it last."""


@dataclasses.dataclass(frozen=True, slots=True)
class Collect:
    """Delete the texts that nobody uses, if nobody has done so today."""


Effect: TypeAlias = LookUp | Write | Renew | Announce | Collect


class PublicationMachine:
    """Keeps one text published, and, if it ``announces``, the note that says so. ``rng`` gives floats in [0, 1). Every
    effect is answered by one ``receive_…``."""

    def __init__(self, *, rng: Callable[[], float], announces: bool = True) -> None:
        self.is_published = False
        """True if a look has found the text, and nothing is known to have changed since."""
        self.failure: str | None = None
        """Why the last step failed."""
        self._rng = rng
        self._wanted: list[Effect] = []
        self._look_at = -math.inf
        self._renew_at = -math.inf
        self._collect_at = math.inf
        self._announces = announces
        self._announced = not announces
        self._failures = 0

    def __repr__(self) -> str:
        """What is known."""
        return f"<PublicationMachine published={self.is_published} failure={self.failure!r}>"

    def effects(self) -> list[Effect]:
        """The effects that are to be carried out, each once."""
        wanted, self._wanted = self._wanted, []
        return wanted

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``; None until the last effect is answered."""
        return None if self._look_at == math.inf else min(self._look_at, self._collect_at)

    def handle_timer(self, now: float) -> None:
        """Looks, or collects, if it is time to."""
        if now >= self._look_at:
            self._look_at = math.inf
            self._wanted.append(LookUp())
        elif now >= self._collect_at:
            self._collect_at = now + COLLECT_EVERY
            self._wanted.append(Collect())

    def receive_change(self, now: float) -> None:
        """The node may have changed, or the watch is gone."""
        self._look_at = now

    def receive_found(self, version: int, age: float, now: float) -> None:
        """The text is there, and was last written ``age`` seconds ago. That is told by two clocks, so it may be
        anything: the machine renews at most twice a day."""
        self.is_published = True
        self._look_at = now + _LOOK_EVERY * (0.5 + self._rng() / 2)
        if self._collect_at == math.inf:
            self._collect_at = now + _COLLECT_WITHIN * self._rng()
        if not self._announced:
            self._wanted.append(Announce())
        elif age >= RENEW_AFTER and now >= self._renew_at:
            self._renew_at = now + RENEW_AFTER / 2
            self._wanted.append(Renew(version))
        else:
            self.failure, self._failures = None, 0

    def receive_missing(self, now: float) -> None:
        """There is no such node."""
        self.is_published = False
        self._look_at = math.inf
        self._wanted.append(Write())

    def receive_written(self, now: float) -> None:
        """The text was written, by us or by somebody faster; the next look shows what came of it."""
        self._look_at = now

    def receive_unannounced(self) -> None:
        """There is no note: not yet, or no longer, as when somebody removed what an earlier instance had left just when
        this one started. Tell it before what the look has found of the text."""
        self._announced = not self._announces

    def receive_announced(self, now: float) -> None:
        """The note says what it should; the next look shows whether the text is to be renewed."""
        self._announced = True
        self._look_at = now

    def receive_failure(self, reason: str, now: float) -> None:
        """A step failed: everything is looked at again, later each time."""
        self.failure = reason
        pause = min(_RETRY_AFTER * 2**self._failures, _RETRY_AT_LATEST)
        self._failures = min(self._failures + 1, 16)
        self._look_at = now + pause * (0.5 + self._rng() / 2)
