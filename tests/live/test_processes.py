"""Forks, threads and ends of programs that have a session of ZooKeeper's: whose it is, and what is left of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from tests.live.conftest import SessionOpener
from tests.support.counting import idl, run_program
from tests.support.programs import Programs
from tests.support.waiting import eventually
from zkrpc.dev.zookeeper import free_ports

pytestmark = pytest.mark.zookeeper

MEMBERS = "/services/counting/members"

_HELPERS = """
def ended(pid):
    while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0): gevent.sleep(0.01)
    return os.waitstatus_to_exitcode(found[1])

def serving(handler=CountingHandler, **options):
    service = zkrpc.Service(idl.Counting, handler, name="counting")
    app = zkrpc.serve(service, zookeeper=registry, worker_id="one", **options)
    app.registrar.wait_registered(60)
    return app

def owner():
    return registry.session.znodes.get("/services/counting/members/member_one")[1].owner
"""


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts programs and ends them."""
    started = Programs(tmp_path)
    yield started
    started.close()


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_children_have_sessions_of_their_own(zookeeper: str, end: str) -> None:
    """They call by name, and end as they like; the parent's session and its node are what they were, and no call of
    the parent's is lost meanwhile."""
    lines = run_program(
        _HELPERS + f"""
registry = zkrpc.Registry(address)
app = serving()
stub = zkrpc.connect(idl.Counting, "counting", zookeeper=address)
shared = zkrpc.connect(idl.Counting, "counting", zookeeper=registry)
stub.echo("x"); shared.echo("x")
mine, stop, calls = registry.session.session_id, [], []
assert owner() == mine

def busy():
    while not stop:
        calls.append(stub.add("parent")); gevent.sleep(0.001)

busy = gevent.spawn(busy)
gevent.sleep(0.1)
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            assert stub.options(timeout=30).echo("child") == shared.options(timeout=30).echo("child")
            assert registry.session.session_id not in (None, mine)
            say("called")
        except BaseException:
            traceback.print_exc()
        {end}
    children.append(pid)
say(*(ended(pid) for pid in children))
gevent.sleep(1)
stop.append(True); busy.get()
say(calls == list(range(1, len(calls) + 1)), registry.session.state.value)
say(owner() == mine == registry.session.session_id)
stub.close(); shared.close(); app.kill(); registry.close()
""",
        zookeeper,
    )
    assert lines == ["called"] * 3 + ["0 0 0", "True connected", "True"]


@pytest.mark.parametrize("way", ["plain", "patched"])
def test_processes_that_multiprocessing_forks_find_the_service(zookeeper: str, way: str) -> None:
    """Each connects when it first calls, and its session ends with it."""
    lines = run_program(
        """
        registry = zkrpc.Registry(address)
        app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler, name="counting"), zookeeper=registry)
        app.registrar.wait_registered(60)
        stub = zkrpc.connect(idl.Counting, "counting", zookeeper=address)
        stub.echo("x")

        def work(number):
            patient, texts = stub.options(timeout=30), [f"{number}-{n}" for n in range(20)]
            assert [patient.echo(text) for text in texts] == texts

        children = [fork_context.Process(target=work, args=(number,)) for number in range(3)]
        for one in children: one.start()
        while any(one.is_alive() for one in children): gevent.sleep(0.01)
        say(*(one.exitcode for one in children), stub.echo("parent"))
        stub.close(); app.kill(); registry.close()
        """,
        zookeeper,
        way,
    )
    assert lines == ["0 0 0 parent"]


def test_registry_alone_is_reopened_in_a_child(zookeeper: str) -> None:
    """What was taken from it before the fork is the parent's, and says so; its close in the child is the child's."""
    lines = run_program(
        """
        registry = zkrpc.Registry(address)
        before = registry.session
        assert before.wait_connected(60)
        before.znodes.ensure_path("/a/b")

        def work():
            said = refused(lambda: before.znodes.children("/a"))
            say(said.split(",")[0])
            assert registry.session.wait_connected(60) and registry.session.session_id != before.session_id
            say(*registry.session.znodes.children("/a"))
            registry.close()

        def unused():
            registry.close()
            sys.exit(0)

        assert status(child(work)) == 0
        pid = os.fork()
        if pid == 0: unused()
        assert status(pid) == 0
        say(before.state.value, *before.znodes.children("/a"))
        registry.close()
        """,
        zookeeper,
    )
    assert lines == ["WrongProcess Executed.NO a ZooKeeper session", "b", "connected b"]


def test_leadership_stays_with_the_parent(zookeeper: str) -> None:
    """In a child it is over, and so is a transaction begun before; to the parent nothing has happened."""
    lines = run_program(
        _HELPERS + """
class Leading(CountingHandler):
    led = None
    @zkrpc.primary_only
    def add(self, who): return super().add(who)
    def on_elected(self, leadership): Leading.led = leadership

registry = zkrpc.Registry(address)
app = serving(Leading)
while Leading.led is None or not Leading.led.is_valid: gevent.sleep(0.01)
leadership, begun = Leading.led, Leading.led.transaction()
begun.create("/mine")
pid = os.fork()
if pid == 0:
    gevent.sleep(0.5)
    for action in (leadership.check, leadership.transaction, begun.commit):
        said = refused(action)
        assert said.startswith("WrongProcess Executed.NO") and "fork" in said, said
    say(leadership.is_valid)
    sys.exit(0)
assert ended(pid) == 0
other = []
thread = threading.Thread(target=lambda: other.append(refused(begun.commit)))
thread.start()
while thread.is_alive(): gevent.sleep(0.01)
say(leadership.is_valid, leadership.epoch > 0, begun.commit(), other[0][:26])
app.kill(); registry.close()
""",
        zookeeper,
    )
    assert lines == ["False", "True True ['/mine'] WrongThread Executed.NO a "]


def test_stubs_of_threads_leave_nothing(zookeeper: str) -> None:
    """Neither descriptors nor native threads nor sessions, with a registry for each of them."""
    lines = run_program(
        """
        registry = zkrpc.Registry(address)
        app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler, name="counting"), zookeeper=registry)
        app.registrar.wait_registered(60)

        def call():
            with zkrpc.connect(idl.Counting, "counting", zookeeper=address.replace("127.0.0.1", "localhost")) as stub:
                assert stub.options(timeout=30).echo("x") == "x"

        before = settled(gevent.sleep)
        for _ in range(8):
            one = threading.Thread(target=call); one.start()
            while one.is_alive(): gevent.sleep(0.01)
        while holds_more(before): gevent.sleep(0.01)
        say("as before")
        app.kill(); registry.close()
        """,
        zookeeper,
    )
    assert lines == ["as before"]


@pytest.mark.parametrize("how", ["unused", "used", "serving"])
def test_end_without_closing_is_silent_and_ends_the_session(
    zookeeper: str, session_opener: SessionOpener, how: str
) -> None:
    """Its nodes do not wait for the session to time out, and no word is said."""
    lines = run_program(
        """
        how = sys.argv[2]
        if how == "serving":
            app = zkrpc.serve(zkrpc.Service(idl.Counting, CountingHandler, name="counting"), zookeeper=address)
            app.registrar.wait_registered(60)
        stub = zkrpc.connect(idl.Counting, "counting", zookeeper=address, config=zkrpc.ClientConfig(patience=0.1))
        if how != "unused":
            refused(lambda: stub.echo("x"))
        if how == "serving":
            for _ in range(3): gevent.spawn(stub.nap, 60_000)
            gevent.sleep(0.1)
        say("end")
        """,
        zookeeper,
        how,
        options=("-X", "dev"),
    )
    assert lines == ["end"]
    if how == "serving":
        session = session_opener()
        eventually(lambda: session.znodes.children(MEMBERS) == [], 6.0)


def test_end_without_closing_is_quick_where_nobody_answers() -> None:
    """Nobody waits at the end for a ZooKeeper that is not there."""
    lines = run_program(
        """
        import atexit
        started = time.monotonic()
        atexit.register(lambda: None)
        stub = zkrpc.connect(idl.Counting, "counting", zookeeper="127.0.0.1:9")
        gevent.sleep(0.2)
        """,
        "nowhere",
        options=("-X", "dev"),
    )
    assert lines == []


def test_child_of_a_served_worker_outlives_it(zookeeper: str, programs: Programs) -> None:
    """It answers nobody, holds up neither the drain nor the supervisor, and a signal ends it as it ends any program."""
    arguments = (
        "-m",
        "zkrpc",
        "serve",
        "tests.support.counting:service",
        "--zookeeper",
        zookeeper,
    )
    (port,) = free_ports(1)
    # A port that is given is bound by the supervisor and inherited by the worker, but no further.
    served = programs.python(*arguments, "--linger=0.1", f"--bind=127.0.0.1:{port}")
    with zkrpc.connect(idl.Counting, "counting", zookeeper=zookeeper) as stub:
        pid = _first(stub)
        try:
            assert [stub.add("x") for _ in range(50)] == list(range(1, 51))
            assert stub.inheritable() == 0
            assert stub.fork("exits") == 3
            assert stub.add("x") == 51
            served.tell(signal.SIGTERM)
            assert served.wait(60) == 0
            os.kill(pid, 0)
        finally:
            os.kill(pid, signal.SIGTERM)
    eventually(lambda: not _lives(pid), 60)


def _first(stub: Any) -> int:
    """A child of the worker, which stays."""
    for _ in range(600):
        try:
            return int(stub.fork("stays"))
        except zkrpc.CallError:
            gevent.sleep(0.1)
    raise AssertionError("the worker does not serve")


def _lives(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
