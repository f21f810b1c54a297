"""The formats of a member's record: Twitter ServerSet and Curator x-discovery JSON, written byte for byte as their own
libraries write them, and read as untrusted input. Knows nothing of paths, sessions or time.

Both carry zkrpc's own facts in their string-to-string metadata under ``zkrpc.*`` keys; a fact at its default is left
out. Readers of both formats ignore unknown keys, and so does this one. A record that we write is immutable: Finagle
reads it once, so leaving service means deleting the node, and changing a record means replacing it.

What a reader cannot do without is a host and a port. Anything else that is missing, odd or of the wrong type is taken
as not said: whoever wrote it serves all the same.

The record in a primary's node has a format of zkrpc's own: a JSON object, read by the election and by every client.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from zkrpc.config import LONGEST_TIMEOUT, RegistryConfig
from zkrpc.endpoint import INCREDIBLE_EPOCH, NO_EPOCH, Endpoint, Instance
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.legible import legible
from zkrpc.registry.schema import MEMBER_PREFIX
from zkrpc.registry.untrusted import (
    is_short_number,
    load_object,
    names_in,
    number_or,
    read_door,
    read_endpoint,
    refuse,
    texts_of,
)

MAX_RECORD = RegistryConfig().max_record
"""Bytes; the default of ``RegistryConfig.max_record``. Longer records are neither read nor written."""

LAUNCH = "launch"
"""Metadata key of the launch id: one run of a supervisor, or of a process that has none."""
PID = "pid"
"""Metadata key of the process id, which is for people only."""
SESSION_TIMEOUT = "session_timeout"
"""Metadata key of the session timeout, in seconds, that an instance asks for. An instance that takes over its worker id
reads from this how long it may have to wait."""

_WEIGHT = "zkrpc.weight"
_ZONE = "zkrpc.zone"
_PROTOCOLS = "zkrpc.protocols"
_STARTED_AT = "zkrpc.started_at"
_VERSION = "zkrpc.version"
_IDL_DIGEST = "zkrpc.idl"
_INTERFACE = "zkrpc.interface"
_SERVICES = "zkrpc.services"
_ALSO = "zkrpc.also"
_PRIMARY_ONLY = "zkrpc.primary_only"
_SHARD = "zkrpc.shard"
_UNREADY = "zkrpc.unready"
_ADMIN = "zkrpc.admin"
_TLS = "zkrpc.tls"
_SPRING_STATUS = "instance_status"
_FACTS = frozenset(
    {_WEIGHT, _ZONE, _PROTOCOLS, _STARTED_AT, _VERSION, _IDL_DIGEST, _INTERFACE, _PRIMARY_ONLY, _SHARD, _UNREADY}
    | {_ADMIN, _TLS, _SERVICES, _ALSO}
)

_ADMIN_DOOR = "admin"
"""The additional endpoint of the admin door."""
_UNREADY_STATUS, _UNREADY_IN_SPRING = "WARNING", "OUT_OF_SERVICE"
"""What Finagle and Spring call an instance that is there and wants no calls. They leave it out; our clients know why it
is so, and call it if too few others are left."""
_NOT_IN_SERVICE = ("DEAD", "STARTING", "STOPPING", "STOPPED", _UNREADY_STATUS)
"""What a ServerSet's status may be besides ALIVE."""

MAX_WEIGHT = 1_000_000.0
"""The largest weight of an instance."""
_MAX_SHARD = 2**31 - 1

SPRING_PAYLOAD = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance"
"""The Java class Spring Cloud's readers need to find in ``@class``, to the letter."""

_URI_SPEC = {
    "parts": [
        {"value": "scheme", "variable": True},
        {"value": "://", "variable": False},
        {"value": "address", "variable": True},
        {"value": ":", "variable": False},
        {"value": "port", "variable": True},
    ]
}


def dump_serverset(instance: Instance, *, named: str = "") -> bytes:
    """An instance's record as Twitter's ServerSet writes it: keys in Gson's order, no ``shard`` or ``metadata`` when
    unset.

    ``additionalEndpoints`` is always there because scales, Armeria and twitter/commons refuse records without it. The
    admin door is the additional endpoint ``admin``, where Prometheus looks for it (``serverset_sd_configs``); the
    instance's own is also the one of the name ``named``, for readers that look for such a name.
    """
    doors = {} if instance.admin is None else {_ADMIN_DOOR: _place(instance.admin)}
    if named in doors:
        raise ConfigError(f"the additional endpoint {named!r} is the admin door's; give the service's another name")
    document: dict[str, Any] = {
        "serviceEndpoint": _place(instance.endpoint),
        "additionalEndpoints": {**({named: _place(instance.endpoint)} if named else {}), **doors},
        "status": _UNREADY_STATUS if instance.unready else "ALIVE",
    }
    if instance.shard is not None:
        document["shard"] = instance.shard
    metadata = _metadata_of(instance)
    if metadata:
        document["metadata"] = metadata
    return _dump(instance, document, instance)


def dump_curator(instance: Instance, service: str) -> bytes:
    """An instance's record as Curator writes it in compatible mode with Spring Cloud's payload: nulls written, no
    ``enabled``."""
    metadata = {
        _SPRING_STATUS: _UNREADY_IN_SPRING if instance.unready else "UP",
        **_metadata_of(instance, _SPRING_STATUS),
    }
    if instance.shard is not None:
        metadata[_SHARD] = str(instance.shard)
    if instance.admin is not None:
        metadata[_ADMIN] = str(instance.admin)
    payload = {"@class": SPRING_PAYLOAD, "id": instance.id, "name": service, "metadata": metadata}
    return _dump(instance, _service_instance(instance, service, payload, _URI_SPEC), instance)


def dump_plain_curator(instance: Instance, service: str) -> bytes:
    """An instance's record as Curator itself writes it for ``ServiceInstance.builder()`` without payload and URI, which
    readers of every payload type can read. It has room for the address and the time of the start only; an instance
    that is not ready is not ``enabled``."""
    document = _service_instance(instance, service, None, None)
    if instance.unready:
        document["enabled"] = False
    said = Instance(id=instance.id, endpoint=instance.endpoint, started_at=document["registrationTimeUTC"] / 1000)
    return _dump(instance, document, None if instance.unready else said)


def parse_record(
    name: str, payload: bytes, *, max_record: int = MAX_RECORD, prefix: str = MEMBER_PREFIX, named: str = ""
) -> Instance | None:
    """The instance in the node ``name``, of either format; None if the record says that it is not in service.

    The id comes from the node's name, without the ``prefix`` of members' names: ZooKeeper keeps that unique, and not
    what is in the record. The address is that of the additional endpoint ``named``, if it is given. Raises
    RemoteProtocolError with the reason for anything that has no usable address, and no other exception.
    """
    document = load_object(payload, max_record)
    if "serviceEndpoint" in document:
        return _read_serverset(name.removeprefix(prefix), document, named)
    if named:
        refuse(f"not a ServerSet record, of which only such have an additional endpoint {named!r:.100}")
    if "address" in document:
        return _read_curator(name.removeprefix(prefix), document)
    refuse("neither a ServerSet nor a Curator record")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryRecord:
    """The content of a primary's node: who leads the group."""

    epoch: int
    instance: str
    """The worker id; empty if the record does not say."""
    endpoint: Endpoint
    """Where calls for the primary go."""

    def dump(self) -> bytes:
        """The node's value."""
        fields = {"epoch": self.epoch, "instance": self.instance, "endpoint": str(self.endpoint)}
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, payload: bytes, *, max_record: int = MAX_RECORD) -> PrimaryRecord | None:
        """Reads what ``dump`` wrote; None for anything else, which means that there is a primary at an unknown
        endpoint."""
        try:
            document = load_object(payload, max_record)
            epoch, instance, place = (document.get("epoch"), document.get("instance", ""), document.get("endpoint"))
            if type(epoch) is not int or not isinstance(instance, str) or not isinstance(place, str):
                return None
            endpoint = Endpoint.parse(place)
        except (RemoteProtocolError, ConfigError):
            return None
        return cls(epoch=epoch, instance=instance, endpoint=endpoint) if NO_EPOCH < epoch < INCREDIBLE_EPOCH else None


def launch_of(payload: bytes) -> str:
    """The launch id in a record; empty if there is none, or if the record cannot be read."""
    return _identity(payload)[1]


def session_timeout_of(payload: bytes) -> float | None:
    """The session timeout in seconds that the record's writer asked for; None if the record does not say."""
    return read_session_timeout(_identity(payload)[3])


def read_session_timeout(text: str) -> float | None:
    """The session timeout in seconds, from an instance's metadata under ``SESSION_TIMEOUT``; None if it is missing or
    not plausible."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0.0 < seconds <= LONGEST_TIMEOUT else None


def describe_record(payload: bytes) -> str:
    """One phrase for people: the endpoint, process and launch that wrote this record, as far as it can be read."""
    place, launch, pid, _ = _identity(payload)
    return f"{place} (pid {legible(pid or 'unknown', 64)}, launch {legible(launch or 'unknown', 64)})"


def _identity(payload: bytes) -> tuple[str, str, str, str]:
    """Endpoint, launch id, process id and session timeout, for comparing and for people."""
    try:
        instance = parse_record("", payload)
    except RemoteProtocolError:
        return "an unreadable record", "", "", ""
    if instance is None:
        return "an instance that is not in service", "", "", ""
    said = instance.metadata.get
    return (str(instance.endpoint), said(LAUNCH, ""), said(PID, ""), said(SESSION_TIMEOUT, ""))


def _dump(instance: Instance, document: dict[str, Any], expected: Instance | None) -> bytes:
    """The record's bytes, after reading them back: a record that is not read as ``expected`` is not written either."""
    try:
        payload = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        read_back = parse_record(MEMBER_PREFIX + instance.id, payload)
    except (TypeError, ValueError, RemoteProtocolError) as exc:
        raise ConfigError(f"instance {instance.id!r} cannot be written as a record: {exc}") from exc
    if read_back != expected:
        raise ConfigError(f"instance {instance.id!r} cannot be written as a record: it would be read as {read_back}")
    return payload


def _service_instance(instance: Instance, service: str, payload: object, uri_spec: object) -> dict[str, Any]:
    """What Curator's ``ServiceInstance`` holds, in its order."""
    return {
        "name": service,
        "id": instance.id,
        "address": instance.endpoint.host,
        "port": instance.endpoint.port,
        "sslPort": None,
        "payload": payload,
        "registrationTimeUTC": int(instance.started_at * 1000) if math.isfinite(instance.started_at) else 0,
        "serviceType": "DYNAMIC",
        "uriSpec": uri_spec,
    }


def _metadata_of(instance: Instance, *reserved: str) -> dict[str, str]:
    """zkrpc's facts, without those at their defaults, followed by the instance's own metadata."""
    clash = sorted(instance.metadata.keys() & _FACTS.union(reserved))
    if clash:
        raise ConfigError(f"metadata keys {', '.join(clash)} are zkrpc's own; set the instance's fields instead")
    facts = {
        _WEIGHT: "" if instance.weight == 1.0 else repr(float(instance.weight)),
        _ZONE: instance.zone,
        _PROTOCOLS: _join("protocols", instance.protocols),
        _STARTED_AT: repr(float(instance.started_at)) if instance.started_at else "",
        _VERSION: instance.version,
        _IDL_DIGEST: instance.idl_digest,
        _INTERFACE: instance.interface,
        _SERVICES: _join("services", instance.services),
        _ALSO: _join("also", tuple(f"{name}={digest}" for name, digest in instance.also.items())),
        _PRIMARY_ONLY: _join("primary_only", instance.primary_only),
        _UNREADY: instance.unready,
        _TLS: "only" if instance.tls else "",
    }
    return {**{key: text for key, text in facts.items() if text}, **instance.metadata}


def _join(field: str, names: tuple[str, ...]) -> str:
    if any(not name or "," in name for name in names):
        raise ConfigError(f"Instance.{field} must be names without commas, got {names!r}")
    return ",".join(names)


def _read_serverset(worker_id: str, document: dict[str, Any], named: str) -> Instance | None:
    status, metadata = document.get("status"), texts_of(document.get("metadata"))
    if status in _NOT_IN_SERVICE and not (status == _UNREADY_STATUS and metadata.get(_UNREADY)):
        return None
    doors = document.get("additionalEndpoints")
    doors = doors if isinstance(doors, dict) else {}
    place = doors.get(named) if named else document["serviceEndpoint"]
    if not isinstance(place, dict):
        refuse(f"no additional endpoint {named!r:.100}" if named else "serviceEndpoint is not an object")
    endpoint = read_endpoint(place.get("host"), place.get("port"))
    door = doors.get(_ADMIN_DOOR)
    admin = read_door(door.get("host"), door.get("port")) if isinstance(door, dict) else None
    return _instance(worker_id, endpoint, metadata, document.get("shard"), 0.0, admin)


def _read_curator(worker_id: str, document: dict[str, Any]) -> Instance | None:
    extra = document.get("payload")
    metadata = texts_of(extra.get("metadata")) if isinstance(extra, dict) else {}
    status = metadata.pop(_SPRING_STATUS, "UP")
    unready = status == _UNREADY_IN_SPRING and metadata.get(_UNREADY)
    if document.get("enabled") is False or status not in ("", "UP") and not unready:
        return None
    shard = metadata.pop(_SHARD, "")
    registered_at = document.get("registrationTimeUTC")
    milliseconds = registered_at if isinstance(registered_at, int) and 0 <= registered_at < 2**53 else 0
    endpoint = read_endpoint(document["address"], document.get("port"))
    host, _, port = metadata.pop(_ADMIN, "").rpartition(":")
    admin = read_door(host.removeprefix("[").removesuffix("]"), port)
    number = int(shard) if is_short_number(shard) else None
    return _instance(worker_id, endpoint, metadata, number, milliseconds / 1000, admin)


def _place(endpoint: Endpoint) -> dict[str, Any]:
    return {"host": endpoint.host, "port": endpoint.port}


def _instance(
    worker_id: str,
    endpoint: Endpoint,
    metadata: Mapping[str, str],
    shard: object,
    registered_at: float,
    admin: Endpoint | None,
) -> Instance:
    facts = metadata.get
    also = names_in(facts(_ALSO, ""))
    return Instance(
        id=worker_id,
        endpoint=endpoint,
        weight=number_or(facts(_WEIGHT), MAX_WEIGHT, 1.0),
        zone=facts(_ZONE, ""),
        protocols=names_in(facts(_PROTOCOLS, "")),
        tls=bool(facts(_TLS, "")),
        started_at=number_or(facts(_STARTED_AT), 1e15, registered_at),
        version=facts(_VERSION, ""),
        shard=shard if type(shard) is int and 0 <= shard <= _MAX_SHARD else None,
        idl_digest=facts(_IDL_DIGEST, ""),
        interface=facts(_INTERFACE, ""),
        services=names_in(facts(_SERVICES, "")),
        also=MappingProxyType({name: digest for name, _, digest in (one.partition("=") for one in also) if digest}),
        primary_only=names_in(facts(_PRIMARY_ONLY, "")),
        unready=facts(_UNREADY, ""),
        admin=admin,
        metadata=MappingProxyType({key: text for key, text in metadata.items() if key not in _FACTS}),
    )
