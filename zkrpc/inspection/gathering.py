"""Gathers the facts that :mod:`zkrpc.inspection.checks` judges: reads only, and within bounds.

What a server says of itself comes from its answers to four-letter words, and whether its AdminServer answers at its
usual port. A server that does not answer, or not in time, is one of which nothing is known.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator

import gevent

from zkrpc.config import ServiceConfig
from zkrpc.coordination import Registry
from zkrpc.election.tree import HEARTBEATS, ElectionPaths, instance_of, queue
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.inspection.checks import Facts, ServiceFacts, size_of_names
from zkrpc.inspection.config_names import has_names, judge_names
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.inspection.rights import AccessFacts, NodeAccess
from zkrpc.inspection.servers import ServerFacts, read_answers, tell_identities
from zkrpc.inspection.survey import Survey
from zkrpc.registry.published import served_interfaces
from zkrpc.registry.schema import IDL, SERVICES, Paths
from zkrpc.registry.service_config import parse_service_config
from zkrpc.zookeeper.access import Identity, Right, user
from zkrpc.zookeeper.ensemble import CONFIGURATION, read_members
from zkrpc.zookeeper.operations import ConnectString

_MOST_ANSWER = 4 * 2**20
"""Bytes; a server lists each of its connections."""
_WORDS = ("srvr", "conf", "cons", "mntr")
_ADMIN_PORT = 8080
_ADMIN_TIMEOUT = 1.0
"""Seconds; a port that a firewall guards does not answer at all."""


def gather(registry: Registry, services: Iterable[str], timeout: float) -> Facts:
    """The facts about the registry's ensemble and these services. Raises CoordinationError if ZooKeeper does not
    answer; a server that does not answer in ``timeout`` seconds is a fact."""
    given = ConnectString.parse(registry.hosts).servers
    asking = [gevent.spawn(ask_server, server, timeout) for server in given]
    configuration = registry.session.znodes.system.get(CONFIGURATION)
    members = read_members(None if configuration is None else configuration[0])
    asking += [gevent.spawn(ask_server, one.endpoint, timeout) for one in members if one.endpoint not in given]
    seen = Survey(registry).look(services, timeout)
    written: list[float] = []
    told = tuple(_service(registry, one, written) for one in seen.values())
    gevent.joinall(asking)
    servers = [one.value for one in asking if one.value is not None]
    access = _access(registry, seen.values(), asks=tell_identities(servers))
    return Facts(
        servers=tuple(one for one in servers if one.endpoint in given),
        others=tuple(one for one in servers if one.endpoint not in given),
        members=members,
        access=access,
        timeout_asked=registry.config.session_timeout,
        timeout_granted=registry.session.timeout,
        newest_write=max(written, default=None),
        wall_now=time.time(),
        services=told,
    )


def ask_server(server: Endpoint, timeout: float) -> ServerFacts:
    """What one server says of itself within ``timeout`` seconds."""
    give_up_at = time.monotonic() + timeout
    answers: dict[str, str] = {}
    try:
        for word in _WORDS:
            answers[word], _ = _ask(server, word.encode(), give_up_at)
    except OSError:
        if not answers:
            return ServerFacts(endpoint=server, reachable=False)
    admin = None
    with contextlib.suppress(OSError):
        request = f"GET /commands HTTP/1.0\r\nHost: {server.host}\r\n\r\n".encode()
        until = min(give_up_at, time.monotonic() + _ADMIN_TIMEOUT)
        told, address = _ask(Endpoint(server.host, _ADMIN_PORT), request, until)
        admin = address if told.startswith("HTTP/") and "/commands/" in told else None
    return read_answers(server, answers, admin)


def _ask(place: Endpoint, request: bytes, give_up_at: float) -> tuple[str, str]:
    """What is answered there until the other side hangs up or the time is over, and the address that answers. Raises
    OSError if there is no connection."""
    answer = bytearray()
    with socket.create_connection((place.host, place.port), timeout=max(0.001, give_up_at - time.monotonic())) as sock:
        address = str(sock.getpeername()[0])
        with contextlib.suppress(OSError):
            sock.sendall(request)
            while len(answer) < _MOST_ANSWER and (left := give_up_at - time.monotonic()) > 0:
                sock.settimeout(left)
                piece = sock.recv(65536)
                if not piece:
                    break
                answer += piece
    return answer.decode("ascii", "replace"), address


def _access(registry: Registry, services: Iterable[ServiceOverview], *, asks: bool) -> AccessFacts:
    """Who we are, and what may be done with the nodes that there are. ``asks`` ZooKeeper who we are, or does not."""
    znodes, config = registry.session.znodes, registry.config
    told: tuple[Identity, ...] = ()
    if asks:
        with contextlib.suppress(CoordinationError):
            told = znodes.identities()
    has_credentials = config.username is not None and config.password is not None
    if config.username is not None and config.password is not None:
        # With the hash, which ZooKeeper does not tell.
        told = (user(config.username, config.password), *(one for one in told if one.scheme != "digest"))
    nodes = []
    for path, needed in _needs(services):
        grants = znodes.access(path)
        if grants is not None:
            nodes.append(NodeAccess(path=path, needed=needed, grants=grants))
    return AccessFacts(identities=told, has_credentials=has_credentials, nodes=tuple(nodes))


def _needs(services: Iterable[ServiceOverview]) -> Iterator[tuple[str, Right]]:
    """The nodes that live on, each with what has to be done with it; children are deleted by a right to their
    parent."""
    family = Right.READ | Right.CREATE | Right.DELETE
    yield SERVICES, Right.READ | Right.CREATE
    yield IDL, Right.READ | Right.CREATE
    yield HEARTBEATS, family
    for seen in services:
        paths = Paths(seen.service)
        yield paths.root, Right.READ | Right.CREATE
        yield from ((path, family) for path in (paths.members, paths.incarnations, paths.offline, paths.resting))
        yield paths.config, Right.READ | Right.WRITE
        for group in seen.primaries:
            election = ElectionPaths(seen.service, group)
            yield from ((path, family) for path in (election.root, election.candidates))
            yield election.epoch, Right.READ | Right.WRITE


def _service(registry: Registry, seen: ServiceOverview, written: list[float]) -> ServiceFacts:
    znodes, paths = registry.session.znodes, Paths(seen.service)
    config = znodes.get(paths.config)
    told = ServiceFacts(seen=seen)
    sizes = []
    if config is not None:
        written.append(config[1].modified_at)
        sizes.append((paths.config, config[1].size))
    for parent in (paths.root, paths.members, paths.incarnations):
        found = znodes.listing(parent)
        if found is not None:
            names, stat = found
            written.append(stat.modified_at)
            sizes.append((parent, size_of_names(names)))
    candidates: list[str] = []
    for group in seen.primaries:
        names = znodes.children(f"{paths.election(group)}/candidates") or []
        candidates += map(instance_of, queue(names))
    try:
        parsed, refusal = told.config, ""
        if config is not None:
            parsed = parse_service_config(config[0], max_size=registry.config.max_record)
    except ConfigError as error:
        refusal = str(error)
    return ServiceFacts(
        seen=seen,
        config=parsed,
        config_refusal=refusal,
        unknown_names=_unknown_names(registry, seen.service, parsed),
        candidates=tuple(candidates),
        sizes=tuple(sizes),
    )


def _unknown_names(registry: Registry, service: str, config: ServiceConfig) -> tuple[str, ...]:
    """The names in a config that certainly stand for nothing, in words."""
    if not has_names(config):
        return ()
    served = served_interfaces(registry.session, service)
    return tuple(map(str, judge_names(config, served.interfaces, served.unknown).wrong))
