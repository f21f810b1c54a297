"""What is settled of a method before its first call."""

from __future__ import annotations

import pytest

from tests.support.echo import idl
from zkrpc.client.plan import Plan
from zkrpc.client.policy import PolicyTable
from zkrpc.config import ClientConfig, MethodConfig, ServiceConfig

ECHO = idl.Echo.methods["echo"]


def plan(config: ClientConfig = ClientConfig(), service: ServiceConfig = ServiceConfig()) -> Plan:
    """For ``echo(text)``."""
    policies = PolicyTable(config)
    policies.receive_service_config(service)
    return Plan(ECHO, policies)


def test_plan_says_what_the_policies_say() -> None:
    """Everything in one object."""
    service = ServiceConfig(timeout=2.0, methods={"echo": MethodConfig(idempotent=True, hedge=0.02, max_attempts=7)})
    some = plan(service=service)
    assert (some.timeout, some.idempotent, some.max_attempts, some.primary) == (2.0, True, 7, False)
    assert some.hedge is not None and some.hedge.delay() == 0.02
    assert repr(some) == "<Plan timeout=2 max_attempts=7 hedge=True>"
    assert plan().hedge is None


@pytest.mark.parametrize(
    "config, service, key",
    [
        (ClientConfig(balancing="consistent_hash", hash_key="text"), ServiceConfig(), "text"),
        (ClientConfig(), ServiceConfig(balancing="consistent_hash", hash_key="text"), "text"),
        (ClientConfig(balancing="p2c"), ServiceConfig(balancing="consistent_hash", hash_key="text"), None),
        (ClientConfig(hash_key="text"), ServiceConfig(), None),
        (ClientConfig(balancing="consistent_hash", hash_key="id"), ServiceConfig(), None),
        (ClientConfig(), ServiceConfig(), None),
    ],
)
def test_plan_knows_the_argument_to_hash_by(config: ClientConfig, service: ServiceConfig, key: str | None) -> None:
    """Only if it is hashed at all, and if the method has it."""
    assert plan(config, service).hash_key == key
