"""What may be wrong with a ZooKeeper and the services in it, and what to do about it.

Each check is a value: its name, what it looks at, its remedy, and a pure function that judges facts. A check that lacks
the facts says that it does not know, which is no finding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from zkrpc.config import MethodConfig, ServiceConfig
from zkrpc.endpoint import is_loopback
from zkrpc.inspection import certificates, rights, servers
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.inspection.rights import AccessFacts
from zkrpc.inspection.servers import NotKnown, ServerFacts
from zkrpc.zookeeper.ensemble import Member

_LONGEST_TIMEOUT = 60.0
_LARGEST_NODE = 512 * 1024
"""Bytes; half of ZooKeeper's default limit for a request or an answer, ``jute.maxbuffer``."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """What is known of one service."""

    seen: ServiceOverview
    config: ServiceConfig = ServiceConfig()
    config_refusal: str = ""
    """Why clients refuse the config; empty if they do not."""
    unknown_names: tuple[str, ...] = ()
    """Names in the config that no IDL has which it is served with, each with its place and what was expected there."""
    candidates: tuple[str, ...] = ()
    """The instances that stand for election in any group."""
    sizes: tuple[tuple[str, int], ...] = ()
    """Bytes of the nodes that grow, and of the lists of children, by path."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the checks look at, as it was at one moment."""

    servers: tuple[ServerFacts, ...] = ()
    """Of the connect string."""
    others: tuple[ServerFacts, ...] = ()
    """Further ones, which ZooKeeper's configuration has."""
    members: tuple[Member, ...] = ()
    """All that ZooKeeper's configuration has; empty if it lists none, or may not be read."""
    access: AccessFacts = AccessFacts()
    timeout_asked: float = 0.0
    timeout_granted: float | None = None
    """Seconds of a session's timeout."""
    newest_write: float | None = None
    """When the node that was written last was written, by ZooKeeper's clock: wall-clock seconds since 1970."""
    wall_now: float = 0.0
    certificates: certificates.CertificateFacts = certificates.CertificateFacts()
    services: tuple[ServiceFacts, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that may be wrong."""

    name: str
    looks_at: str
    remedy: str
    judge: Callable[[Facts], Iterator[str]]
    """One line for each thing that is wrong; raises NotKnown."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check found."""

    check: Check
    findings: tuple[str, ...] = ()
    unknown: str = ""
    """Why it does not know; empty if it does."""


def judge(facts: Facts) -> list[Verdict]:
    """The verdict of every check, in their order."""
    return [_verdict(check, facts) for check in CHECKS]


def _verdict(check: Check, facts: Facts) -> Verdict:
    try:
        return Verdict(check=check, findings=tuple(check.judge(facts)))
    except NotKnown as error:
        return Verdict(check=check, unknown=str(error))


# Services


def _empty(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        if not one.seen.serving:
            yield f"{one.seen.service} has no instance that serves"


def _differing(facts: Facts, what: str, counted: Callable[[ServiceOverview], dict[str, int]]) -> Iterator[str]:
    for one in facts.services:
        found = counted(one.seen)
        if len(found) > 1:
            told = ", ".join(f"{text[:12]} x{count}" for text, count in found.items())
            yield f"{one.seen.service} has instances of different {what}: {told}"


def _loopback(facts: Facts) -> Iterator[str]:
    if any(is_loopback(server.endpoint.host) for server in facts.servers):
        return
    for one in facts.services:
        names = [member.id for member in one.seen.instances if is_loopback(member.endpoint.host)]
        if names:
            yield f"{one.seen.service} has instances that only their own machine can reach: {', '.join(names[:5])}"


def _unreadable(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        if one.seen.skipped:
            yield f"{one.seen.service} has {one.seen.skipped} records that clients leave out"


def _unready(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        for member in one.seen.serving:
            if member.unready:
                yield f"{member.id} of {one.seen.service} is not ready: {member.unready}"


def _leaderless(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        if one.seen.serving and one.seen.leaderless:
            yield f"nobody leads {', '.join(one.seen.leaderless[:5])} of {one.seen.service}"


def _stale_orders(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        for name, _, running in one.seen.out_of_service:
            if running is None:
                yield f"{name} of {one.seen.service} is kept offline and does not run"


def _orphans(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        known = {member.id for member in (*one.seen.instances, *one.seen.resting)}
        names = sorted(set(one.candidates) - known)
        if names:
            yield f"{one.seen.service} has candidates that are no instances: {', '.join(names[:5])}"


def _refused_config(facts: Facts) -> Iterator[str]:
    refused = (one for one in facts.services if one.config_refusal)
    return (f"clients of {one.seen.service} refuse its config: {one.config_refusal}" for one in refused)


def _unknown_names(facts: Facts) -> Iterator[str]:
    return (f"the config of {one.seen.service} has {name}" for one in facts.services for name in one.unknown_names)


def _blanket_retries(facts: Facts) -> Iterator[str]:
    blanket = (one.seen.service for one in facts.services if one.config.idempotent)
    return (f"the config of {service} calls every method idempotent, writes included" for service in blanket)


def _idle_hedges(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        for place, settings in _settings(one.config):
            if settings.hedge not in (None, "off") and settings.idempotent is False:
                yield f"{one.seen.service}{place} is hedged and said not to be idempotent, so it is not hedged"


def _long_timeouts(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        for place, settings in _settings(one.config):
            if settings.timeout is not None and settings.timeout > _LONGEST_TIMEOUT:
                yield f"{one.seen.service}{place} has a timeout of {settings.timeout:g} s"


def _settings(config: ServiceConfig) -> Iterator[tuple[str, MethodConfig]]:
    yield "", config
    for name, method in config.methods.items():
        yield f".{name}", method


def _sizes(facts: Facts) -> Iterator[str]:
    for one in facts.services:
        for path, size in one.sizes:
            if size > _LARGEST_NODE:
                yield f"{path} takes {size // 1024} KiB of the 1024 that ZooKeeper allows by default"


CHECKS = (
    Check(
        name="zookeeper-reachable",
        looks_at="whether every server accepts connections",
        remedy="start it, or take it out of the connect string or, by reconfig, out of the ensemble",
        judge=lambda facts: servers.find_unreachable(facts.servers, facts.others),
    ),
    Check(
        name="zookeeper-size",
        looks_at="how many servers vote, or else how many the connect string names",
        remedy="use 3 servers, or 5; more of them as observers",
        judge=lambda facts: servers.find_size(facts.servers, facts.members),
    ),
    Check(
        name="zookeeper-version",
        looks_at="how old the servers are",
        remedy="upgrade to a ZooKeeper that still gets fixes",
        judge=lambda facts: servers.find_old((*facts.servers, *facts.others)),
    ),
    Check(
        name="zookeeper-versions-mixed",
        looks_at="whether the servers are of one version",
        remedy="finish the upgrade",
        judge=lambda facts: servers.find_mixed((*facts.servers, *facts.others)),
    ),
    Check(
        name="zookeeper-leader",
        looks_at="whether one server leads",
        remedy="look at the servers' logs and at the network between them",
        judge=lambda facts: servers.find_leaderless((*facts.servers, *facts.others)),
    ),
    Check(
        name="zookeeper-observers",
        looks_at="whether the connect string names servers that vote",
        remedy="name voting servers as well: observers alone may lag, and vanish with the way to the others",
        judge=lambda facts: servers.find_observers(facts.servers, facts.members),
    ),
    Check(
        name="zookeeper-connections",
        looks_at="whether a host has nearly as many connections as maxClientCnxns allows",
        remedy="raise maxClientCnxns, or have processes share a zkrpc.Registry",
        judge=lambda facts: servers.find_full((*facts.servers, *facts.others)),
    ),
    Check(
        name="zookeeper-load",
        looks_at="whether a server has too much to hold or to do",
        remedy="give it a disk of its own for the log, set autopurge, and find out who writes so much",
        judge=lambda facts: servers.find_strained((*facts.servers, *facts.others)),
    ),
    Check(
        name="zookeeper-admin",
        looks_at="whether an AdminServer answers at an address of the internet",
        remedy="set admin.serverAddress=127.0.0.1, or admin.enableServer=false",
        judge=lambda facts: servers.find_exposed((*facts.servers, *facts.others)),
    ),
    Check(
        name="access",
        looks_at="whether we may do with the nodes what has to be done",
        remedy="use the credentials of who made them, or have them run zkrpc acl fix (docs/zookeeper-security.md)",
        judge=lambda facts: rights.find_lacking(facts.access),
    ),
    Check(
        name="access-open",
        looks_at="whether nodes are open to anyone while others need credentials",
        remedy="give every process the credentials, and then the nodes their access lists: zkrpc acl fix",
        judge=lambda facts: rights.find_open(facts.access),
    ),
    Check(
        name="access-owners",
        looks_at="whether one identity may change all nodes of a service",
        remedy="use one pair of credentials for all that register, or name the others in owners: zkrpc acl fix",
        judge=lambda facts: rights.find_owners(facts.access),
    ),
    Check(
        name="session-timeout",
        looks_at="whether sessions get the timeout that they ask for",
        remedy="set minSessionTimeout and maxSessionTimeout of ZooKeeper accordingly; failovers take as long as it is",
        judge=lambda facts: servers.find_timeouts(facts.timeout_asked, facts.timeout_granted),
    ),
    Check(
        name="clock",
        looks_at="whether ZooKeeper's clock and this machine's agree",
        remedy="synchronise the clocks (NTP); ages and first epochs are taken from them",
        judge=lambda facts: servers.find_clock(facts.newest_write, facts.wall_now),
    ),
    Check(
        name="service-empty",
        looks_at="whether each service is served",
        remedy="start an instance, bring one back (zkrpc online), or remove the service: zkrpc rm",
        judge=_empty,
    ),
    Check(
        name="instance-ready",
        looks_at="whether instances say that they are ready",
        remedy="ask the instance why: zkrpc health",
        judge=_unready,
    ),
    Check(
        name="records",
        looks_at="whether the records of instances can be read",
        remedy="find out who writes them: zkrpc ls SERVICE; delete what is left over",
        judge=_unreadable,
    ),
    Check(
        name="idl-mixed",
        looks_at="whether all instances of a service serve one IDL",
        remedy="finish the rollout; compare: zkrpc idl check",
        judge=lambda facts: _differing(facts, "IDLs", lambda seen: seen.idl_digests),
    ),
    Check(
        name="versions-mixed",
        looks_at="whether all instances of a service are of one version",
        remedy="finish the rollout",
        judge=lambda facts: _differing(facts, "versions", lambda seen: seen.versions),
    ),
    Check(
        name="loopback",
        looks_at="whether instances register addresses that others can reach",
        remedy="give the address that callers use: zkrpc serve --advertise HOST",
        judge=_loopback,
    ),
    Check(
        name="certificates",
        looks_at="whether instances have certificates that last (--certificate-days)",
        remedy="have new ones written into the same files; they are read without a restart (docs/tls.md)",
        judge=lambda facts: certificates.find_expiring(facts.certificates, facts.wall_now),
    ),
    Check(
        name="primary",
        looks_at="whether each group has a primary",
        remedy="see why nobody can lead: zkrpc primary SERVICE",
        judge=_leaderless,
    ),
    Check(
        name="candidates",
        looks_at="whether who stands for election is an instance",
        remedy="wait for the end of its session; if it stays, restart the process",
        judge=_orphans,
    ),
    Check(
        name="offline",
        looks_at="whether orders to be offline are for instances that run",
        remedy="take the order back: zkrpc online INSTANCE",
        judge=_stale_orders,
    ),
    Check(
        name="config-refused",
        looks_at="whether clients accept the configs",
        remedy="put it right, or take an old one: zkrpc config set, zkrpc config rollback",
        judge=_refused_config,
    ),
    Check(
        name="config-names",
        looks_at="whether a config speaks of methods, parameters and fields that are served",
        remedy="spell them as the published IDL does, or take them out: zkrpc config check --service",
        judge=_unknown_names,
    ),
    Check(
        name="config-retries",
        looks_at="whether a config allows to send writes twice",
        remedy="say idempotent of single methods, in the IDL or the config",
        judge=_blanket_retries,
    ),
    Check(
        name="config-hedges",
        looks_at="whether a config hedges what may not be sent twice",
        remedy="take the hedge away, or say that the method is idempotent if it is",
        judge=_idle_hedges,
    ),
    Check(
        name="config-timeouts",
        looks_at="whether a config lets callers wait for more than a minute",
        remedy="set a timeout that a caller has the patience for",
        judge=_long_timeouts,
    ),
    Check(
        name="node-sizes",
        looks_at="whether nodes and lists come near ZooKeeper's limit for one answer",
        remedy="raise jute.maxbuffer on servers and clients, or split the service",
        judge=_sizes,
    ),
)
"""All checks, ensemble first."""
