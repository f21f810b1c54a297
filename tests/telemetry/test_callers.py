"""What several instances have counted is one report."""

from __future__ import annotations

from zkrpc.telemetry.callers import InstanceCallers, sum_up
from zkrpc.telemetry.status import CallerMethodStatus, CallerStatus


def counted(name: str, version: str = "", **calls: int) -> CallerStatus:
    """A caller that has called these methods, with one error among the calls of each, at the time of their number."""
    methods = tuple(
        CallerMethodStatus(method=method, calls=count, errors=1, called_at=float(count))
        for method, count in calls.items()
    )
    return CallerStatus(
        name=name,
        version=version,
        connections=1,
        max_rate=None,
        refused=2,
        calls=sum(calls.values()),
        errors=len(calls),
        called_at=max((float(count) for count in calls.values()), default=None),
        methods=methods,
    )


def answer(instance: str, started_at: float, *callers: CallerStatus) -> InstanceCallers:
    """What one instance tells."""
    return InstanceCallers(instance=instance, started_at=started_at, callers=callers)


def test_calls_of_all_instances_are_added_up() -> None:
    """By caller, version and method; with the last call, and since when all have counted."""
    first = answer("w1", 100.0, counted("billing", "1", get=5, put=2), counted("nightly", get=100))
    second = answer("w2", 200.0, counted("billing", "1", get=7), counted("billing", "2", get=1))
    report = sum_up("users", [second, first], {"w3": "no time"})
    assert (report.service, report.since, list(report.answered)) == ("users", 200.0, ["w1", "w2"])
    assert dict(report.silent) == {"w3": "no time"}
    nightly, billing, newer = report.callers
    assert (nightly.name, nightly.calls, nightly.instances) == ("nightly", 100, 1)
    assert (billing.version, billing.calls, billing.errors, billing.refused) == ("1", 14, 3, 4)
    assert (billing.instances, billing.connections, billing.called_at) == (2, 2, 7.0)
    assert [(one.method, one.calls, one.errors, one.called_at) for one in billing.methods] == [
        ("get", 12, 2, 7.0),
        ("put", 2, 1, 2.0),
    ]
    assert (newer.name, newer.version) == ("billing", "2")


def test_report_says_who_calls_a_method() -> None:
    """Before it is removed."""
    report = sum_up("users", [answer("w1", 0.0, counted("a", get=1), counted("b", put=1))], {})
    assert [one.name for one in report.who_calls("put")] == ["b"] and report.who_calls("gone") == []


def test_nobody_has_answered_and_nobody_has_called() -> None:
    """Both are told apart."""
    assert sum_up("users", [], {"w1": "down"}).since is None
    idle = sum_up("users", [answer("w1", 5.0, counted("a"))], {})
    assert (idle.since, idle.callers[0].called_at, idle.callers[0].calls) == (5.0, None, 0)
