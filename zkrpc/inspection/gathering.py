"""Gathers the facts that :mod:`zkrpc.inspection.checks` judges: reads only, and within bounds.

What a server says of itself comes from its answers to four-letter words, and whether its AdminServer answers at its
usual port. A server that does not answer, or not in time, is one of which nothing is known.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Iterator, Sequence

import gevent

from zkrpc.config import ServiceConfig
from zkrpc.coordination import Registry
from zkrpc.election.tree import HEARTBEATS, ElectionPaths, instance_of, queue
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.inspection.certificates import LASTS, CertificateFacts, ends_of_certificates
from zkrpc.inspection.checks import Facts, ServiceFacts
from zkrpc.inspection.config_names import has_names, judge_names
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.inspection.rights import AccessFacts, NodeAccess
from zkrpc.inspection.servers import ServerFacts, read_answers, tell_identities
from zkrpc.inspection.survey import Survey
from zkrpc.registry.published import served_interfaces
from zkrpc.registry.schema import IDL, SERVICES, Paths
from zkrpc.registry.service_config import parse_service_config
from zkrpc.zookeeper.access import Identity, Right
from zkrpc.zookeeper.encryption import Encryption
from zkrpc.zookeeper.ensemble import CONFIGURATION, read_members
from zkrpc.zookeeper.operations import ConnectString
from zkrpc.zookeeper.ownership import is_shared, our_identities

_MOST_ANSWER = 4 * 2**20
"""Bytes; a server lists each of its connections."""
_WORDS = ("srvr", "conf", "cons", "mntr")
_BYTES_PER_NAME = 4
"""What a list of children takes for each name besides the name."""
_ADMIN_PORT = 8080
_ADMIN_TIMEOUT = 1.0
"""Seconds; a port that a firewall guards does not answer at all."""


def gather(registry: Registry, services: Iterable[str], timeout: float, *, certificate_days: float = LASTS) -> Facts:
    """The facts about the registry's ensemble and these services. Raises CoordinationError if ZooKeeper does not
    answer; a server that does not answer in ``timeout`` seconds is a fact. A certificate must last for
    ``certificate_days``."""
    given = ConnectString.parse(registry.hosts).servers
    encryption = Encryption.of(registry.session.security)
    asking = [gevent.spawn(ask_server, server, timeout, encryption) for server in given]
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
        certificates=CertificateFacts(
            ends={name: ends_of_certificates(one.serving, timeout) for name, one in seen.items()}, days=certificate_days
        ),
        services=told,
    )


def ask_server(server: Endpoint, timeout: float, encryption: Encryption | None = None) -> ServerFacts:
    """What one server says of itself within ``timeout`` seconds, in TLS if ``encryption`` is given."""
    give_up_at = time.monotonic() + timeout
    answers: dict[str, str] = {}
    try:
        for word in _WORDS:
            answers[word], _ = _ask(server, word.encode(), give_up_at, encryption)
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


def _ask(place: Endpoint, request: bytes, give_up_at: float, encryption: Encryption | None = None) -> tuple[str, str]:
    """What is answered there until the other side hangs up or the time is over, and the address that answers. Raises
    OSError if there is no connection."""
    answer = bytearray()
    plain = socket.create_connection((place.host, place.port), timeout=max(0.001, give_up_at - time.monotonic()))
    with plain if encryption is None else encryption.wrap(plain, place.host) as sock:
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
    znodes, security = registry.session.znodes, registry.session.security
    told: tuple[Identity, ...] = ()
    if asks:
        with contextlib.suppress(CoordinationError):
            told = znodes.identities()
    told = our_identities(security, told)
    nodes = []
    for service, path, needed in _needs(services):
        grants = znodes.access(path)
        if grants is not None:
            nodes.append(NodeAccess(path=path, needed=needed, grants=grants, service=service, shared=is_shared(path)))
    return AccessFacts(identities=told, has_credentials=security.is_known, nodes=tuple(nodes))


def _needs(services: Iterable[ServiceOverview]) -> Iterator[tuple[str, str, Right]]:
    """The nodes that live on, each with the service whose it is and what has to be done with it; children are deleted
    by a right to their parent."""
    family = Right.READ | Right.CREATE | Right.DELETE
    for path in (SERVICES, IDL, HEARTBEATS):
        yield "", path, Right.READ | Right.CREATE
    for seen in services:
        name, paths = seen.service, Paths(seen.service)
        yield name, paths.root, Right.READ | Right.CREATE
        for path in (paths.members, paths.incarnations, paths.offline, paths.resting):
            yield name, path, family
        yield name, paths.config, Right.READ | Right.WRITE
        for group in seen.primaries:
            election = ElectionPaths(name, group)
            yield name, election.root, family
            yield name, election.candidates, family
            yield name, election.epoch, Right.READ | Right.WRITE


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


def size_of_names(names: Sequence[str]) -> int:
    """Bytes of a list of children."""
    return sum(len(name.encode()) + _BYTES_PER_NAME for name in names)


def _unknown_names(registry: Registry, service: str, config: ServiceConfig) -> tuple[str, ...]:
    """The names in a config that certainly stand for nothing, in words."""
    if not has_names(config):
        return ()
    served = served_interfaces(registry.session, service)
    return tuple(map(str, judge_names(config, served.interfaces, served.unknown).wrong))
