"""What an IDL breaks that is served already, and what the gate says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.idl.compatibility.cases import Case, all_cases
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import NodeMissing
from zkrpc.idl import Interface, interfaces_of, load, load_text
from zkrpc.idl.compatibility import RULES, Level
from zkrpc.registry.gate import describe, judge
from zkrpc.registry.publication import Publication
from zkrpc.registry.published import Publications

OLD = "struct User {\n  1: i64 id\n}\nservice Users {\n  User get(1: i64 id)\n  void put(1: User user)\n}\n"
BREAKING = "struct User {\n  1: i64 id\n}\nservice Users {\n  User get(1: i64 id)\n}\n"


def interface(text: str, name: str = "Users") -> Interface:
    """The interface of a text."""
    return interfaces_of(load_text(text))[name]


def published(some: Interface) -> Publication:
    """What an instance that serves it says."""
    return Publication(interface=some.name, digest=some.digest)


def instances(*names: str) -> tuple[Instance, ...]:
    """Instances of these ids."""
    return tuple(Instance(id=name, endpoint=Endpoint("10.0.0.1", 9090)) for name in names)


def known(**living: tuple[Interface, tuple[Instance, ...]]) -> Publications:
    """Publications of members."""
    return Publications(service="users", living={published(some): who for some, who in living.values()})


def test_break_of_a_living_member_speaks_against_it() -> None:
    """With the members, and with who calls the method, where that is known."""
    old, new = interface(OLD), interface(BREAKING)
    objections, remarks = judge(new, known(old=(old, instances("u-0", "u-1"))), {published(old): OLD})
    assert not remarks and [one.broken.rule.name for one in objections] == ["method-removed"]
    assert describe("users", objections, {"put": {"billing": 7, "web": 40}}).splitlines() == [
        "the IDL of users breaks 1 thing of what u-0, u-1 serve",
        "  users.thrift:6: method-removed: Users.put is gone: calls of it are answered with UnknownMethod",
        "    Users.put is called by web (40 calls), billing (7 calls)",
    ]
    assert "nobody calls Users.put, as far as the instances know" in describe("users", objections, {"put": {}})
    assert "calls Users.put" not in describe("users", objections, {})


def test_what_was_published_last_counts_as_well() -> None:
    """A service that is down has callers that wait for it."""
    old, new = interface(OLD), interface(BREAKING)
    last = Publications(service="users", living={}, last=published(old))
    objections, _ = judge(new, last, {published(old): OLD})
    assert describe("users", objections, {}).startswith("the IDL of users breaks 1 thing of what was published last\n")


def test_what_was_published_last_does_not_count_beside_members() -> None:
    """A version that was rolled back binds nobody."""
    old, tried = interface(OLD), interface(OLD.replace("void put", "void add(), void put"))
    new = interface("// newer\n" + OLD)
    both = Publications(service="users", living={published(old): instances("u-0")}, last=published(tried))
    assert judge(new, both, {published(old): OLD, published(tried): tried.text}) == ([], [])


def test_what_a_member_serves_already_is_let_in() -> None:
    """A worker of the version before comes back in the middle of a rollout that has added a method."""
    old, new = interface(OLD), interface(OLD.replace("void put", "void add(), void put"))
    both = known(old=(old, instances("u-0")), new=(new, instances("u-1")))
    texts: dict[Publication, str | Exception] = {published(old): OLD, published(new): new.text}
    assert judge(old, both, texts) == judge(new, both, texts) == ([], [])
    assert judge(new, known(old=(old, instances("u-0"))), texts) == ([], [])
    assert len(judge(old, known(new=(new, instances("u-1"))), texts)[0]) == 1


def test_what_two_versions_lose_is_told_once() -> None:
    """With the members of both."""
    old, older, new = interface(OLD), interface("// older\n" + OLD), interface(BREAKING)
    both = known(old=(old, instances("u-0")), older=(older, instances("u-1")))
    objections, _ = judge(new, both, {published(old): OLD, published(older): older.text})
    assert [[one.id for one in some.instances] for some in objections] == [["u-0", "u-1"]]


@pytest.mark.parametrize("text", [NodeMissing("not there"), "service {", "service Others {}\n"])
def test_what_cannot_be_compared_stops_nobody(text: str | Exception) -> None:
    """And is told."""
    old, new = interface(OLD), interface(BREAKING)
    objections, remarks = judge(new, known(old=(old, instances("u-0"))), {published(old): text})
    assert objections == [] and len(remarks) == 1 and remarks[0].startswith(f"cannot compare with {published(old)}: ")


def test_long_lists_are_cut() -> None:
    """A start that breaks everything does not fill the log."""
    many = "service Users { " + " ".join(f"void m{n}()," for n in range(14)) + " }\n"
    old, new = interface(many), interface("service Users {}\n")
    objections, _ = judge(new, known(old=(old, instances(*"abcdefgh"))), {published(old): many})
    lines = describe("users", objections, {}).splitlines()
    assert lines[0] == "the IDL of users breaks 14 things of what a, b, c, d, e and 3 more serve" and len(lines) == 12
    assert lines[-1] == "  and 4 more; zkrpc idl check registry:users FILE tells all"


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_start_is_refused_for_what_breaks_running_programs_and_for_nothing_else(case: Case, tmp_path: Path) -> None:
    """For each rule: a break of the wire or of policy is refused, where the service's calls have to do with it; a
    warning, a break of other levels and a compatible version are accepted."""
    before, after = (interfaces_of(load(path)) for path in case.write(tmp_path))
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            assert {rule for _, rule, _ in case.wanted} == {"service-removed"}
            continue
        objections, remarks = judge(new, known(old=(old, instances("u-0"))), {published(old): old.text})
        refused = {some.broken.rule.name for some in objections}
        counted = {
            rule
            for severity, rule, subject in case.wanted
            if severity == "error" and RULES[rule].level in (Level.WIRE, Level.POLICY)
            if subject.partition(".")[0] == name or rule not in ("method-removed", "service-removed")
        }
        assert refused <= counted and remarks == []
        if name == "S":
            assert refused == counted
