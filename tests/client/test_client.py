"""A client over real sockets, against a real server and against peers that misbehave."""

from __future__ import annotations

import contextvars
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.scripted_servers import Link, Peer, closed_port, nothing_left, silent
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.call import Call, ServerCall, current_call, detach, enter_call, leave_call
from zkrpc.client.invoking import CallOptions
from zkrpc.client.resolver import StaticResolver
from zkrpc.client.stub import explain, make_stub, options
from zkrpc.config import ClientConfig, MethodConfig, ServerConfig, ServiceConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import (
    CallError,
    ConfigError,
    ConnectionLost,
    CoordinationError,
    DeadlineExceeded,
    Executed,
    LocalProtocolError,
    RemoteError,
    Unavailable,
)
from zkrpc.idl import load, load_text
from zkrpc.server.server import Server
from zkrpc.wire.message import Request

IDL = load(Path(__file__).parent.parent.parent / "idl" / "users.thrift")
CONFIG = ClientConfig(timeout=60, backoff=0.005, max_backoff=0.05)
HASTY = dataclasses.replace(CONFIG, timeout=0.8)
"""For calls that are to fail when their time is over."""
LOSING = dataclasses.replace(CONFIG, timeout=4)
"""For calls that are lost with every connection: their last attempts are spread over their time."""
ClientOf = Callable[..., Any]
GET = IDL.Users.methods["get"]
WHOAMI = IDL.Users.methods["whoami"]
CREATE = IDL.Users.methods["create"]


class Handler:
    """Users in memory."""

    def __init__(self) -> None:
        self.seen_ids: list[int] = []
        self.calls: list[ServerCall | None] = []

    def get(self, id: int) -> Any:
        self.calls.append(current_call())
        if id < 0:
            raise IDL.UserNotFound(id=id)
        if id == 13:
            raise KeyError("a bug")
        if id == 99:
            gevent.sleep(60)
        return IDL.User(id=id, name="Ada")

    def find(self, prefix: str, limit: int) -> list[Any]:
        return [IDL.User(id=number, name=prefix) for number in range(limit)]

    def put(self, user: Any) -> None:
        pass

    def create(self, user: Any) -> None:
        raise IDL.UserExists(id=user.id)

    def remove(self, id: int) -> bool:
        return False

    def seen(self, id: int, at_ms: int) -> None:
        self.seen_ids.append(id)

    def whoami(self) -> str:
        return "it is me"


@pytest.fixture
def handler() -> Handler:
    """What is served."""
    return Handler()


@pytest.fixture
def endpoint(handler: Handler) -> Iterator[Endpoint]:
    """A running server."""
    server = Server(IDL.Users, handler, config=ServerConfig(linger=0.0, drain_timeout=0.5))
    bound = server.bind(Endpoint("127.0.0.1", 0))
    server.start()
    yield bound
    server.kill()


@pytest.fixture
def client_of(world: World) -> ClientOf:
    """Makes clients of fixed endpoints."""

    def make(*endpoints: Endpoint, config: ClientConfig = CONFIG, **options: Any) -> Any:
        return world.client(StaticResolver(endpoints), config=config, **options)

    return make


@pytest.mark.parametrize("dialect", ["zkrpc", "theader", "framed"])
def test_every_kind_of_call_works_in_every_dialect(
    endpoint: Endpoint, handler: Handler, dialect: str, world: World
) -> None:
    """Values, void, oneway, defaults, declared and undeclared exceptions."""
    with nothing_left(), make_stub(IDL.Users, world.client(StaticResolver([endpoint], dialect=dialect))) as users:
        assert users.get(7).name == "Ada"
        assert users.put(IDL.User(id=1, name="Bo")) is None
        assert len(users.find("A")) == 20
        assert users.remove(id=3) is False
        assert users.seen(5, 0) is None
        with pytest.raises(IDL.UserNotFound) as missing:
            users.get(-1)
        assert missing.value.id == -1
        with pytest.raises(IDL.UserExists):
            users.create(IDL.User(id=1, name="Bo"))
        with pytest.raises(RemoteError) as caught:
            users.get(13)
        assert (caught.value.executed, caught.value.endpoint) == (Executed.YES, endpoint)
        assert users.whoami() == "it is me"
        eventually(lambda: handler.seen_ids == [5])


def test_arguments_that_do_not_fit_never_leave(endpoint: Endpoint, handler: Handler, client_of: ClientOf) -> None:
    """TypeError, before anything is dialled."""
    with make_stub(IDL.Users, client_of(endpoint)) as users:
        for bad in (lambda: users.get("7"), lambda: users.get(), lambda: users.get(1, idd=2), lambda: users.get(1.5)):
            with pytest.raises(TypeError):
                bad()
        assert handler.calls == []


def test_many_callers_share_one_connection(endpoint: Endpoint, client_of: ClientOf) -> None:
    """A hundred greenlets, one socket, each with its own answer."""
    with nothing_left(), make_stub(IDL.Users, client_of(endpoint)) as users:
        callers = [gevent.spawn(users.get, number) for number in range(100, 200)]
        gevent.joinall(callers, timeout=60, raise_error=True)
        assert [caller.value.id for caller in callers] == list(range(100, 200))


def test_headers_and_deadline_arrive(endpoint: Endpoint, handler: Handler, client_of: ClientOf) -> None:
    """Metadata travels, and the server knows how long we wait."""
    with make_stub(IDL.Users, client_of(endpoint)) as users:
        users.options(timeout=60, headers={"tenant": "t1", "raw": "\udcff"}).get(1)
    [call] = handler.calls
    assert call is not None and (call.headers["tenant"], call.headers["raw"]) == ("t1", "\udcff")
    assert call.deadline is not None and 30 < call.deadline.remaining(time.monotonic()) <= 60


def test_arguments_are_sent_as_interceptors_leave_them(endpoint: Endpoint, client_of: ClientOf) -> None:
    """What they put in the place of others, and what they change inside of them."""

    def change(call: Call, proceed: Any) -> Any:
        if call.method == "get":
            call.body.id += 1
        else:
            call.body.user.id += 1
        return proceed(call)

    with make_stub(IDL.Users, client_of(endpoint, interceptors=[change])) as users:
        assert users.get(1).id == 2
        with pytest.raises(IDL.UserExists) as caught:
            users.create(IDL.User(id=5, name="Ada"))
    assert caught.value.id == 6


def test_timeout_comes_from_the_call_then_the_config_then_the_idl(endpoint: Endpoint, client_of: ClientOf) -> None:
    """Client code wins over the IDL; where neither says anything there still is an end."""
    deadlines: list[float] = []

    def note(call: Any, proceed: Callable[[Any], Any]) -> None:
        deadlines.append(call.deadline.at)

    def check(timeout: float, call: Callable[[], object]) -> None:
        began = time.monotonic()
        call()
        assert began + timeout - 0.001 <= deadlines.pop() <= time.monotonic() + timeout

    idl = load_text('service Own { i32 get(1: i32 id) (zkrpc.timeout_ms="30000"), void put(1: i32 id) }').Own
    with make_stub(idl, client_of(endpoint, config=ClientConfig(timeout=70.0), interceptors=[note])) as own:
        check(40.0, lambda: own.options(timeout=40.0).get(1))
        check(70.0, lambda: own.get(1))
        check(70.0, lambda: own.put(1))
    with make_stub(idl, client_of(endpoint, config=ClientConfig(), interceptors=[note])) as own:
        check(30.0, lambda: own.get(1))
        check(5.0, lambda: own.put(1))


def test_call_made_while_serving_never_outlives_the_call_served(endpoint: Endpoint, client_of: ClientOf) -> None:
    """The nearer deadline wins, in both directions."""
    with client_of(endpoint) as client:
        headers = {"Deadline-Budget": "50"}
        served = ServerCall("x", print, (), headers, "peer", time.monotonic())

        def serve() -> float:
            token = enter_call(served)
            try:
                began = time.monotonic()
                with pytest.raises(DeadlineExceeded):
                    client.invoke(GET, (99,))
                return time.monotonic() - began
            finally:
                leave_call(token)

        assert contextvars.copy_context().run(serve) < 30
        headers["Deadline-Budget"] = "999999"
        assert client.invoke(WHOAMI) == "it is me"


def served_call(headers: dict[str, str]) -> ServerCall:
    """A call that is being served here."""
    return ServerCall("x", print, (), headers, "peer", time.monotonic())


def test_detached_call_has_a_deadline_of_its_own(endpoint: Endpoint, client_of: ClientOf) -> None:
    """Work that a handler starts may outlive its caller's patience, if it says so."""
    with client_of(endpoint) as client:

        def serve() -> Any:
            enter_call(served_call({"Deadline-Budget": "0"}))
            with pytest.raises(DeadlineExceeded):
                client.invoke(WHOAMI)
            with detach():
                return client.invoke(WHOAMI)

        assert contextvars.copy_context().run(serve) == "it is me"


def test_call_made_for_a_repetition_is_not_repeated(client_of: ClientOf) -> None:
    """The hop above does that."""
    with Peer(cut_at_once) as peer, client_of(peer.endpoint, config=LOSING) as client:

        def serve() -> None:
            enter_call(served_call({"zkrpc-attempt": "2"}))
            with pytest.raises(ConnectionLost) as caught:
                client.invoke(GET, (1,))
            assert caught.value.attempts == 1

        contextvars.copy_context().run(serve)
        with pytest.raises(ConnectionLost) as caught:
            client.invoke(GET, (1,))
        assert caught.value.attempts == 4


def cut_at_once(link: Link, request: Request) -> None:
    """Loses every call."""
    link.peer.cut()


def test_service_config_holds_for_calls_from_then_on(endpoint: Endpoint, world: World) -> None:
    """What the resolver tells of it; a client that is closed is told no more."""

    class Resolver(StaticResolver):
        """Knows the service's config."""

        callback: Any = None

        def follow_config(self, callback: Callable[[ServiceConfig], None], /) -> Callable[[], object]:
            self.callback = callback
            return lambda: setattr(self, "callback", None)

    resolver = Resolver([endpoint])
    with world.client(resolver) as client:
        assert client.invoke(IDL.Users.methods["put"], (IDL.User(id=1, name="Bo"),)) is None
        world.where_clients_are(resolver.callback, ServiceConfig(methods={"get": MethodConfig(timeout=1.0)}))
        text = r"Users.get: no reply in time, after (0\.[6-9]|[1-9])[\d.]* s \(executed=MAYBE at 127.0.0.1:\d+\)"
        with pytest.raises(DeadlineExceeded, match=text):  # what, where and how long
            client.invoke(GET, (99,))
    assert resolver.callback is None


@pytest.mark.parametrize("wrong", [{"timeout": 3}, 3, ClientConfig])
def test_config_that_is_none_is_refused(wrong: Any, world: World) -> None:
    """Before anything is made that would have to be freed."""
    with pytest.raises(ConfigError, match="config must be a zkrpc.ClientConfig"):
        world.client(StaticResolver(["127.0.0.1:1"]), config=wrong)
    with pytest.raises(ConfigError, match="group_of must be a function"):
        world.client(StaticResolver(["127.0.0.1:1"]), group_of="main")  # type: ignore[arg-type]


def test_what_was_learnt_outlives_a_change_of_other_things(endpoint: Endpoint, world: World) -> None:
    """The latencies of a hedged method, the figures and breakers of instances, and what retries have spent."""

    class Resolver(StaticResolver):
        """Knows the service's config."""

        callback: Any = None

        def follow_config(self, callback: Callable[[ServiceConfig], None], /) -> Callable[[], object]:
            self.callback = callback
            return lambda: None

    def config(**fields: Any) -> ServiceConfig:
        return ServiceConfig(methods={"get": MethodConfig(idempotent=True, **fields)})

    resolver = Resolver([endpoint])
    with world.client(resolver) as client:
        world.where_clients_are(resolver.callback, config(hedge="p95", timeout=30.0))
        client.invoke(GET, (1,))
        former = world.inside(client)._plans[GET].hedge
        [member] = world.inside(client)._channel._balancer.members.values()
        budget = world.inside(client)._channel.budget
        world.where_clients_are(resolver.callback, config(hedge="p95", timeout=31.0))
        world.where_clients_are(resolver.callback, config(hedge="p95", timeout=32.0))
        client.invoke(GET, (1,))
        hedge = world.inside(client)._plans[GET].hedge
        assert hedge is not former and hedge.latency is former.latency
        assert list(world.inside(client)._channel._balancer.members.values()) == [member]
        assert world.inside(client)._channel.budget is budget
        world.where_clients_are(resolver.callback, config(hedge="p50", timeout=32.0))
        client.invoke(GET, (1,))
        assert world.inside(client)._plans[GET].hedge.latency is not former.latency


NOWHERE = [
    Endpoint("a..b", 9090),
    Endpoint("x" * 64 + ".example", 9090),
    Endpoint("no\0thing", 9090),
    Endpoint("\ud800", 9090),
    Endpoint("", 9090),
    Endpoint("127.0.0.1", 70_000),
    Endpoint("127.0.0.1", -1),
]


@pytest.mark.parametrize("nowhere", NOWHERE)
@pytest.mark.parametrize("protocols", [("zkrpc",), ()], ids=["zkrpc", "plain"])
def test_member_that_cannot_be_dialled_costs_the_others_nothing(
    nowhere: Endpoint, protocols: tuple[str, ...], endpoint: Endpoint, world: World
) -> None:
    """One bad record is one bad member: it is avoided, whatever is wrong with it; alone it is Unavailable, in words."""
    good = Instance(id="good", endpoint=endpoint, protocols=("zkrpc",))
    bad = Instance(id="bad", endpoint=nowhere, protocols=protocols)

    def knowing(*instances: Instance) -> StaticResolver:
        resolver = StaticResolver([endpoint])
        resolver._snapshot = Snapshot(service="users", instances=instances)
        return resolver

    with world.client(knowing(bad, good), config=CONFIG) as client:
        for _ in range(20):
            assert client.invoke(WHOAMI) == "it is me"
    with world.client(knowing(bad), config=dataclasses.replace(CONFIG, timeout=0.7)) as client:
        with pytest.raises(Unavailable, match="cannot connect to") as caught:
            client.invoke(WHOAMI)
        assert caught.value.executed is Executed.NO


def test_equal_arguments_are_served_by_the_same_instance(handler: Handler, client_of: ClientOf) -> None:
    """As long as it is well."""
    handlers = [Handler(), Handler()]
    servers = [Server(IDL.Users, one, config=ServerConfig(linger=0.0, drain_timeout=0.5)) for one in handlers]
    config = ClientConfig(balancing="consistent_hash", hash_key="id", hedge="off")
    try:
        endpoints = [server.bind(Endpoint("127.0.0.1", 0)) for server in servers]
        for server in servers:
            server.start()
        with client_of(*endpoints, config=config) as client:
            for id in list(range(20, 40)) * 2:
                client.invoke(GET, (id,))
        served = [[call.arguments[0] for call in one.calls if call] for one in handlers]
        assert sorted(served[0] + served[1]) == sorted(list(range(20, 40)) * 2)
        assert served[0] and served[1] and not set(served[0]) & set(served[1])
    finally:
        for server in servers:
            server.kill()


def test_deadline_ends_a_slow_call(endpoint: Endpoint, client_of: ClientOf) -> None:
    """Once it has left, nobody knows whether it ran."""
    with client_of(endpoint, config=HASTY) as client:
        with pytest.raises(DeadlineExceeded) as caught:
            client.invoke(GET, (99,))
        assert (caught.value.executed, caught.value.endpoint) == (Executed.MAYBE, endpoint)


def test_dead_instance_costs_no_call(endpoint: Endpoint, client_of: ClientOf) -> None:
    """Refused connections are moved on from at once, idempotent or not."""
    dead = closed_port()
    with nothing_left(), client_of(dead, endpoint) as client:
        for _ in range(20):
            with pytest.raises(IDL.UserExists):
                client.invoke(CREATE, (IDL.User(id=1, name="Bo"),))


def test_service_that_is_away_is_waited_for(handler: Handler, client_of: ClientOf) -> None:
    """A restart within the deadline is not seen by the caller."""
    endpoint = closed_port()
    with client_of(endpoint) as client:
        caller = gevent.spawn(client.invoke, CREATE, (IDL.User(id=1, name="Bo"),))
        gevent.sleep(0.05)
        server = Server(IDL.Users, handler)
        server.bind(endpoint)
        server.start()
        try:
            with pytest.raises(IDL.UserExists):
                caller.get(timeout=60)
        finally:
            server.kill()


def test_service_that_stays_away_is_unavailable_at_the_deadline(client_of: ClientOf) -> None:
    """With the reason, the place and the count."""
    with nothing_left(), client_of(closed_port(), config=HASTY) as client:
        with pytest.raises(Unavailable, match="is the server running there") as caught:
            client.invoke(WHOAMI)
        assert (caught.value.executed, caught.value.attempts > 1) == (Executed.NO, True)


def test_lost_call_is_repeated_only_if_idempotent(endpoint: Endpoint, client_of: ClientOf) -> None:
    """The IDL says it, and options may say otherwise."""

    def cut_first(link: Link, request: Request) -> None:
        link.reset()

    with Peer(cut_first) as peer, make_stub(IDL.Users, client_of(peer.endpoint, endpoint, rng=lambda: 0.0)) as users:
        assert users.whoami() == "it is me"
        assert peer.accepted == 1
    with Peer(cut_first) as peer, make_stub(IDL.Users, client_of(peer.endpoint, config=LOSING)) as users:
        with pytest.raises(ConnectionLost) as caught:
            users.remove(1)
        assert (caught.value.executed, caught.value.attempts) == (Executed.MAYBE, 1)
        with pytest.raises(CallError) as again:
            users.options(idempotent=True).remove(1)
        assert (again.value.executed, again.value.attempts) == (Executed.MAYBE, 4)


def test_call_over_the_frame_limit_is_the_callers_mistake(endpoint: Endpoint, client_of: ClientOf) -> None:
    """It is not repeated, and the connection goes on."""
    with client_of(endpoint) as client:
        with pytest.raises(LocalProtocolError, match="max_frame"):
            client.invoke(CREATE, (IDL.User(id=1, name="x" * 5_000_000),))
        assert client.invoke(WHOAMI) == "it is me"


def test_reply_that_cannot_be_read_leaves_the_connection_alone(client_of: ClientOf) -> None:
    """The frame was sound; only this call's caller is told."""

    def nonsense(link: Link, request: Request) -> None:
        link.reply(request, b"\x0b\x00\x00\x7f\xff\xff\xff")

    with Peer(nonsense) as peer, client_of(peer.endpoint) as client:
        for _ in range(2):
            with pytest.raises(RemoteError, match="could not be read"):
                client.invoke(WHOAMI)
        assert peer.accepted == 1


def test_server_that_drains_loses_no_call(handler: Handler, client_of: ClientOf) -> None:
    """Callers move to the other instance while one stops, idempotent or not."""
    servers = [Server(IDL.Users, handler, config=ServerConfig(linger=0.05)) for _ in range(2)]
    endpoints = [server.bind(Endpoint("127.0.0.1", 0)) for server in servers]
    for server in servers:
        server.start()
    outcomes: list[Any] = []

    def call_on() -> None:
        while not stopped:
            outcomes.append(client.invoke(IDL.Users.methods["remove"], (1,)))
            gevent.sleep(0.001)

    stopped = False
    with client_of(*endpoints) as client:
        callers = [gevent.spawn(call_on) for _ in range(8)]
        eventually(lambda: len(outcomes) > 25)
        servers[0].stop()
        before = len(outcomes)
        eventually(lambda: len(outcomes) > before + 25)
        stopped = True
        gevent.joinall(callers, timeout=60, raise_error=True)
    servers[1].kill()
    assert set(outcomes) == {False}


class LateResolver:
    """Knows nothing until told."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.ready = gevent.event.Event()
        self.callbacks: list[Callable[[Snapshot], None]] = []
        self.closed = False

    def subscribe(self, callback: Callable[[Snapshot], None], /) -> Callable[[], object]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def wait_ready(self, timeout: float, /) -> Snapshot:
        if not self.ready.wait(timeout):
            raise CoordinationError("no list of members within the time")
        assert self.snapshot is not None
        return self.snapshot

    def close(self) -> None:
        self.closed = True

    def tell(self, *endpoints: Endpoint) -> None:
        members = tuple(Instance(id=str(one), endpoint=one, protocols=("zkrpc",)) for one in endpoints)
        self.snapshot = Snapshot(service="users", instances=members)
        self.ready.set()
        for callback in self.callbacks:
            callback(self.snapshot)


def test_first_call_waits_for_the_list(endpoint: Endpoint, world: World) -> None:
    """And goes out as soon as it comes."""
    resolver = LateResolver()
    with world.client(resolver, config=CONFIG) as client:
        caller = gevent.spawn(client.invoke, WHOAMI)
        gevent.sleep(0.02)
        assert not caller.dead
        world.where_clients_are(resolver.tell, endpoint)
        assert caller.get(timeout=60) == "it is me"
    assert resolver.callbacks == []
    assert not resolver.closed


def test_list_that_does_not_come_makes_the_call_unavailable(world: World) -> None:
    """Within the deadline, with what to check."""
    with world.client(LateResolver(), config=HASTY) as client:
        with pytest.raises(Unavailable, match="of the service are not known yet") as caught:
            client.invoke(WHOAMI)
        assert caught.value.executed is Executed.NO


def test_empty_list_is_waited_out_and_explained(endpoint: Endpoint, world: World) -> None:
    """Instances may come; if none does, the name of the service is worth a look."""
    resolver = LateResolver()
    world.where_clients_are(resolver.tell)
    with world.client(resolver, config=HASTY) as client:
        with pytest.raises(Unavailable, match="'users' has no instances"):
            client.invoke(WHOAMI)
        caller = gevent.spawn(client.invoke, WHOAMI, options=CallOptions(timeout=60))
        gevent.sleep(0.02)
        world.where_clients_are(resolver.tell, endpoint)
        assert caller.get(timeout=60) == "it is me"


def test_closing_is_clean_and_final(endpoint: Endpoint, client_of: ClientOf) -> None:
    """Calls in flight end, nothing stays behind, later calls say why not."""
    ends: list[str] = []
    with Peer(silent) as peer, nothing_left():
        client = client_of(peer.endpoint, closed_port(), on_close=lambda: ends.append("end"))
        calls = [gevent.spawn(client.invoke, CREATE, (IDL.User(id=1, name="Bo"),)) for _ in range(5)]
        eventually(lambda: len(peer.requests) == 5)
        client.close()
        client.close()
        gevent.joinall(calls, timeout=60)
        assert {type(call.exception) for call in calls} == {ConnectionLost}
        with pytest.raises(Unavailable, match="closed"):
            client.invoke(WHOAMI)
        assert (client.closed, ends) == (True, ["end"])
        assert "closed" in repr(client)
    unused = client_of(endpoint)
    unused.close()
    with pytest.raises(Unavailable, match="closed"):
        unused.invoke(WHOAMI)


def test_stub_explains_how_its_calls_are_made(world: World) -> None:
    """Whose word counts for each method, and whom the calls go to."""
    client = world.client(StaticResolver(["127.0.0.1:9"]), config=ClientConfig(timeout=2.0))
    with make_stub(IDL.Users, client) as users:
        told = explain(users)
    assert set(told.methods) == set(IDL.Users.methods)
    timeout = next(one for one in told.methods["get"] if one.name == "timeout")
    assert (timeout.value, timeout.source) == (2.0, "client config")
    assert [one.endpoint for one in told.instances] == ["127.0.0.1:9"]
    patience = next(one for one in told.client if one.name == "patience")
    assert (patience.value, patience.source) == (0.75, "built-in default")


@pytest.mark.parametrize("hedge", [None, 0.02])
@pytest.mark.parametrize("idempotent", [None, False, True])
@pytest.mark.parametrize("timeout", [None, 7.0])
def test_calls_are_made_as_the_explanation_of_their_stub_says(
    timeout: float | None, idempotent: bool | None, hedge: float | None, world: World
) -> None:
    """Options are put on top of what is settled where the call is made; what is told of them is what happens."""
    made: list[Call] = []

    def note(call: Call, proceed: Any) -> Any:
        made.append(call)

    config = ClientConfig(timeout=20.0, hedge=hedge)
    client = world.client(StaticResolver(["127.0.0.1:9"]), config=config, interceptors=[note])
    with make_stub(IDL.Users, client) as users:
        changed = options(users, timeout=timeout, idempotent=idempotent)
        told = {name: {one.name: one for one in said} for name, said in explain(changed).methods.items()}
        for name, arguments in (("get", (1,)), ("whoami", ())):
            began = time.monotonic()
            getattr(changed, name)(*arguments)
            call, said = made.pop(), told[name]
            assert began - 0.001 <= call.deadline.at - said["timeout"].value <= time.monotonic()
            assert call.plan is not None and call.plan.max_attempts == said["max_attempts"].value
            assert call.idempotent is said["idempotent"].value
            hedged = call.plan.hedge.delay() if call.plan.hedge and call.idempotent else None
            assert hedged == said["hedge"].value
            for value, option in (("timeout", timeout), ("idempotent", idempotent)):
                assert (said[value].source == "call options") is (option is not None)
