"""The paths and records of elections in ZooKeeper. Knows names and bytes, not when they are written.

::

    /services/<service>/election/<group>/candidates/<worker id>.<unique>-<sequence>   ephemeral
    /services/<service>/election/<group>/primary                                ephemeral, PrimaryRecord
    /services/<service>/election/<group>/epoch                                  persistent, EpochRecord; never deleted
    /services/<service>/election/<group>/history                                persistent, see ``history``
    /services/<service>/election/<group>/troubles/<worker id>                   ephemeral, see ``history``
    /services/<service>/election/<group>/step-down                              ephemeral, StepDownRequest
    /heartbeats/<worker id>                                                     ephemeral, empty

The record of a primary's node is read by every client too, so :mod:`zkrpc.registry.formats` has it. Everything read is
untrusted. An epoch that cannot be parsed stops the election, because a guessed one might not be greater than all
before. So does one that is higher than any election can have reached, because too few epochs would be left after it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from zkrpc.endpoint import DEFAULT_GROUP, INCREDIBLE_EPOCH, MAX_EPOCH, NO_EPOCH, Epoch
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.schema import Paths, check_name

HEARTBEATS = "/heartbeats"
"""The parent of the nodes that heartbeats are written to."""

_MAX_RECORD = 16 * 1024
_MAX_STEP_DOWN = 4096
_SEQUENCE_DIGITS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class ElectionPaths:
    """The paths of one group's election."""

    service: str
    group: str = DEFAULT_GROUP

    def __post_init__(self) -> None:
        """Checks both names."""
        check_name("group name", self.group)
        check_name("service name", self.service)

    @property
    def root(self) -> str:
        """The node under which everything of this election is."""
        return Paths(self.service).election(self.group)

    @property
    def candidates(self) -> str:
        """The parent of the candidates, which form a queue."""
        return f"{self.root}/candidates"

    @property
    def primary(self) -> str:
        """The node that exists while the group has a primary."""
        return Paths(self.service).primary(self.group)

    @property
    def epoch(self) -> str:
        """The node with the newest epoch."""
        return f"{self.root}/epoch"

    @property
    def history(self) -> str:
        """The node that lists the former primaries."""
        return f"{self.root}/history"

    @property
    def troubles(self) -> str:
        """The parent of the nodes in which instances say why they cannot lead."""
        return f"{self.root}/troubles"

    def trouble(self, instance: str) -> str:
        """The node in which one instance says why it cannot lead."""
        return f"{self.troubles}/{instance}"

    @property
    def step_down(self) -> str:
        """The node by which an operator asks the primary to step down."""
        return f"{self.root}/step-down"

    def candidate(self, name: str) -> str:
        """The path of the candidate whose node is called ``name``."""
        return f"{self.candidates}/{name}"

    def candidate_prefix(self, candidate: str) -> str:
        """The path of a candidate's node up to the sequence number, which ZooKeeper appends."""
        return f"{self.candidates}/{candidate}-"


def heartbeat_path(worker_id: str) -> str:
    """The node that one worker's heartbeats are written to."""
    return f"{HEARTBEATS}/{check_name('worker id', worker_id)}"


def sequence_of(name: str) -> int | None:
    """The sequence number in a candidate's name; None for names that are no candidates."""
    digits = name[-_SEQUENCE_DIGITS:]
    if name[-_SEQUENCE_DIGITS - 1 : -_SEQUENCE_DIGITS] != "-" or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


def candidate_id_of(name: str) -> str:
    """The candidate id that a candidate's name begins with."""
    return name[: -_SEQUENCE_DIGITS - 1]


def candidate_id(instance: str, unique: str) -> str:
    """A candidate id, from the worker id and a part that no other process ever used and that has no dot."""
    if not unique or "." in unique:
        raise ConfigError(f"the unique part of a candidate id must have no dot, got {unique!r}")
    return check_name("candidate id", f"{instance}.{unique}")


def instance_of(name: str) -> str:
    """The worker id in a candidate's name."""
    return candidate_id_of(name).rpartition(".")[0]


def queue(names: Iterable[str]) -> list[str]:
    """The candidates among ``names``, first come first."""
    return sorted((name for name in names if sequence_of(name) is not None), key=lambda name: (sequence_of(name), name))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """The newest epoch, and whether its primary has handed over, and to which heir."""

    epoch: Epoch = NO_EPOCH
    instance: str = ""
    """The worker id of its primary."""
    handed_over: bool = False
    """True if that primary had stopped serving before it gave up its node, so that a successor need not wait."""
    heir: str = ""
    """The worker id of the candidate that is to lead next; empty if any candidate may."""

    def dump(self) -> bytes:
        """The node's value."""
        return _dump(dataclasses.asdict(self))

    @classmethod
    def parse(cls, value: bytes) -> EpochRecord:
        """Reads what ``dump`` wrote; NO_EPOCH for an empty value. Raises RemoteProtocolError for anything else."""
        if not value:
            return cls()
        fields = _load(value)
        return cls(
            epoch=_epoch(fields),
            instance=_text(fields, "instance"),
            handed_over=fields.get("handed_over") is True,
            heir=_text(fields, "heir"),
        )

    @classmethod
    def parse_credible(cls, value: bytes) -> EpochRecord:
        """Like ``parse``; raises RemoteProtocolError also for an epoch that no election can have reached."""
        record = cls.parse(value)
        if record.epoch >= INCREDIBLE_EPOCH:
            raise RemoteProtocolError(f"epoch {record.epoch} is higher than any election can have reached")
        return record


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepDownRequest:
    """A request that the primary of ``epoch`` step down, in favour of the instance ``heir`` if one is named."""

    epoch: Epoch
    heir: str = ""

    def dump(self) -> bytes:
        """The node's value."""
        return _dump(dataclasses.asdict(self))

    @classmethod
    def parse(cls, value: bytes) -> StepDownRequest | None:
        """Reads what ``dump`` wrote; None for anything else."""
        try:
            fields = json.loads(value) if len(value) <= _MAX_STEP_DOWN else None
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict):
            return None
        epoch, heir = fields.get("epoch"), fields.get("heir", "")
        return cls(epoch=epoch, heir=heir) if type(epoch) is int and isinstance(heir, str) else None


def _dump(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _load(value: bytes) -> dict[str, Any]:
    if len(value) > _MAX_RECORD:
        raise RemoteProtocolError(f"an election record of {len(value)} bytes, at most {_MAX_RECORD} are read")
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"an election record is not JSON: {value[:80]!r}") from error
    if not isinstance(fields, dict):
        raise RemoteProtocolError(f"an election record is not a JSON object: {value[:80]!r}")
    return fields


def _epoch(fields: Mapping[str, Any]) -> Epoch:
    epoch = fields.get("epoch")
    if type(epoch) is not int or not NO_EPOCH <= epoch <= MAX_EPOCH:
        raise RemoteProtocolError(f"an election record has the epoch {epoch!r}")
    return epoch


def _text(fields: Mapping[str, Any], name: str) -> str:
    text = fields.get(name, "")
    if not isinstance(text, str):
        raise RemoteProtocolError(f"an election record has {name} {text!r}")
    return text
