"""Calls that follow a primary, through the whole of both stacks: the server's interceptor plays who leads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.call import ServerCall
from zkrpc.client.primary_router import PrimaryRouter
from zkrpc.client.resolver import StaticResolver
from zkrpc.client.stub import make_stub
from zkrpc.endpoint import Endpoint, Primary
from zkrpc.errors import ConfigError, NotPrimary, StaleEpoch
from zkrpc.testing.loopback import LoopbackMembers

IDL = zkrpc.load(Path(__file__).with_name("ledger.thrift"))
QUICK = zkrpc.ClientConfig(timeout=2)


class Ledger:
    """One replica; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.served: list[str] = []
        self.read: list[str] = []

    def transfer(self, account: str) -> str:
        self.served.append(account)
        if account == "nobody":
            raise IDL.NoSuchAccount(account=account)
        return f"transferred {account}"

    def undeclared(self, account: str) -> str:
        self.served.append(account)
        return f"done {account}"

    def again(self, account: str) -> str:
        self.served.append(account)
        return f"again {account}"

    def balance(self, account: str) -> str:
        self.read.append(account)
        return f"balance {account}"

    def note(self, account: str) -> None:
        self.served.append(account)


class Cluster:
    """Replicas of which one leads, as the interceptor of all of them believes."""

    def __init__(self, world: World, replicas: int = 3, **options: Any) -> None:
        self.world = world
        self.leaders: dict[str, tuple[int, int]] = {"main": (0, 1)}
        """By group: the number of the replica that leads, and its epoch."""
        self.tells = True
        """Whether those that do not lead say who does."""
        self.says_epoch = True
        self.host = "memory"
        self.group_of: Callable[[ServerCall], str] = lambda call: "main"
        service = zkrpc.Service(IDL.Ledger, Ledger, "ledger", interceptors=[self.guard])
        self.loopback = world.loopback(service, replicas=replicas, elect=False, **options)
        self.stub = self.loopback.stub
        self.meanwhile: Callable[[int], object] = lambda number: None
        self.at_first: Callable[[int], object] = lambda number: None

    def list(self, *numbers: int, **fields: Any) -> None:
        """These replicas are the members from now on."""
        self.world.where_clients_are(self.loopback._members.become, members(*numbers, **fields))

    def replica(self, number: int) -> Ledger:
        """One replica's handler."""
        handler: Ledger = self.loopback.handlers[number]
        return handler

    def questions(self) -> int:
        """How often they were asked in all for what only a primary does, since ``asked`` was last called."""
        return sum(len(handler.asked) for handler in self.loopback.handlers.values())

    def asked(self) -> list[int]:
        """How often each replica was asked for what only a primary does, since the last look."""
        counts = [len(handler.asked) for handler in self.loopback.handlers.values()]
        for handler in self.loopback.handlers.values():
            handler.asked.clear()
        return counts

    def guard(self, call: ServerCall, proceed: Any) -> Any:
        """What the server's side does for primary-only methods."""
        handler = getattr(call.handler, "__self__")
        number = next(number for number, one in self.loopback.handlers.items() if one is handler)
        self.at_first(number)
        if call.method == "balance":
            return proceed(call)
        handler.asked.append(call.method)
        self.meanwhile(number)
        group = self.group_of(call)
        leader, epoch = self.leaders.get(group, (None, None))
        if leader != number:
            told = Endpoint(self.host, leader) if leader is not None and self.tells else None
            raise NotPrimary("not here", primary=told, epoch=epoch if self.says_epoch else None, group=group)
        assert epoch is not None
        demanded = int(call.headers.get("zkrpc-epoch", 0))
        if demanded > epoch:
            raise StaleEpoch("over", seen=demanded, current=epoch)
        call.epoch = epoch if self.says_epoch else None
        return proceed(call)


@pytest.fixture
def make(world: World) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters, and closes them."""
    made: list[Cluster] = []

    def build(**options: Any) -> Cluster:
        made.append(Cluster(world, **options))
        return made[-1]

    yield build
    for cluster in made:
        cluster.loopback.close()


Make = Callable[..., Cluster]


@pytest.mark.parametrize("method", ["transfer", "undeclared"], ids=["annotated", "learnt"])
def test_call_finds_the_primary_by_one_redirect_and_goes_there_from_then_on(make: Make, method: str) -> None:
    """Whether the IDL says so, or the registry's records and an instance; the caller never sees a refusal."""
    cluster = make()
    if method == "undeclared":
        cluster.list(0, 1, 2, primary_only=("undeclared",))
    del cluster.leaders["main"]
    # Whoever is asked first is not the one that leads.
    cluster.meanwhile = lambda number: cluster.leaders.setdefault("main", ((number + 1) % 3, 1))
    call = getattr(cluster.stub, method)
    assert call("a").endswith("a")
    assert sum(cluster.asked()) == 2
    for number in range(20):
        assert call(str(number)).endswith(str(number))
    assert sorted(cluster.asked()) == [0, 0, 20]
    assert len(cluster.replica(cluster.leaders["main"][0]).served) == 21


def test_other_methods_go_anywhere(make: Make) -> None:
    """What any replica may do is spread as ever."""
    cluster = make()
    cluster.leaders["main"] = (1, 1)
    assert cluster.stub.undeclared("a") == cluster.stub.undeclared("a") == "done a"
    assert {cluster.stub.balance(str(number)) for number in range(30)} == {f"balance {number}" for number in range(30)}
    assert len(cluster.replica(1).read) < 25


def test_client_follows_a_change(make: Make) -> None:
    """The former primary tells of its successor, and one redirect is all that it costs."""
    cluster = make()
    cluster.stub.transfer("a")
    cluster.asked()
    for epoch, leader in enumerate((1, 2, 0, 1), 2):
        cluster.leaders["main"] = (leader, epoch)
        assert cluster.stub.transfer("b") == "transferred b"
        assert sum(cluster.asked()) == 2


def test_declared_exception_of_a_primary_is_an_answer(make: Make) -> None:
    """It comes from the right place, and teaches where that is."""
    cluster = make()
    with pytest.raises(IDL.NoSuchAccount):
        cluster.stub.transfer("nobody")
    cluster.asked()
    with pytest.raises(IDL.NoSuchAccount):
        cluster.stub.transfer("nobody")
    assert cluster.asked() == [1, 0, 0]


def test_primary_is_found_though_nobody_tells_where_it_is(make: Make) -> None:
    """By asking one after the other, with pauses; then it is known by its reply."""
    cluster = make()
    cluster.leaders["main"] = (2, 1)
    cluster.tells = False
    assert cluster.stub.transfer("a") == "transferred a"
    assert sum(cluster.asked()) <= 3
    cluster.stub.transfer("b")
    assert cluster.asked() == [0, 0, 1]


def test_servers_without_epochs_are_followed_too(make: Make) -> None:
    """A hint is a hint."""
    cluster = make()
    cluster.says_epoch = False
    cluster.leaders["main"] = (2, 1)
    for account in "abcdef":
        cluster.stub.transfer(account)
    cluster.asked()
    cluster.stub.transfer("b")
    cluster.leaders["main"] = (1, 2)
    cluster.stub.transfer("c")
    assert cluster.asked() == [0, 1, 2]


def test_call_waits_through_an_election(make: Make) -> None:
    """Within its deadline, with many fewer questions than there would be time for; more than max_attempts of them."""
    cluster = make(config=zkrpc.ClientConfig(timeout=60, max_attempts=2, max_backoff=0.05))
    cluster.stub.transfer("a")
    cluster.asked()
    del cluster.leaders["main"]
    waiting = [gevent.spawn(cluster.stub.transfer, str(number)) for number in range(5)]
    gevent.sleep(0.3)
    assert cluster.questions() < 5 * 60
    eventually(lambda: cluster.questions() >= 5 * 3)
    assert not any(one.ready() for one in waiting)
    cluster.leaders["main"] = (1, 2)
    assert [one.get(timeout=60) for one in waiting] == [f"transferred {number}" for number in range(5)]
    assert cluster.replica(1).served == sorted(cluster.replica(1).served, key=cluster.replica(1).served.index)
    assert len(cluster.replica(1).served) == 5


@pytest.mark.parametrize("is_registered", [False, True])
def test_primary_whose_machine_is_gone_is_not_asked_for_without_a_pause(make: Make, is_registered: bool) -> None:
    """Until its session ends the others name it to each who asks; eight callers that wait ask some dozens of times."""
    cluster = make(config=zkrpc.ClientConfig(timeout=1.5))
    stub = cluster.stub
    if is_registered:
        registry, stub = informed(cluster, config=zkrpc.ClientConfig(timeout=1.5))
        registry.tell(Primary(endpoint=Endpoint("memory", 0), epoch=1))
    stub.transfer("before")
    cluster.loopback.kill(0)
    cluster.asked()
    waiting = [gevent.spawn(stub.transfer, str(number)) for number in range(8)]
    gevent.joinall(waiting, timeout=60)
    assert sum(cluster.asked()) < 500
    assert all(isinstance(one.exception, zkrpc.CallError) for one in waiting)


def test_redirect_of_one_call_wakes_all_that_wait(make: Make) -> None:
    """Whoever hears first tells the others; nobody sleeps his pause out."""
    cluster = make(config=zkrpc.ClientConfig(timeout=60, backoff=20, max_backoff=20))
    del cluster.leaders["main"]
    waiting = [gevent.spawn(cluster.stub.transfer, str(number)) for number in range(5)]
    eventually(lambda: cluster.questions() == 5)
    cluster.leaders["main"] = (1, 2)
    began = time.monotonic()
    assert cluster.stub.transfer("x") == "transferred x"
    gevent.joinall(waiting, timeout=60)
    assert all(one.successful() for one in waiting) and time.monotonic() - began < 19


def test_election_that_does_not_end_is_told_as_such_and_uses_the_time(make: Make) -> None:
    """The error says that nothing was done, and comes at the deadline, not long before it."""
    cluster = make(config=zkrpc.ClientConfig(timeout=2, max_backoff=0.1))
    del cluster.leaders["main"]
    began = time.monotonic()
    with pytest.raises(NotPrimary) as caught:
        cluster.stub.transfer("a")
    assert 1.9 < time.monotonic() - began < 10
    assert caught.value.executed is zkrpc.Executed.NO and caught.value.attempts > 4
    assert (caught.value.group, caught.value.primary) == ("main", None)


def test_primary_that_refuses_while_others_still_name_it_is_not_hammered(make: Make) -> None:
    """Its lease has ended and its node stands: each hint is followed, but with pauses that grow."""
    cluster = make(config=zkrpc.ClientConfig(timeout=4))
    cluster.stub.transfer("a")
    cluster.asked()

    def refuse(number: int) -> None:
        if number == 0:
            raise NotPrimary("not any more", primary=Endpoint("memory", 0), epoch=1, group="main")

    cluster.meanwhile = refuse
    with pytest.raises(NotPrimary):
        cluster.stub.transfer("b")
    assert 4 < sum(cluster.asked()) < 40


def test_quarrel_about_ever_higher_epochs_is_bounded(make: Make) -> None:
    """Two replicas that name each other, each time with a new epoch, cannot make a call spin."""
    cluster = make(config=QUICK)

    def quarrel(number: int) -> None:
        leader, epoch = cluster.leaders["main"]
        raise NotPrimary("you are", primary=Endpoint("memory", (number + 1) % 3), epoch=epoch, group="main")

    def escalate(number: int) -> None:
        cluster.leaders["main"] = (0, cluster.leaders["main"][1] + 1)
        quarrel(number)

    cluster.meanwhile = escalate
    with pytest.raises(NotPrimary):
        cluster.stub.transfer("a")
    assert sum(cluster.asked()) < 60


def test_loss_of_the_primary_leaves_maybe(make: Make) -> None:
    """The connection broke with the call in flight: nobody knows, and it is not sent again. The next call finds the
    successor."""
    cluster = make()
    cluster.stub.transfer("a")

    def die(number: int) -> None:
        cluster.meanwhile = lambda number: None
        cluster.leaders["main"] = (1, 2)
        gevent.spawn(cluster.loopback.kill, number)
        gevent.sleep(0.05)

    cluster.meanwhile = die
    with pytest.raises(zkrpc.ConnectionLost) as caught:
        cluster.stub.transfer("b")
    assert caught.value.executed is zkrpc.Executed.MAYBE
    assert cluster.stub.transfer("c") == "transferred c"
    assert cluster.replica(1).served == ["c"]


def test_idempotent_call_survives_the_loss_of_its_primary(make: Make) -> None:
    """It is sent again, to the successor; what it finds out about the first attempt stays MAYBE until it succeeds."""
    cluster = make(config=zkrpc.ClientConfig(timeout=2))
    cluster.stub.again("a")

    def die(number: int) -> None:
        cluster.meanwhile = lambda number: None
        del cluster.leaders["main"]
        gevent.spawn(cluster.loopback.kill, number)
        gevent.sleep(0.05)

    cluster.meanwhile = die
    with pytest.raises(zkrpc.CallError) as caught:
        cluster.stub.again("b")
    assert caught.value.executed is zkrpc.Executed.MAYBE
    cluster.leaders["main"] = (1, 2)
    assert cluster.stub.again("c") == "again c"


def test_dead_primary_is_left_at_once(make: Make) -> None:
    """Nobody listens where it was, so nothing was sent; another one says who leads now."""
    cluster = make()
    cluster.stub.transfer("a")
    cluster.loopback.kill(0)
    cluster.leaders["main"] = (2, 2)
    assert cluster.stub.transfer("b") == "transferred b"
    assert cluster.replica(2).served == ["b"]


def test_primary_that_is_overloaded_is_waited_for(make: Make) -> None:
    """Nobody else may do it, so nobody else is asked."""
    cluster = make()
    cluster.stub.transfer("a")
    cluster.asked()
    full = iter((True, True, False))

    def refuse(number: int) -> None:
        if next(full):
            raise zkrpc.Overloaded("full", retry_after=0.01)

    cluster.meanwhile = refuse
    assert cluster.stub.transfer("b") == "transferred b"
    assert cluster.asked() == [3, 0, 0]


def members(*numbers: int, **fields: Any) -> list[zkrpc.Instance]:
    """A list of these replicas."""
    return [zkrpc.Instance(id=str(n), endpoint=Endpoint("memory", n), protocols=("zkrpc",), **fields) for n in numbers]


def test_method_that_nobody_marked_is_led_call_by_call(make: Make) -> None:
    """An instance that refuses one as not being the primary leads that call, and no other one."""
    cluster = make()
    cluster.leaders["main"] = (2, 1)
    for number in range(30):
        assert cluster.stub.undeclared(str(number)) == f"done {number}"
    asked = cluster.asked()
    assert asked[2] == 30 and 0 < asked[0] + asked[1] <= 30
    assert repr(cluster.loopback._clients[0]._router) == "<PrimaryRouter [] <Primaries nobody>>"


LIES = [
    {"primary": Endpoint("memory", 0), "epoch": 2**63 - 1},
    {"primary": Endpoint("memory", 9), "epoch": 2**63 - 1},
    {"primary": None, "epoch": 2**63 - 1},
    {"primary": Endpoint("memory", 0), "epoch": None},
    {"primary": Endpoint("memory", 0), "epoch": 2**63 - 1, "group": "evil"},
]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("informs", [True, False], ids=["registry", "list"])
def test_member_that_lies_about_primaries_gains_nothing_for_long(make: Make, lie: Any, informs: bool) -> None:
    """Replica 0 answers every method by naming itself, or nobody, with the highest epoch: the others are used on."""
    cluster = make()
    cluster.leaders["main"] = (2, 4)
    registry, stub = informed(cluster) if informs else (None, cluster.stub)
    if registry is not None:
        registry.tell(Primary(endpoint=Endpoint("memory", 2), epoch=4))

    def lying(number: int) -> None:
        if not number:
            raise NotPrimary("go there", **lie)

    cluster.at_first = lying
    for number in range(30):
        assert stub.balance(str(number)) == f"balance {number}"
        assert stub.transfer(str(number)) == f"transferred {number}"
    assert len(cluster.replica(1).read) + len(cluster.replica(2).read) == 30
    if registry is not None:
        assert cluster.asked() == [0, 0, 30]
        cluster.leaders["main"] = (1, 5)
        registry.tell(Primary(endpoint=Endpoint("memory", 1), epoch=5))
        assert stub.transfer("next") == "transferred next"
        stub.close()


def test_member_that_serves_as_a_false_primary_does_not_outrank_the_registry(make: Make) -> None:
    """It answers with the highest epoch while nobody leads; whom the registry names then is asked nevertheless."""
    cluster = make()
    cluster.leaders["main"] = (0, 2**63 - 1)
    registry, stub = informed(cluster)
    registry.tell(None)
    assert stub.transfer("a") == "transferred a"
    registry.tell(Primary(endpoint=Endpoint("memory", 1), epoch=5))
    cluster.asked()
    cluster.leaders["main"] = (1, 5)
    assert stub.transfer("b") == "transferred b"
    assert cluster.asked() == [0, 1, 0]
    stub.close()


def test_primary_that_is_not_in_the_list_yet_is_waited_for(make: Make) -> None:
    """Only members are called; the pause ends when it becomes one."""
    cluster = make(config=zkrpc.ClientConfig(timeout=60, backoff=20, max_backoff=20))
    cluster.leaders["main"] = (2, 1)
    cluster.list(0, 1)
    waiting = gevent.spawn(cluster.stub.transfer, "a")
    gevent.sleep(0.05)
    assert not waiting.ready()
    cluster.list(0, 1, 2)
    assert waiting.get(timeout=60) == "transferred a"


def test_primary_is_found_behind_an_address_that_is_not_the_lists(make: Make) -> None:
    """What servers name is not among the members: they are asked one by one, and the one that answers is kept."""
    cluster = make()
    cluster.host = "advertised"
    cluster.leaders["main"] = (2, 1)
    assert cluster.stub.transfer("a") == "transferred a"
    cluster.asked()
    for account in "bcd":
        assert cluster.stub.transfer(account) == f"transferred {account}"
    assert cluster.asked() == [0, 0, 3]


def test_epoch_demanded_is_waited_for(make: Make) -> None:
    """A lower primary answers StaleEpoch; its successor serves, or the deadline ends the wait."""
    cluster = make()
    assert cluster.stub.options(min_epoch=1).transfer("a") == "transferred a"
    demanding = cluster.stub.options(min_epoch=5, timeout=1, headers={"tenant": "x"})
    with pytest.raises(StaleEpoch) as caught:
        demanding.transfer("b")
    assert (caught.value.seen, caught.value.current, caught.value.executed) == (5, 1, zkrpc.Executed.NO)
    waiting = gevent.spawn(demanding.options(timeout=60).transfer, "c")
    gevent.sleep(0.05)
    cluster.leaders["main"] = (1, 6)
    assert waiting.get(timeout=60) == "transferred c"
    assert cluster.stub.transfer("d") == "transferred d"
    assert cluster.replica(1).served == ["c", "d"]


def shard(account: str) -> str:
    """The group an account belongs to."""
    return f"g{ord(account[0]) % 3}"


def test_groups_named_by_the_client_go_each_to_its_primary(make: Make) -> None:
    """After one redirect per group there are no more."""
    cluster = make(group_of=lambda method, arguments: shard(arguments.account))
    cluster.leaders = {"g0": (0, 3), "g1": (1, 1), "g2": (2, 2)}
    cluster.group_of = lambda call: shard(call.arguments[0])
    for account in "abc":
        cluster.stub.transfer(account)
    cluster.asked()
    for account in "abcdef":
        assert cluster.stub.transfer(account) == f"transferred {account}"
    assert cluster.asked() == [2, 2, 2]


def test_groups_named_by_servers_are_followed(make: Make) -> None:
    """A client that knows of no groups is told, call by call; the belief about other groups stands meanwhile."""
    cluster = make()
    cluster.leaders = {"g0": (0, 3), "g1": (1, 1), "g2": (2, 2)}
    cluster.group_of = lambda call: shard(call.arguments[0])
    for account in "abcabc":
        assert cluster.stub.transfer(account) == f"transferred {account}"
    cluster.asked()
    for account in "aaa":
        cluster.stub.transfer(account)
    assert sum(cluster.asked()) <= 4, "the method's last group is remembered"


def test_group_of_must_name_a_group(make: Make) -> None:
    """A mistake of the application's is raised before anything is sent."""
    cluster = make(group_of=lambda method, arguments: None)
    with pytest.raises(ConfigError, match="group_of must return"):
        cluster.stub.transfer("a")
    assert cluster.asked() == [0, 0, 0]


def test_oneway_call_waits_until_the_primary_is_known(make: Make) -> None:
    """Nobody would say that it went to the wrong place."""
    cluster = make(config=QUICK)
    cluster.leaders["main"] = (2, 1)
    with pytest.raises(NotPrimary, match="a oneway call cannot ask"):
        cluster.stub.note("lost")
    assert cluster.asked() == [0, 0, 0]
    cluster.stub.transfer("a")
    cluster.stub.note("heard")
    eventually(lambda: cluster.replica(2).served == ["a", "heard"])


class Registry(LoopbackMembers):
    """A resolver that also tells who leads, when the test says so."""

    def __init__(self, world: World) -> None:
        super().__init__("ledger")
        self._world = world
        self.followers: dict[str, list[Callable[[Primary | None], None]]] = {}

    def follow_primary(self, group: str, callback: Callable[[Primary | None], None], /) -> Callable[[], object]:
        if "/" in group:
            raise ConfigError(f"{group} is no name")
        self.followers.setdefault(group, []).append(callback)
        return lambda: self.followers[group].remove(callback)

    def tell(self, primary: Primary | None, group: str = "main") -> None:
        for callback in self.followers[group]:
            self._world.where_clients_are(callback, primary)


def informed(cluster: Cluster, **options: Any) -> tuple[Registry, Any]:
    """A registry and a client of the cluster that listens to it."""
    registry = Registry(cluster.world)
    registry.snapshot = cluster.loopback._members.snapshot
    return registry, make_stub(IDL.Ledger, cluster.world.client(registry, dial=cluster.loopback._dial, **options))


def test_registry_saves_the_first_redirect(make: Make) -> None:
    """For an interface that says which methods are the primary's, it is asked as soon as the stub is made."""
    cluster = make()
    cluster.leaders["main"] = (2, 4)
    registry, stub = informed(cluster)
    registry.tell(Primary(endpoint=Endpoint("memory", 2), epoch=4))
    stub.transfer("a")
    assert cluster.asked() == [0, 0, 1]
    stub.close()
    assert registry.followers == {"main": []}


def test_registry_ends_the_wait_for_an_election(make: Make) -> None:
    """At once, however long the pause."""
    cluster = make()
    config = zkrpc.ClientConfig(timeout=60, backoff=20, max_backoff=20)
    registry, stub = informed(cluster, config=config)
    registry.tell(Primary(endpoint=Endpoint("memory", 0), epoch=1))
    del cluster.leaders["main"]
    waiting = gevent.spawn(stub.transfer, "a")
    eventually(lambda: cluster.replica(0).asked)
    registry.tell(None)
    gevent.sleep(0.05)
    assert not waiting.ready()
    cluster.leaders["main"] = (1, 2)
    registry.tell(Primary(endpoint=Endpoint("memory", 1), epoch=2))
    assert waiting.get(timeout=60) == "transferred a"
    assert cluster.asked() == [1, 1, 0]
    stub.transfer("b")
    assert cluster.asked() == [0, 1, 0]
    stub.close()


def test_registry_that_lies_behind_costs_a_redirect(make: Make) -> None:
    """What it tells is tried, and what the instances say counts."""
    cluster = make()
    cluster.leaders["main"] = (1, 2)
    registry, stub = informed(cluster)
    registry.tell(Primary(endpoint=Endpoint("memory", 0), epoch=1))
    assert stub.transfer("a") == "transferred a"
    assert cluster.asked() == [1, 1, 0]
    stub.close()


def test_registry_is_asked_only_for_groups_that_are_called(make: Make) -> None:
    """Those that the client or a server names, once each, and none that cannot be one."""
    cluster = make()
    registry, stub = informed(cluster, group_of=lambda method, arguments: shard(arguments.account))
    assert registry.followers == {}
    cluster.leaders = {"g1": (1, 1), "told": (2, 1), "no/name": (0, 1)}
    cluster.group_of = lambda call: shard(call.arguments[0])
    stub.transfer("a")
    stub.transfer("a")
    assert {group: len(all) for group, all in registry.followers.items()} == {"g1": 1}
    cluster.group_of = lambda call: "told"
    stub.transfer("a")
    cluster.group_of = lambda call: "no/name"
    stub.transfer("a")
    assert sorted(registry.followers) == ["g1", "told"]
    stub.close()
    assert registry.followers == {"g1": [], "told": []}
    broken = make_stub(IDL.Ledger, cluster.world.client(registry, group_of=lambda method, arguments: "no/name"))
    with pytest.raises(ConfigError, match="no name"):
        broken.transfer("a")
    broken.close()


def test_client_without_members_waits_for_them_first(world: World) -> None:
    """As any call does; and a fixed list has nobody who tells of primaries."""
    client = world.client(StaticResolver(["127.0.0.1:1"]), config=zkrpc.ClientConfig(timeout=0.1))
    with make_stub(IDL.Ledger, client) as stub, pytest.raises(zkrpc.CallError) as caught:
        stub.transfer("a")
    assert caught.value.executed is zkrpc.Executed.NO
    assert repr(PrimaryRouter(world.inside(client)._channel)) == "<PrimaryRouter [] <Primaries nobody>>"
