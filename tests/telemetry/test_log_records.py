"""Records for machines, and lines that repeat."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.tracing import tracing
from zkrpc.telemetry.log_records import ALIKE, CALLS, PERIOD, SAME, JsonFormatter, RepeatFilter, Repeats, fields
from zkrpc.telemetry.tracer import find_tracer


def record(text: str = "it is so", *args: object, name: str = "zkrpc.server", at: float = 0.0, **more: Any) -> Any:
    """A record."""
    level = more.pop("level", logging.WARNING)
    made = logging.LogRecord(name, level, "x.py", 1, text, args, more.pop("error", None))
    made.created = at
    vars(made).update(more)
    return made


def test_a_record_is_one_line_with_fixed_keys() -> None:
    """Time, severity, text, logger and process always; what it is about if it is about something."""
    formatter = JsonFormatter()
    line = formatter.format(record("%s left", "one", at=1.5))
    assert json.loads(line) == {
        "timestamp": "1970-01-01T00:00:01.500000Z",
        "severity": "WARN",
        "body": "one left",
        "logger": "zkrpc.server",
        "process.pid": record().process,
    }
    formatter.facts = {"service": "users", "instance": "a-0"}
    about = fields(method="Users/get", error="Overloaded", peer="127.0.0.1:1")
    told = json.loads(formatter.format(record(level=logging.CRITICAL, unknown=1, **about)))
    assert told["severity"] == "FATAL" and "unknown" not in told
    assert {**about, **formatter.facts}.items() <= told.items()


def test_an_exception_is_told_with_its_stack() -> None:
    """In the same line."""
    try:
        raise ValueError("no")
    except ValueError:
        line = JsonFormatter().format(record(error=sys.exc_info()))
    told = json.loads(line)
    assert (told["exception.type"], told["exception.message"], told["error.type"]) == ("ValueError", "no", "ValueError")
    assert "test_log_records.py" in told["exception.stacktrace"] and "\n" not in line


@given(st.text())
def test_no_text_breaks_a_line(text: str) -> None:
    """Whatever a peer has written: plain ASCII comes out, and the same text when it is read."""
    line = JsonFormatter().format(record("%s", text, peer=text))
    assert line.isascii() and line.isprintable()
    assert json.loads(line)["body"] == json.loads(line)["peer"] == text


def test_a_record_within_a_span_names_it() -> None:
    """So that a line is found from a trace, and the other way round."""
    with tracing() as spans:
        tracer: Any = find_tracer()
        with tracer.tracer.start_as_current_span("x"):
            told = json.loads(JsonFormatter().format(record()))
    assert (told["trace_id"], told["span_id"]) == (spans[0].trace_id.hex(), spans[0].span_id.hex())


def test_the_same_line_is_written_a_few_times_and_then_counted() -> None:
    """In each period anew; another line is not concerned."""
    repeats = Repeats()
    assert [repeats.admits(("k",), "text", 0.0) for _ in range(10)] == [True] * SAME + [False] * 7
    assert repeats.admits(("k",), "other", 1.0)
    assert repeats.take_due(PERIOD - 0.1) == []
    assert repeats.take_due(PERIOD) == [(("k", "text"), 7, "text")]
    assert repeats.admits(("k",), "text", PERIOD)


def test_lines_that_differ_only_in_what_they_are_about_are_bounded_too() -> None:
    """By a larger number; the last of them is an example."""
    repeats = Repeats()
    admitted = sum(repeats.admits(("k",), f"peer {number}", 0.0) for number in range(1000))
    assert admitted == ALIKE
    assert repeats.take_due(PERIOD) == [(("k",), 1000 - ALIKE, "peer 999")]


def test_what_is_told_apart_is_bounded() -> None:
    """Texts come from everywhere; beyond the bound the kind alone decides."""
    repeats = Repeats(most=10)
    for number in range(1000):
        repeats.admits((number % 3,), f"text {number}", 0.0)
    assert repr(repeats) == "<Repeats of 10>"


def test_a_handler_writes_numbers_in_place_of_what_repeats() -> None:
    """At the next record, or when it is told the time; of zkrpc's own records only, and not of those for debugging, nor
    of those about calls, which are counted before. The number belongs to no trace."""
    written: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = written.append  # type: ignore[method-assign]
    handler.addFilter(RepeatFilter(handler.emit))
    for _ in range(100):
        handler.handle(record("lost %s", "one"))
        handler.handle(record("mine", name="shop"))
        handler.handle(record("in detail", level=logging.DEBUG))
    assert [sum(one.msg == text for one in written) for text in ("lost %s", "mine", "in detail")] == [SAME, 100, 100]
    written.clear()
    handler.handle(record("other", at=PERIOD))
    first, second = written
    assert first.getMessage() == f"… {100 - SAME} more in 10 s, the last: lost one"
    assert (first.name, first.levelname, second.getMessage()) == ("zkrpc.server", "WARNING", "other")
    for _ in range(10):
        handler.handle(record("lost %s", "one", name=CALLS))
    assert [one.name for one in written].count(CALLS) == 10
    with tracing():
        tracer: Any = find_tracer()
        with tracer.tracer.start_as_current_span("x"):
            assert "trace_id" not in JsonFormatter().format(first) and "trace_id" in JsonFormatter().format(second)
