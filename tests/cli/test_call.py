"""``zkrpc call``: from the shell to a handler and back, on a real ZooKeeper."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from tests.support.command import Command, await_registered
from tests.support.echo import EchoHandler, idl
from tests.support.programs import ROOT
from tests.support.waiting import eventually
from zkrpc.cli.call import Outcome
from zkrpc.errors import DeadlineExceeded, Executed, RemoteError, Unavailable
from zkrpc.idl import load_text, text_of
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.published import published_interface

ECHO = str(ROOT / "tests" / "support" / "echo.thrift")
FAST = zkrpc.ServerConfig(linger=0, drain_timeout=2)
NOBODY = "127.0.0.1:1"


class Ended:
    """How a command ended."""

    def __init__(self, *arguments: str, folder: Path, stdin: str = "", **environment: str) -> None:
        # In a thread, as the service that it calls is in this process. gevent's subprocess would take the signal of
        # ended children away from everybody else.
        done = zkrpc.offload(
            subprocess.run,
            [sys.executable, "-m", "zkrpc", *arguments],
            cwd=folder,
            env={"PATH": "/bin:/usr/bin", "HOME": str(folder), **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.status, self.out, self.err = int(done.returncode), str(done.stdout), str(done.stderr)

    def __repr__(self) -> str:
        """For failures of tests."""
        return f"<{self.status} out={self.out!r} err={self.err!r}>"

    @property
    def told(self) -> dict[str, Any]:
        """The one object on standard output."""
        return dict(json.loads(self.out))


@pytest.fixture
def echo(zookeeper: str) -> Iterator[zkrpc.App]:
    """The echo service in this process, registered and published."""
    with zkrpc.Registry(zookeeper) as registry:
        with zkrpc.serve(
            zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=FAST), zookeeper=registry, worker_id="e-0"
        ) as app:
            assert app.registrar is not None
            app.registrar.wait_registered(60)
            yield app


def test_outcomes_have_an_exit_status_of_their_own() -> None:
    """Answers, exceptions that the IDL declares, and for errors whether the call was executed."""
    assert Outcome(result=1, seconds=0.1).status == 0
    assert Outcome(exception={"type": "Oops", "value": {}}, seconds=0.1).status == 3
    errors = [Unavailable("a"), DeadlineExceeded("b"), RemoteError("c"), DeadlineExceeded("d", executed=Executed.NO)]
    assert [Outcome(error=error, seconds=0.1).status for error in errors] == [4, 5, 6, 4]


def test_outcomes_are_told_to_people_and_programs() -> None:
    """Who was asked, how long it took, how often; an error with whether it was executed."""
    outcome = Outcome(result={"a": 1}, seconds=0.0123, endpoint="h:1", instance="u-0", attempts=2, epoch=7)
    assert outcome.facts() == "ok from u-0 at h:1 in 12.3 ms, 2 attempts, epoch 7"
    assert outcome.plain() == {
        "result": {"a": 1},
        "seconds": 0.0123,
        "endpoint": "h:1",
        "instance": "u-0",
        "attempts": 2,
        "epoch": 7,
    }
    failed = Outcome(error=Unavailable("no instance"), seconds=0.5, attempts=1)
    assert failed.facts() == "Unavailable from nobody in 500.0 ms, 1 attempt"
    assert failed.plain()["error"] == {
        "kind": "Unavailable",
        "message": "no instance (executed=NO, 1 attempts)".replace(", 1 attempts", ""),
        "exit_status": 4,
        "executed": "no",
    }
    assert Outcome(exception={"type": "Oops", "value": {}}, seconds=0).plain()["exception"]["type"] == "Oops"


@pytest.mark.zookeeper
def test_a_method_is_called_from_an_empty_folder(
    command: Command, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path
) -> None:
    """The IDL comes from the registry: nothing but the name, the JSON and the address of ZooKeeper is needed."""
    command.serve(zookeeper, "--id=u", "--workers=1")
    await_registered(registry, 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    place = {"folder": empty, "ZKRPC_ZOOKEEPER": zookeeper}
    done = Ended("call", "users.get", '{"id": 42}', "--timeout=60", **place)
    assert (done.status, done.err) == (0, ""), done
    assert done.out == (
        '{\n  "id": 42,\n  "name": "Ada",\n  "email": "ada@example.org",\n  "role": "MEMBER",\n  "tags": []\n}\n'
    )
    missing = Ended("call", "users.get", "[7]", "--timeout=60", **place)
    assert (missing.status, missing.err) == (3, "")
    assert missing.told == {"exception": {"type": "UserNotFound", "value": {"id": 7}}}
    template = Ended("call", "users.create", "--template", **place)
    assert template.status == 0 and template.told["user"]["id"] == "<i64, required>"
    assert [*empty.iterdir()] == []


@pytest.mark.zookeeper
def test_calls_are_told_to_programs(echo: zkrpc.App, zookeeper: str, tmp_path: Path) -> None:
    """``--json``: one object, with the answer or the error, and who gave it."""

    def told(*arguments: str) -> tuple[int, dict[str, Any]]:
        done = Ended("call", *arguments, "--json", f"--zookeeper={zookeeper}", folder=tmp_path)
        assert done.err == "", done
        return done.status, done.told

    place = {"endpoint": str(echo.endpoint), "instance": "e-0", "attempts": 1, "epoch": None}
    status, answer = told("echo.echo", '{"text": "\\u001b ü"}')
    seconds = answer.pop("seconds")
    assert (status, answer) == (0, {"result": "\x1b ü", **place}) and 0 < seconds < 60
    status, answer = told("echo.fail", '{"how": "declared"}')
    assert status == 3 and answer["exception"] == {"type": "Oops", "value": {"why": "as declared"}}
    assert answer["endpoint"] == place["endpoint"] and answer["instance"] == "e-0"
    status, answer = told("echo.fail", '{"how": "other"}')
    assert (status, answer["error"]["kind"], answer["error"]["executed"]) == (6, "RemoteError", "yes")
    assert answer["error"]["exit_status"] == 6 and answer["endpoint"] == place["endpoint"]
    status, answer = told("echo.slow", '["", 30000]', "--timeout=2")
    assert (status, answer["error"]["kind"], answer["error"]["executed"]) == (5, "DeadlineExceeded", "maybe")
    status, answer = told("echo.echo", '[""]', "--repeat=3", "--rate=100")
    assert (status, answer["calls"], answer["outcomes"], answer["first_failure"]) == (0, 3, {"ok": 3}, None)
    status, answer = told("echo.fail", '["declared"]', "--repeat=2")
    assert (status, answer["outcomes"]) == (3, {"Oops": 2}) and answer["first_failure"]["exception"]["type"] == "Oops"
    status, answer = told("echo.echo", '{"txt": ""}')
    assert (status, answer["error"]["kind"], answer["error"]["exit_status"]) == (2, "BadArguments", 2)
    status, answer = told("ehco.echo", "{}")
    assert (status, answer["error"]["kind"], answer["error"]["alike"]) == (1, "NoSuchName", ["echo"])


@pytest.mark.zookeeper
def test_calls_are_told_to_people(echo: zkrpc.App, zookeeper: str, tmp_path: Path) -> None:
    """The answer alone on standard output, all else on standard error; what has no answer prints none."""

    def run(*arguments: str, stdin: str = "") -> Ended:
        return Ended("call", *arguments, folder=tmp_path, stdin=stdin, ZKRPC_ZOOKEEPER=zookeeper)

    done = run("echo.pair", "-d", "@-", "--emit-defaults", "-v", "--header", "tenant=blue", stdin='[{"left": "a"}]')
    assert (done.status, done.told) == (0, {"left": "a", "right": None})
    assert done.err.startswith(f"ok from e-0 at {echo.endpoint} in ") and done.err.endswith(" ms, 1 attempt\n")
    note = run("echo.note", '["x"]')
    assert (note.status, note.out, note.err) == (0, "", "")
    repeated = run("echo.echo", '["\\u001b[2J"]', "--repeat=2")
    assert (repeated.status, repeated.out) == (0, '"\\u001b[2J"\n' * 2)
    assert repeated.err.startswith("2 calls: 2 ok; mean ")
    failed = run("echo.fail", '["other"]', "--instance=e-0", "-v")
    assert (failed.status, failed.out) == (6, "") and failed.err.count("\n") == 2
    assert failed.err.splitlines()[1].startswith(f"RemoteError from e-0 at {echo.endpoint} in ")
    assert failed.err.startswith("zkrpc: RemoteError: ") and "executed=YES" in failed.err


@pytest.mark.zookeeper
def test_an_address_is_called_without_zookeeper(echo: zkrpc.App, tmp_path: Path) -> None:
    """With a file for the interface, in each dialect; an address where nobody listens was certainly not executed."""
    place = (f"--idl={ECHO}", f"--address={echo.endpoint}")
    for dialect in ("zkrpc", "theader", "framed"):
        done = Ended("call", "any.echo", '["a"]', *place, f"--dialect={dialect}", folder=tmp_path)
        assert (done.status, done.out, done.err) == (0, '"a"\n', "")
    for name, status in (("Echo", 0), ("Second", 4)):
        done = Ended("call", "any.echo", '["a"]', *place, f"--multiplexed={name}", folder=tmp_path)
        assert done.status == status, done
    assert "there is no service 'Second' here; there are Echo, echo" in done.err
    nobody = Ended("call", "any.echo", '["a"]', f"--idl={ECHO}", f"--address={NOBODY}", folder=tmp_path)
    assert (nobody.status, nobody.out) == (4, "") and "executed=NO" in nobody.err and nobody.err.count("\n") == 1


@pytest.mark.zookeeper
@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["ecko.echo", "[]"], 1, "there is no service 'ecko' at "),
        (["echo.ehco", "[]"], 1, "there is no method 'ehco' in Echo; did you mean echo?"),
        (["echo.zzz", "[]"], 1, "there is no method 'zzz' in Echo; there are echo, fail, large, note, pair, slow"),
        (["echo.echo", '[""]', "--instance=e-1"], 1, "there is no instance 'e-1' of echo; did you mean e-0?"),
        (["echo.echo", "[]"], 2, "$.text: expected string, but it is missing"),
        (["echo.echo", "{"], 2, "$: not JSON: expecting property name enclosed in double quotes at line 1, column 2"),
        (["echo.echo", '{"text": 5}'], 2, "$.text: expected string, got 5; what belongs there shows: zkrpc call "),
        (["a b.echo", "[]"], 78, "service name 'a b' must be"),
        (["a/b.echo", "[]"], 1, "there is no built-in service 'b'"),
        (["echo.echo", "[]", "--idl=nowhere.thrift"], 78, "nowhere.thrift: cannot be read"),
        (["echo.echo", '[""]', "--header=zkrpc-epoch=1"], 78, "header 'zkrpc-epoch' is zkrpc's own"),
        (["echo.echo", '[""]', f"--address={NOBODY}x"], 78, "is not an endpoint"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], status: int, complaint: str, echo: zkrpc.App, zookeeper: str, tmp_path: Path
) -> None:
    """What is wrong, and what to do or which names there are."""
    done = Ended("call", *arguments, folder=tmp_path, ZKRPC_ZOOKEEPER=zookeeper)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1), done
    assert done.err.startswith("zkrpc: ") and complaint in done.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["echo"], "'echo' is not SERVICE.METHOD, as in users.get"),
        (["echo.echo", "[]"], "give --zookeeper HOSTS, or set ZKRPC_ZOOKEEPER"),
        (["echo.echo", "[]", f"--address={NOBODY}"], "or do without ZooKeeper: --idl FILE"),
        (["echo.echo", "[]", f"--idl={ECHO}"], "or do without ZooKeeper: --address HOST:PORT"),
        (["echo.echo", "[]", f"--address={NOBODY}", "--instance=a"], "--instance and --address exclude each other"),
        (["echo.echo", "[]", "-d", "[]", f"--idl={ECHO}", f"--address={NOBODY}"], "give the arguments once"),
    ],
)
def test_a_wrong_command_line_is_explained(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    """With exit status 2."""
    done = Ended("call", *arguments, folder=tmp_path)
    assert (done.status, done.out) == (2, "") and complaint in done.err


def test_zookeeper_being_down_is_one_line(tmp_path: Path) -> None:
    """Or one object."""
    place = (f"--zookeeper={NOBODY}", "--connect-timeout=0.3")
    done = Ended("call", "users.get", "[1]", *place, folder=tmp_path)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"zkrpc: no ZooKeeper at {NOBODY} within 0.3 s")
    done = Ended("call", "users.get", "[1]", *place, "--json", folder=tmp_path)
    assert (done.status, done.err, done.told["error"]["kind"]) == (1, "", "CoordinationError")


@pytest.mark.zookeeper
def test_a_primary_answers_with_its_epoch(zookeeper: str, tmp_path: Path) -> None:
    """Which ``--json`` and ``--verbose`` tell; without a primary the call says so and was not executed."""
    counter = load_text('service Counter { i32 next() (zkrpc.primary = "true") }', name="counter.thrift")

    class Handler:
        """Counts."""

        def next(self) -> int:
            """One."""
            return 1

    with zkrpc.Registry(zookeeper) as registry:
        service = zkrpc.Service(counter.Counter, Handler, name="counter", config=FAST)
        with zkrpc.serve(service, zookeeper=registry, worker_id="c-0") as app:
            assert app.registrar is not None
            app.registrar.wait_registered(60)
            done = Ended("call", "counter.next", "--json", f"--zookeeper={zookeeper}", "--timeout=30", folder=tmp_path)
            assert done.status == 0, done
            assert done.told["result"] == 1 and done.told["epoch"] > 0 and done.told["instance"] == "c-0"


@pytest.mark.zookeeper
def test_what_every_port_answers_is_called_by_its_name(echo: zkrpc.App, zookeeper: str, tmp_path: Path) -> None:
    """Behind a slash; answers, declared exceptions and errors are told as those of any other method."""
    place = {"folder": tmp_path, "ZKRPC_ZOOKEEPER": zookeeper}
    done = Ended("call", "echo/zkrpc.Health.check", **place)
    assert (done.status, done.err) == (0, ""), done
    assert done.told["service"] == "echo" and done.told["live"] is True
    named = Ended("call", "echo/zkrpc.Health.check", '{"service": "other"}', **place)
    assert named.status == 3 and named.told["exception"]["type"] == "NotServed"
    told = Ended("call", "echo/zkrpc.Introspection.callers", "--json", "--instance=e-0", **place).told
    assert (told["result"]["service"], told["instance"], told["attempts"]) == ("echo", "e-0", 1)
    assert Ended("call", "echo/zkrpc.Introspection.callers", "--json", **place).told["instance"] == "e-0"
    template = Ended("call", "echo/zkrpc.Health.watch", "--template", **place)
    assert template.status == 0 and [*template.told] == ["service", "seen", "timeout_ms"]
    # An address says whose it is, and then nothing asks ZooKeeper.
    alone = Ended("call", "zkrpc.Health.check", f"--address={echo.endpoint}", folder=tmp_path)
    assert alone.status == 0 and alone.told["service"] == "echo", alone


@pytest.mark.zookeeper
def test_config_of_a_service_does_not_speak_of_what_is_built_in(
    echo: zkrpc.App, zookeeper: str, registry: zkrpc.Registry, tmp_path: Path
) -> None:
    """Also where the names are the same, or the config holds for all methods."""
    config = b'{"timeout_ms": 1, "balancing": "consistent_hash", "hash_key": "service"}'
    registry.session.znodes.create("/services/echo/config", config)
    done = Ended("call", "echo/zkrpc.Health.watch", '{"timeout_ms": 300}', folder=tmp_path, ZKRPC_ZOOKEEPER=zookeeper)
    assert done.status == 0 and done.told["service"] == "echo", done


@pytest.mark.zookeeper
def test_built_in_service_that_is_not_there_is_told_with_those_that_are(
    echo: zkrpc.App, zookeeper: str, tmp_path: Path
) -> None:
    """As are misspelt methods; one that is switched off was not executed."""
    place = {"folder": tmp_path, "ZKRPC_ZOOKEEPER": zookeeper}
    done = Ended("call", "echo/Health.check", **place)
    assert done.status == 1 and done.err.startswith("zkrpc: there is no built-in service 'Health' that every port")
    assert "did you mean zkrpc.Health?" in done.err and done.err.count("\n") == 1
    told = Ended("call", "echo/zkrpc.Health.chek", "--json", **place).told
    assert told["error"]["kind"] == "NoSuchName" and told["error"]["alike"] == ["check"]
    done = Ended("call", "echo/zkrpc.Health.check", f"--idl={ECHO}", **place)
    assert done.status == 2 and "whose interface is known: leave --idl out" in done.err
    done = Ended("call", "ehco/zkrpc.Health.check", **place)
    assert done.status == 1 and "there is no service 'ehco'" in done.err
    closed = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0, introspection=False))
    with zkrpc.serve(closed) as app:
        done = Ended("call", "zkrpc.Introspection.status", f"--address={app.endpoint}", folder=tmp_path)
    assert done.status == 4 and "UnknownMethod" in done.err


class Large:
    """Answers with what a double cannot hold."""

    def get(self, id: int) -> Any:
        """The id, in a list, or in an exception."""
        if id < 0:
            raise LARGE.Negative(id=id)
        return [id, 1]


LARGE = load_text("exception Negative { 1: i64 id } service Large { list<i64> get(1: i64 id) throws (1: Negative no) }")


def test_i64_is_written_as_a_reader_wants_it(tmp_path: Path) -> None:
    """As a number, or as text; in answers and exceptions, for people and programs; and taken as either."""
    (tmp_path / "large.thrift").write_text(text_of(LARGE))
    with zkrpc.serve(zkrpc.Service(LARGE.Large, Large, config=FAST)) as app:

        def call(arguments: str, *options: str) -> Ended:
            place = ("--idl=large.thrift", f"--address={app.endpoint}")
            return Ended("call", "large.get", arguments, *options, *place, folder=tmp_path)

        for taken in ('{"id": 9007199254740993}', '{"id": "9007199254740993"}'):
            assert json.loads(call(taken).out) == [9007199254740993, 1]
        assert json.loads(call("[9007199254740993]", "--int64=text").out) == ["9007199254740993", "1"]
        assert call("[1]", "--int64=text", "--json").told["result"] == ["1", "1"]
        negative = call('["-5"]', "--int64=text")
        assert negative.status == 3 and negative.told["exception"]["value"] == {"id": "-5"}
        wrong = call("[1]", "--int64=double")
        assert wrong.status == 2 and "'--int64': 'double' is not one of 'number', 'text'" in wrong.err
        beyond = call('["9223372036854775808"]')
        assert beyond.status == 2 and "$[0]: expected i64 from -922" in beyond.err


USERS = "service Base { string ping() }\nservice Users extends Base { string get(1: i64 id) }\n"
AUDIT = """service Audit {
  string get(1: i64 id),
  string log(1: string text) (zkrpc.timeout_ms = "7000", zkrpc.idempotent = "true")
}
"""


class Users:
    """Serves the default interface."""

    def ping(self) -> str:
        return "users"

    def get(self, id: int) -> str:
        return f"user {id}"


class Audit:
    """Serves the one beside it."""

    def get(self, id: int) -> str:
        return f"record {id}"

    def log(self, text: str) -> str:
        return f"logged {text}"


@pytest.mark.zookeeper
def test_interfaces_beside_the_default_one_are_called_and_shown(
    zookeeper: str, registry: zkrpc.Registry, tmp_path: Path
) -> None:
    """By their methods' labels, from what is published, or from a file; and whoever asks for what an instance does not
    serve, or for a method by its bare name, is told what there is."""
    users, audit = load_text(USERS, name="users.thrift").Users, load_text(AUDIT, name="audit.thrift").Audit
    (tmp_path / "both.thrift").write_text(USERS + AUDIT)
    service = zkrpc.Service([users, audit], [Users, Audit], "users", config=FAST)

    def run(*arguments: str) -> Ended:
        return Ended(*arguments, folder=tmp_path, ZKRPC_ZOOKEEPER=zookeeper)

    with zkrpc.serve(service, zookeeper=registry, worker_id="u-0") as app:
        assert app.registrar is not None
        app.registrar.wait_registered(60)
        eventually(lambda: len(published_interface(registry.session, "users").parts) == 2)
        asked = {
            "full": ("call", "users.Users:get", "[7]"),
            "beside": ("call", "users.Audit:get", "[7]"),
            "file": ("call", "users.Audit:log", '["x"]', "--idl=both.thrift"),
            "bare": ("call", "users.log", '["x"]'),
            "explain": ("explain", "users", "Audit:log", "--json"),
            "describe": ("describe", "users"),
            "idl": ("idl", "show", "users", "Audit"),
            "no idl": ("idl", "show", "users", "Third"),
        }
        told = {name: run(*arguments) for name, arguments in asked.items()}
        assert [(told[name].status, told[name].out) for name in ("full", "beside", "file")] == [
            *((0, f'"{text}"\n') for text in ("user 7", "record 7", "logged x"))
        ]
        assert told["bare"].status == 1
        assert "there is no method 'log' in Users; did you mean Audit:log?" in told["bare"].err
        settings = {one["name"]: one["value"] for one in told["explain"].told["methods"]["Audit:log"]}
        assert settings["timeout"] == 7.0 and [view["picked"] for view in told["explain"].told["instances"]] == [True]
        lines = told["describe"].out.splitlines()
        assert f"methods of Users, IDL {users.digest[:12]}" in lines
        assert f"methods of Audit, IDL {audit.digest[:12]}" in lines
        assert any(line.strip().startswith("zkrpc call users.Audit:log '") for line in lines)
        assert told["idl"].out == AUDIT and told["no idl"].status == 1
        assert "no instance of users says that it serves Third; they serve Users, Audit" in told["no idl"].err
        other = zkrpc.Instance(
            id="foreign", endpoint=zkrpc.Endpoint("127.0.0.1", 1), services=("Users",), protocols=("framed",)
        )
        registry.session.znodes.create("/services/users/members/member_o", dump_serverset(other), ephemeral=True)
        explained = run("explain", "users", "Audit:log")
        assert "not picked: it serves Users, and not Audit" in explained.out
        stub = zkrpc.connect(audit, "users", zookeeper=registry, config=zkrpc.ClientConfig(timeout=60))
        with stub:
            assert [stub.get(id) for id in range(8)] == [f"record {id}" for id in range(8)]
    with zkrpc.connect(audit, "users", zookeeper=registry, config=zkrpc.ClientConfig(patience=0)) as stub:
        eventually(lambda: [one.id for one in registry.resolver("users").snapshot.instances] == ["o"])
        with pytest.raises(Unavailable, match="the only instance of 'users' does not serve Audit: it serves Users; "):
            stub.get(1)
