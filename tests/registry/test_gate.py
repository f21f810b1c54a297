"""What an IDL breaks that is served already, and what the gate says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from kazoo.security import make_acl

from tests.idl.compatibility.cases import Case, all_cases
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import ConfigError, NodeMissing
from zkrpc.idl import Interface, interfaces_of, load, load_text
from zkrpc.idl.compatibility import RULES, Level
from zkrpc.idl.served import ServedInterface
from zkrpc.registry import gate
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.gate import Usage, describe, judge, judge_all, pass_gate
from zkrpc.registry.publication import Publication, pack
from zkrpc.registry.published import Publications
from zkrpc.registry.schema import Paths, idl_path
from zkrpc.zookeeper.session import Session

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


PATHS = Paths("users")


@pytest.fixture
def session(zookeeper: str) -> Iterator[Session]:
    """A session in whose chroot the service has nothing yet."""
    session = Session(zookeeper)
    session.start()
    try:
        assert session.wait_connected(60)
        for path in (PATHS.members, "/idl"):
            session.znodes.ensure_path(path)
        yield session
    finally:
        session.close()


def publish(session: Session, text: str) -> None:
    """Leaves a text there as the one that was published last."""
    said = published(interface(text))
    session.znodes.create(idl_path(said.digest), pack(text))
    session.znodes.create(PATHS.publication, said.dump())


def register(session: Session, name: str, text: str) -> None:
    """Makes an instance that serves a text a member."""
    said = published(interface(text))
    one = Instance(id=name, endpoint=Endpoint("10.0.0.1", 9090), interface=said.interface, idl_digest=said.digest)
    session.znodes.create(PATHS.member(name), dump_serverset(one), ephemeral=True)


class Asked:
    """Knows one caller of each method, and notes who was asked for what."""

    def __init__(self) -> None:
        self.questions: list[tuple[list[str], list[str]]] = []

    def __call__(self, whom: Sequence[Instance], methods: Sequence[str]) -> Usage:
        """A :data:`zkrpc.registry.gate.Callers`."""
        self.questions.append((sorted(one.id for one in whom), list(methods)))
        return {method: {"billing": 3} for method in methods}


@pytest.mark.zookeeper
def test_gate_refuses_what_breaks_members_and_says_who_calls_it(session: Session) -> None:
    """Each member that serves it is asked, once; an interface that breaks nothing costs nobody a question."""
    publish(session, OLD)
    register(session, "u-0", OLD)
    register(session, "u-1", OLD)
    asked = Asked()
    pass_gate(session, "users", interface("// compatible\n" + OLD), callers=asked)
    assert asked.questions == []
    with pytest.raises(ConfigError) as caught:
        pass_gate(session, "users", interface(BREAKING), callers=asked)
    assert asked.questions == [(["u-0", "u-1"], ["put"])]
    first, *_, called, last = str(caught.value).splitlines()
    assert first.endswith("of what u-0, u-1 serve") and called == "    Users.put is called by billing (3 calls)"
    assert last == "change the IDL, serve it under another name, or say --allow-breaking"


@pytest.mark.zookeeper
def test_gate_lets_in_what_is_allowed_and_logs_it(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """With the same words."""
    publish(session, OLD)
    register(session, "u-0", OLD)
    pass_gate(session, "users", interface(BREAKING), allow=True)
    (told,) = caplog.messages
    assert told.startswith("the IDL of users breaks 1 thing of what u-0 serves\n") and told.endswith(
        "; that is allowed"
    )


@pytest.mark.zookeeper
def test_gate_protects_a_service_that_is_down(session: Session) -> None:
    """By what was published last; there is nobody who could be asked for callers."""
    pass_gate(session, "users", interface(BREAKING))
    publish(session, OLD)
    asked = Asked()
    with pytest.raises(ConfigError, match="of what was published last"):
        pass_gate(session, "users", interface(BREAKING), callers=asked)
    assert asked.questions == []


@pytest.mark.zookeeper
def test_gate_lets_in_what_was_published_last_whoever_serves_something_else(session: Session) -> None:
    """A rollout that has begun can go on."""
    register(session, "u-0", OLD)
    publish(session, BREAKING)
    pass_gate(session, "users", interface(BREAKING))


@pytest.mark.zookeeper
def test_gate_tells_which_text_it_could_not_compare(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """One that is not there; those of other members count all the same."""
    publish(session, OLD)
    gone = "// gone\n" + OLD
    register(session, "u-0", gone)
    pass_gate(session, "users", interface(BREAKING))
    (told,) = caplog.messages
    assert told.startswith(f"users: cannot compare with {published(interface(gone))}: ") and "not published" in told
    register(session, "u-1", OLD)
    with pytest.raises(ConfigError, match="of what u-1 serves"):
        pass_gate(session, "users", interface(BREAKING))


@pytest.mark.zookeeper
def test_gate_stops_nobody_if_zookeeper_refuses_to_tell(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged that nothing was compared."""
    publish(session, OLD)
    unreadable = [make_acl("world", "anyone", delete=True, admin=True)]
    session._send("set rights", lambda kazoo: kazoo.set_acls_async(PATHS.publication, unreadable), None)
    pass_gate(session, "users", interface(BREAKING))
    (told,) = caplog.messages
    assert told.startswith("the IDL of users is not compared with what is served: ") and PATHS.publication in told


def test_gate_does_not_wait_for_zookeeper_for_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A start goes on without having asked, and says so."""
    assert gate.PATIENCE <= 2
    monkeypatch.setattr(gate, "PATIENCE", 0.01)
    session = Session("127.0.0.1:1")
    pass_gate(session, "users", interface(BREAKING))
    assert caplog.messages == [f"the IDL of users is not compared with what is served: {session.explain()}"]


BESIDE = "service Audit { void log(1: string text), void count() }\n"


def several(*texts: tuple[str, str]) -> ServedInterface:
    """Interfaces of these texts and names as one."""
    return ServedInterface([interface(text, name) for text, name in texts], "users")


def test_interfaces_beside_the_default_one_are_compared_with_their_own() -> None:
    """Not with each other, and not with what was the default of another service; who calls what is broken is known by
    labels. One that is not served any more is told, and stops nobody."""
    users, audit = interface(OLD), interface(BESIDE, "Audit")
    texts: dict[Publication, str | Exception] = {published(users): OLD, published(audit): BESIDE}
    living, also = {published(users): instances("u-0")}, {published(audit): instances("u-0")}
    both = Publications(service="users", living=living, also=also)
    for good in (several((OLD, "Users"), (BESIDE, "Audit")), several((OLD, "Users"), ("// newer\n" + BESIDE, "Audit"))):
        assert judge_all(good, both, texts) == ([], [])
    worse = several((OLD, "Users"), ("service Audit { void log(1: string text) }\n", "Audit"))
    objections, remarks = judge_all(worse, both, texts)
    assert not remarks
    assert describe("users", objections, {"Audit:count": {"web": 3}}, ["Audit"]).splitlines()[1:] == [
        "  audit.thrift:1: method-removed: Audit.count is gone: calls of it are answered with UnknownMethod",
        "    Audit.count is called by web (3 calls)",
    ]
    assert judge_all(users, both, texts) == ([], ["Audit is served by u-0, and not here"])
    moved = Publications(service="users", living={published(audit): instances("a-0")})
    assert judge_all(several((OLD, "Users"), (BESIDE, "Audit")), moved, texts)[0], "plain names mean something else"


@pytest.mark.zookeeper
def test_gate_asks_for_all_interfaces(zookeeper: str) -> None:
    """Also where the default one is what was published last."""
    users, audit = interface(OLD), interface(BESIDE, "Audit")
    with closing(Session(zookeeper)) as session:
        session.start()
        assert session.wait_connected(60)
        for one in (users, audit):
            session.znodes.ensure_path("/idl")
            session.znodes.create(idl_path(one.digest), pack(one.text))
        session.znodes.ensure_path(Paths("users").members)
        member = Instance(
            id="u-0",
            endpoint=Endpoint("10.0.0.1", 9090),
            interface="Users",
            idl_digest=users.digest,
            also={"Audit": audit.digest},
        )
        session.znodes.create(Paths("users").member("u-0"), dump_serverset(member), ephemeral=True)
        session.znodes.create(Paths("users").publication, published(users).dump())
        pass_gate(session, "users", several((OLD, "Users"), (BESIDE, "Audit")))
        asked: list[Sequence[str]] = []

        def callers(_: Sequence[Instance], methods: Sequence[str]) -> Usage:
            asked.append(methods)
            return {}

        with pytest.raises(ConfigError, match="Audit.count is gone"):
            worse = several((OLD, "Users"), ("service Audit { void log(1: string text) }\n", "Audit"))
            pass_gate(session, "users", worse, callers=callers)
        assert asked == [["Audit:count"]]
