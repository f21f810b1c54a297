"""Trees of other libraries: their text, their members' names, and what it takes to be one of them."""

from __future__ import annotations

import dataclasses
import json

import pytest

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import ConfigError
from zkrpc.registry.foreign import Tree, is_tree, trees_to_join
from zkrpc.registry.formats import parse_record

ONE = Instance(id="w1", endpoint=Endpoint("10.0.0.3", 9090), started_at=1621155920.25)
TEXTS = {
    "/aurora/role/prod/job": Tree(path="/aurora/role/prod/job"),
    "/job?endpoint=thrift": Tree(path="/job", endpoint="thrift"),
    "serverset:/job": Tree(path="/job", format="serverset"),
    "serverset:/job?endpoint=http-admin&prefix=instance-": Tree(
        path="/job", format="serverset", endpoint="http-admin", prefix="instance-"
    ),
    "curator:/discovery/users": Tree(path="/discovery/users", format="curator"),
    "curator:/discovery/a:b users?payload=spring": Tree(
        path="/discovery/a:b users", format="curator", payload="spring"
    ),
    "/a:b/c": Tree(path="/a:b/c"),
}


@pytest.mark.parametrize("text", TEXTS)
def test_tree_is_read_and_written_as_text(text: str) -> None:
    """Both ways; and it is told from a service's name, and from a built-in service of one."""
    assert Tree.parse(text) == TEXTS[text] and str(TEXTS[text]) == text
    assert is_tree(text) and is_tree("etcd:/job") and not any(map(is_tree, ("users", "a:b", "users/zkrpc.Health")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("job", "not the path"),
        ("serverset:job", "not the path"),
        ("/", "not the path"),
        ("", "not the path"),
        ("/job/", "not the path"),
        ("//job", "not the path"),
        ("/job/../other", "not the path"),
        ("/job!thrift", "not the path"),
        ("/job#", "not the path"),
        ("/a\nb", "not the path"),
        ("/" + "a" * 1000, "not the path"),
        ("finagle:/job", "begins with a path, or with serverset: or curator:"),
        ("zk!127.0.0.1:2181!/job", "begins with a path"),
        ("/job?shard=3", "after the question mark stand endpoint=... and prefix=..."),
        ("/job?", "after the question mark"),
        ("/job?endpoint", "after the question mark|has no"),
        ("/job?endpoint=a&endpoint=b", "each once"),
        ("curator:/d/users?endpoint=a", "payload="),
        ("curator:/d/users?payload=json", "payload must be spring"),
        ("/job?prefix=a/b", "prefix of the tree /job cannot be 'a/b'"),
        ("/job?endpoint=%00", "cannot be"),
    ],
)
def test_what_is_no_tree_is_refused(text: str, reason: str) -> None:
    """With what was expected."""
    with pytest.raises(ConfigError, match=reason):
        Tree.parse(text)


def test_tree_has_options_of_its_format_only() -> None:
    """However it is made."""
    for wrong in ({"format": "curator", "endpoint": "a"}, {"payload": "spring"}, {"format": "eureka"}):
        with pytest.raises(ConfigError):
            Tree(path="/d/users", **wrong)  # type: ignore[arg-type]


def test_members_are_told_by_their_names() -> None:
    """Finagle's begin with member_, unless another prefix is said; Curator's may have any name."""
    names = ("member_1", "instance-2", "3")
    found = {
        text: [Tree.parse(text).id_of(name) for name in names if Tree.parse(text).has_member(name)]
        for text in ("/d/j", "serverset:/d/j", "serverset:/d/j?prefix=instance-", "curator:/d/j")
    }
    assert found == {
        "/d/j": ["1", "instance-2", "3"],
        "serverset:/d/j": ["1"],
        "serverset:/d/j?prefix=instance-": ["2"],
        "curator:/d/j": ["member_1", "instance-2", "3"],
    }


def test_trees_to_join_are_told_apart() -> None:
    """Each once, in a list, and only by who is registered at all."""
    texts = ["serverset:/job", "curator:/discovery/users"]
    assert trees_to_join(texts) == tuple(map(Tree.parse, texts)) and trees_to_join([], registered=False) == ()
    for wrong, reason in (
        ("serverset:/job", r"a list of texts, as in \['serverset:/job'\]"),
        (["serverset:/job", "curator:/discovery/users", "serverset:/job?prefix=m"], "/job is to be joined twice"),
        (["/job"], "says how its readers look"),
    ):
        with pytest.raises(ConfigError, match=reason):
            trees_to_join(wrong)
    with pytest.raises(ConfigError, match="needs zookeeper="):
        trees_to_join(texts, registered=False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/job", "serverset:/job or curator:/job"),
        ("serverset:/services/users/members", "zkrpc's own nodes"),
        ("curator:/services/users", "zkrpc's own nodes"),
        ("serverset:/idl", "zkrpc's own nodes"),
        ("curator:/users", "no base path"),
    ],
)
def test_tree_that_we_cannot_join_says_what_to_do(text: str, reason: str) -> None:
    """It may be read all the same."""
    with pytest.raises(ConfigError, match=reason):
        Tree.parse(text).require_joinable()
    Tree.parse("serverset:/servicesets/users").require_joinable()
    Tree.parse("curator:/discovery/users").require_joinable()


def test_member_of_a_serverset_is_called_as_finagle_looks_for_it() -> None:
    """Its id is the worker's, so that a successor takes the node over; the endpoint that readers want by a name is
    there by that name, too."""
    place = Tree.parse("serverset:/aurora/role/prod/job?endpoint=thrift").member("w1", "0a1b")
    assert (place.path, place.id) == ("/aurora/role/prod/job/member_w1", "w1")
    assert json.loads(place.dump(ONE))["additionalEndpoints"] == {"thrift": {"host": "10.0.0.3", "port": 9090}}
    other = Tree.parse("serverset:/job?prefix=instance-").member("w1", "0a1b")
    assert other.path == "/job/instance-w1" and json.loads(other.dump(ONE))["additionalEndpoints"] == {}


@pytest.mark.parametrize("options", ["", "?payload=spring"])
def test_member_of_a_curator_tree_agrees_with_its_node(options: str) -> None:
    """The id is the node's name and each process has its own, the name is the tree's. The payload is null unless it is
    asked for."""
    place = Tree.parse(f"curator:/discovery/users{options}").member("w1", "0a1b")
    assert (place.path, place.id) == ("/discovery/users/w1-0a1b", "w1-0a1b")
    document = json.loads(place.dump(ONE))
    assert (document["name"], document["id"]) == ("users", "w1-0a1b")
    assert (document["payload"] is None) == (not options)
    assert parse_record("w1-0a1b", place.dump(ONE)) == dataclasses.replace(ONE, id="w1-0a1b")
