"""What has to hold, and of whom."""

from __future__ import annotations

from bench.checks import check
from bench.figures import Figures, Tail
from bench.plan import (
    AIO,
    BARE,
    GEVENT_FLOOR,
    GRPCIO,
    GRPCIO_AIO,
    GRPCIO_TLS,
    MEASURED,
    PLAIN_APACHE,
    PLAIN_THRIFTPY2,
    PLAIN_ZKRPC,
    THREADS,
    THRIFTPY2,
    TLS,
    TRACED,
    ZKRPC,
    Cell,
    Row,
)
from bench.sample import Sample
from scripts.report import Report
from tests.bench.test_figures import sample

LOADED = Cell("echo", 64)


def judge(*measured: tuple[Row, Cell, float]) -> list[tuple[str, float, bool]]:
    """What the report says of these rates."""
    figures, report = Figures(), Report("bench")
    for row, cell, rate in measured:
        figures.add(row, cell, sample(rate))
    check(figures, report)
    return [(one.name, one.value, one.ok) for one in report.checks]


def test_checks_hold_zkrpc_to_the_better_grpcio() -> None:
    """Whoever could take either would take the faster one."""
    found = judge((ZKRPC, LOADED, 30_000), (GRPCIO, LOADED, 2_000), (GRPCIO_AIO, LOADED, 3_000))
    assert found == [("echo, 64 callers: times the calls/s of grpcio (aio)", 10.0, False)]


def test_checks_pass_at_their_bound() -> None:
    """A ratio that is just reached is reached."""
    found = judge((ZKRPC, LOADED, 40_000), (THRIFTPY2, LOADED, 10_000))
    assert found == [("echo, 64 callers: times the calls/s of thriftpy2 + gevent", 4.0, True)]


def test_checks_compare_latencies_the_other_way_round() -> None:
    """Less is better, and the better grpcio is the one that answers sooner."""
    figures, report, alone = Figures(), Report("bench"), Cell("echo", 1)
    for row, p50 in ((ZKRPC, 40e-6), (GRPCIO, 200e-6), (GRPCIO_AIO, 80e-6)):
        figures.add(row, alone, sample(1000, p50=p50))
    check(figures, report)
    assert [(one.name, one.value, one.ok) for one in report.checks] == [
        ("echo, 1 caller: times the p50 of grpcio (aio)", 0.5, False)
    ]


def test_checks_know_what_the_stack_costs() -> None:
    """As a share of what a call costs without it; equal shares of time mean a third more for a third fewer calls."""
    found = judge((ZKRPC, LOADED, 30_000), (BARE, LOADED, 40_000))
    assert [(value, ok) for _, value, ok in found] == [(0.333, False)]


def test_checks_know_what_tracing_costs() -> None:
    """As a share of what a call costs without it."""
    found = judge((TRACED, LOADED, 96_000), (ZKRPC, LOADED, 100_000))
    assert [(value, ok) for _, value, ok in found] == [(0.042, True)]


def test_checks_know_what_metrics_cost() -> None:
    """As a share of what a call costs without them."""
    found = judge((MEASURED, LOADED, 30_000), (ZKRPC, LOADED, 31_200))
    assert [(name.partition(": ")[2], value, ok) for name, value, ok in found] == [
        ("CPU of metrics, as a share of that of zkrpc", 0.04, True)
    ]


def test_checks_compare_threads_and_tasks() -> None:
    """Each with grpcio's of its kind; and one caller with one on gevent, in microseconds."""
    found = judge(
        (THREADS, LOADED, 27_000), (GRPCIO, LOADED, 9_000), (AIO, LOADED, 21_000), (GRPCIO_AIO, LOADED, 6_000)
    )
    assert [(name.partition("calls/s of ")[2], value, ok) for name, value, ok in found] == [
        ("zkrpc.threads, against grpcio", 3.0, True),
        ("zkrpc.aio, against grpcio (aio)", 3.5, False),
    ]
    figures, report = Figures(), Report("bench")
    for row, p50 in ((ZKRPC, 50e-6), (THREADS, 100e-6), (AIO, 125e-6)):
        figures.add(row, Cell("echo", 1), sample(1000, p50=p50))
    check(figures, report)
    assert [(one.name.partition("p50 of ")[2], one.value, one.ok) for one in report.checks] == [
        ("zkrpc.threads is over that of zkrpc", 50.0, True),
        ("zkrpc.aio is over that of zkrpc", 75.0, False),
    ]


def test_checks_compare_what_goes_over_tls() -> None:
    """One side with it against the other."""
    found = judge((TLS, LOADED, 29_000), (GRPCIO_TLS, LOADED, 10_000))
    assert found == [("echo over TLS, 64 callers: times the calls/s of grpcio over TLS", 2.9, False)]


def test_checks_compare_servers_under_plain_clients() -> None:
    """The same clients, one server against each other one."""
    cell = Cell("echo", 256)
    found = judge((PLAIN_ZKRPC, cell, 38_000), (PLAIN_THRIFTPY2, cell, 20_000), (PLAIN_APACHE, cell, 38_000))
    assert [(value, ok) for _, value, ok in found] == [(1.9, True), (1.0, False)]


def test_checks_compare_the_busier_side_with_the_floor() -> None:
    """By itself, for the other one has a core of its own."""
    figures, report = Figures(), Report("bench")
    for row, client, server in ((ZKRPC, 0.6, 0.5), (GEVENT_FLOOR, 0.3, 0.1)):
        figures.add(row, LOADED, Sample(calls=100_000, seconds=1.0, client_cpu=client, server_cpu=server))
    check(figures, report)
    assert [(one.name.partition(": ")[2], one.value, one.ok) for one in report.checks] == [
        ("CPU of the busier side, times that of raw gevent", 2.0, True)
    ]


def test_checks_compare_latencies_at_the_rates_of_the_others() -> None:
    """zkrpc's at half of what a peer can do with that peer's; zkrpc's at half of its own most is held to nothing."""
    latencies = {("zkrpc", "zkrpc"): 900.0, ("thriftpy2", "thriftpy2"): 200.0, ("zkrpc", "thriftpy2"): 100.0}

    class Measured(Figures):
        """Latencies without histograms, the library of which is only where the bench runs."""

        def tail(self, row: str, rival: str) -> Tail | None:
            """All the same."""
            return Tail(20_000, *[latencies[row, rival]] * 3) if (row, rival) in latencies else None

    figures, report = Measured(), Report("bench")
    figures.open_samples = dict.fromkeys(latencies, [sample(20_000)])
    check(figures, report)
    assert [(one.name, one.value, one.ok) for one in report.checks] == [
        (f"echo at half of its most, 20000 calls/s: times the {measure} of thriftpy2 + gevent", 0.5, True)
        for measure in ("p50", "p99", "p999")
    ]


def test_checks_of_nothing_are_none() -> None:
    """A run of one peer alone has no ratio, and a report without checks has not passed."""
    report = Report("bench")
    check(Figures(), report)
    assert not report.checks and not report.ok
