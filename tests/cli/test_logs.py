"""Whose log it is: what is shown, where, and how much of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.echo import idl
from tests.support.programs import ROOT, Program
from tests.support.waiting import eventually
from zkrpc.cli.logs import Verbosity

SERVICE = """
import logging, logging.config, sys, zkrpc
from tests.support.echo import idl, EchoHandler
{setup}
log = logging.getLogger("shop")

class Handler(EchoHandler):
    def __init__(self):
        super().__init__()
        log.info("made")
        log.debug("in detail")

service = zkrpc.Service(idl.Echo, Handler, "echo")
"""

CONFIG = (
    "logging.config.dictConfig({'version': 1, 'formatters': {'f': {'format': 'MINE %(name)s %(message)s'}}, 'handlers':"
    " {'h': {'class': 'logging.StreamHandler', 'formatter': 'f'}}, 'root': {'handlers': ['h'], 'level': 'INFO'}})"
)


def serve(command: Command, folder: Path, setup: str, *arguments: str) -> Program:
    """Starts a service that sets its log up so, and waits until it serves."""
    (folder / "shop.py").write_text(SERVICE.format(setup=setup))
    program = command.start(*arguments, "serve", "shop:service", folder=folder, PYTHONPATH=str(ROOT))
    eventually(lambda: "serves at" in program.output, 60)
    return program


def lines(program: Program, words: str) -> list[str]:
    """Those with these words."""
    return [line for line in program.output.splitlines() if words in line]


def test_log_tells_the_life_of_a_service(command: Command, tmp_path: Path) -> None:
    """One line each: what starts, with versions, process and registry; where each worker serves; who died of what; the
    end. What the service logs is shown with it."""
    program = serve(command, tmp_path, "")
    (start,) = lines(program, "serves shop:service")
    for words in ("zkrpc 0.1.0 (Python 3.", "gevent 2", "kazoo 2", f"supervised by pid {program.process.pid}"):
        assert words in start
    assert "with 1 worker, " in start and start.endswith("; no registry")
    assert len(lines(program, "serves at 127.0.0.1:")) == 1
    (made,) = lines(program, "made")
    assert " INFO    [" in made and " shop: made" in made
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0
    assert len(lines(program, "SIGTERM: draining 1 worker;")) == len(lines(program, "stopped after ")) - 1 == 1
    assert lines(program, "in detail") == []


@pytest.mark.parametrize(
    ("setup", "shown"),
    [
        ("logging.basicConfig(level=logging.INFO, format='MINE %(name)s %(message)s')", "MINE zkrpc.cli.worker echo"),
        (CONFIG, "MINE zkrpc.cli.worker echo"),
        ("h = logging.StreamHandler(); h.setFormatter(logging.Formatter('MINE %(name)s %(message)s'));"
         " logging.getLogger('shop').addHandler(h)", "zkrpc.cli.worker: echo"),
        ("h = logging.StreamHandler(); h.setFormatter(logging.Formatter('MINE %(name)s %(message)s'));"
         " logging.getLogger('zkrpc').addHandler(h)", "MINE zkrpc.cli.worker echo"),
    ],
)  # fmt: skip
def test_log_of_the_user_is_respected(command: Command, tmp_path: Path, setup: str, shown: str) -> None:
    """Whatever a module sets up, for everything or for some, each line appears once, in the form that it wants."""
    program = serve(command, tmp_path, setup)
    (line,) = lines(program, "serves at")
    assert shown in line
    assert len(lines(program, "made")) == 1


def test_log_level_of_the_user_is_respected(command: Command, tmp_path: Path) -> None:
    """Who wants warnings only gets no more, unless the command line says otherwise of us."""
    setup = "logging.basicConfig(level=logging.WARNING)"
    (tmp_path / "shop.py").write_text(SERVICE.format(setup=setup))
    program = serve(command, tmp_path, setup, "--log-level=info")
    assert len(lines(program, "serves at")) == 1 and lines(program, "made") == []


@pytest.mark.parametrize("where", ["before", "after"])
def test_log_has_more_with_v_and_less_with_a_level(command: Command, tmp_path: Path, where: str) -> None:
    """On either side of the command's name; the workers do as they are told, too."""
    (tmp_path / "shop.py").write_text(SERVICE.format(setup=""))

    def run(option: str, words: str) -> Program:
        arguments = [option, "serve", "shop:service"] if where == "before" else ["serve", "shop:service", option]
        program = command.start(*arguments, folder=tmp_path, PYTHONPATH=str(ROOT))
        eventually(lambda: words in program.output, 60)
        return program

    program = run("-v", "is ready")
    assert len(lines(program, "in detail")) == 1
    quiet = run("--log-level=WARNING", "")
    quiet.tell(signal.SIGTERM)
    quiet.wait(60)
    assert quiet.output == ""


def test_verbosity_is_joined_and_handed_on() -> None:
    """What stands later on the line counts for more."""
    said = Verbosity(1, "info").joined(Verbosity(1, None))
    assert said == Verbosity(2, "info") and said.arguments() == ["--verbose", "--verbose", "--log-level=info"]
    assert Verbosity().joined(Verbosity(0, "error")).arguments() == ["--log-level=error"]
    assert Verbosity(0, None, "text").joined(Verbosity(0, None, "json")).arguments() == ["--log-format=json"]


def test_log_for_machines_is_one_object_a_line(command: Command, tmp_path: Path) -> None:
    """Of the supervisor, of the worker, which says whose it is, and of the service; to the last line."""
    program = serve(command, tmp_path, "", "--log-format=json", "--log-level=info")
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0
    told = [json.loads(line) for line in program.output.splitlines()]
    assert all({"timestamp", "severity", "body", "logger", "process.pid"} <= line.keys() for line in told)
    (served,) = [line for line in told if "serves at" in line["body"]]
    assert served["service"] == "echo" and served["instance"].endswith("-0")
    (made,) = [line for line in told if line["body"] == "made"]
    assert (made["logger"], made["severity"], made["service"]) == ("shop", "INFO", "echo")
    assert "service" not in told[0]


def test_failed_and_slow_requests_are_logged_if_that_is_wanted(command: Command, tmp_path: Path) -> None:
    """With the method and the peer, and a failed one also with its traceback, as ever."""
    (tmp_path / "shop.py").write_text(SERVICE.format(setup=""))
    arguments = ("serve", "shop:service", "--slow-call=0.05", "--log-format=json")
    program = command.start(*arguments, folder=tmp_path, PYTHONPATH=str(ROOT))
    eventually(lambda: "serves at" in program.output, 60)
    (served,) = [json.loads(line) for line in lines(program, "serves at")]
    with zkrpc.connect(idl.Echo, [served["body"].split()[3]]) as stub:
        stub.echo("fast")
        stub.slow("slow", 60)
        with pytest.raises(zkrpc.RemoteError):
            stub.fail("badly")
    # On a slow machine the others are slow, too.
    eventually(lambda: lines(program, "slow: request for Echo/slow") and lines(program, "failed: request"), 60)
    (slow,) = [json.loads(line) for line in lines(program, "slow: request for Echo/slow")]
    (failed,) = [json.loads(line) for line in lines(program, "failed: request")]
    assert slow["body"].startswith("slow: request for Echo/slow took 0.") and slow["rpc.method"] == "Echo/slow"
    assert failed["error.type"] == "ValueError" and failed["peer"].startswith("127.0.0.1:")
    (stack,) = [json.loads(line) for line in lines(program, "exception.stacktrace")]
    assert (stack["rpc.method"], stack["error.type"], stack["peer"]) == ("Echo/fail", "ValueError", failed["peer"])
