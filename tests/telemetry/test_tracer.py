"""The tracer of a process: one or none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from zkrpc.telemetry.tracer import TraceIds, find_trace, find_trace_id, find_tracer, install_tracer


class _Tracer:
    def find_trace(self) -> TraceIds:
        return TraceIds("a" * 32, "b" * 16)


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
