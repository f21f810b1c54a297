"""serve() and connect() together in one process, on a real ZooKeeper: what an application composes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.registry.formats import parse_record
from zkrpc.testing.proxy import Proxy, ProxyMode

pytestmark = pytest.mark.zookeeper

QUICK = zkrpc.ServerConfig(linger=0.0, drain_timeout=2.0)
MEMBERS = "/services/echo/members"
Serve = Callable[..., zkrpc.App]
Connect = Callable[..., Any]


@pytest.fixture
def registry(zookeeper: str) -> Iterator[zkrpc.Registry]:
    """A Registry for services and clients to share."""
    with zkrpc.Registry(zookeeper) as shared:
        assert shared.session.wait_connected(60)
        yield shared


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves the echo service, or another one, until the end of the test."""
    apps: list[zkrpc.App] = []

    def start(handler: object = EchoHandler, *, service: dict[str, Any] | None = None, **options: Any) -> zkrpc.App:
        settings = {"config": QUICK, **(service or {})}
        apps.append(zkrpc.serve(zkrpc.Service(idl.Echo, handler, **settings), **options))
        return apps[-1]

    yield start
    for app in apps:
        app.kill()


@pytest.fixture
def connect(world: World) -> Iterator[Connect]:
    """Makes stubs of the echo service and closes them."""
    stubs: list[Any] = []

    def start(target: Any = "echo", **options: Any) -> Any:
        stubs.append(world.connect(idl.Echo, target, **options))
        return stubs[-1]

    yield start
    for stub in stubs:
        stub.close()


def listed(registry: zkrpc.Registry) -> list[str]:
    """The members' nodes, asked of ZooKeeper itself."""
    return sorted(registry.session.znodes.children(MEMBERS) or ())


class Named(EchoHandler):
    """Says who it is."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def echo(self, text: str) -> str:
        return self.name


# -- by name


def test_app_is_called_by_its_name(serve: Serve, connect: Connect, zookeeper: str) -> None:
    """A connect string on each side is all that they share; each closes what it opened."""
    app = serve(zookeeper=zookeeper)
    stub = connect(zookeeper=zookeeper)
    assert stub.echo("hello") == "hello"
    with pytest.raises(idl.Oops):
        stub.fail("declared")
    assert "'echo'" in repr(app) and str(app.endpoint) in repr(app)
    app.stop()
    stub.close()
    assert app.registry is not None and "closed" in repr(app.registry)
    with pytest.raises(zkrpc.Unavailable, match="closed"):
        stub.echo("anybody?")


@pytest.mark.parametrize("bind", ["[::1]:0", "[::]:0", "localhost:0"])
def test_app_is_called_over_ipv6_too(bind: str, serve: Serve, connect: Connect, registry: zkrpc.Registry) -> None:
    """By its name in the registry, and at its address."""
    app = serve(zookeeper=registry, bind=bind)
    assert connect(zookeeper=registry).options(timeout=10).echo("by name") == "by name"
    (listed_as,) = registry.resolver("echo").wait_ready(60).instances
    assert connect([str(listed_as.endpoint)]).echo("by address") == "by address"
    assert connect([listed_as.endpoint]).echo("as a value") == "as a value"
    if bind != "localhost:0":
        assert connect([f"[::1]:{app.endpoint.port}"]).echo("literal") == "literal"


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "", "two words", "b\u00fccher", "h\x1b[2J"])
def test_one_bad_record_is_one_bad_member(
    host: str, serve: Serve, connect: Connect, registry: zkrpc.Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside three healthy members it costs no call anything; the log names its node once, as it can be shown."""
    for number in range(3):
        serve(zookeeper=registry, worker_id=f"w-{number}")
    eventually(lambda: len(listed(registry)) == 3)
    record = {"serviceEndpoint": {"host": host, "port": 9090}, "additionalEndpoints": {}, "status": "ALIVE"}
    registry.session.znodes.create(f"{MEMBERS}/member_odd", json.dumps(record).encode(), ephemeral=True)
    stub = connect(zookeeper=registry)
    for number in range(40):
        assert stub.echo(f"{number}") == f"{number}"
    (told,) = (record.message for record in caplog.records if "member_odd" in record.message)
    assert "no usable host" in told and told.isprintable()


def test_client_says_that_its_chroot_is_not_there_and_finds_it_later(
    serve: Serve, connect: Connect, zookeeper: str, registry: zkrpc.Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """Mistyped, or nobody has served yet: one log line, an error that names the chroot, and nothing is written."""
    stub = connect(zookeeper=f"{zookeeper}/prod/zkrpc")
    for _ in range(2):
        with pytest.raises(zkrpc.Unavailable, match="there is no .*/prod/zkrpc in the ZooKeeper at 127.0.0.1"):
            stub.echo("anybody?")
    assert len([record for record in caplog.records if "there is no" in record.message]) == 1
    assert registry.session.znodes.children("/") == []
    serve(zookeeper=f"{zookeeper}/prod/zkrpc")
    eventually(lambda: stub.options(timeout=5).echo("hello") == "hello")


def test_app_and_client_share_a_registry(serve: Serve, connect: Connect, registry: zkrpc.Registry) -> None:
    """One session serves them all: two services, two clients, one resolver for each name."""
    serve(zookeeper=registry)
    serve(lambda: Named("other"), service={"name": "other"}, zookeeper=registry)
    first, second, other = (
        connect(zookeeper=registry),
        connect(zookeeper=registry),
        connect("other", zookeeper=registry),
    )
    assert [first.echo("a"), second.echo("b"), other.echo("c")] == ["a", "b", "other"]
    assert registry.resolver("echo") is registry.resolver("echo") and "resolvers=2" in repr(registry)
    first.close()
    assert second.echo("still") == "still" and registry.session.wait_connected(0)


def test_app_publishes_what_clients_and_operators_want(serve: Serve, registry: zkrpc.Registry) -> None:
    """Place, weight, zone, version and metadata; bound to every address, the one that leads to ZooKeeper."""
    before = time.time()
    app = serve(
        service={"version": "1.2", "metadata": {"team": "blue"}},
        zookeeper=registry,
        bind="0.0.0.0:0",
        worker_id="w-1",
        launch_id="launch",
        zone="z",
        weight=0.5,
    )
    assert app.registrar is not None
    app.registrar.wait_registered(60)
    (one,) = registry.resolver("echo").wait_ready(60).instances
    assert (str(one.endpoint), one.id) == (f"127.0.0.1:{app.endpoint.port}", "w-1")
    assert (one.weight, one.zone, one.version) == (0.5, "z", "1.2")
    assert one.metadata["team"] == "blue" and one.metadata["launch"] == "launch"
    assert before <= one.started_at <= time.time() and one.idl_digest == idl.Echo.digest
    assert one.protocols[0] == "zkrpc"


@pytest.mark.parametrize(
    ("advertise", "expected"),
    [("10.1.1.1", "10.1.1.1:{port}"), ("example.org:99", "example.org:99"), ("[fd00::1]", "[fd00::1]:{port}")],
)
def test_app_advertises_what_it_is_told(advertise: str, expected: str, serve: Serve, registry: zkrpc.Registry) -> None:
    """A host with the port that was bound, or both."""
    app = serve(zookeeper=registry, advertise=advertise, worker_id="w-1")
    assert app.registrar is not None
    app.registrar.wait_registered(60)
    node = registry.session.znodes.get(f"{MEMBERS}/member_w-1")
    assert node is not None
    instance = parse_record("member_w-1", node[0])
    assert instance is not None and str(instance.endpoint) == expected.format(port=app.endpoint.port)


def test_app_serves_without_a_registry(serve: Serve, connect: Connect) -> None:
    """No ZooKeeper, and a fixed list of addresses: everything else is as always."""
    first, second = serve(lambda: Named("1")), serve(lambda: Named("2"))
    stub = connect([str(first.endpoint), second.endpoint])
    assert {stub.echo("") for _ in range(50)} == {"1", "2"}
    first.stop()
    assert {stub.echo("") for _ in range(20)} == {"2"}
    for dialect in ("framed", "framed-compact", "binary", "compact", "theader-compact", "binary-old"):
        assert connect([second.endpoint], dialect=dialect).echo("") == "2"


@pytest.mark.parametrize(
    ("dialect", "first"), [(None, b"\x80\1"), ("framed-compact", b"\x82\x21"), ("zkrpc", b"\x0f\xff")]
)
def test_member_whose_record_does_not_say_is_called_as_the_client_is_told(
    dialect: str | None, first: bytes, connect: Connect, registry: zkrpc.Registry
) -> None:
    """A record of another framework has an address and no word of what is spoken there."""
    with gevent.socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        registry.session.znodes.ensure_path(MEMBERS)
        record = {"serviceEndpoint": {"host": "127.0.0.1", "port": listener.getsockname()[1]}, "status": "ALIVE"}
        path = f"{MEMBERS}/member_0000000001"
        registry.session.znodes.create(path, json.dumps(record).encode(), ephemeral=True)
        options = {} if dialect is None else {"dialect": dialect}
        stub = connect(zookeeper=registry, config=zkrpc.ClientConfig(timeout=2), **options)
        calling = gevent.spawn(stub.echo, "x")
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100)[4:6] == first
        with pytest.raises(zkrpc.CallError):
            calling.get(timeout=60)


def test_client_starts_from_its_file_while_zookeeper_is_away(
    serve: Serve, connect: Connect, zookeeper: str, tmp_path: Path
) -> None:
    """What an earlier client knew is enough to call; without a file it says what to check."""
    serve(zookeeper=zookeeper)
    connect(zookeeper=zookeeper, snapshot_dir=tmp_path).echo("learn")
    eventually((tmp_path / "echo.json").exists)
    away = "127.0.0.1:1"
    assert connect(zookeeper=away, snapshot_dir=tmp_path).echo("from the file") == "from the file"
    began = time.monotonic()
    with pytest.raises(zkrpc.Unavailable, match="not known yet.*127.0.0.1:1: connection refused") as error:
        connect(zookeeper=away).options(timeout=1.5).echo("nobody")
    assert time.monotonic() - began < 30.0 and error.value.executed is zkrpc.Executed.NO


def test_client_says_that_nobody_serves_a_name(connect: Connect, registry: zkrpc.Registry) -> None:
    """A name without instances is Unavailable, within the deadline; the first instance that comes is called."""
    stub = connect(zookeeper=registry, config=zkrpc.ClientConfig(timeout=15.0))
    began = time.monotonic()
    with pytest.raises(zkrpc.Unavailable, match="instance") as error:
        stub.echo("nobody")
    assert time.monotonic() - began < 15.0 and error.value.executed is zkrpc.Executed.NO
    with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=QUICK), zookeeper=registry):
        eventually(lambda: registry.resolver("echo").wait_ready(60).instances)
        assert stub.echo("somebody") == "somebody"


# -- mistakes


def test_connect_explains_its_arguments(registry: zkrpc.Registry, world: World) -> None:
    """What does not go together is said at once, with what to write instead."""
    for arguments, options, complaint in [
        ((idl.Echo, "echo"), {}, "needs zookeeper='host:port'"),
        ((idl.Pair, "echo"), {"zookeeper": registry}, "connect wants a service of a loaded IDL"),
        ((idl.Echo, "echo"), {"zookeeper": ["h:1"]}, "zookeeper must be a connect string"),
        ((idl.Echo, "echo"), {"zookeeper": "h:port"}, "'h:port' is not an endpoint"),
        ((idl.Echo, "a/b"), {"zookeeper": registry}, "service name 'a/b' must be"),
        ((idl.Echo, "a/b"), {"zookeeper": registry.hosts}, "service name 'a/b' must be"),
        ((idl.Echo, []), {}, "must not be empty"),
        ((idl.Echo, 3), {}, "target must be a service's name or a list of endpoints .*, got 3"),
        ((idl.Echo, "echo"), {"zookeeper": registry, "dialect": "json"}, "dialect must be one of zkrpc, theader, "),
        ((idl.Echo, ["h:1"]), {"dialect": "json"}, "dialect must be one of zkrpc, theader, "),
        ((idl.Echo, ["h:1"]), {"interceptors": 3}, r"interceptors must be a list of functions .*, got 3"),
    ]:
        with pytest.raises(zkrpc.ConfigError, match=complaint):
            world.connect(*arguments, **options)


def test_registry_keeps_the_file_of_its_clients(registry: zkrpc.Registry, world: World, tmp_path: Path) -> None:
    """A client that shares one cannot have its own."""
    with pytest.raises(zkrpc.ConfigError, match=r"Registry\(\.\.\., snapshot_dir="):
        world.connect(idl.Echo, "echo", zookeeper=registry, snapshot_dir=tmp_path)


def test_serve_explains_its_arguments(serve: Serve, registry: zkrpc.Registry) -> None:
    """So is what is wrong with a service; nothing stays open, and nothing was registered."""
    taken = serve()
    for handler, service, options, complaint in [
        (object(), {}, {}, r"(?s)object does not fit Echo:\n  object\.echo is missing.*\n  object\.slow is missing"),
        (
            EchoHandler,
            {},
            {"bind": str(taken.endpoint)},
            f"cannot listen on {taken.endpoint}: .*; choose another --bind",
        ),
        (EchoHandler, {}, {"bind": "nonsense"}, "'nonsense' is not an endpoint"),
        (EchoHandler, {"name": "a b"}, {}, "service name 'a b' must be"),
        (EchoHandler, {}, {"worker_id": "a b"}, "worker id 'a b' must be"),
        (EchoHandler, {}, {"zookeeper": 7}, "zookeeper must be a connect string"),
        (EchoHandler, {"metadata": {"zkrpc.weight": "9"}}, {}, "are zkrpc's own"),
    ]:
        with pytest.raises(zkrpc.ConfigError, match=complaint):
            serve(handler, service=service, **{"zookeeper": registry, **options})
    with pytest.raises(zkrpc.ConfigError, match="Service wants a service of a loaded IDL"):
        zkrpc.Service(idl.Pair, EchoHandler)  # type: ignore[arg-type]  # the mistake to be explained
    assert listed(registry) == []


def test_serve_without_a_route_says_which_option_helps(serve: Serve) -> None:
    """Bound to every address and no way to ZooKeeper's host: the address to publish has to be given."""
    with pytest.raises(zkrpc.CoordinationError, match="give it with --advertise HOST"):
        serve(zookeeper="host.invalid", bind="0.0.0.0:0")
    app = serve(zookeeper="host.invalid", bind="0.0.0.0:0", advertise="10.0.0.1")
    assert app.registrar is not None and not app.registrar.registered


# -- readiness


def test_app_registers_when_it_is_ready(registry: zkrpc.Registry, serve: Serve, connect: Connect) -> None:
    """Not a moment earlier: until then its port takes connections and nobody is told of it."""
    seen: list[list[str]] = []

    def is_ready() -> bool:
        seen.append(listed(registry))
        return len(seen) == 3

    serve(service={"is_ready": is_ready}, zookeeper=registry)
    assert seen == [[], [], []]
    eventually(lambda: len(listed(registry)) == 1)
    assert connect(zookeeper=registry).echo("ready") == "ready"


def test_app_that_never_becomes_ready_gives_up(registry: zkrpc.Registry, serve: Serve) -> None:
    """After ready_timeout it says which service, and how long it waited; it was never registered."""
    with pytest.raises(zkrpc.ConfigError, match=r"echo was not ready within 0\.25 s"):
        serve(service={"is_ready": lambda: False, "ready_timeout": 0.25}, zookeeper=registry)
    assert listed(registry) == []


def test_app_leaves_what_its_readiness_check_raises_alone(serve: Serve, zookeeper: str) -> None:
    """A check that fails is its author's to see; the registry opened for it is closed."""
    before = gevent.get_hub().loop.activecnt

    def is_ready() -> bool:
        raise KeyError("no such table")

    with pytest.raises(KeyError):
        serve(service={"is_ready": is_ready}, zookeeper=zookeeper)
    eventually(lambda: gevent.get_hub().loop.activecnt <= before)


# -- handlers


def test_service_takes_a_handler_or_what_makes_one(serve: Serve, connect: Connect) -> None:
    """A class, a function, and an object, which may be callable itself."""

    class Callable_(Named):
        def __call__(self) -> None:
            raise AssertionError("a complete handler is not a factory")

    for handler, name in [(Callable_("object"), "object"), (lambda: Named("function"), "function")]:
        assert connect([serve(handler).endpoint]).echo("x") == name
    assert connect([serve(EchoHandler).endpoint]).echo("class") == "class"


def test_service_runs_interceptors_around_its_handler(serve: Serve, connect: Connect) -> None:
    """On both sides; the first one outermost."""
    order: list[str] = []

    def note(name: str) -> Callable[[Any, Callable[[Any], Any]], Any]:
        def intercept(call: Any, proceed: Callable[[Any], Any]) -> Any:
            order.append(name)
            return proceed(call)

        return intercept

    app = serve(service={"interceptors": [note("server 1"), note("server 2")]})
    connect([app.endpoint], interceptors=[note("client 1"), note("client 2")]).echo("x")
    assert order == ["client 1", "client 2", "server 1", "server 2"]


def test_offload_does_not_hold_up_the_others(serve: Serve, connect: Connect) -> None:
    """What blocks runs in a thread of its own; other calls are answered meanwhile, and errors come back."""
    release = threading.Event()

    class Blocking(EchoHandler):
        def echo(self, text: str) -> str:
            return str(zkrpc.offload(self._block, text=text)) if text else text

        def _block(self, *, text: str) -> int:
            assert release.wait(60), text
            return threading.get_ident()

    stub = connect([serve(Blocking).endpoint])
    blocked = gevent.spawn(stub.echo, "blocks")
    assert [stub.echo("") for _ in range(10)] == [""] * 10 and not blocked.ready()
    release.set()
    assert blocked.get(timeout=60) != str(threading.get_ident())
    with pytest.raises(ZeroDivisionError):
        zkrpc.offload(lambda: 1 // 0)


def test_deadline_is_inherited_by_what_a_handler_calls(
    serve: Serve, connect: Connect, registry: zkrpc.Registry
) -> None:
    """Two services away, a call has what is left of the first caller's time, not its own default."""
    left: list[float] = []

    class Inner(EchoHandler):
        def echo(self, text: str) -> str:
            call = zkrpc.current_call()
            assert call is not None and call.deadline is not None
            left.append(call.deadline.remaining(time.monotonic()))
            return text

    class Outer(EchoHandler):
        def echo(self, text: str) -> str:
            gevent.sleep(0.2)
            return str(inner.echo(text))

    serve(Inner, service={"name": "inner"}, zookeeper=registry)
    inner = connect("inner", zookeeper=registry, config=zkrpc.ClientConfig(timeout=100.0))
    serve(Outer, service={"name": "outer"}, zookeeper=registry)
    outer = connect("outer", zookeeper=registry)
    assert outer.options(timeout=60.0).echo("x") == "x"
    assert 20.0 < left[0] <= 59.8
    with pytest.raises(zkrpc.DeadlineExceeded):
        outer.options(timeout=0.15).echo("too late")


# -- leaving


def test_app_leaves_the_registry_before_it_closes(serve: Serve, connect: Connect, registry: zkrpc.Registry) -> None:
    """While it lingers nobody finds it any more, and whoever is connected is still answered."""
    app = serve(service={"config": zkrpc.ServerConfig(linger=6.0)}, zookeeper=registry)
    stub = connect([app.endpoint])
    assert stub.echo("before") == "before"
    eventually(lambda: listed(registry))
    app.begin_stop()
    eventually(lambda: listed(registry) == [])
    assert not app.wait_stopped(0) and connect([app.endpoint]).echo("lingering") == "lingering"
    assert app.wait_stopped(60)
    with pytest.raises(zkrpc.Unavailable):
        connect([app.endpoint]).options(timeout=1.0).echo("after")
    assert registry.session.wait_connected(0), "the shared registry is not the app's to close"


def test_app_is_a_context(registry: zkrpc.Registry) -> None:
    """Left in order it drains; after an exception it kills; the registry forgets it either way."""
    slow = zkrpc.ServerConfig(linger=30.0)
    with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=QUICK), zookeeper=registry):
        eventually(lambda: listed(registry))
    assert listed(registry) == []
    began = time.monotonic()
    with pytest.raises(KeyError):
        with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=slow), zookeeper=registry):
            eventually(lambda: listed(registry))
            raise KeyError("something else went wrong")
    eventually(lambda: listed(registry) == [])
    assert time.monotonic() - began < 20


def test_app_that_stops_while_zookeeper_is_away_is_forgotten_later(
    serve: Serve, zookeeper: str, zookeeper_server: DevZooKeeper, registry: zkrpc.Registry
) -> None:
    """A shared session outlives the service; its entry goes as soon as ZooKeeper can be told."""
    with Proxy(("127.0.0.1", zookeeper_server.ports[0])) as network:
        with zkrpc.Registry(f"{network.hosts}/{zookeeper.partition('/')[2]}") as shared:
            app = serve(zookeeper=shared)
            eventually(lambda: listed(registry))
            network.mode = ProxyMode.REFUSE
            eventually(lambda: not shared.session.wait_connected(0))
            app.stop()
            assert listed(registry) != []
            network.mode = ProxyMode.FORWARD
            eventually(lambda: listed(registry) == [])
            assert shared.session.wait_connected(0)


def test_rolling_restart_costs_no_call(serve: Serve, connect: Connect, registry: zkrpc.Registry) -> None:
    """Two replicas are replaced twice each under load: not one call fails, repeatable or not."""
    lingering = {"config": zkrpc.ServerConfig(linger=0.3)}
    apps = [serve(service=lingering, zookeeper=registry) for _ in range(2)]
    eventually(lambda: len(listed(registry)) == 2)
    stub = connect(zookeeper=registry)
    done, stopped = 0, False

    def call(number: int) -> None:
        nonlocal done
        while not stopped:
            text = f"{number} {done}"
            assert (stub.slow(text, 5) if number % 2 else stub.echo(text)) == text
            done += 1

    callers = [gevent.spawn(call, number) for number in range(6)]
    for old in [*apps, *apps]:
        old = apps.pop(0)
        apps.append(serve(service=lingering, zookeeper=registry))
        eventually(lambda: len(listed(registry)) == 3)
        old.stop()
    eventually(lambda: done > 300)
    stopped = True
    gevent.joinall(callers, timeout=60, raise_error=True)
    assert len(listed(registry)) == 2


@pytest.mark.parametrize("order", ["at once", "one after the other", "registry first", "twice"])
def test_two_apps_share_a_registry_and_stop(zookeeper: str, serve: Serve, order: str) -> None:
    """At once, in any order, more than once, also after the registry: both leave, and nothing is raised."""
    registry = zkrpc.Registry(zookeeper)
    apps = [serve(zookeeper=registry, service={"name": name}) for name in ("echo", "echo", "other")]
    for app in apps:
        assert app.registrar is not None
        app.registrar.wait_registered(60)
    if order == "at once":
        gevent.joinall([gevent.spawn(app.stop) for app in apps], raise_error=True, timeout=60)
    elif order == "registry first":
        registry.close()
    for app in reversed(apps):
        app.stop()
    for app in apps if order == "twice" else ():
        app.stop()
        app.kill()
    assert not any(app.is_serving for app in apps)
    if order != "registry first":
        assert listed(registry) == [] and registry.session.znodes.children("/services/other/members") == []
    registry.close()
    registry.close()
