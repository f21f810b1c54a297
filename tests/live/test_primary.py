"""Primary-only methods as a caller meets them: services in this process, on a real server."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import gevent
import pytest

import zkrpc
from tests.support.programs import Programs
from tests.support.standing import Terms
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.election.campaign import EXIT_DEPOSED
from zkrpc.registry.schema import Paths
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.operations import Create, Delete

pytestmark = pytest.mark.zookeeper

idl = zkrpc.load(Path(__file__).with_name("board.thrift"))
TIMEOUT = 10.0
QUICK = zkrpc.ServerConfig(linger=0.0, drain_timeout=20.0)
SWIFT = zkrpc.ElectionConfig(elected_timeout=20.0, finish_timeout=20.0, settle=0.15)
RefusalT = TypeVar("RefusalT", bound=zkrpc.CallError)


class Board:
    """Says in which epoch it was asked, by the number of the term."""

    def __init__(self, name: str = "", terms: dict[str, Terms] | None = None) -> None:
        self.name = name
        self.terms = collections.defaultdict(Terms) if terms is None else terms
        self.notes: list[str] = []
        self.told: list[str] = []
        self.held: gevent.event.Event | None = None
        self.sick = False
        self.raises: Exception | None = None

    def on_elected(self, leadership: zkrpc.Leadership) -> None:
        if self.sick:
            self.told.append("sick")
            raise ValueError("no such table")
        self.told.append(f"{leadership.group} {self.terms[leadership.group].number(leadership.epoch)}")

    def on_deposed(self) -> None:
        self.told.append("deposed")

    @zkrpc.primary_only
    def write(self, text: str) -> str:
        if self.raises is not None:
            raise self.raises
        return self._say(text)

    def marked(self, text: str) -> str:
        return self._say(text)

    @zkrpc.primary_only(group=lambda group, text: group)
    def shard(self, group: str, text: str) -> str:
        return self._say(text)

    def read(self) -> str:
        return self._say("read")

    @zkrpc.primary_only
    def wait(self, milliseconds: int) -> str:
        gevent.sleep(milliseconds / 1000)
        return self._say("waited")

    @zkrpc.primary_only
    def note(self, text: str) -> None:
        self.notes.append(text)

    def _say(self, text: str) -> str:
        call = zkrpc.current_call()
        assert call is not None
        numbers = [terms.number(call.epoch) for terms in self.terms.values() if call.epoch in terms.epochs]
        return f"{self.name} {numbers[0] if numbers else call.epoch} {text}"


class Cluster:
    """Instances of the service, each with a registry of its own, and stubs to each of them."""

    def __init__(self, hosts: str) -> None:
        self.hosts = hosts
        self.apps: list[zkrpc.App] = []
        self.terms: dict[str, Terms] = collections.defaultdict(Terms)
        """By group."""
        self.connect: Callable[..., Any] = zkrpc.connect
        self._closing: list[Any] = []

    def registry(self, hosts: str = "") -> zkrpc.Registry:
        """One more session."""
        registry = zkrpc.Registry(
            hosts or self.hosts, config=zkrpc.RegistryConfig(session_timeout=TIMEOUT, request_timeout=5.0)
        )
        self._closing.append(registry)
        assert registry.session.wait_connected(60)
        return registry

    def begin(self, name: str, hosts: str = "", **service: Any) -> tuple[zkrpc.App, Board]:
        """One more instance; its name is its worker id."""
        board = Board(name, self.terms)
        settings = {"config": QUICK, "election": SWIFT, "groups": ["main"], **service}
        app = zkrpc.serve(zkrpc.Service(idl.Board, board, **settings), zookeeper=self.registry(hosts), worker_id=name)
        self.apps.append(app)
        return app, board

    def serve(self, name: str, hosts: str = "", **service: Any) -> tuple[zkrpc.App, Board]:
        """One more instance, which stands or leads already."""
        app, board = self.begin(name, hosts, **service)
        eventually(
            lambda: all(one.state.value not in ("idle", "enrolling") for one in app.elections.campaigns.values())
        )
        return app, board

    def stub(self, app: zkrpc.App, *, demand: str = "", **options: Any) -> Any:
        """Calls that instance once; ``demand`` is the epoch it asks for."""

        def ask(call: Any, proceed: Callable[[Any], Any]) -> Any:
            call.headers = {"zkrpc-epoch": demand} if demand else call.headers
            return proceed(call)

        config = zkrpc.ClientConfig(timeout=30.0, connect_timeout=20.0, max_attempts=1)
        stub = self.connect(idl.Board, [app.endpoint], config=config, interceptors=[ask])
        self._closing.append(stub)
        return stub.options(**options) if options else stub

    def close(self) -> None:
        """Ends all of it."""
        for app in self.apps:
            app.kill()
        for one in self._closing:
            one.close()


def refusal(kind: type[RefusalT], call: Callable[..., Any], *arguments: Any) -> RefusalT:
    """How a call is refused that tries until its time is over. If its last attempt had no time left for its answer, as
    on a machine that pauses, the call is made again."""
    for _ in range(10):
        try:
            call(*arguments)
        except kind as refused:
            return refused
        except zkrpc.DeadlineExceeded:
            continue
    raise AssertionError(f"the call was not refused by {kind.__name__}")


def leads(app: zkrpc.App, group: str = "main") -> bool:
    """Whether that instance serves as the group's primary."""
    return app.elections.campaigns[group].leadership is not None


@pytest.fixture
def cluster(zookeeper: str) -> Iterator[Cluster]:
    """A cluster without instances so far."""
    made = Cluster(zookeeper)
    yield made
    made.close()


@pytest.fixture
def called(world: World, cluster: Cluster) -> Cluster:
    """One whose stubs are the world's."""
    cluster.connect = world.connect
    return cluster


def test_primary_serves_and_the_others_say_who(called: Cluster) -> None:
    """Marked by the decorator or by the IDL, a method runs on the primary, in its epoch; others run everywhere."""
    first, board = called.serve("w1")
    eventually(lambda: leads(first))
    second, other = called.serve("w2")
    eventually(lambda: second.elections.campaigns["main"].primary)
    stub = called.stub(first)
    assert stub.write("x") == "w1 1 x" and stub.marked("y") == "w1 1 y" and stub.read() == "w1 None read"
    assert called.stub(second).read() == "w2 None read"
    brief = called.stub(second, timeout=1.0)
    for call in (brief.write, brief.marked):
        refused = refusal(zkrpc.NotPrimary, call, "x")
        (epoch,) = called.terms["main"].epochs
        assert (refused.primary, refused.epoch, refused.group) == (first.endpoint, epoch, "main")
        assert refused.executed is zkrpc.Executed.NO
    assert board.told == ["main 1"] and other.told == []
    (one,) = [each for each in first.registry.resolver("board").wait_ready(60).instances if each.id == "w1"]
    assert set(one.primary_only) == {"write", "marked", "shard", "wait", "note"}


def test_replies_say_the_epoch_and_demands_are_met(called: Cluster) -> None:
    """A caller that has seen a later epoch is not served by this one; an earlier one is."""
    first, _ = called.serve("w1")
    eventually(lambda: leads(first))
    (epoch,) = called.terms["main"].epochs
    assert called.stub(first, demand="1").write("x") == "w1 1 x"
    assert called.stub(first, demand=str(epoch)).write("x") == "w1 1 x"
    assert called.stub(first, demand="nonsense").write("x") == "w1 1 x"
    refused = refusal(zkrpc.StaleEpoch, called.stub(first, demand=str(epoch + 1), timeout=1.0).write, "x")
    assert (refused.seen, refused.current, refused.executed) == (epoch + 1, epoch, zkrpc.Executed.NO)
    assert leads(first) and called.stub(first).write("x") == "w1 1 x"


def test_oneway_calls_reach_only_the_primary(called: Cluster) -> None:
    """Nobody answers them; on another instance they do nothing."""
    first, board = called.serve("w1")
    eventually(lambda: leads(first))
    second, other = called.serve("w2")
    for app in (first, second):
        stub = called.stub(app)
        stub.note("x")
        stub.read()
    assert board.notes == ["x"] and other.notes == []


def test_instance_stands_once_it_is_listed(cluster: Cluster) -> None:
    """While its dead predecessor's registration is there, callers would be sent to a place where nobody is."""
    ghost, path = cluster.registry().session, Paths("board").member("w1")
    ghost.znodes.ensure_path(Paths("board").members)
    ghost.znodes.create(path, b"a process that died", ephemeral=True)
    first, _ = cluster.begin("w1")
    eventually(lambda: first.registrar.conflict)
    second, _ = cluster.serve("w2")
    eventually(lambda: leads(second))
    assert first.elections.campaigns["main"].state.value == "idle"
    ghost.znodes.delete(path)
    eventually(lambda: first.elections.campaigns["main"].state.value == "waiting")
    second.stop()
    eventually(lambda: leads(first))


def test_stop_of_an_instance_that_was_never_listed_leaves_nothing(cluster: Cluster) -> None:
    """It has nothing to hand over, and what it waited for comes too late."""
    ghost, path = cluster.registry().session, Paths("board").member("w1")
    ghost.znodes.ensure_path(Paths("board").members)
    ghost.znodes.create(path, b"a process that died", ephemeral=True)
    first, _ = cluster.begin("w1")
    eventually(lambda: first.registrar.conflict)
    first.stop()
    ghost.znodes.delete(path)
    second, _ = cluster.serve("w2")
    eventually(lambda: leads(second))
    assert first.elections.campaigns["main"].state.value == "idle"
    assert ghost.znodes.children(Paths("board").members) == ["member_w2"]


def test_stop_hands_over_first(called: Cluster) -> None:
    """A drain gives the primaryship away before anything else; a call that runs is finished and answered."""
    first, board = called.serve("w1")
    eventually(lambda: leads(first))
    second, _ = called.serve("w2")
    running = gevent.spawn(called.stub(first, timeout=60).wait, 200)
    eventually(lambda: first.elections.campaigns["main"].gate.running)
    first.begin_stop()
    assert running.get(timeout=60) == "w1 1 waited"
    eventually(lambda: leads(second))
    assert called.stub(second).write("x") == "w2 2 x"
    assert first.wait_stopped(60) and board.told == ["main 1", "deposed"]
    with pytest.raises(zkrpc.CallError):
        called.stub(first, timeout=1.0).write("x")


def test_kill_leaves_nothing_in_a_shared_session(cluster: Cluster) -> None:
    """The registry lives on; the election does not think that its session's instance still leads."""
    first, _ = cluster.serve("w1")
    eventually(lambda: leads(first))
    second, _ = cluster.serve("w2")
    first.kill()
    eventually(lambda: leads(second))
    assert cluster.terms["main"].number(second.elections.campaigns["main"].leadership.epoch) == 2


def test_outcome_is_unknown_when_the_lease_ended_meanwhile(
    called: Cluster, network: Proxy, behind_network: str
) -> None:
    """The handler ran and returned; whoever leads now may not have seen what it did."""
    first, board = called.serve("w1", behind_network)
    eventually(lambda: leads(first))
    stub = called.stub(first)
    network.mode = ProxyMode.HOLE
    with pytest.raises(zkrpc.NotPrimary) as lapsed:
        stub.wait(int(1000 * 0.8 * TIMEOUT))
    assert lapsed.value.executed is zkrpc.Executed.MAYBE
    assert refusal(zkrpc.NotPrimary, called.stub(first, timeout=1.0).write, "x").executed is zkrpc.Executed.NO
    network.mode = ProxyMode.FORWARD
    eventually(lambda: leads(first), 60)
    assert called.stub(first).write("x").startswith("w1 ")


def test_declared_exceptions_are_answers_only_while_the_epoch_holds(called: Cluster) -> None:
    """A StaleEpoch of the store ends the term, and says that the outcome is unknown."""
    first, board = called.serve("w1")
    eventually(lambda: leads(first))
    board.raises = idl.Refused(why="no")
    with pytest.raises(idl.Refused):
        called.stub(first).write("x")
    epoch = first.elections.campaigns["main"].leadership.epoch
    board.raises = zkrpc.StaleEpoch("the store", seen=epoch + 10**7, current=epoch)
    with pytest.raises(zkrpc.StaleEpoch) as stale:
        called.stub(first).write("x")
    assert stale.value.executed is zkrpc.Executed.MAYBE and (stale.value.seen, stale.value.current) == (
        epoch + 10**7,
        epoch,
    )
    board.raises = None
    eventually(lambda: leads(first))
    assert called.stub(first).write("x") == "w1 2 x"
    assert first.elections.campaigns["main"].leadership.epoch == epoch + 10**7 + 1


def test_another_services_stale_epoch_is_a_plain_failure(called: Cluster) -> None:
    """What a handler met when it called out says nothing about our own term."""
    first, board = called.serve("w1")
    eventually(lambda: leads(first))
    board.raises = zkrpc.StaleEpoch("elsewhere", seen=9, current=3)
    with pytest.raises(zkrpc.RemoteError):
        called.stub(first).write("x")
    assert leads(first)


# -- groups


def test_groups_spread_evenly_and_again_when_a_replica_leaves(cluster: Cluster) -> None:
    """Sixteen groups over three replicas: six, five, five; over two: eight each. No group is ever led twice."""
    groups = [f"g{number}" for number in range(16)]
    apps = [cluster.serve(name, groups=["main", *groups[1:]])[0] for name in ("w1", "w2", "w3")]
    groups[0] = "main"

    def counts() -> list[int]:
        return sorted(sum(leads(app, group) for group in groups) for app in apps)

    took = eventually(lambda: counts() == [5, 5, 6], 60)
    print(f"spread after {took:.1f} s")
    gevent.sleep(0.5)
    assert counts() == [5, 5, 6]
    for group in groups[:4]:
        (leader,) = [app for app in apps if leads(app, group)]
        assert cluster.stub(leader).shard(group, "x").endswith(" x")
    leaver = apps.pop()
    leaver.begin_stop()
    eventually(lambda: counts() == [8, 8], 60)


def test_groups_are_handed_to_replicas_that_are_ready_only(cluster: Cluster) -> None:
    """One that is not ready gives its groups to those that are, in shares, and gets none until it is well; neither
    does it when another stops."""
    groups = ["main", *(f"g{number}" for number in range(5))]
    ill: set[str] = set()
    config = zkrpc.ServerConfig(linger=0.0, drain_timeout=20.0, health_interval=0.02)

    def serve(name: str) -> None:
        cluster.serve(name, groups=groups, config=config, is_healthy=lambda board: board.name not in ill)

    def counts() -> list[int]:
        return [sum(leads(app, group) for group in groups) for app in cluster.apps]

    serve("w1")
    serve("w2")
    eventually(lambda: counts() == [3, 3])
    ill.add("w2")
    eventually(lambda: counts() == [6, 0])
    gevent.sleep(10 * SWIFT.settle)
    assert counts() == [6, 0]
    serve("w3")
    eventually(lambda: counts() == [3, 0, 3])
    ill.discard("w2")
    eventually(lambda: counts() == [2, 2, 2])
    ill.add("w1")
    eventually(lambda: counts() == [0, 3, 3])
    cluster.apps[1].begin_stop()
    eventually(lambda: counts() == [0, 0, 6])


def test_unknown_group_is_refused(called: Cluster) -> None:
    """Nobody stands for it, so nobody will ever serve it; it says which."""
    first, _ = called.serve("w1")
    eventually(lambda: leads(first))
    with pytest.raises(zkrpc.Rejected, match="the group 'nowhere'"):
        called.stub(first).shard("nowhere", "x")


# -- mistakes


def test_serve_explains_what_an_election_needs(cluster: Cluster, zookeeper: str) -> None:
    """A ZooKeeper, groups for a function that names them, and one session for each instance."""

    class Plain(Board):
        @zkrpc.primary_only(group="other")
        def shard(self, group: str, text: str) -> str:
            return ""

    class Wrong(Board):
        def on_deposed(self, one: object, two: object) -> None:  # type: ignore[override]  # the mistake
            ...

    for handler, options, complaint in [
        (Plain, {}, "write, .* of board need an elected primary, .* zookeeper='host:port'"),
        (Board, {"groups": []}, r"needs the names it can give: Service\(..., groups="),
        (Plain, {"groups": ["main"]}, "names the group 'other', which"),
        (Wrong, {}, "Wrong.on_deposed must take the leadership, or nothing"),
    ]:
        with pytest.raises(zkrpc.ConfigError, match=complaint):
            zkrpc.serve(zkrpc.Service(idl.Board, handler, **{"groups": ["main", "other"], **options}))
    with pytest.raises(zkrpc.ConfigError, match=r"write @primary_only\(group='g'\)"):
        zkrpc.primary_only("g")  # type: ignore[call-overload]  # the mistake
    with pytest.raises(zkrpc.ConfigError, match="group name 'a/b' must be"):
        zkrpc.serve(zkrpc.Service(idl.Board, Board, groups=["a/b", "main"]), zookeeper=zookeeper)
    first, _ = cluster.serve("w1")
    with pytest.raises(zkrpc.ConfigError, match="two instances of 'board' cannot elect through one Registry"):
        zkrpc.serve(zkrpc.Service(idl.Board, Board, groups=["main"]), zookeeper=first.registry)
    first.stop()
    again = zkrpc.serve(
        zkrpc.Service(idl.Board, Board, groups=["main"], config=QUICK), zookeeper=first.registry, worker_id="w9"
    )
    eventually(lambda: leads(again))
    again.stop()


STUCK = """
from zkrpc.__main__ import main
import sys
import gevent.monkey
gevent.monkey.patch_all()
import gevent, zkrpc
from tests.live.test_primary import Board, idl
class Stuck(Board):
    def on_deposed(self):
        gevent.sleep(3600)
service = zkrpc.Service(idl.Board, Stuck, groups=["main"], election=zkrpc.ElectionConfig(deposed_timeout=0.3))
app = zkrpc.serve(service, zookeeper=sys.argv[1])
while app.elections.campaigns["main"].leadership is None:
    gevent.sleep(0.01)
print("leads", flush=True)
app.stop()
"""


def test_stuck_on_deposed_ends_the_process(zookeeper: str, tmp_path: Path) -> None:
    """For real: the process is gone within its limit, with a status that tells why."""
    programs = Programs(tmp_path)
    try:
        program = programs.python("-c", STUCK, zookeeper)
        eventually(lambda: "leads" in program.output, 60)
        began = time.monotonic()
        assert program.wait(60) == EXIT_DEPOSED, program.output
        assert time.monotonic() - began < 30 and "did not return in time" in program.output
    finally:
        programs.close()


# -- as a client by name meets it


def test_client_follows_the_primary_through_hand_overs_and_deaths(called: Cluster, zookeeper: str) -> None:
    """It knows the service's name only: no call fails, and the epochs it is told never fall."""
    apps = [called.serve(name)[0] for name in ("w1", "w2", "w3")]
    seen: list[tuple[float, int]] = []
    failures: list[zkrpc.CallError] = []

    def call_on(stub: Any) -> None:
        while True:
            try:
                epoch = int(stub.marked("x").split()[1])
                seen.append((time.monotonic(), epoch))
            except zkrpc.CallError as error:
                failures.append(error)
            gevent.sleep(0.002)

    with called.connect(idl.Board, "board", zookeeper=zookeeper) as stub:
        caller = gevent.spawn(call_on, stub)
        eventually(lambda: len(seen) > 20)
        for _ in range(2):
            (leader,) = [app for app in apps if leads(app)]
            before = len(seen)
            leader.elections.campaigns["main"].step_down()
            eventually(lambda: len(seen) > before + 20)
        (leader,) = [app for app in apps if leads(app)]
        assert leader.registry is not None
        leader.registry.session.close()
        before = len(seen)
        eventually(lambda: len(seen) > before + 20)
        caller.kill()
    epochs = [epoch for _, epoch in seen]
    assert not failures and epochs == sorted(epochs) and set(epochs) == {1, 2, 3, 4}
    gaps = {
        later[1]: 1000 * (later[0] - earlier[0]) for earlier, later in zip(seen, seen[1:]) if later[1] != earlier[1]
    }
    print("no primary for", ", ".join(f"{gap:.0f} ms" for gap in gaps.values()))


# -- only who is listed leads


def squat(session: Any, name: str) -> str:
    """A persistent node that nobody owns takes the instance's place among the members; its path."""
    path = Paths("board").member(name)
    session.znodes.multi([Delete(path=path), Create(path=path, value=b"squatter")])
    return path


def test_primary_whose_place_is_taken_steps_down_and_comes_back(cluster: Cluster) -> None:
    """Callers are sent to whoever is in its place, so another one leads; when the place is free it stands again."""
    first, _ = cluster.serve("w1")
    eventually(lambda: leads(first), 60)
    second, _ = cluster.serve("w2")
    session = cluster.registry().session
    path = squat(session, "w1")
    eventually(lambda: leads(second), 60)
    assert not leads(first)
    # Also if its turn comes again while the place is taken.
    second.elections.campaigns["main"].step_down()
    eventually(lambda: leads(second), 60)
    assert not leads(first) and first.elections.campaigns["main"].state.value == "idle"
    session.znodes.delete(path)
    eventually(lambda: first.elections.campaigns["main"].state.value == "waiting", 60)
    second.elections.campaigns["main"].step_down()
    eventually(lambda: leads(first), 60)


def test_instance_that_wakes_up_beside_its_namesake_is_not_elected(cluster: Cluster) -> None:
    """It slept for longer than its session; meanwhile another one of its name was started and took its place."""
    first, board = cluster.serve("w1")
    eventually(lambda: leads(first), 60)
    network = Proxy(("127.0.0.1", int(cluster.hosts.partition("/")[0].rpartition(":")[2])))
    try:
        sleeper, _ = cluster.serve("w2", f"{network.hosts}/{cluster.hosts.partition('/')[2]}")
        network.mode = ProxyMode.HOLE
        members = cluster.registry().session
        path = Paths("board").member("w2")
        eventually(lambda: members.znodes.exists(path) is None, 60)
        twin, _ = cluster.begin("w2")
        eventually(lambda: twin.registrar.registered, 60)
        network.mode = ProxyMode.FORWARD
        eventually(lambda: sleeper.registrar.conflict, 60)
        first.elections.campaigns["main"].step_down()
        eventually(lambda: leads(twin) or leads(first), 60)
        for _ in range(50):
            assert not leads(sleeper)
            gevent.sleep(0.01)
    finally:
        network.close()


def test_primary_whose_node_somebody_deletes_leads_on(cluster: Cluster) -> None:
    """Its registration comes back within milliseconds."""
    first, board = cluster.serve("w1")
    eventually(lambda: leads(first), 60)
    cluster.registry().session.znodes.delete(Paths("board").member("w1"))
    eventually(lambda: first.registrar.registered, 60)
    assert leads(first) and board.told == ["main 1"]


def test_groups_are_not_handed_to_a_sick_instance_again_and_again(cluster: Cluster) -> None:
    """It was elected and failed: whoever handed it a group remembers, and hands it one later, when it may be well."""
    groups = ["g1", "g2", "g3", "g4"]
    first, board = cluster.serve("w1", groups=["main", *groups])
    eventually(lambda: all(leads(first, group) for group in groups), 60)
    _, sick = cluster.begin("w2", groups=["main", *groups])
    sick.sick = True
    eventually(lambda: "sick" in sick.told, 60)
    eventually(lambda: all(leads(first, group) for group in groups), 60)
    gevent.sleep(5)
    assert len(sick.told) <= 3 and all(leads(first, group) for group in groups)
