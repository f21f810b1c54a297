"""Vectors: what Finagle multiplies members' weights by."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import RemoteProtocolError
from zkrpc.registry.formats import MAX_WEIGHT
from zkrpc.registry.weights import Vector, parse_vector, weighted

ONE = Instance(id="1", endpoint=Endpoint("10.0.0.3", 80), shard=3, weight=2.0)
TWITTER = (
    b'{"vector":[{"select":"member=member_0000000001","weight":1.2,"priority":1},'
    b'{"select":"inet=10.0.0.3:80","weight":1.5,"priority":2},{"select":"shard=3","weight":0.5}]}'
)


def vector(*descriptors: object) -> Vector:
    """A node's value, as it is read."""
    return parse_vector(json.dumps({"vector": descriptors}).encode(), 10_000)


def test_weights_of_all_that_selects_a_member_are_multiplied() -> None:
    """By its node, its endpoint and its shard, in one vector and in several; 1.0 where nothing selects it."""
    read = parse_vector(TWITTER, 10_000)
    assert weighted(ONE, "member_0000000001", [read]).weight == pytest.approx(2.0 * 1.2 * 1.5 * 0.5)
    assert weighted(ONE, "member_0000000002", [read]).weight == pytest.approx(2.0 * 1.5 * 0.5)
    other = Instance(id="2", endpoint=Endpoint("10.0.0.4", 80))
    assert weighted(other, "member_0000000003", [read, read]) is other
    twice = vector({"select": "shard=3", "weight": 4}, {"select": "shard=3", "weight": 0.25})
    assert weighted(ONE, "m", [twice]) is ONE
    off = vector({"select": "inet=10.0.0.3:80", "weight": 0})
    assert weighted(ONE, "m", [twice, off]).weight == 0.0


def test_weight_has_a_bound() -> None:
    """However much is multiplied, and in whatever order."""
    much = vector(*[{"select": "member=m", "weight": MAX_WEIGHT}] * 100)
    none = vector({"select": "member=m", "weight": 0})
    assert weighted(ONE, "m", [much] * 100).weight == MAX_WEIGHT
    assert weighted(ONE, "m", [*[much] * 100, none, much]).weight == 0.0


@pytest.mark.parametrize(
    "descriptor",
    [
        *(7, None, [], {}, {"select": "member=m"}, {"weight": 2}),
        {"select": 7, "weight": 2},
        {"select": "member=m", "weight": "2"},
        {"select": "member=m", "weight": True},
        {"select": "member=m", "weight": -1.0},
        {"select": "member=m", "weight": 10**400},
        {"select": "inet=10.0.0.3", "weight": 2},
        {"select": "shard=three", "weight": 2},
        {"select": "shard=-3", "weight": 2},
        {"select": "shard=" + "3" * 5000, "weight": 2},
        {"select": "zone=a", "weight": 2},
        {"select": "", "weight": 2},
    ],
)
def test_odd_descriptor_selects_nobody(descriptor: object) -> None:
    """And does not spoil the others."""
    read = vector(descriptor, {"select": "shard=3", "weight": 3, "later": []})
    assert weighted(ONE, "m", [read]).weight == 6.0


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"vector":{}}', b'{"vector":NaN}', b" " * 10_001])
def test_what_is_no_vector_is_refused(payload: bytes) -> None:
    """With the one error of all formats."""
    with pytest.raises(RemoteProtocolError):
        parse_vector(payload, 10_000)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["member=m", "inet=h:1", "shard=3", "x"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["vector", "select", "weight"]), inner, max_size=3),
)


@given(st.lists(values, max_size=4))
def test_garbage_never_spoils_a_weight(descriptors: list[object]) -> None:
    """It stays a number within its bounds."""
    try:
        read = vector(*descriptors)
    except RemoteProtocolError:
        return
    assert 0.0 <= weighted(ONE, "m", [read]).weight <= MAX_WEIGHT
