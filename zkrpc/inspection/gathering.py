"""Gathers the facts that :mod:`zkrpc.inspection.checks` judges: reads only, and within bounds.

What a server says of itself comes from the four-letter word ``srvr``, which ZooKeeper answers unless it is told not to.
A server that does not answer it, or not in time, is one of which nothing is known.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterable

import gevent

from zkrpc.config import ServiceConfig
from zkrpc.coordination import Registry
from zkrpc.election.tree import instance_of, queue
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.inspection.checks import Facts, ServerFacts, ServiceFacts, size_of_names
from zkrpc.inspection.config_names import has_names, judge_names
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.inspection.survey import Survey
from zkrpc.registry.published import served_interfaces
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import parse_service_config
from zkrpc.zookeeper.operations import ConnectString

_MOST_ANSWER = 64 * 1024
_VERSION = re.compile(r"^Zookeeper version: (\d[\w.]*)", re.MULTILINE)
_MODE = re.compile(r"^Mode: (\w+)", re.MULTILINE)


def gather(registry: Registry, services: Iterable[str], timeout: float) -> Facts:
    """The facts about the registry's ensemble and these services. Raises CoordinationError if ZooKeeper does not
    answer; a server that does not answer in ``timeout`` seconds is a fact."""
    asking = [gevent.spawn(ask_server, server, timeout) for server in ConnectString.parse(registry.hosts).servers]
    seen = Survey(registry).look(services, timeout)
    written: list[float] = []
    told = tuple(_service(registry, one, written) for one in seen.values())
    gevent.joinall(asking)
    return Facts(
        servers=tuple(one.value for one in asking if one.value is not None),
        timeout_asked=registry.config.session_timeout,
        timeout_granted=registry.session.timeout,
        newest_write=max(written, default=None),
        wall_now=time.time(),
        services=told,
    )


def ask_server(server: Endpoint, timeout: float) -> ServerFacts:
    """What one server says of itself within ``timeout`` seconds."""
    give_up_at = time.monotonic() + timeout
    answer = bytearray()
    try:
        with socket.create_connection((server.host, server.port), timeout=timeout) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(b"srvr")
                while len(answer) < _MOST_ANSWER and (left := give_up_at - time.monotonic()) > 0:
                    sock.settimeout(left)
                    piece = sock.recv(4096)
                    if not piece:
                        break
                    answer += piece
    except OSError:
        return ServerFacts(endpoint=server, reachable=False)
    return read_answer(server, answer.decode("ascii", "replace"))


def read_answer(server: Endpoint, text: str) -> ServerFacts:
    """The facts in an answer to ``srvr``; none in any other text."""
    version, mode = _VERSION.search(text), _MODE.search(text)
    return ServerFacts(
        endpoint=server, version=None if version is None else version[1], mode=None if mode is None else mode[1]
    )


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
