"""``zkrpc`` itself: versions, mistakes, and how errors look."""

from __future__ import annotations

import pytest

import zkrpc
from tests.cli.command import Command
from zkrpc.cli import main as main_module
from zkrpc.cli.main import main
from zkrpc.errors import ConfigError, CoordinationError, IdentityConflict, IdlError

COMMANDS = ["config", "dev", "explain", "ls", "primary", "serve"]


def test_zkrpc_tells_its_version_and_its_commands(command: Command) -> None:
    """``zkrpc --version`` and ``zkrpc -h`` need neither ZooKeeper nor a service."""
    assert command.run("--version") == (0, f"zkrpc, version {zkrpc.__version__}\n")
    status, text = command.run("-h")
    assert status == 0
    assert [line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line] == COMMANDS


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["ls", "--nonsense"], "No such option"),
        (["ls"], "Missing option '--zookeeper'"),
        (["serve"], "Missing argument 'MODULE:SERVICE'"),
        (["serve", "a:b", "--workers", "0"], "0 is not in the range"),
        (["serve", "a:b", "--record-format", "xml"], "'xml' is not one of"),
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


def test_zkrpc_leaves_unexpected_errors_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of the programmer's keeps its traceback."""

    def fail(**_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(main_module, "cli", fail)
    with pytest.raises(KeyError):
        main()


@pytest.mark.parametrize(("name", "patched"), [("ls", True), ("worker", True), ("serve", False), ("dev", False)])
def test_zkrpc_patches_where_services_run(name: str, patched: bool, command: Command) -> None:
    """Services and clients find a patched standard library; supervisors fork from an unpatched one."""
    look = (
        f"import sys; sys.argv = ['zkrpc', '-v', '{name}', '--help']; import zkrpc.__main__ as m, zkrpc.cli.main as c"
    )
    look += "; c.main = lambda: print('gevent.monkey' in sys.modules); m.main()"
    program = command.python("-c", look)
    assert program.wait() == 0 and program.output.strip() == str(patched)
