"""Paths in the tree, and the names that may go into them."""

from __future__ import annotations

import pytest

from zkrpc.errors import ConfigError
from zkrpc.registry.schema import Paths, check_name, incarnation_path, marked_member, worker_id_of


def test_paths_follow_the_documented_tree() -> None:
    """Other programs find our nodes by these very paths."""
    paths = Paths("users")
    assert paths.root == "/services/users"
    assert paths.members == "/services/users/members"
    assert paths.member("host-1.a") == "/services/users/members/member_host-1.a"
    assert paths.config == "/services/users/config"
    assert paths.primary("main") == "/services/users/election/main/primary"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ü", "x" * 129, "a\n"])
def test_check_name_refuses_what_cannot_be_one_znode(name: str) -> None:
    """A bad name is a configuration error that quotes it."""
    with pytest.raises(ConfigError, match="service name"):
        Paths(name)
    with pytest.raises(ConfigError, match="worker id"):
        Paths("users").member(name)
    with pytest.raises(ConfigError, match="group name"):
        Paths("users").primary(name)


@pytest.mark.parametrize("name", ["a", "...", "users-v2", "10.0.0.1:20882", "Team_a.users@eu", "x" * 128])
def test_check_name_takes_ordinary_names(name: str) -> None:
    """Names of services and instances as people write them pass unchanged."""
    assert check_name("service name", name) == name


def test_worker_id_of_strips_only_the_serverset_prefix() -> None:
    """Ours and Finagle's names lose the prefix, Curator's stay."""
    assert worker_id_of("member_w1") == "w1"
    assert worker_id_of("member_0000000007") == "0000000007"
    assert worker_id_of("dbac9cf3-6555") == "dbac9cf3-6555"


def test_incarnation_lies_beside_the_members_and_tells_its_own() -> None:
    """Its parent is the service's, and its name the member's with a mark."""
    paths = Paths("users")
    path = incarnation_path(paths.member("w1"), "0a")
    assert path == f"{paths.incarnations}/member_w1~0a" == "/services/users/incarnations/member_w1~0a"
    assert marked_member("member_w1~0a") == "member_w1" and marked_member("stray") == ""
