"""What may be wrong with the servers of an ensemble: judged from what they say of themselves. Pure.

A server says it by *four-letter words*. ``srvr`` is answered unless somebody has forbidden it; ``conf``, ``cons`` and
``mntr`` are answered since version 3.5 only if ``4lw.commands.whitelist`` of the server has them.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from zkrpc.endpoint import Endpoint
from zkrpc.legible import lasting
from zkrpc.zookeeper.access import FIRST_TO_TELL
from zkrpc.zookeeper.ensemble import Member

OLDEST_ZOOKEEPER = (3, 5)
"""Older ones have no dynamic reconfiguration, and get no fixes any more."""
_CLOCK_TOLERANCE = 2.0
_FULL = 0.8
"""The share of the connections that a host may have from which on it is short of them."""
_MIB, _GIB = 2**20, 2**30
_MOST = {
    "outstanding_requests": (100, 1, "{:.0f} requests wait for an answer"),
    "fsync_threshold_exceed_count": (9, 1, "{:.0f} times since its start its disk took longer than a second to write"),
    "znode_count": (1_000_000, 1, "it holds {:.0f} nodes"),
    "watch_count": (1_000_000, 1, "it holds {:.0f} watches"),
    "approximate_data_size": (512 * _MIB, _MIB, "its nodes take {:.0f} MiB of memory"),
    "data_dir_size": (20 * _GIB, _GIB, "its snapshots take {:.0f} GiB of disk"),
    "data_log_size": (20 * _GIB, _GIB, "its logs take {:.0f} GiB of disk"),
}
"""By figure: what is too much, the unit that it is told in, and how."""
_VERSION = re.compile(r"^Zookeeper version: (\d[\w.]*)", re.MULTILINE)
_MODE = re.compile(r"^Mode: (\w+)", re.MULTILINE)
_SETTING = re.compile(r"^(\w+)=(-?\d{1,18})$", re.MULTILINE)
_CONNECTION = re.compile(r"^ /(.+):\d+\[\d+\]\(", re.MULTILINE)
_FIGURE = re.compile(r"^zk_(\w+)\t(-?\d{1,18}(?:\.\d+)?)$", re.MULTILINE)


class NotKnown(Exception):
    """The facts that a check needs could not be had; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What one server of the ensemble says of itself."""

    endpoint: Endpoint
    reachable: bool = True
    """Whether it accepts connections."""
    version: str | None = None
    """Such as ``3.9.2``; None if it does not answer four-letter words."""
    mode: str | None = None
    """``leader``, ``follower``, ``observer`` or ``standalone``; None if that is not known."""
    most_connections: int | None = None
    """The connections that one host may have; 0 if any number; None if it does not say."""
    connections: Mapping[str, int] | None = None
    """How many each host has; None if it does not say."""
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What it counts, by ZooKeeper's names; empty if it does not say."""
    admin: str | None = None
    """The address at which its AdminServer answers us; None if it does not."""


def read_answers(server: Endpoint, answers: Mapping[str, str], admin: str | None = None) -> ServerFacts:
    """The facts in its answers to four-letter words; none in any other text."""
    version, mode = _VERSION.search(answers.get("srvr", "")), _MODE.search(answers.get("srvr", ""))
    settings = {name: int(number) for name, number in _SETTING.findall(answers.get("conf", ""))}
    figures = {name: float(number) for name, number in _FIGURE.findall(answers.get("mntr", ""))}
    for theirs, ours in (("dataDirSize", "data_dir_size"), ("dataLogSize", "data_log_size")):
        if theirs in settings:
            figures[ours] = settings[theirs]
    hosts = Counter(_CONNECTION.findall(answers.get("cons", "")))
    return ServerFacts(
        endpoint=server,
        version=None if version is None else version[1],
        mode=None if mode is None else mode[1],
        most_connections=settings.get("maxClientCnxns"),
        connections=hosts or None,  # we are one of them
        figures=figures,
        admin=admin,
    )


def find_unreachable(given: Sequence[ServerFacts], others: Sequence[ServerFacts]) -> Iterator[str]:
    """Servers that accept no connections: of those that we were ``given``, and of the ``others`` that ZooKeeper's own
    configuration has. If none of the others does, their addresses are those of another network."""
    for server in given:
        if not server.reachable:
            yield f"{server.endpoint} accepts no connections"
    if any(server.reachable for server in others):
        for server in others:
            if not server.reachable:
                yield f"{server.endpoint}, which ZooKeeper's configuration has, accepts no connections"


def find_size(given: Sequence[ServerFacts], members: Sequence[Member]) -> Iterator[str]:
    """A number of servers that lets too few of them fail: of those that vote, if that is known."""
    count = sum(member.votes for member in members) if members else len(given)
    if count == 1:
        place = "one server votes" if members else "the connect string names one server"
        yield f"{place}, without which nothing can register or be elected"
    elif count % 2 == 0 and count:
        yield f"{count} servers survive the loss of no more than {count - 1} would"


def find_observers(given: Sequence[ServerFacts], members: Sequence[Member]) -> Iterator[str]:
    """Whether we were given observers only."""
    listed = {member.endpoint for member in members}
    watching = {member.endpoint for member in members if not member.votes}
    known = [server for server in given if server.mode is not None or server.endpoint in listed]
    if not known:
        raise NotKnown("no server says what it is, and ZooKeeper's configuration does not name it")
    if len(known) == len(given) and all(one.mode == "observer" or one.endpoint in watching for one in known):
        yield f"the connect string names observers only: {', '.join(str(one.endpoint) for one in known)}"


def _telling(servers: Sequence[ServerFacts]) -> list[ServerFacts]:
    told = [server for server in servers if server.version is not None]
    if not told:
        raise NotKnown("no server answers the four-letter word srvr")
    return told


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())


def tell_identities(servers: Sequence[ServerFacts]) -> bool:
    """Whether a session may ask who it is: every server is known to be of a version that tells."""
    return bool(servers) and all(_numbers(server.version or "") >= FIRST_TO_TELL for server in servers)


def find_old(servers: Sequence[ServerFacts]) -> Iterator[str]:
    """Servers of old versions."""
    for server in _telling(servers):
        if _numbers(server.version or "") < OLDEST_ZOOKEEPER:
            yield f"{server.endpoint} is ZooKeeper {server.version}"


def find_mixed(servers: Sequence[ServerFacts]) -> Iterator[str]:
    """Servers of different versions."""
    versions = sorted({server.version or "" for server in _telling(servers)})
    if len(versions) > 1:
        yield f"the servers are of different versions: {', '.join(versions)}"


def find_leaderless(servers: Sequence[ServerFacts]) -> Iterator[str]:
    """Whether not exactly one server leads."""
    told = _telling(servers)
    modes = [server.mode for server in told]
    leaders = modes.count("leader") + modes.count("standalone")
    if leaders == 0 and len(told) == len(servers) and "observer" not in modes:
        yield "no server leads"
    elif leaders > 1:
        yield f"{leaders} servers lead: the connect string names servers of different ensembles"


def find_full(servers: Sequence[ServerFacts]) -> Iterator[str]:
    """Hosts that have nearly as many connections as they may have."""
    told = [server for server in servers if server.most_connections is not None and server.connections is not None]
    if not told:
        raise NotKnown("no server answers the four-letter words conf and cons; 4lw.commands.whitelist would let it")
    for server in told:
        for host, count in sorted((server.connections or {}).items()):
            if server.most_connections and count >= _FULL * server.most_connections:
                yield f"{host} has {count} of the {server.most_connections} connections that {server.endpoint} allows"


def find_strained(servers: Sequence[ServerFacts]) -> Iterator[str]:
    """Servers with more to hold or to do than is good for them."""
    told = [server for server in servers if server.figures]
    if not told:
        raise NotKnown("no server answers the four-letter word mntr; 4lw.commands.whitelist would let it")
    for server in told:
        for name, (most, unit, text) in _MOST.items():
            if server.figures.get(name, 0) > most:
                yield f"{server.endpoint}: {text.format(server.figures[name] / unit)}"


def find_exposed(servers: Sequence[ServerFacts]) -> Iterator[str]:
    """Servers whose AdminServer answers at an address of the internet."""
    for server in servers:
        if server.admin is not None and ipaddress.ip_address(server.admin).is_global:
            yield f"the AdminServer of {server.endpoint} answers anybody, at {server.admin}"


def find_timeouts(asked: float, granted: float | None) -> Iterator[str]:
    """Sessions that do not get the timeout that they ask for, in seconds."""
    if granted is None:
        raise NotKnown("no session")
    if granted != asked:
        word = "minSessionTimeout" if granted > asked else "maxSessionTimeout"
        yield f"sessions ask for {asked:g} s and get {granted:g} s, by {word}"


def find_clock(newest_write: float | None, wall_now: float) -> Iterator[str]:
    """A clock that is ahead of ours: it has written something in our future."""
    if newest_write is None:
        raise NotKnown("nothing was written yet")
    if newest_write - wall_now > _CLOCK_TOLERANCE:
        yield f"ZooKeeper's clock is at least {lasting(newest_write - wall_now)} ahead of this machine's"
