"""Where an instance lives, what it says of itself, and which instance leads: immutable values."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from zkrpc.rpc_error import ConfigError

_NO_METADATA: Mapping[str, str] = MappingProxyType({})

_LABEL = re.compile("[A-Za-z0-9_-]{1,63}")
_LONGEST_HOST = 253

Epoch: TypeAlias = int
"""The number of one primary's term, greater than that of every primary before it: a plain ``int``, so that it fits a
header, a column and a comparison. A group's first one is the time at which its primary enrolled."""
NO_EPOCH = 0
"""The epoch before a group's first primary; every primary's epoch is greater than those before it."""
MAX_EPOCH = 2**63 - 1
"""The highest epoch: what a signed 64-bit column holds."""
INCREDIBLE_EPOCH = 2**53
"""No election reaches this epoch: epochs begin at a number of milliseconds since 1970, and this one is in the year 287
396. A node with such an epoch was written by mistake, and following it would leave no room for later epochs."""
DEFAULT_GROUP = "main"
"""The group of a service that elects only one primary."""


def read_epoch(text: str) -> Epoch | None:
    """The epoch in a header or a command line; None if the text is not one."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    number = int(text)
    return number if number <= MAX_EPOCH else None


def is_host(text: str) -> bool:
    """Whether this can be a host's name or address, as far as its shape tells.

    A name's labels have 1 to 63 characters: letters, digits, hyphens and, as private networks use them, underscores.
    Names in other scripts are judged by what they become in the domain name system. A resolver would refuse anything
    else with an error of its own kind.
    """
    if ":" in text:
        return _is_ipv6(text)
    try:
        name = (text if text.isascii() else text.encode("idna").decode()).removesuffix(".")
    except UnicodeError:
        return False
    return 0 < len(name) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in name.split("."))


def is_loopback(host: str) -> bool:
    """Whether only this host can reach an address: a loopback address, or ``localhost``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    # The scope, after a percent sign, is free text to Python.
    return text.isascii() and text.isprintable() and " " not in text


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """A host and a TCP port. ``str()`` gives ``host:port``, with brackets around an IPv6 address."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Reads ``host:port`` or ``[v6]:port``. Raises ConfigError with what was expected."""
        host, colon, port = text.strip().rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            host = ""
        if not (colon and is_host(host) and port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
            raise ConfigError(f"{text!r:.300} is not an endpoint; write host:port or [ipv6]:port, as in 127.0.0.1:9090")
        return cls(host, int(port))

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running replica, as its registration describes it."""

    id: str
    """The worker id: stable over one process's life, unique in the service."""
    endpoint: Endpoint
    weight: float = 1.0
    """Relative share of calls; an instance of weight 0 gets none."""
    zone: str = ""
    protocols: tuple[str, ...] = ()
    """Dialects it speaks, most preferred first; ``zkrpc`` among them means control frames are understood."""
    tls: bool = False
    """Whether it takes connections with TLS only."""
    started_at: float = 0.0
    """Wall-clock seconds since 1970: for people and warm-up, never for ordering."""
    version: str = ""
    shard: int | None = None
    idl_digest: str = ""
    """The SHA-256 of the text of its IDL, in hex, under which the text is published."""
    interface: str = ""
    """The name that its IDL gives to what it serves; to the default one, if it serves several interfaces."""
    services: tuple[str, ...] = ()
    """The names of the IDL's services by which it may be called, the default one first, and those that they extend;
    empty if it does not say."""
    also: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NO_METADATA, hash=False)
    """The interfaces that it serves beside the default one, with the digests of their texts."""
    primary_only: tuple[str, ...] = ()
    """Methods that only the elected primary runs."""
    unready: str = ""
    """Why it asks callers to prefer others, in a few words; empty if it does not. Untrusted text."""
    admin: Endpoint | None = None
    """Where its admin door is, which Prometheus scrapes; None if it has none that others can reach."""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NO_METADATA, hash=False)
    """Whatever else the registration carried; untrusted text."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """The primary of a group of a service, as far as it is known."""

    endpoint: Endpoint
    epoch: int

    def __str__(self) -> str:
        """Endpoint and epoch."""
        return f"{self.endpoint} (epoch {self.epoch})"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The members of a service at one moment."""

    service: str
    instances: tuple[Instance, ...] = ()
    """Ordered by id, one per endpoint."""
    confirmed_at: float | None = None
    """Monotonic time at which ZooKeeper last confirmed it; None while it comes from a file."""
    skipped: int = 0
    """Records that could not be read and were left out."""
    remark: str = ""
    """Why there may be no instance, if the registry knows a reason; part of an error's text."""
