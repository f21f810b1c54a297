"""Access lists beside what they should be, on a real ZooKeeper, and putting them right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

import zkrpc
from zkrpc.config import RegistryConfig
from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import CoordinationError
from zkrpc.inspection import acls
from zkrpc.inspection.acls import find_strangers, is_others, mend, our_names, survey_access
from zkrpc.zookeeper.access import ANYONE, Identity, Right, user

pytestmark = pytest.mark.zookeeper


class Opener(Protocol):
    """Opens a registry as somebody; "" is nobody."""

    def __call__(self, name: str = "") -> zkrpc.Registry:
        """A connected one."""


@pytest.fixture
def opened(zookeeper: str) -> Iterator[Opener]:
    """Registries that end with the test."""
    with ExitStack() as stack:

        def open_registry(name: str = "") -> zkrpc.Registry:
            security = ZooKeeperSecurity(username=name, password="secret") if name else ZooKeeperSecurity()
            config = RegistryConfig(security=security)
            registry = stack.enter_context(zkrpc.Registry(f"{zookeeper}/kept", config=config))
            assert registry.session.wait_connected(60)
            return registry

        yield open_registry


def test_nodes_from_before_credentials_are_found_and_put_right(opened: Opener) -> None:
    """Then they are as if we had made them, and others may only read; what they make beside ours is theirs."""
    nobody, alice, bob = opened(), opened("alice"), opened("bob")
    nobody.session.znodes.ensure_path("/services/users/members")
    us = our_names(alice)
    assert us == (user("alice", "secret"),)
    found, count = survey_access(alice, ["users"], us)
    assert count == 6  # the chroot, three parents of which two are not there yet, and the service's two
    assert [one.path for one in found] == ["/", "/services", "/services/users", "/services/users/members"]
    assert all(one.ours for one in found)
    assert found[1].differences == ("anyone may write, delete, admin",)
    assert found[2].differences == ("anyone may write, create, delete, admin",)
    assert [one.error for one in mend(alice, found, us)] == [""] * 4
    assert survey_access(alice, ["users"], us) == ([], 6)
    assert alice.session.znodes.access("/services/users/members") == alice.session.znodes.access("/services/users")
    bob.session.znodes.ensure_path("/services/others/members")
    him = our_names(bob)
    assert not is_others(alice, "users", us) and is_others(alice, "others", us)
    assert survey_access(bob, ["others"], him)[0] == []
    found, _ = survey_access(bob, ["users"], him)
    assert [(one.path, one.ours) for one in found] == [("/services/users", False), ("/services/users/members", False)]
    assert found[0].differences == (
        "digest bob may not write, create, delete, admin",
        "digest alice may write, create, delete, admin",
    )
    assert list(mend(bob, found, him)) == found
    assert (Right.READ, ANYONE) in [
        (one.rights, one.to) for one in alice.session.znodes.access("/services/users") or ()
    ]


def test_what_cannot_be_put_right_is_told(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """And there is a limit for how much is looked at."""
    alice = opened("alice")
    opened().session.znodes.ensure_path("/services/users/members")
    us = our_names(alice)
    found, _ = survey_access(alice, ["users"], us)
    alice.session.znodes.delete("/services/users/members")
    *_, gone = mend(alice, found, us)
    assert gone.path == "/services/users/members" and "NoNode" in gone.error
    monkeypatch.setattr(acls, "MOST_NODES", 3)
    with pytest.raises(CoordinationError, match="more than 3 nodes; look at one service at a time"):
        survey_access(alice, ["users"], us)


def test_nodes_of_strangers_in_the_shared_parents_are_found(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ours, nor anybody's, nor those of users whom the settings name; and not more than can be looked at."""
    nobody, alice, bob = opened(), opened("alice"), opened("bob")
    nobody.session.znodes.ensure_path("/services/anybodys")
    alice.session.znodes.ensure_path("/services/ours")
    bob.session.znodes.ensure_path("/services/others/members")
    us = our_names(alice)
    (found,) = find_strangers(alice, us)
    assert (found.path, [str(one) for one in found.owners]) == ("/services/others", ["digest bob"])
    named = dataclasses.replace(alice.session.security, users=("digest:bob:secret",))
    with monkeypatch.context() as patched:
        patched.setattr(alice.session, "security", named)
        assert find_strangers(alice, us) == []
    monkeypatch.setattr(acls, "MOST_NODES", 1)
    with pytest.raises(CoordinationError, match="more than 1 nodes"):
        find_strangers(alice, us)


def test_a_certificates_subject_is_asked_for(secured_zookeeper: DevZooKeeper) -> None:
    """As only ZooKeeper can tell it."""
    assert secured_zookeeper.security is not None
    security = secured_zookeeper.security.client
    with zkrpc.Registry(secured_zookeeper.hosts, config=RegistryConfig(security=security)) as registry:
        assert registry.session.wait_connected(60)
        assert set(our_names(registry)) == {Identity("sasl", "dev"), Identity("x509", "CN=dev")}
        registry.session.znodes.ensure_path("/services/users/members")
        assert survey_access(registry, ["users"], our_names(registry))[0] == []
