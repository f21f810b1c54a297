"""The tracer of a process: one or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from zkrpc.telemetry.tracer import TraceIds, find_trace, find_trace_id, find_tracer, install_tracer, trace_client


class _Tracer:
    def find_trace(self) -> TraceIds:
        return TraceIds("a" * 32, "b" * 16)

    def trace_client(self, target: str) -> str:
        return f"tracing of {target}"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    install_tracer(None)


def test_without_a_tracer_no_trace_is_current() -> None:
    """Whoever asks for the current trace need not know whether anything is traced."""
    assert find_tracer() is None and find_trace() is None and find_trace_id() == ""


def test_the_last_tracer_is_the_process_s() -> None:
    """It is found by everybody, and can be removed."""
    tracer: Any = _Tracer()
    install_tracer(tracer)
    assert find_tracer() is tracer and find_trace() == TraceIds("a" * 32, "b" * 16)
    assert find_trace_id() == "a" * 32
    install_tracer(None)
    assert find_tracer() is None and find_trace() is None


def test_client_is_traced_by_the_tracer_that_there_is_when_it_asks() -> None:
    """It is told where the client looks for its service; without a tracer the client is not traced."""
    tracer: Any = _Tracer()
    assert trace_client("zookeeper://h:1/users") is None
    install_tracer(tracer)
    assert trace_client("zookeeper://h:1/users") == "tracing of zookeeper://h:1/users"
    install_tracer(None)
    assert trace_client("zookeeper://h:1/users") is None


def test_ids_are_written_in_full_length() -> None:
    """In lower case with zeros in front, as W3C Trace Context has them; a log has them under OpenTelemetry's names."""
    ids = TraceIds.of_numbers(0xABC, 2**64 - 1)
    assert ids == ("0" * 29 + "abc", "f" * 16)
    assert ids.as_fields() == {"trace_id": "0" * 29 + "abc", "span_id": "f" * 16}
