"""Paths in the tree, and the names that may go into them."""

from __future__ import annotations

import pytest

from zkrpc.errors import ConfigError
from zkrpc.registry.schema import Paths, check_name, digest_of, idl_path, mark_path, read_mark, worker_id_of


def test_paths_follow_the_documented_tree() -> None:
    """Other programs find our nodes by these very paths."""
    paths = Paths("users")
    assert paths.root == "/services/users"
    assert paths.members == "/services/users/members"
    assert paths.member("host-1.a") == "/services/users/members/member_host-1.a"
    assert paths.config == "/services/users/config"
    assert paths.publication == "/services/users/idl"
    assert paths.config_history == "/services/users/config-history"
    assert paths.vacancy == "/services/users/vacant"
    assert paths.primary("main") == "/services/users/election/main/primary"
    assert idl_path("0" * 64) == "/idl/" + "0" * 64


def test_order_has_the_plain_worker_id_and_who_obeys_it_a_members_name() -> None:
    """An operator can make an order by hand, and a record keeps its name when it moves between the two parents."""
    paths = Paths("users")
    assert paths.offline_order("w-1") == f"{paths.offline}/w-1" == "/services/users/offline/w-1"
    assert paths.rester("w-1") == f"{paths.resting}/member_w-1" == "/services/users/resting/member_w-1"
    assert paths.rester("w-1").rpartition("/")[2] == paths.member("w-1").rpartition("/")[2]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ü", "x" * 129, "a\n"])
def test_check_name_refuses_what_cannot_be_one_znode(name: str) -> None:
    """A bad name is a configuration error that quotes it."""
    with pytest.raises(ConfigError, match="service name"):
        Paths(name)
    with pytest.raises(ConfigError, match="worker id"):
        Paths("users").member(name)
    with pytest.raises(ConfigError, match="worker id"):
        Paths("users").offline_order(name)
    with pytest.raises(ConfigError, match="worker id"):
        Paths("users").rester(name)
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


def test_mark_lies_beside_the_members_and_tells_whose_and_which_it_is() -> None:
    """Its parent is the service's, its name the member's with the digest of the record."""
    paths, digest = Paths("users"), digest_of(b"record")
    path = mark_path(paths.member("w-1"), b"record", "0a")
    assert path == f"{paths.incarnations}/member_w-1~{digest}-0a" and len(digest) == 16
    assert path.startswith("/services/users/incarnations/")
    assert read_mark(f"member_w-1~{digest}-0a") == ("member_w-1", digest) and digest != digest_of(b"another")
    assert read_mark("stray")[0] == ""
