"""``zkrpc`` itself: versions, mistakes, and how errors look."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import click
import pytest

import zkrpc
from tests.support.command import Command
from tests.support.commands import all_commands
from zkrpc import compiled
from zkrpc.cli import main as main_module
from zkrpc.cli.main import main
from zkrpc.cli.registry import missing
from zkrpc.errors import ConfigError, CoordinationError, IdentityConflict, IdlError


def test_zkrpc_tells_its_version_and_its_commands(command: Command) -> None:
    """``zkrpc --version`` and ``zkrpc -h`` need neither ZooKeeper nor a service."""
    assert command.run("--version") == (0, f"zkrpc, version {zkrpc.__version__}, {compiled.in_words()}\n")
    pure = command.run("--version", ZKRPC_PURE="1")
    assert pure == (0, f"zkrpc, version {zkrpc.__version__}, pure Python, as ZKRPC_PURE=1 wants it\n")
    status, text = command.run("--version", ZKRPC_PURE="yes")
    assert status == 78 and text.startswith("zkrpc: ZKRPC_PURE is 'yes': 1 means pure Python"), text
    status, text = command.run("doctor", "--json", ZKRPC_PURE="yes")
    assert status == 78 and json.loads(text)["error"]["message"].startswith("ZKRPC_PURE is 'yes'"), text
    status, text = command.run("-h")
    assert status == 0
    told = [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line[2:3].strip()]
    assert told == sorted({words.split()[0] for words, command in all_commands() if not command.hidden})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["ls", "--nonsense"], "No such option"),
        (["ls", "--zookeeper=h", "--timeout=-1"], "-1.0 is not in the range x>0"),
        (["ls", "--zookeeper=h", "--timeout=0"], "0.0 is not in the range x>0"),
        (["ls", "--zookeeper=h", "--timeout=nan"], "'nan' is not a number of seconds"),
        (["primary", "u", "--zookeeper=h", "--timeout=inf"], "'inf' is not a number of seconds"),
        (["primary", "step-down", "u", "--zookeeper=h", "--timeout=-3"], "-3.0 is not in the range"),
        (["explain", "u", "--zookeeper=h", "--ping-timeout=-1"], "-1.0 is not in the range"),
        (["config", "show", "u", "--zookeeper=h", "--timeout=soon"], "'soon' is not a valid float range"),
        (["rm", "u", "--zookeeper=h", "--unseen=-1"], "-1.0 is not in the range"),
        (["serve", "a:b", "--linger=-1"], "-1.0 is not in the range x>=0"),
        (["serve", "a:b", "--drain-timeout=inf"], "'inf' is not a number of seconds"),
        (["serve", "a:b", "--session-timeout=0"], "0.0 is not in the range x>0"),
        (["ls"], "Missing option '--zookeeper' (env var: 'ZKRPC_ZOOKEEPER')"),
        (["serve"], "Missing argument 'MODULE:SERVICE'"),
        (["serve", "a:b", "--workers", "0"], "0 is not in the range"),
        (["serve", "a:b", "--tls-client", "xml"], "'xml' is not one of"),
    ],
)
def test_zkrpc_explains_a_mistyped_command(
    arguments: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, on standard error, with exit status 2."""
    monkeypatch.delenv("ZKRPC_ZOOKEEPER", raising=False)
    monkeypatch.setattr("sys.argv", ["zkrpc", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert ended.value.code == 2 and complaint in captured.err and captured.out == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("a field is wrong"), 78),
        (IdlError("what is this", file="users.thrift", line=3), 78),
        (IdentityConflict("two of a name"), 78),
        (CoordinationError("no ZooKeeper"), 1),
    ],
)
def test_zkrpc_shows_an_expected_error_as_one_line(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its text, and a status that says whether trying again can help."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main_module, "cli", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status and capsys.readouterr().err == f"zkrpc: {error}\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConfigError("a field is wrong"), {"kind": "ConfigError", "message": "a field is wrong", "exit_status": 78}),
        (
            missing("service", "usres", ["users"], where="here", nothing="none"),
            {
                "kind": "NoSuchName",
                "message": "there is no service 'usres' here; did you mean users?",
                "exit_status": 1,
                "alike": ["users"],
            },
        ),
        (click.UsageError("a word too many"), {"kind": "UsageError", "message": "a word too many", "exit_status": 2}),
    ],
)
def test_zkrpc_tells_an_expected_error_to_programs(
    error: Exception, told: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ``--json`` standard output holds one object, whatever happened, and standard error nothing."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main_module, "cli", fail)
    monkeypatch.setattr("sys.argv", ["zkrpc", "ls", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    assert ended.value.code == told["exit_status"] and captured.err == ""
    assert json.loads(captured.out) == {"error": told}


def test_zkrpc_writes_what_a_terminal_can_show(command: Command) -> None:
    """A terminal without the letters gets their numbers."""
    program = "import zkrpc.cli.main as m; m.cli = lambda **_: m.tell_error(ValueError('\u2026'), 1, as_json=False)"
    shown = command.python("-c", f"{program}; m.main()", PYTHONIOENCODING="latin-1")
    assert shown.wait() == 0 and shown.output == "zkrpc: \\u2026\n"


@pytest.mark.parametrize("arguments", [["ls"], ["health", "users"], ["call", "users.get", "{}"], ["bench", "a.b"]])
def test_ctrl_c_ends_a_command_without_a_word(arguments: list[str], command: Command) -> None:
    """While it waits for a ZooKeeper that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        option = "--timeout" if arguments[0] in ("ls", "health") else "--connect-timeout"
        program = command.start(*arguments, option, "60", "--zookeeper", f"127.0.0.1:{port}")
        connection, _ = silent.accept()
        with connection:
            program.tell(signal.SIGINT)
            assert (program.wait(), program.output.strip()) == (130, "")


READ_IN_PART = """
import click, zkrpc.cli.main
from zkrpc.cli.output import ending_with, tell

@click.command()
def talk():
    for number in range(99_999):
        tell(f"line {number}")

@click.command()
def judge():
    with ending_with(1):
        talk.callback()

zkrpc.cli.main.cli = {command}
zkrpc.cli.main.main()
"""


@pytest.mark.parametrize(("name", "status"), [("talk", 0), ("judge", 1)])
def test_reader_that_has_seen_enough_is_no_failure(name: str, status: int) -> None:
    """``zkrpc … | head -n 1`` ends with the status that the command would have had, and without a word."""
    program = READ_IN_PART.replace("{command}", name)
    shell = f'set -o pipefail; "{sys.executable}" -c "$PROGRAM" | head -n 1'
    environment = {**os.environ, "PROGRAM": program}
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (status, "line 0\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full")
@pytest.mark.parametrize("arguments", [["--version"], ["config", "check", "-", "--json"]])
def test_full_disk_is_told_in_one_line(arguments: list[str]) -> None:
    """And ends with 1, as it may be another time."""
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-m", "zkrpc", *arguments]
        done = subprocess.run(words, input="{}", stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("zkrpc: the output cannot be written: No space left on device; ")


def test_zkrpc_leaves_unexpected_errors_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of the programmer's keeps its traceback."""

    def fail(**_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(main_module, "cli", fail)
    with pytest.raises(KeyError):
        main()


@pytest.mark.parametrize(
    ("words", "patched"),
    [
        ("-v ls", True),
        ("worker", True),
        ("-v serve", False),
        ("--log-format json -v --log-level debug serve", False),
        ("--log-format=json dev", False),
        ("--log-level serve ls", True),
    ],
)
def test_zkrpc_patches_where_services_run(words: str, patched: bool, command: Command) -> None:
    """Services and clients find a patched standard library; supervisors fork from an unpatched one, whatever options
    stand before the command."""
    arguments = ["zkrpc", *words.split(), "--help"]
    look = f"import sys; sys.argv = {arguments}; import zkrpc.__main__ as m, zkrpc.cli.main as c"
    look += "; c.main = lambda: print('gevent.monkey' in sys.modules); m.main()"
    program = command.python("-c", look)
    assert program.wait() == 0 and program.output.strip() == str(patched)
