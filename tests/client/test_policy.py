"""Whose word counts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.client.policy import (
    BUILT_IN,
    CLIENT,
    IDL,
    OPTIONS,
    SERVICE,
    PolicyTable,
    ResolvedMethod,
    resolve_client,
)
from zkrpc.config import BALANCING, BreakerConfig, ClientConfig, MethodConfig, ServiceConfig, WireLimits
from zkrpc.idl import Method, load_text

SHOP = load_text("""
    service Shop {
        string plain(1: i64 id),
        string fast(1: i64 id) (zkrpc.idempotent = "true", zkrpc.timeout_ms = "200", zkrpc.hedge_ms = "20"),
        string slow(1: i64 id) (zkrpc.timeout_ms = "9000"),
    }
    """).Shop
PLAIN, FAST, SLOW = (SHOP.methods[name] for name in ("plain", "fast", "slow"))
DEFAULT = ResolvedMethod(timeout=5.0, idempotent=False, hedge=None, max_attempts=4)


def table(service: ServiceConfig = ServiceConfig(), client: ClientConfig = ClientConfig()) -> PolicyTable:
    """A client's policies once the operator was heard."""
    made = PolicyTable(client)
    made.receive_service_config(service)
    return made


def sources(policies: PolicyTable, method: Method) -> dict[str, tuple[Any, str]]:
    """Each value with its source."""
    return {one.name: (one.value, one.source) for one in policies.explain(method)}


def test_config_speaks_of_a_method_of_all_interfaces_or_of_one() -> None:
    """What it says of one counts more, each value by itself."""
    methods = {"plain": MethodConfig(timeout=0.5, max_attempts=2), "Shop:plain": MethodConfig(timeout=0.1)}
    policies = table(ServiceConfig(methods={**methods, "Audit:plain": MethodConfig(max_attempts=9)}))
    settled = policies.resolve(PLAIN)
    assert (settled.timeout, settled.max_attempts) == (0.1, 2)
    assert policies.resolve(SLOW) == table().resolve(SLOW)


def test_policy_nobody_speaks_of_is_the_built_in_one() -> None:
    """Every value is there, and each says where it comes from."""
    assert table().resolve(PLAIN) == PolicyTable().resolve(PLAIN) == DEFAULT
    assert sources(table(), PLAIN) == {
        "timeout": (5.0, BUILT_IN),
        "idempotent": (False, BUILT_IN),
        "hedge": (None, BUILT_IN),
        "max_attempts": (4, BUILT_IN),
    }


def test_idl_wins_over_the_defaults() -> None:
    """Its author knows the method; what it does not say stays as it is."""
    assert table().resolve(FAST) == ResolvedMethod(timeout=0.2, idempotent=True, hedge=0.02, max_attempts=4)
    assert sources(table(), SLOW)["timeout"] == (9.0, IDL)
    assert sources(table(), SLOW)["idempotent"] == (False, BUILT_IN)


def test_service_config_wins_over_the_idl_and_its_methods_over_the_rest_of_it() -> None:
    """The operator sees what happens; of single methods more is known than of all."""
    service = ServiceConfig(
        timeout=1.0,
        max_attempts=2,
        methods={"fast": MethodConfig(timeout=0.1, idempotent=False), "gone": MethodConfig()},
    )
    assert table(service).resolve(SLOW) == ResolvedMethod(timeout=1.0, idempotent=False, hedge=None, max_attempts=2)
    assert sources(table(service), FAST) == {
        "timeout": (0.1, SERVICE),
        "idempotent": (False, SERVICE),
        "hedge": (None, IDL),
        "max_attempts": (2, SERVICE),
    }


def test_client_code_wins_over_everything_that_is_shared() -> None:
    """It knows what it is waiting for."""
    service = ServiceConfig(timeout=1.0, hedge="p95", methods={"fast": MethodConfig(max_attempts=9)})
    policies = table(service, ClientConfig(timeout=3.0, hedge=0.05, max_attempts=1))
    assert policies.resolve(FAST) == ResolvedMethod(timeout=3.0, idempotent=True, hedge=0.05, max_attempts=1)
    assert {source for _, source in sources(policies, FAST).values()} == {CLIENT, IDL}


@pytest.mark.parametrize(("hedge", "said"), [("p95", "p95"), (0.02, "0.02 s")])
def test_hedge_of_a_method_that_is_not_idempotent_is_ignored_and_explained(hedge: float | str, said: str) -> None:
    """A service-wide hedge is for the methods that can bear one."""
    policies = table(ServiceConfig(hedge=hedge))
    assert (policies.resolve(PLAIN).hedge, policies.resolve(FAST).hedge) == (None, hedge)
    notes = {one.name: one.note for one in policies.explain(PLAIN)}
    assert notes.pop("hedge") == f"{said} is ignored: the method is not idempotent" and not any(notes.values())
    assert sources(policies, PLAIN)["hedge"] == (None, SERVICE)
    assert not any(one.note for one in policies.explain(FAST))
    bold = table(ServiceConfig(hedge=hedge, methods={"plain": MethodConfig(idempotent=True)}))
    assert bold.resolve(PLAIN).hedge == hedge


@pytest.mark.parametrize(
    "policies", [table(ServiceConfig(hedge="off")), table(ServiceConfig(hedge="p99"), ClientConfig(hedge="off"))]
)
def test_hedge_is_switched_off_from_above(policies: PolicyTable) -> None:
    """None says nothing, so there is a word for never."""
    assert policies.resolve(FAST).hedge is None
    assert sources(policies, FAST)["hedge"][1] in (SERVICE, CLIENT)


def test_change_counts_from_the_next_call_on() -> None:
    """Between changes a policy is settled once and looked up after that."""
    policies = PolicyTable()
    first = policies.resolve(FAST)
    assert policies.resolve(FAST) is first and repr(policies).startswith("<PolicyTable 1 methods, ServiceConfig(")
    policies.receive_service_config(ServiceConfig(timeout=1.5, balancing="round_robin"))
    assert (policies.resolve(FAST).timeout, first.timeout, policies.service.balancing) == (1.5, 0.2, "round_robin")
    policies.receive_service_config(ServiceConfig())
    assert policies.resolve(FAST) == first and policies.service == ServiceConfig()


times = st.none() | st.integers(1, 60_000).map(lambda number: number / 1000)
fields: dict[str, Any] = {
    "timeout": times,
    "hedge": times | st.sampled_from(["p95", "off"]),
    "max_attempts": st.none() | st.integers(1, 100),
}
methods = st.builds(MethodConfig, idempotent=st.none() | st.booleans(), **fields)
services = st.builds(
    ServiceConfig,
    idempotent=st.none() | st.booleans(),
    methods=st.dictionaries(st.sampled_from(["plain", "fast", "slow"]), methods),
    **fields,
)


@given(services, st.builds(ClientConfig, **fields), st.sampled_from([PLAIN, FAST, SLOW]))
def test_the_highest_who_said_it_is_always_obeyed(service: ServiceConfig, client: ClientConfig, method: Method) -> None:
    """Each value by itself; and nothing is ever sent twice of what may not be."""
    policies = table(service, client)
    policy = policies.resolve(method)
    of_method = service.methods.get(method.name, MethodConfig())
    for name in ("timeout", "max_attempts"):
        said = [getattr(one, name) for one in (client, of_method, service) if getattr(one, name) is not None]
        said += [getattr(method.policy, name, None) or getattr(DEFAULT, name)]
        assert getattr(policy, name) == said[0]
    assert policy.hedge is None or policy.idempotent
    assert policy.hedge != "off"
    assert {one.name: one.value for one in policies.explain(method)} == {
        "timeout": policy.timeout,
        "idempotent": policy.idempotent,
        "hedge": policy.hedge,
        "max_attempts": policy.max_attempts,
    }


def test_options_of_a_call_win_over_everybody() -> None:
    """Whoever makes the call knows it best; what is settled for the method stays as it is."""
    policies = table(ServiceConfig(hedge="p95"), ClientConfig(timeout=3.0))
    told = {one.name: one for one in policies.explain(FAST, MethodConfig(timeout=0.7, idempotent=False))}
    assert (told["timeout"].value, told["timeout"].source) == (0.7, OPTIONS)
    assert (told["idempotent"].value, told["idempotent"].source) == (False, OPTIONS)
    assert (told["hedge"].value, told["hedge"].note) == (None, "p95 is ignored: the method is not idempotent")
    assert told["max_attempts"].source == BUILT_IN
    assert policies.explain(FAST) == list(policies.resolve(FAST).settings)


def test_option_that_makes_a_call_idempotent_makes_it_no_hedged_one() -> None:
    """The hedge was settled for the method, which is not; the call may be repeated all the same."""
    told = {one.name: one for one in table(ServiceConfig(hedge="p95")).explain(PLAIN, MethodConfig(idempotent=True))}
    assert told["idempotent"].value is True and told["hedge"].value is None
    assert told["hedge"].note == "p95 is ignored: the method is not idempotent"


def test_every_value_of_a_client_has_a_source() -> None:
    """Each field of its config, those of its parts included, is either a method's or told of the client; no other."""
    client = {one.name: one for one in resolve_client(ClientConfig(), ServiceConfig()).settings}
    fields = {one.name for one in dataclasses.fields(ClientConfig)} - {"wire", "breaker"}
    fields |= {f"wire.{one.name}" for one in dataclasses.fields(WireLimits)}
    fields |= {f"breaker.{one.name}" for one in dataclasses.fields(BreakerConfig)}
    assert set(client) == fields - {one.name for one in table().explain(PLAIN)}
    assert {one.source for one in client.values()} == {BUILT_IN}
    assert (client["balancing"].value, client["retry_ratio"].value, client["retry_reserve"].value) == ("p2c", 0.2, 10.0)
    assert (client["backoff"].value, client["subset_size"].value, client["breaker.window"].value) == (0.025, None, 30.0)


def test_value_that_only_the_client_may_set_is_its_own_or_as_usual() -> None:
    """A value that is said and as usual cannot be told from one that is not said."""
    config = ClientConfig(patience=2.0, backoff=0.025, breaker=BreakerConfig(window=9.0), zone="z")
    told = {one.name: (one.value, one.source) for one in resolve_client(config, ServiceConfig()).settings}
    assert (told["patience"], told["backoff"], told["zone"]) == ((2.0, CLIENT), (0.025, BUILT_IN), ("z", CLIENT))
    assert (told["breaker.window"], told["breaker.min_calls"]) == ((9.0, CLIENT), (5, BUILT_IN))


@pytest.mark.parametrize(
    ("config", "service", "key"),
    [
        (ClientConfig(), ServiceConfig(balancing="consistent_hash", hash_key="id"), ("id", SERVICE, "")),
        (
            ClientConfig(hash_key="own"),
            ServiceConfig(balancing="consistent_hash", hash_key="id"),
            ("own", CLIENT, ""),
        ),
        (ClientConfig(hash_key="own"), ServiceConfig(), (None, CLIENT, "'own' is ignored: balancing is p2c")),
        (
            ClientConfig(balancing="round_robin"),
            ServiceConfig(balancing="consistent_hash", hash_key="id"),
            (None, SERVICE, "'id' is ignored: balancing is round_robin"),
        ),
        (ClientConfig(), ServiceConfig(), (None, BUILT_IN, "")),
    ],
)
def test_key_to_hash_by_counts_only_where_something_is_hashed(
    config: ClientConfig, service: ServiceConfig, key: tuple[str | None, str, str]
) -> None:
    """Otherwise it is said whose key is of no use."""
    resolved = resolve_client(config, service)
    [told] = [one for one in resolved.settings if one.name == "hash_key"]
    assert (told.value, told.source, told.note) == key and resolved.hash_key == key[0]


shared: dict[str, Any] = {
    "balancing": st.none() | st.sampled_from(BALANCING),
    "hash_key": st.just("id"),
    "subset_size": st.none() | st.integers(1, 9),
    "retry_ratio": st.none() | st.floats(0.0, 1.0),
    "retry_reserve": st.none() | st.floats(0.0, 100.0),
}


@given(st.builds(ServiceConfig, **shared), st.builds(ClientConfig, **shared))
def test_the_highest_who_said_it_is_obeyed_in_what_holds_for_all_calls(
    service: ServiceConfig, client: ClientConfig
) -> None:
    """Zero is a word, too; and what is told is what is done."""
    resolved = resolve_client(client, service)
    told = {one.name: one for one in resolved.settings}
    usual = {"balancing": "p2c", "subset_size": None, "retry_ratio": 0.2, "retry_reserve": 10.0}
    for name, default in usual.items():
        words = ((getattr(client, name), CLIENT), (getattr(service, name), SERVICE), (default, BUILT_IN))
        expected = next((word for word in words if word[0] is not None), (None, BUILT_IN))
        assert (getattr(resolved, name), told[name].value, told[name].source) == (expected[0], *expected)
    assert PolicyTable(client).client == resolve_client(client, ServiceConfig())
