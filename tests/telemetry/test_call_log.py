"""Lines about calls that were slow or failed."""

from __future__ import annotations

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
        record(59.9)
        record(60.0)
    assert heard(caplog) == [
        "failed: request for Echo/fail of memory:0",
        "failed: call of Echo/fail at memory:0",
        "slow: request for Echo/slow",
        "slow: call of Echo/slow",
    ]
    told = vars([one for one in caplog.records if one.name == "zkrpc.calls"][1])
    assert (told["rpc.method"], told["error.type"], told["peer"]) == ("Echo/fail", "RemoteError", "memory:0")


def test_only_so_many_lines_are_written_in_a_second() -> None:
    """The next one that is written says how many were not."""
    budget = LineBudget(2)
    assert [budget.take(at) for at in (0.0, 0.1, 0.2, 0.3, 1.0, 1.1, 1.2, 2.0)] == [0, 0, None, None, 2, 0, None, 1]
    assert LINES_A_SECOND == 10
