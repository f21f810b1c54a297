"""``zkrpc serve`` as its user runs it: real processes, a real ZooKeeper."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from examples.users import idl as users
from tests.support.command import MEMBERS, SERVICE, Command, await_registered, registered
from tests.support.echo import idl as echo
from tests.support.programs import ROOT, Program
from tests.support.waiting import eventually
from zkrpc.cli import serve as serve_module
from zkrpc.cli.main import cli
from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.server.service_manager import ServiceManager
from zkrpc.server.supervision import EXIT_CONFIG

ECHO = "import zkrpc\nfrom tests.support.echo import idl, EchoHandler\n"


def place(program: Program) -> str:
    """Where its worker serves, as it logged."""
    eventually(lambda: " serves at " in program.output, 60)
    found = re.search(r" serves at (\S+) as ", program.output)
    assert found is not None
    return found[1]


def errors(program: Program) -> list[str]:
    """The lines for people, without the log."""
    return [line for line in program.output.splitlines() if line.startswith("zkrpc: ")]


class Recorder:
    """Stands where the supervisor would, and notes what it was given."""

    def __init__(self, command: Any, workers: int, **options: Any) -> None:
        self.commands = [command(slot)[3:] for slot in range(workers)]
        self.options = options
        Recorder.made = self

    made: Recorder

    def told(self) -> dict[str, Any]:
        """What it was given beside the workers and somebody to tell of them."""
        options = dict(self.options)
        assert isinstance(options.pop("manager"), ServiceManager)
        assert options.pop("security") == ZooKeeperSecurity()
        return {**options, "watched": list(options["watched"])}

    def run(self) -> int:
        """Ends at once."""
        return 0


def test_serve_gives_each_worker_its_place_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports count up from --bind, names from --id; the launch is one; every other option is handed on."""
    monkeypatch.setattr(serve_module, "Supervisor", Recorder)
    given = "--zookeeper=h:1/c --advertise=a --zone=z --weight=2.0 --session-timeout=4.0 --linger=0.5".split()
    given += "--drain-timeout=3.0 --limit=max_frame=9000 --limit=max_queue=5".split()
    with pytest.raises(SystemExit) as ended:
        cli(["-v", "serve", "a.b:c", "--bind=[::1]:9000", "--workers=2", "--id=me", *given], standalone_mode=False)
    assert ended.value.code == 0
    first, second = Recorder.made.commands
    launch = first[5]
    assert launch.startswith("--launch=") and len(launch) > 20
    assert first[:6] == ["--verbose", "worker", "a.b:c", "--bind=[::1]:9000", "--id=me-0", launch]
    assert second[:6] == ["--verbose", "worker", "a.b:c", "--bind=[::1]:9001", "--id=me-1", launch]
    assert sorted(first[6:]) == sorted(second[6:]) == sorted(given)
    binds = [zkrpc.Endpoint("::1", 9000), zkrpc.Endpoint("::1", 9001)]
    assert Recorder.made.told() == {"zookeeper": "h:1/c", "watched": [], "binds": binds, "inherited": ()}


def test_serve_needs_no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any free port, a name of its own for each run, nothing handed on; --reload watches the current folder."""
    monkeypatch.delenv("ZKRPC_ZOOKEEPER", raising=False)
    monkeypatch.setattr(serve_module, "Supervisor", Recorder)
    names = set()
    for _ in range(2):
        with pytest.raises(SystemExit):
            cli(["serve", "a:b", "--workers=2", "--reload"], standalone_mode=False)
        first, second = Recorder.made.commands
        assert first[:3] == ["worker", "a:b", "--bind=127.0.0.1:0"] == second[:3] and len(first) == 5
        assert first[3].startswith(f"--id={socket.gethostname()}-")
        names |= {first[3], second[3]}
        told = {"zookeeper": None, "watched": [Path.cwd()], "binds": [], "inherited": ()}
        assert Recorder.made.told() == told
    assert len(names) == 4


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere:service"], "cannot import 'nowhere' from "),
        (["examples.users"], "'examples.users' names no service; write MODULE:SERVICE"),
        ([SERVICE, "--bind=nonsense"], "'nonsense' is not an endpoint"),
        ([SERVICE, "--bind=127.0.0.1:{taken}"], "cannot listen on 127.0.0.1:{taken}: Address already in use"),
        ([SERVICE, "--limit=max_frame=0"], "WireLimits.max_frame must be a positive number"),
        ([SERVICE, "--limit=max_fame=1"], "names no limit; did you mean max_frame?"),
        ([SERVICE, "--tls-ca=ca.pem"], "need --tls-cert, the server's own certificate"),
        ([SERVICE, "--tls-cert=nowhere.pem"], "nowhere.pem: No such file or directory"),
    ],
)
def test_serve_explains_wrong_settings_in_one_line(arguments: list[str], complaint: str, command: Command) -> None:
    """Exit status 78, which tells a service manager that trying again cannot help; no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        program = command.start("serve", *(argument.format(taken=taken) for argument in arguments))
        assert program.wait() == EXIT_CONFIG, program.output
    (line,) = errors(program)
    assert complaint.format(taken=taken) in line and "Traceback" not in program.output


def test_serve_shows_once_where_the_users_module_failed(command: Command, tmp_path: Path) -> None:
    """A module that raises may do better later, so it is tried again, ever more slowly; its author's frames are there
    to be read, once for all workers and all tries."""
    source = "import os\nopen('tries', 'a').write('x')\nos.stat('/not/mounted/yet')\n"
    (tmp_path / "failing.py").write_text(source)
    program = command.start("serve", "failing:service", "--workers=2", folder=tmp_path)
    tries = tmp_path / "tries"
    eventually(lambda: tries.exists() and len(tries.read_text()) >= 6, 60)
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0
    output = program.output
    assert output.count('/failing.py", line 3') == output.count("Traceback") == 1
    assert "importing failing failed: FileNotFoundError" in output and "tried again, with growing pauses" in output
    assert "importlib" not in output and "zkrpc/cli" not in output and errors(program) == []


def test_serve_goes_on_with_a_constructor_that_fails_now_and_then(command: Command, tmp_path: Path) -> None:
    """The worker that failed comes up at a later try."""
    flaky = (
        f"{ECHO}import os\nclass Handler(EchoHandler):\n    def __init__(self):\n        super().__init__()\n"
        "        open('tries', 'a').write('x')\n        if os.path.getsize('tries') < 4:\n"
        "            raise OSError('the database is away')\n"
        "service = zkrpc.Service(idl.Echo, Handler, 'flaky')\n"
    )
    (tmp_path / "flaky.py").write_text(flaky)
    program = command.start("serve", "flaky:service", folder=tmp_path, PYTHONPATH=str(ROOT))
    place(program)
    output = program.output
    assert (
        output.count("Traceback") == output.count("failed: OSError: the database is away") == 1
        and "in __init__" in output
    )
    assert "starting flaky failed" in output and "make_handler" not in output


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import not_installed_anywhere\n", "ModuleNotFoundError"),
        (
            f"{ECHO}class Handler(EchoHandler):\n    def __init__(self, database):\n        pass\n"
            "service = zkrpc.Service(idl.Echo, Handler)\n",
            "the handler Handler wants arguments",
        ),
    ],
)
def test_serve_gives_up_at_code_that_cannot_work(command: Command, tmp_path: Path, source: str, complaint: str) -> None:
    """Exit status 78, with the reason once for all workers, and none of our own frames."""
    (tmp_path / "wrong.py").write_text(source)
    program = command.start("serve", "wrong:service", "--workers=3", folder=tmp_path, PYTHONPATH=str(ROOT))
    assert program.wait(60) == EXIT_CONFIG, program.output
    (line,) = errors(program)
    assert complaint in line
    assert program.output.count("Traceback") <= 1 and program.output.count(complaint) <= 2
    assert "importlib" not in program.output and "make_handler" not in program.output


def test_worker_that_ends_anyway_takes_no_notice_of_a_signal(command: Command, tmp_path: Path) -> None:
    """One that comes while its interpreter shuts down, as from a supervisor that gives up."""
    (tmp_path / "wrong.py").write_text(
        "import atexit, os, signal, gevent\n"
        "atexit.register(lambda: (os.kill(os.getpid(), signal.SIGTERM), gevent.sleep(0.2)))\n"
        "service = 'none'\n"
    )
    program = command.start("serve", "wrong:service", folder=tmp_path, PYTHONPATH=str(ROOT))
    assert program.wait(60) == EXIT_CONFIG, program.output
    assert "Traceback" not in program.output and "SIGTERM" not in program.output, program.output


def test_serve_with_reload_waits_until_broken_code_is_mended(command: Command, tmp_path: Path) -> None:
    """As uvicorn and gunicorn do: the reason is told, and told anew at each change, until the service comes up."""
    source = tmp_path / "mended.py"
    source.write_text("def broken(:\n")
    program = command.start("serve", "mended:service", "--reload", folder=tmp_path, PYTHONPATH=str(ROOT))
    eventually(lambda: "SyntaxError" in program.output and "tried again when a file changes" in program.output, 60)
    source.write_text("def still_broken(:\n")
    eventually(lambda: program.output.count("tried again when a file changes") == 2, 60)
    source.write_text(f"{ECHO}service = zkrpc.Service(idl.Echo, EchoHandler)\n")
    with zkrpc.connect(echo.Echo, [place(program)]) as stub:
        assert stub.echo("hello") == "hello"
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0


@pytest.mark.zookeeper
def test_serve_brings_a_killed_worker_back(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """Its entry goes long before the session timeout, and a successor takes the same name; the other one stays."""
    command.serve(zookeeper, "--id=host", "--workers=2")
    before = await_registered(registry, 2)
    assert sorted(before) == ["host-0", "host-1"]
    os.kill(int(before["host-0"].metadata["pid"]), signal.SIGKILL)

    def pid() -> str | None:
        found = registered(registry).get("host-0")
        return found.metadata["pid"] if found else None

    assert eventually(lambda: pid() != before["host-0"].metadata["pid"]) < 5.0
    eventually(lambda: pid() is not None)
    after = registered(registry)
    assert after["host-1"] == before["host-1"]
    with zkrpc.connect(users.Users, [after["host-0"].endpoint], config=zkrpc.ClientConfig(timeout=60)) as stub:
        assert stub.whoami().endswith(f"pid {after['host-0'].metadata['pid']}")


@pytest.mark.zookeeper
def test_observers_of_a_service_are_told_of_its_workers_session(
    command: Command, zookeeper: str, tmp_path: Path
) -> None:
    """As they are where the service is served by a program of its own: the worker makes the session, not the app."""
    (tmp_path / "watched.py").write_text(
        f"{ECHO}"
        "class Listener(zkrpc.Observer):\n"
        "    kinds = (zkrpc.SessionChanged, zkrpc.RequestAnswered)\n"
        "    def receive(self, event):\n"
        "        print('told of', type(event).__name__, flush=True)\n"
        "service = zkrpc.Service(idl.Echo, EchoHandler, observers=[Listener()])\n"
    )
    program = command.start(
        "serve", "watched:service", f"--zookeeper={zookeeper}", "--linger=0", folder=tmp_path, PYTHONPATH=str(ROOT)
    )
    for kind in ("SessionChanged", "RequestAnswered"):
        eventually(lambda kind=kind: f"told of {kind}" in program.output)
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0, program.output


@pytest.mark.zookeeper
def test_serve_drains_when_told(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """SIGTERM: out of the registry first, serving on for --linger seconds, then exit status 0 and nothing left."""
    program = command.serve(zookeeper, "--workers=2", "--linger=4")
    found = await_registered(registry, 2)
    config = zkrpc.ClientConfig(timeout=60)
    with zkrpc.connect(users.Users, [one.endpoint for one in found.values()], config=config) as stub:
        assert stub.get(42).name == "Ada"
        program.tell(signal.SIGTERM)
        eventually(lambda: registered(registry) == {})
        gone_at = time.monotonic()
        assert stub.get(42).name == "Ada", "still served while lingering"
    assert program.wait() == 0
    assert 0.5 < time.monotonic() - gone_at < 30
    assert registry.session.znodes.children(MEMBERS) == []


@pytest.mark.zookeeper
def test_serve_kills_when_told_so(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """SIGQUIT waits for nobody, and leaves nothing in the registry either."""
    program = command.serve(zookeeper, "--linger=30")
    await_registered(registry, 1)
    program.tell(signal.SIGTERM)
    eventually(lambda: registered(registry) == {})
    told_at = time.monotonic()
    program.tell(signal.SIGQUIT)
    assert program.wait(60) == 0 and time.monotonic() - told_at < 25
    assert registry.session.znodes.children(MEMBERS) == []


@pytest.mark.zookeeper
def test_serve_publishes_what_it_is_told(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """--advertise, --zone and --weight are in the record, with the real port."""
    options = ["--bind=0.0.0.0:0", "--advertise=10.9.8.7", "--zone=z1", "--weight=2.5"]
    program = command.serve(zookeeper, "--id=told", *options)
    (one,) = await_registered(registry, 1).values()
    assert (one.endpoint.host, one.zone, one.weight) == ("10.9.8.7", "z1", 2.5)
    assert place(program) == f"0.0.0.0:{one.endpoint.port}"


def test_serve_ends_calls_that_outlast_the_drain_timeout(command: Command, tmp_path: Path) -> None:
    """--drain-timeout bounds the stop, and the caller is told that it may have been executed."""
    (tmp_path / "slow.py").write_text(
        f"{ECHO}"
        "class Slow(EchoHandler):\n"
        "    def slow(self, text, milliseconds):\n"
        "        print('begun', flush=True)\n"
        "        return super().slow(text, milliseconds)\n"
        "service = zkrpc.Service(idl.Echo, Slow)\n"
    )
    options = ["--linger=0", "--drain-timeout=0.3"]
    program = command.start("serve", "slow:service", *options, folder=tmp_path, PYTHONPATH=str(ROOT))
    config = zkrpc.ClientConfig(timeout=120.0, max_attempts=1)
    with zkrpc.connect(echo.Echo, [place(program)], config=config) as stub:
        assert stub.echo("warm") == "warm"
        call = gevent.spawn(stub.slow, "never", 120_000)
        eventually(lambda: "begun" in program.output)
        program.tell(signal.SIGTERM)
        assert program.wait(60) == 0
        call.join(60)
        assert isinstance(call.exception, zkrpc.Draining), call.exception
        assert call.exception.executed is zkrpc.Executed.MAYBE


@pytest.mark.zookeeper
def test_serve_leaves_at_once_while_it_is_not_ready(
    command: Command, tmp_path: Path, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """Told to stop before it served, a worker has nothing to drain; it was never registered."""
    asking = "def never():\n    print('asked')\n    return False\n"
    (tmp_path / "unready.py").write_text(
        f"{ECHO}{asking}service = zkrpc.Service(idl.Echo, EchoHandler, 'users', is_ready=never)\n"
    )
    program = command.start("serve", "unready:service", "--zookeeper", zookeeper, folder=tmp_path, PYTHONPATH=str(ROOT))
    eventually(lambda: program.output.count("asked") > 3, 60)
    assert registered(registry) == {}
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0


def test_serve_drains_while_zookeeper_is_away(command: Command) -> None:
    """It serves without having been registered, and ends within the bounds of a stop, without a flood of words."""
    program = command.serve("127.0.0.1:1")
    with zkrpc.connect(users.Users, [place(program)], config=zkrpc.ClientConfig(timeout=60)) as stub:
        assert stub.get(42).name == "Ada"
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0
    assert len(program.output.splitlines()) < 20, program.output


@pytest.mark.zookeeper
def test_serve_refuses_a_name_that_is_taken(command: Command, zookeeper: str, registry: zkrpc.Registry) -> None:
    """The second one gives up with status 78 and names both; the first one's entry is not touched."""
    command.serve(zookeeper, "--id=twin", "--session-timeout=1")
    (first,) = await_registered(registry, 1).values()
    second = command.serve(zookeeper, "--id=twin", "--session-timeout=1")
    assert second.wait() == EXIT_CONFIG
    (line,) = errors(second)
    for name in ("twin-0", str(first.endpoint), place(second)):
        assert name in line
    assert registered(registry) == {"twin-0": first}


@pytest.mark.zookeeper
def test_serve_replaces_its_workers_without_a_failed_call(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """SIGHUP under load: new processes under the old names, and no caller notices."""
    program = command.serve(zookeeper, "--workers=2", "--linger=0.3")
    before = await_registered(registry, 2)
    with zkrpc.connect(users.Users, "users", zookeeper=registry, config=zkrpc.ClientConfig(timeout=60)) as stub:
        done = 0
        stopped = False

        def call() -> None:
            nonlocal done
            while not stopped:
                # One that must not be repeated, so that every loss would show.
                stub.remove(7)
                done += 1
                gevent.sleep(0.005)

        callers = [gevent.spawn(call) for _ in range(4)]
        program.tell(signal.SIGHUP)

        def replaced() -> bool:
            now = registered(registry)
            return set(now) == set(before) and all(
                now[name].metadata["pid"] != before[name].metadata["pid"] for name in now
            )

        eventually(replaced, 60)
        stopped = True
        gevent.joinall(callers, timeout=60, raise_error=True)
    assert done > 100


BUSY = """
import time, zkrpc
from tests.support.echo import idl, EchoHandler
from gevent.monkey import get_original

class Handler(EchoHandler):
    def slow(self, text, milliseconds):
        get_original("time", "sleep")(milliseconds / 1000)
        return text

service = zkrpc.Service(idl.Echo, Handler, "echo")
"""


@pytest.mark.zookeeper
def test_serve_says_that_a_handler_blocked_the_hub_and_lost_the_session(
    command: Command, tmp_path: Path, zookeeper: str
) -> None:
    """The method, how long, what to do; and, when ZooKeeper took the session, that this was why."""
    (tmp_path / "busy.py").write_text(BUSY)
    options = ["--session-timeout=4", "--zookeeper", zookeeper]
    program = command.start("serve", "busy:service", *options, folder=tmp_path, PYTHONPATH=str(ROOT))
    eventually(lambda: "registered /" in program.output, 60)
    with zkrpc.connect(echo.Echo, [place(program)], config=zkrpc.ClientConfig(timeout=60.0)) as stub:
        assert stub.slow("x", 500) == "x"
        eventually(lambda: "by the method slow (" in program.output, 60)
        assert "zkrpc.offload(function, arguments)" in program.output and "was lost because" not in program.output
        assert stub.slow("x", 6000) == "x"
    eventually(lambda: re.search(r"was lost because the hub was blocked for ([6-9]|\d\d)\.", program.output), 60)
    told = [line for line in program.output.splitlines() if "by the method slow (" in line and "zkrpc.offload" in line]
    assert len(told) == 1, "once a minute"


@pytest.mark.zookeeper
def test_serve_waits_for_the_session_of_a_dead_namesake(
    command: Command, zookeeper: str, registry: zkrpc.Registry
) -> None:
    """The machine died and is started again under its name, with a shorter session timeout than the dead one's session
    lasts: it serves when that has ended, and never gives up before."""
    first = command.serve(zookeeper, "--id=node-7", "--session-timeout=6")
    (dead,) = await_registered(registry, 1).values()
    # Whichever of the two outlives the other for a moment closes the session, so the one that could is stopped before.
    first.tell(signal.SIGSTOP)
    os.waitid(os.P_PID, first.process.pid, os.WSTOPPED)
    os.kill(int(dead.metadata["pid"]), signal.SIGKILL)
    first.tell(signal.SIGKILL)
    first.wait()
    second = command.serve(zookeeper, "--id=node-7", "--session-timeout=1")
    eventually(lambda: registered(registry).get("node-7-0") not in (None, dead), 60)
    assert second.process.poll() is None and "which takes 10 s at most" in second.output
