"""Lines about calls that were slow or failed."""

from __future__ import annotations

from typing import Any

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from zkrpc.config import ServerConfig
from zkrpc.telemetry.call_log import LINES_A_SECOND, CallLog, LineBudget
from zkrpc.testing.loopback import Loopback


def heard(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines about calls, without their times."""
    found = [one.getMessage() for one in caplog.records if one.name == "zkrpc.calls"]
    return [line.partition(" after ")[0].partition(" took ")[0] for line in found]


def test_slow_calls_are_told_of_at_once() -> None:
    """And not with many others after a while."""
    assert CallLog(60.0, lambda: 0.0).urgent == 60.0


def test_failed_and_slow_calls_are_lines_of_both_sides(caplog: pytest.LogCaptureFixture) -> None:
    """With who and what, and for machines under fixed keys; answers that the IDL declares are no failures."""
    calls = CallLog(60.0, lambda: 0.0)
    service = zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=ServerConfig(linger=0, drain_timeout=1))
    with Loopback(service, observers=[calls]) as stub:
        stub.echo("x")
        with pytest.raises(idl.Oops):
            stub.fail("declared")
        assert heard(caplog) == []
        with pytest.raises(zkrpc.RemoteError):
            stub.fail("x")
    for kind in (zkrpc.RequestFinished, zkrpc.CallFinished):
        record = calls.recorder(kind, "echo", "Echo", "slow", "")
        record([59.9, 0.1])
        record([60.0])
    assert heard(caplog) == [
        "failed: request for Echo/fail of memory:0",
        "failed: call of Echo/fail at memory:0",
        "slow: request for Echo/slow",
        "slow: call of Echo/slow",
    ]
    told = vars([one for one in caplog.records if one.name == "zkrpc.calls"][1])
    assert (told["rpc.method"], told["error.type"], told["peer"]) == ("Echo/fail", "RemoteError", "memory:0")


def request_for(method: str, **outcome: Any) -> zkrpc.RequestFinished:
    """A request of a peer."""
    fixed: dict[str, Any] = {"service": "echo", "interface": "Echo", "caller": "shop", "queued": 0.0}
    return zkrpc.RequestFinished(method=method, peer="10.0.0.1:5", **fixed, **outcome)


def test_a_slow_answer_is_a_line_whether_or_not_it_is_a_declared_exception(caplog: pytest.LogCaptureFixture) -> None:
    """From the bound on, and as slow, never as failed; it says who asked."""
    calls = CallLog(2.0, lambda: 0.0)
    for seconds in (1.9, 2.0):
        calls.receive(request_for("fail", seconds=seconds, error="Oops", declared=True))
        calls.receive(request_for("echo", seconds=seconds))
    assert [one.getMessage() for one in caplog.records] == [
        "slow: request for Echo/fail of 10.0.0.1:5 took 2 s",
        "slow: request for Echo/echo of 10.0.0.1:5 took 2 s",
    ]


def test_a_call_that_reached_nobody_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Where other lines have the instance, and that it was not executed."""
    about: dict[str, Any] = {"service": "echo", "interface": "Echo", "method": "echo", "attempts": 1, "endpoint": ""}
    event = zkrpc.CallFinished(seconds=0.5, error="NoInstances", executed="no", **about)
    CallLog(2.0, lambda: 0.0).receive(event)
    (line,) = [one.getMessage() for one in caplog.records]
    assert line == "failed: call of Echo/echo at nobody after 0.5 s with NoInstances (executed: no)"


def test_lines_beyond_the_budget_are_counted_in_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    """A storm of failures costs the log ten lines a second, and none of it goes unmentioned."""
    now = [5.0]
    calls = CallLog(2.0, lambda: now[0])
    failure = request_for("fail", seconds=0.1, error="ValueError", executed="maybe")
    for _ in range(LINES_A_SECOND + 3):
        calls.receive(failure)
    assert len(caplog.records) == LINES_A_SECOND
    assert not any("more before it" in one.getMessage() for one in caplog.records)
    now[0] = 6.0
    calls.receive(failure)
    assert len(caplog.records) == LINES_A_SECOND + 1
    assert caplog.records[-1].getMessage().endswith("with ValueError (executed: maybe); 3 more before it")


def test_only_so_many_lines_are_written_in_a_second() -> None:
    """The next one that is written says how many were not."""
    budget = LineBudget(2)
    assert [budget.take(at) for at in (0.0, 0.1, 0.2, 0.3, 1.0, 1.1, 1.2, 2.0)] == [0, 0, None, None, 2, 0, None, 1]
    assert LINES_A_SECOND == 10 and repr(budget) == "<LineBudget left=1 unsaid=0>"
