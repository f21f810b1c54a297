"""The formats of a member's record: Twitter ServerSet and Curator x-discovery JSON, written byte for byte as their own
libraries write them, and read as untrusted input. Knows nothing of paths, sessions or time.

Both carry zkrpc's own facts in their string-to-string metadata under ``zkrpc.*`` keys; a fact at its default is left
out. Readers of both formats ignore unknown keys, and so does this one. A record is immutable: Finagle reads it once, so
leaving service means deleting the node, and changing a record means replacing it.

The record in a primary's node has a format of zkrpc's own: a JSON object, read by the election and by every client.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from zkrpc.config import LONGEST_TIMEOUT, RegistryConfig
from zkrpc.endpoint import INCREDIBLE_EPOCH, NO_EPOCH, Endpoint, Instance, is_host
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.legible import legible
from zkrpc.registry.schema import MEMBER_PREFIX, worker_id_of

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
_PRIMARY_ONLY = "zkrpc.primary_only"
_SHARD = "zkrpc.shard"
_UNREADY = "zkrpc.unready"
_ADMIN = "zkrpc.admin"
_SPRING_STATUS = "instance_status"
_FACTS = frozenset(
    {_WEIGHT, _ZONE, _PROTOCOLS, _STARTED_AT, _VERSION, _IDL_DIGEST, _INTERFACE, _PRIMARY_ONLY, _SHARD, _UNREADY}
    | {_ADMIN}
)

_UNREADY_STATUS, _UNREADY_IN_SPRING = "WARNING", "OUT_OF_SERVICE"
"""What Finagle and Spring call an instance that is there and wants no calls. They leave it out; our clients know why it
is so, and call it if too few others are left."""

_MAX_WEIGHT = 1_000_000.0
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


def dump_serverset(instance: Instance, service: str = "") -> bytes:
    """An instance's record as Twitter's ServerSet writes it: keys in Gson's order, no ``shard`` or ``metadata`` when
    unset.

    ``additionalEndpoints`` is always there because scales, Armeria and twitter/commons refuse records without it. The
    format does not contain the service's name; the parameter exists so that both ``dump`` functions are called alike.
    The admin door is the additional endpoint ``admin``, where Prometheus looks for it (``serverset_sd_configs``).
    """
    document: dict[str, Any] = {
        "serviceEndpoint": _place(instance.endpoint),
        "additionalEndpoints": {} if instance.admin is None else {"admin": _place(instance.admin)},
        "status": _UNREADY_STATUS if instance.unready else "ALIVE",
    }
    if instance.shard is not None:
        document["shard"] = instance.shard
    metadata = _metadata_of(instance)
    if metadata:
        document["metadata"] = metadata
    return _dump(instance, document)


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
    document = {
        "name": service,
        "id": instance.id,
        "address": instance.endpoint.host,
        "port": instance.endpoint.port,
        "sslPort": None,
        "payload": {"@class": SPRING_PAYLOAD, "id": instance.id, "name": service, "metadata": metadata},
        "registrationTimeUTC": int(instance.started_at * 1000) if math.isfinite(instance.started_at) else 0,
        "serviceType": "DYNAMIC",
        "uriSpec": _URI_SPEC,
    }
    return _dump(instance, document)


def parse_record(name: str, payload: bytes, *, max_record: int = MAX_RECORD) -> Instance | None:
    """The instance in the node ``name``, of either format; None if the record says that it is not in service.

    The id comes from the node's name, which ZooKeeper keeps unique, not from the record. Raises RemoteProtocolError
    with the reason for anything that is not a usable record, and no other exception.
    """
    document = load_object(payload, max_record)
    if "serviceEndpoint" in document:
        return _read_serverset(worker_id_of(name), document)
    if "address" in document:
        return _read_curator(worker_id_of(name), document)
    _refuse("neither a ServerSet nor a Curator record")


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
            epoch, instance, place = document.get("epoch"), document.get("instance", ""), document.get("endpoint")
            if type(epoch) is not int or not isinstance(instance, str) or not isinstance(place, str):
                return None
            endpoint = Endpoint.parse(place)
        except (RemoteProtocolError, ConfigError):
            return None
        return cls(epoch=epoch, instance=instance, endpoint=endpoint) if NO_EPOCH < epoch < INCREDIBLE_EPOCH else None


def load_object(payload: bytes, max_size: int, what: str = "a record", *, names_once: bool = False) -> dict[str, Any]:
    """The JSON object in an untrusted ``payload``. ``what`` names the payload in errors.

    Raises RemoteProtocolError for anything else, including more than ``max_size`` bytes, too deep nesting, huge numbers
    and unpaired surrogates; with ``names_once`` also for a name that stands twice in one object, of which JSON's
    readers take the last.
    """
    if len(payload) > max_size:
        _refuse(f"{what} of {len(payload)} bytes is over {max_size}")
    try:
        text = payload.decode()
        pairs = _read_once if names_once else None
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=pairs)
        if "\\u" in text:
            # An escaped unpaired surrogate decodes, and raises later, when it is printed or stored.
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise RemoteProtocolError(f"{what} that is not JSON: {legible(exc, 100)}") from exc
    if not isinstance(document, dict):
        _refuse(f"{what} that is not a JSON object")
    return document


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
    return str(instance.endpoint), said(LAUNCH, ""), said(PID, ""), said(SESSION_TIMEOUT, "")


def _dump(instance: Instance, document: dict[str, Any]) -> bytes:
    """The record's bytes, after reading them back: a record that ``parse_record`` would refuse is not written
    either."""
    try:
        payload = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        read_back = parse_record(MEMBER_PREFIX + instance.id, payload)
    except (TypeError, ValueError, RemoteProtocolError) as exc:
        raise ConfigError(f"instance {instance.id!r} cannot be written as a record: {exc}") from exc
    if read_back != instance:
        raise ConfigError(f"instance {instance.id!r} cannot be written as a record: it would be read as {read_back}")
    return payload


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
        _PRIMARY_ONLY: _join("primary_only", instance.primary_only),
        _UNREADY: instance.unready,
    }
    return {**{key: text for key, text in facts.items() if text}, **instance.metadata}


def _join(field: str, names: tuple[str, ...]) -> str:
    if any(not name or "," in name for name in names):
        raise ConfigError(f"Instance.{field} must be names without commas, got {names!r}")
    return ",".join(names)


def _refuse(reason: str) -> NoReturn:
    raise RemoteProtocolError(reason)


def _read_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            _refuse(f"{legible(name, 100)!r} stands twice in one object")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON")


def _read_serverset(worker_id: str, document: dict[str, Any]) -> Instance | None:
    status, metadata = document.get("status"), _strings(document.get("metadata"))
    if status != "ALIVE" and not (status == _UNREADY_STATUS and metadata.get(_UNREADY)):
        return None
    place = document["serviceEndpoint"]
    if not isinstance(place, dict):
        _refuse("serviceEndpoint is not an object")
    endpoint = _read_endpoint(place.get("host"), place.get("port"))
    doors = document.get("additionalEndpoints")
    admin = doors.get("admin") if isinstance(doors, dict) else None
    place = admin if isinstance(admin, dict) else {}
    return _instance(worker_id, endpoint, metadata, document.get("shard"), 0.0, (place.get("host"), place.get("port")))


def _read_curator(worker_id: str, document: dict[str, Any]) -> Instance | None:
    extra = document.get("payload")
    metadata = _strings(extra.get("metadata")) if isinstance(extra, dict) else {}
    status = metadata.pop(_SPRING_STATUS, "UP")
    unready = status == _UNREADY_IN_SPRING and metadata.get(_UNREADY)
    if document.get("enabled") is False or status not in ("", "UP") and not unready:
        return None
    shard = metadata.pop(_SHARD, None)
    registered_at = document.get("registrationTimeUTC")
    milliseconds = registered_at if isinstance(registered_at, int) and 0 <= registered_at < 2**53 else 0
    endpoint = _read_endpoint(document["address"], document.get("port"))
    host, _, port = metadata.pop(_ADMIN, "").rpartition(":")
    admin = (host.removeprefix("[").removesuffix("]"), int(port) if port.isascii() and port[:6].isdigit() else None)
    return _instance(worker_id, endpoint, metadata, _integer(shard), milliseconds / 1000, admin)


def _read_endpoint(host: object, port: object) -> Endpoint:
    if not isinstance(host, str) or not host.isascii() or not is_host(host):
        _refuse(f"no usable host, but {host!r:.100}")
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        _refuse(f"no usable port, but {port!r:.100}")
    return Endpoint(host, port)


def _place(endpoint: Endpoint) -> dict[str, Any]:
    return {"host": endpoint.host, "port": endpoint.port}


def _read_door(host: object, port: object) -> Endpoint | None:
    """The endpoint of a door; None if it cannot be read, which is no reason to do without the instance."""
    try:
        return _read_endpoint(host, port)
    except RemoteProtocolError:
        return None


def _strings(metadata: object) -> dict[str, str]:
    """The string-to-string part of what should have been nothing else."""
    if not isinstance(metadata, dict):
        return {}
    return {key: text for key, text in metadata.items() if isinstance(text, str)}


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        _refuse("shard is not a number")
    return int(text)


def _number(text: str, what: str, largest: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= largest:
        _refuse(f"{what} is not a number from 0 to {largest:g}")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _instance(
    worker_id: str,
    endpoint: Endpoint,
    metadata: Mapping[str, str],
    shard: object,
    registered_at: float,
    admin: tuple[object, object],
) -> Instance:
    if shard is not None and (not isinstance(shard, int) or isinstance(shard, bool) or not 0 <= shard <= _MAX_SHARD):
        _refuse("shard is not a small number")
    facts = metadata.get
    started_at = facts(_STARTED_AT)
    return Instance(
        id=worker_id,
        endpoint=endpoint,
        weight=_number(facts(_WEIGHT, "1.0"), "weight", _MAX_WEIGHT),
        zone=facts(_ZONE, ""),
        protocols=_names(facts(_PROTOCOLS, "")),
        started_at=registered_at if started_at is None else _number(started_at, "start time", 1e15),
        version=facts(_VERSION, ""),
        shard=shard,
        idl_digest=facts(_IDL_DIGEST, ""),
        interface=facts(_INTERFACE, ""),
        primary_only=_names(facts(_PRIMARY_ONLY, "")),
        unready=facts(_UNREADY, ""),
        admin=_read_door(*admin),
        metadata=MappingProxyType({key: text for key, text in metadata.items() if key not in _FACTS}),
    )
