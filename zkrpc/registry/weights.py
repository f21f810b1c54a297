"""The weights that Twitter's ServerSets keep beside the members, in *vectors*: nodes whose names begin with
``vector_``, as untrusted input.

A vector has descriptors, each with a selector and a weight. An instance's weight is multiplied by the weight of each
descriptor, of all vectors, that selects it. Finagle reads them so, and gives no meaning to ``priority``.

::

    {"vector": [{"select": "member=member_0000000001", "weight": 1.2, "priority": 1},
                {"select": "inet=10.0.0.3:80", "weight": 1.3},
                {"select": "shard=3", "weight": 0.5}]}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TypeVar

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.formats import MAX_WEIGHT
from zkrpc.registry.untrusted import load_object

VECTOR_PREFIX = "vector_"
Key = TypeVar("Key")


@dataclasses.dataclass(frozen=True, slots=True)
class Vector:
    """What one node says: what members, endpoints and shards are multiplied by."""

    members: dict[str, float]
    endpoints: dict[Endpoint, float]
    shards: dict[int, float]

    def weight_of(self, name: str, instance: Instance) -> float:
        """What the weight of the instance, in the node ``name``, is multiplied by; 1.0 if nothing selects it."""
        by_shard = 1.0 if instance.shard is None else self.shards.get(instance.shard, 1.0)
        return self.members.get(name, 1.0) * self.endpoints.get(instance.endpoint, 1.0) * by_shard


def parse_vector(payload: bytes, max_size: int) -> Vector:
    """Reads a vector. Descriptors that are odd, or select in an unknown way, are left out, as Finagle does. Raises
    RemoteProtocolError for what is no vector at all."""
    descriptors = load_object(payload, max_size, "a vector").get("vector")
    if not isinstance(descriptors, list):
        raise RemoteProtocolError("a vector without a list of descriptors")
    found = Vector({}, {}, {})
    for descriptor in descriptors:
        if isinstance(descriptor, dict):
            _add(found, descriptor.get("select"), descriptor.get("weight", 1.0))
    return found


def weighted(instance: Instance, name: str, vectors: Iterable[Vector]) -> Instance:
    """The instance with the weight that the vectors give it, from 0 to the largest."""
    weight = instance.weight
    for vector in vectors:
        weight = min(weight * vector.weight_of(name, instance), MAX_WEIGHT)
    return instance if weight == instance.weight else dataclasses.replace(instance, weight=weight)


def _add(vector: Vector, select: object, weight: object) -> None:
    if not isinstance(select, str) or not isinstance(weight, (int, float)) or isinstance(weight, bool):
        return
    if not 0.0 <= weight <= MAX_WEIGHT:
        return
    kind, _, which = select.partition("=")
    if kind == "member":
        _multiply(vector.members, which, weight)
    elif kind == "inet":
        try:
            _multiply(vector.endpoints, Endpoint.parse(which), weight)
        except ConfigError:
            return
    elif kind == "shard" and which.isascii() and which.isdigit() and len(which) <= 10:
        _multiply(vector.shards, int(which), weight)


def _multiply(weights: dict[Key, float], key: Key, weight: float) -> None:
    weights[key] = min(weights.get(key, 1.0) * weight, MAX_WEIGHT)
