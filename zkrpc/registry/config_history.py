"""The versions that a service's config has had: what each said, when it was written, by whom and why.

A version is a persistent node beside the config, ``/services/<service>/config-history/0000000012``, written in one
transaction with the config itself: either both change, or neither. Numbers only grow, also when a config is removed
and made again, and the last fifty versions are kept. A config that was changed without zkrpc, which leaves no version,
becomes one when it is next replaced, so that it can be had back.

Pure values and the plan of a transaction; :mod:`zkrpc.registry.config_store` carries it out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping

from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.schema import Paths
from zkrpc.registry.untrusted import load_object
from zkrpc.zookeeper.operations import Create, Delete, Operation, SetData

MOST_VERSIONS = 50
"""Versions that are kept."""
MAX_REASON = 500
"""Characters of a reason."""
_DIGITS = 10
_MAX_VERSION = 256 * 1024
_FOUND = "found there; it was not written by zkrpc config"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """One version of a service's config."""

    number: int
    """From 1; greater than those of all versions before."""
    text: str | None
    """The config as it was written, which may be one that clients refuse; None if it was removed."""
    by: str = ""
    """Who wrote it, ``user@host``; empty if that is not known."""
    reason: str = ""
    at: float = 0.0
    """Wall-clock seconds since 1970, by ZooKeeper's clock; 0 if that is not known."""

    def dump(self) -> bytes:
        """The node's value, without the number, which is its name, and the time, which ZooKeeper keeps. ConfigError for
        too long a reason."""
        if len(self.reason) > MAX_REASON:
            raise ConfigError(f"a reason has at most {MAX_REASON} characters, this one {len(self.reason)}")
        fields = {"by": self.by, "reason": self.reason, "config": self.text}
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, number: int, value: bytes, at: float) -> ConfigVersion:
        """Reads what ``dump`` wrote. A node with anything else is a version of which nothing is known but its time."""
        try:
            document = load_object(value, _MAX_VERSION, "a version")
        except RemoteProtocolError as error:
            return cls(number=number, text=None, reason=f"cannot be read: {error}", at=at)
        text, by, reason = (document.get(key) for key in ("config", "by", "reason"))
        return cls(
            number=number,
            text=text if isinstance(text, str) else None,
            by=by if isinstance(by, str) else "",
            reason=reason if isinstance(reason, str) else "",
            at=at,
        )


def path_of(paths: Paths, number: int) -> str:
    """The node of a version."""
    return f"{paths.config_history}/{number:0{_DIGITS}}"


def numbers_of(names: Iterable[str]) -> list[int]:
    """The numbers of versions among the names of nodes, the oldest first."""
    return sorted(int(name) for name in names if len(name) == _DIGITS and name.isascii() and name.isdigit())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The config that there is when it is to be changed, and its versions."""

    value: bytes | None
    """None if there is no config."""
    version: int = -1
    """How often ZooKeeper says that its node was written."""
    numbers: tuple[int, ...] = ()
    """The versions that are kept, the oldest first."""
    newest: ConfigVersion | None = None

    @property
    def text(self) -> str | None:
        """The config as text."""
        return None if self.value is None else self.value.decode(errors="replace")

    @property
    def is_recorded(self) -> bool:
        """Whether the newest version is what there is; without any version, that there is nothing."""
        return self.text == (None if self.newest is None else self.newest.text)

    @property
    def number(self) -> int:
        """The number of what there is: of its version, or the one that it will get. 0 if there never was a config."""
        last = self.numbers[-1] if self.numbers else 0
        return last if self.is_recorded else last + 1


def plan_change(paths: Paths, present: Present, wanted: bytes | None, *, by: str, reason: str) -> list[Operation]:
    """The transaction that makes the config ``wanted``, or removes it for None; it fails as a whole if anything has
    changed since ``present`` was read. The new version's number is ``present.number + 1``."""
    operations: list[Operation] = []
    if wanted is None:
        operations.append(Delete(path=paths.config, version=present.version))
    elif present.value is None:
        operations.append(Create(path=paths.config, value=wanted))
    else:
        operations.append(SetData(path=paths.config, value=wanted, version=present.version))
    added = []
    if not present.is_recorded:
        added.append(ConfigVersion(number=present.number, text=present.text, reason=_FOUND))
    text = None if wanted is None else wanted.decode()
    added.append(ConfigVersion(number=present.number + 1, text=text, by=by, reason=reason))
    operations += [Create(path=path_of(paths, one.number), value=one.dump()) for one in added]
    surplus = max(0, len(present.numbers) + len(added) - MOST_VERSIONS)
    return operations + [Delete(path=path_of(paths, number)) for number in present.numbers[:surplus]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange:
    """One value that differs between two configs; None stands for a value that is not set."""

    path: str
    old: object
    new: object


def changes_between(before: Mapping[str, object], after: Mapping[str, object]) -> list[ConfigChange]:
    """What differs between two configs, which ``flatten`` has made flat."""
    paths = [*after, *(path for path in before if path not in after)]
    changes = [ConfigChange(path=path, old=before.get(path), new=after.get(path)) for path in paths]
    return [change for change in changes if change.old != change.new]
