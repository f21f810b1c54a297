"""Service configs: what people write, what we write, and whatever else may be in the node."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.config import BALANCING, CallerConfig, MethodConfig, ServiceConfig
from zkrpc.errors import ConfigError
from zkrpc.registry.service_config import dump_service_config, flatten, parse_service_config

MAX_SIZE = 64 * 1024
FULL = ServiceConfig(
    timeout=0.5,
    idempotent=False,
    hedge="p95",
    max_attempts=3,
    balancing="consistent_hash",
    hash_key="id",
    subset_size=20,
    retry_ratio=0.25,
    retry_reserve=10,
    methods={"get": MethodConfig(timeout=0.2, idempotent=True, hedge=0.02, max_attempts=5), "put": MethodConfig()},
    callers={"app.jobs": CallerConfig(max_rate=100.0), "_OTHER": CallerConfig(max_rate=0.5), "cn:idle": CallerConfig()},
    allow={"*": ("spiffe://prod/ns/*/sa/web", "dns:*.web.internal"), "Audit:log": (), "zkrpc.Introspection": ("any",)},
    tap_bodies=False,
    tap_masked=("email", "User.name"),
)
WRITTEN = """{
  "timeout_ms": 500,
  "idempotent": false,
  "hedge_ms": "p95",
  "max_attempts": 3,
  "balancing": "consistent_hash",
  "hash_key": "id",
  "subset_size": 20,
  "retry": {
    "ratio": 0.25,
    "reserve_per_s": 10
  },
  "methods": {
    "get": {
      "timeout_ms": 200,
      "idempotent": true,
      "hedge_ms": 20,
      "max_attempts": 5
    },
    "put": {}
  },
  "callers": {
    "app.jobs": {
      "max_rate": 100
    },
    "_OTHER": {
      "max_rate": 0.5
    },
    "cn:idle": {}
  },
  "allow": {
    "*": [
      "spiffe://prod/ns/*/sa/web",
      "dns:*.web.internal"
    ],
    "Audit:log": [],
    "zkrpc.Introspection": [
      "any"
    ]
  },
  "tap": {
    "bodies": false,
    "masked": [
      "email",
      "User.name"
    ]
  }
}
"""


def parse(document: object) -> ServiceConfig:
    """The config that a JSON document says."""
    return parse_service_config(json.dumps(document).encode(), max_size=MAX_SIZE)


def test_config_is_written_for_people_and_read_back() -> None:
    """Every key, in the order of the documentation; and nothing at all."""
    assert dump_service_config(FULL).decode() == WRITTEN
    assert parse_service_config(WRITTEN.encode(), max_size=MAX_SIZE) == FULL
    assert dump_service_config(ServiceConfig()) == b"{}\n" and parse({}) == parse({"retry": {}}) == ServiceConfig()


def test_hedge_may_be_switched_off() -> None:
    """A time, a percentile, or the word against both."""
    assert [parse({"hedge_ms": value}).hedge for value in (20, "p99", "off")] == [0.02, "p99", "off"]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"timeout": 1}, "unknown key 'timeout'; there are timeout_ms, idempotent"),
        ({"methods": {"get": {"balancing": "p2c"}}}, "unknown key 'methods.get.balancing'; there are timeout_ms"),
        ({"callers": {"b": {"rate": 1}}}, "unknown key 'callers.b.rate'; there are max_rate"),
        ({"callers": {"b": {"max_rate": 0}}}, "callers.b.max_rate must be a number of calls a second from 0.001 to"),
        ({"callers": {"b": {"max_rate": True}}}, "callers.b.max_rate must be"),
        ({"callers": {"b\n": {"max_rate": 1}}}, r"callers has no place for 'b\\n': a caller's name has 1 to 64"),
        ({"callers": {"spiffe://prod/*": {"max_rate": 1}}}, "an identity is a SPIFFE ID, dns:HOST or cn:NAME, without"),
        ({"allow": ["any"]}, "allow must be an object of lists of patterns by the names of methods"),
        ({"allow": {"get it": ["any"]}}, 'allow must be lists by names, each the name of a method, as "get"'),
        ({"allow": {"zkrpc.Health": []}}, "a built-in service but zkrpc.Health"),
        ({"allow": {"get": "any"}}, r"allow.get must be a list of patterns, each a SPIFFE ID such as"),
        ({"allow": {"get": ["cn:"]}}, "allow.get: cn: is followed by a whole common name"),
        ({"allow": {"get": [7]}}, "allow.get: a pattern of an allow-list is a SPIFFE ID"),
        ({"callers": ["b"]}, "callers must be an object of callers by their names"),
        ({"callers": {"b": 5}}, "callers.b must be an object of max_rate, got 5"),
        (
            {"tap": {"bodies": True}},
            "tap.bodies must be false, or left out: only the service's code can allow it, got T",
        ),
        ({"tap": {"masked": "email"}}, "tap.masked must be at most 100 names such as password, User.email or login.r"),
        ({"tap": {"masked": ["a.b.c"]}}, "tap.masked must be at most 100 names"),
        ({"tap": {"masked": ["a"] * 101}}, "tap.masked must be at most 100 names"),
        ({"retry": {"budget": 1}}, "unknown key 'retry.budget'; there are ratio, reserve_per_s"),
        ({"a\n": 1}, r"unknown key 'a\\n'"),
        ({"timeout_ms": 0}, "timeout_ms must be a whole number of milliseconds from 1 to 86400000, got 0"),
        ({"timeout_ms": 86400001}, "timeout_ms must be"),
        ({"timeout_ms": 0.5}, "timeout_ms must be"),
        ({"timeout_ms": True}, "timeout_ms must be"),
        ({"timeout_ms": None}, "timeout_ms must be"),
        ({"methods": {"get": {"timeout_ms": "200"}}}, "^methods.get.timeout_ms must be a whole .* got '200'$"),
        ({"idempotent": "yes"}, "idempotent must be true or false, got 'yes'"),
        ({"hedge_ms": -1}, 'hedge_ms must be .* a percentile such as "p95", or "off", got -1'),
        ({"hedge_ms": 20.5}, "hedge_ms must be"),
        ({"hedge_ms": True}, "hedge_ms must be"),
        ({"methods": {"get": {"hedge_ms": "95"}}}, "methods.get.hedge_ms must be"),
        ({"max_attempts": 101}, "max_attempts must be a whole number from 1 to 100, got 101"),
        ({"balancing": "best"}, "balancing must be one of p2c, round_robin, consistent_hash, got 'best'"),
        ({"balancing": ["p2c"]}, "balancing must be"),
        ({"balancing": "consistent_hash"}, "hash_key must be there for consistent_hash"),
        ({"hash_key": ""}, "hash_key must be the name of a parameter, got ''"),
        ({"hash_key": 1}, "hash_key must be"),
        ({"subset_size": 0}, "subset_size must be a whole number from 1 to 1000000"),
        ({"retry": 1}, "retry must be an object of ratio, reserve_per_s, got 1"),
        ({"retry": {"ratio": 1.1}}, "retry.ratio must be a number from 0 to 1, got 1.1"),
        ({"retry": {"reserve_per_s": "10"}}, "retry.reserve_per_s must be a number from 0 to 1e\\+06"),
        ({"retry": {"reserve_per_s": False}}, "retry.reserve_per_s must be"),
        ({"methods": []}, "methods must be an object of methods by their names, got \\[\\]"),
        ({"methods": {"get": []}}, "methods.get must be an object of timeout_ms, idempotent, hedge_ms, max_attempts"),
        (
            {"methods": {"\x1b[2J": {}}},
            "methods must be an object of methods by their names, .*, got '\\\\x1b",
        ),
        ({"methods": {"g\u00e9t": {}}}, "methods must be"),
        ({"methods": {"*": {}}}, "as get or Audit:get, got"),
        ({"methods": {"zkrpc.Introspection": {}}}, "methods must be"),
        ({"methods": {"A:b:c": {}}}, "methods must be"),
    ],
)
def test_mistake_is_named_with_its_place_and_what_is_accepted(document: dict[str, Any], complaint: str) -> None:
    """An operator reads where to look and what to write, in one line."""
    with pytest.raises(ConfigError, match=complaint) as caught:
        parse(document)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"", "a config that is not JSON"),
        (b"\xff", "a config that is not JSON"),
        (b"[]", "a config that is not a JSON object"),
        (b'{"timeout_ms": NaN}', "NaN is not JSON"),
        (b'{"timeout_ms": 1, "timeout_ms": 2}', "'timeout_ms' stands twice in one object"),
        (b'{"methods": {"get": {}, "put": {}, "get": {}}}', "'get' stands twice in one object"),
        (b'{"methods":' * 50_000, "a config that is not JSON|is over"),
        (b'{"x":' + b"[" * 50_000, "a config that is not JSON"),
        (b'{"timeout_ms": ' + b"1" * 5_000 + b"}", "a config that is not JSON"),
        (b'{"hash_key":"\\ud800"}', "a config that is not JSON"),
        (b" " * (MAX_SIZE + 1), f"a config of {MAX_SIZE + 1} bytes is over {MAX_SIZE}"),
    ],
)
def test_node_is_not_trusted(payload: bytes, complaint: str) -> None:
    """Size, nesting, numbers and letters are bounded, and the answer is one kind of error."""
    with pytest.raises(ConfigError, match=complaint):
        parse_service_config(payload, max_size=MAX_SIZE)


@pytest.mark.parametrize(
    "config",
    [
        ServiceConfig(timeout=0.0004),
        ServiceConfig(timeout=0.0015),
        ServiceConfig(hedge=0.00001),
        ServiceConfig(hash_key="\ud800"),
        ServiceConfig(hash_key="the id"),
        ServiceConfig(methods={"get": MethodConfig(hedge=0.1234567)}),
        ServiceConfig(methods={"": MethodConfig()}),
    ],
)
def test_config_we_could_not_read_is_not_written(config: ServiceConfig) -> None:
    """The writer reads its bytes back: what a program said is what clients will do."""
    with pytest.raises(ConfigError):
        dump_service_config(config)


def test_values_can_be_told_apart_by_their_paths() -> None:
    """Only what is said has a path, as it stands in the document."""
    assert flatten(ServiceConfig()) == {}
    assert flatten(FULL)["retry.reserve_per_s"] == 10 and flatten(FULL)["methods.get.hedge_ms"] == 20
    assert flatten(ServiceConfig(hedge="off", methods={"a": MethodConfig(idempotent=False)})) == {
        "hedge_ms": "off",
        "methods.a.idempotent": False,
    }


times = st.integers(1, 86_400_000).map(lambda number: number / 1000)
method_fields: dict[str, Any] = {
    "timeout": st.none() | times,
    "idempotent": st.none() | st.booleans(),
    "hedge": st.none() | times | st.sampled_from(["p50", "p99", "off"]),
    "max_attempts": st.none() | st.integers(1, 100),
}
names = st.from_regex(r"[a-z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
configs = st.builds(
    ServiceConfig,
    **method_fields,
    balancing=st.none() | st.sampled_from(BALANCING),
    hash_key=names,
    subset_size=st.none() | st.integers(1, 1_000_000),
    retry_ratio=st.none() | st.floats(0, 1),
    retry_reserve=st.none() | st.floats(0, 1_000_000),
    methods=st.dictionaries(names, st.builds(MethodConfig, **method_fields), max_size=3),
    callers=st.dictionaries(
        st.from_regex(r"[a-z0-9][a-z./-]{0,8}", fullmatch=True),
        st.builds(CallerConfig, max_rate=st.none() | st.floats(0.001, 1e9)),
        max_size=3,
    ),
    tap_bodies=st.none() | st.just(False),
    tap_masked=st.none() | st.lists(st.sampled_from(["a", "A.b", "get.result"]), max_size=3).map(tuple),
)


@settings(deadline=None)
@given(configs)
def test_every_config_survives_being_written(config: ServiceConfig) -> None:
    """Writing and reading are inverse for whole milliseconds."""
    assert parse_service_config(dump_service_config(config), max_size=MAX_SIZE) == config


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 300) | st.floats() | st.sampled_from(["p95", "off", "p2c", "\x00"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["timeout_ms", "hedge_ms", "ratio", "reserve_per_s", "x", "."]), inner),
    max_leaves=8,
)
keys = st.sampled_from([*json.loads(WRITTEN), "x"])


@settings(deadline=None)
@given(st.binary(max_size=200) | st.dictionaries(keys, json_values).map(lambda said: json.dumps(said).encode()))
def test_garbage_is_a_config_or_one_error(payload: bytes) -> None:
    """Nothing else comes out, and what comes out can be written."""
    try:
        config = parse_service_config(payload, max_size=MAX_SIZE)
    except ConfigError:
        return
    assert parse_service_config(dump_service_config(config), max_size=MAX_SIZE) == config
