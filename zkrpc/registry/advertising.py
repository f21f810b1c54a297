"""Which address an instance registers, and whether clients can reach it.

Clients use the address from ZooKeeper as it is. A loopback address sends each client to its own host, which is right as
long as all processes, ZooKeeper's too, are on one machine, and is the most common mistake otherwise.
"""

from __future__ import annotations

import ipaddress
import logging
import socket

from zkrpc.dialling import look_up
from zkrpc.endpoint import Endpoint, is_loopback
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.zookeeper.operations import ConnectString

_log = logging.getLogger(__name__)

_LOOK_UP_TIMEOUT = 2.0
_WILDCARDS = ("", "0.0.0.0", "::")


def advertised_door(door: Endpoint, host: str) -> Endpoint | None:
    """Where others find an admin door of an instance that they find at ``host``; None for a door on loopback that they
    would look for on their own host."""
    if door.host in ("0.0.0.0", "::"):
        return Endpoint(host, door.port)
    return None if is_loopback(door.host) and not is_loopback(host) else door


def choose_endpoint(bound: Endpoint, advertise: str | None, hosts: str) -> Endpoint:
    """The endpoint to register: ``advertise`` if given, else the bound one, in which a wildcard is replaced by the
    address of the interface that leads to ZooKeeper.

    ``advertise`` is a host, or a host and port; ``hosts`` is ZooKeeper's connect string. Raises ConfigError for an
    address that no client can connect to, and CoordinationError if none can be found. Logs a warning for one that only
    this host can reach, if ZooKeeper is on another.
    """
    target = ConnectString.parse(hosts)
    chosen = read_advertised(advertise, bound.port) if advertise else bound
    if chosen.host in _WILDCARDS:
        chosen = Endpoint(_towards(target, only_ipv4=chosen.host == "0.0.0.0"), chosen.port)
    if means_this_host(chosen.host) and (elsewhere := [one for one in target.servers if not means_this_host(one.host)]):
        _log.warning(
            "registering %s in the ZooKeeper at %s, but %s means this host on every host, so nobody elsewhere can call "
            "it: give --bind 0.0.0.0:%d (or this host's address) and, where clients know this host by another name, "
            "--advertise HOST",
            chosen,
            elsewhere[0],
            chosen.host,
            bound.port,
        )
    return chosen


def read_advertised(text: str, port: int) -> Endpoint:
    """``host``, ``host:port``, ``[v6]:port``, ``[v6]`` or a bare IPv6 address. Raises ConfigError for any other text,
    and for a wildcard address or port 0."""
    plain = text.strip()
    if _literal(plain.removeprefix("[").removesuffix("]")) is not None and ":" in plain:
        plain = f"[{plain.removeprefix('[').removesuffix(']')}]"
    has_port = not plain.endswith("]") and plain.rpartition(":")[2].isdigit() and ":" in plain
    endpoint = Endpoint.parse(plain if has_port else f"{plain}:{port}")
    if endpoint.host in _WILDCARDS:
        raise ConfigError(f"nobody can connect to {endpoint.host}: give --advertise this host's name or address")
    if not endpoint.port:
        raise ConfigError(f"nobody can connect to port 0: give --advertise HOST, or HOST:PORT, instead of {text!r}")
    return endpoint


def means_this_host(host: str) -> bool:
    """Whether a host's name or address leads back to the host that uses it: a loopback or wildcard address, or a name
    that has no other."""
    literal = _literal(host)
    if literal is not None:
        return _is_loopback(literal)
    try:
        addresses = look_up(Endpoint(host, 1), _LOOK_UP_TIMEOUT)
    except OSError:
        return False
    return all(_is_loopback(ipaddress.ip_address(address.place[0].partition("%")[0])) for address in addresses)


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _towards(target: ConnectString, *, only_ipv4: bool) -> str:
    """The local address of the route to the first ZooKeeper server that has one. No packet is sent."""
    failure: OSError | None = None
    for server in target.servers:
        try:
            addresses = look_up(server, _LOOK_UP_TIMEOUT)
        except OSError as error:
            failure = error
            continue
        for family, place in addresses:
            if family == socket.AF_INET6 and only_ipv4:
                continue
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                try:
                    probe.connect(place)
                    return str(probe.getsockname()[0])
                except OSError as error:
                    failure = error
    reason = failure or "ZooKeeper has IPv6 addresses, and 0.0.0.0 has none"
    raise CoordinationError(f"cannot tell which address to advertise ({reason}); give it with --advertise HOST")
