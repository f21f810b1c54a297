"""One page made of those of all workers."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from zkrpc.admin.http import Request, Response
from zkrpc.admin.workers import Said, merge, worker_pages

ONE = """# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{method="get"} 3.0
calls_total{method="a{b} c"} 1.0
# HELP age Age.
# TYPE age gauge
age 7.5
# HELP took_seconds Took.
# TYPE took_seconds histogram
took_seconds_bucket{le="+Inf"} 2.0
took_seconds_count 2.0
"""
OTHER = ONE.replace(" 3.0", " 4.0").replace("age 7.5\n", "")


def test_series_of_all_workers_are_together_by_metric() -> None:
    """Each with its worker's label; a metric has its sentence once; what comes out can be read."""
    lines = list(merge({"0": ONE, "1": OTHER}))
    assert lines[:6] == [
        "# HELP calls_total Calls.",
        "# TYPE calls_total counter",
        'calls_total{worker="0",method="get"} 3.0',
        'calls_total{worker="0",method="a{b} c"} 1.0',
        'calls_total{worker="1",method="get"} 4.0',
        'calls_total{worker="1",method="a{b} c"} 1.0',
    ]
    found = {one.name: one for one in text_string_to_metric_families("\n".join(lines) + "\n")}
    assert [one.labels for one in found["age"].samples] == [{"worker": "0"}]
    assert len(found["took_seconds"].samples) == 4 and found["took_seconds"].type == "histogram"


def page(path: str, said: dict[str, Said]) -> Response:
    """A supervisor's page when its workers say this."""
    return worker_pages(lambda asked: said if asked == path else {})[path](
        Request(method="GET", path=path), lambda: None
    )


def test_supervisor_is_ready_when_all_workers_are() -> None:
    """Those that are not say why."""
    well = {"0": Said(200, "ok\n"), "1": Said(200, "ok\n")}
    assert page("/readyz", well).status == 200
    ill = page("/readyz", {**well, "1": Said(503, "users: it is draining\n"), "2": Said(0, "it has not started")})
    assert ill.status == 503
    assert ill.body == b"worker 1: users: it is draining\nworker 2: it has not started\n"
    assert page("/livez", {}).status == 200


def test_worker_that_does_not_answer_takes_nothing_from_the_page() -> None:
    """It is told of as one that is not up."""
    answer = page("/metrics", {"0": Said(200, ONE), "1": Said(0, "it does not answer")})
    text = answer.body.decode()
    assert answer.status == 200 and answer.content_type.startswith("text/plain; version=0.0.4")
    assert 'zkrpc_worker_up{worker="0"} 1\nzkrpc_worker_up{worker="1"} 0\n' in text
    assert 'calls_total{worker="0",method="get"} 3.0' in text and 'calls_total{worker="1"' not in text
