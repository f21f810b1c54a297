"""The process that exports spans."""

from __future__ import annotations

import mmap
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.support.tracing import Collector, attributes_of
from tests.support.waiting import eventually
from tests.tracing.test_records import SPAN
from zkrpc.tracing.channel import Descriptors, SpanChannel, finish_export, launch_exporter
from zkrpc.tracing.exporter import ExportQueue, Losses, read_packets
from zkrpc.tracing.records import Batch


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector, ended at the end."""
    made = Collector()
    yield made
    made.close()


def batch(count: int = 1) -> Batch:
    """So many spans."""
    return Batch(1, {}, [SPAN] * count)


def test_spans_are_delivered_together_and_none_twice() -> None:
    """As many at once as are wanted, and at the latest after the delay, or at the end."""
    delivered: list[int] = []
    lost: list[int] = []

    def deliver(some: Sequence[Batch]) -> str:
        delivered.append(sum(len(one.spans) for one in some))
        return ""

    queue = ExportQueue(deliver, lambda count, why: lost.append(count), most=100, batch=10, delay=60)
    for _ in range(25):
        queue.put(batch())
    eventually(lambda: sum(delivered) == 20, 60)
    queue.close(60)
    assert sum(delivered) == 25 and max(delivered) == 10 and lost == []


def test_no_more_spans_are_taken_than_it_may_hold() -> None:
    """While a delivery hangs; what is lost in the end is counted with the reason."""
    hangs = threading.Event()
    lost: list[Any] = []

    def deliver(some: Sequence[Batch]) -> str:
        hangs.wait()
        return "no answer"

    queue = ExportQueue(deliver, lambda count, why: lost.append((count, why)), most=8, batch=4, delay=0.01)
    taken: list[int] = []

    def put() -> None:
        for number in range(20):
            queue.put(batch())
            taken.append(number)

    thread = threading.Thread(target=put)
    thread.start()
    eventually(lambda: len(taken) == 8, 60)
    thread.join(0.2)
    assert len(taken) == 8
    hangs.set()
    thread.join()
    queue.close(60)
    assert sum(count for count, _ in lost) == 20 and {why for _, why in lost} == {"no answer"}


def test_losses_are_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With what was not said in between; the count is for all to see."""
    now = [0.0]
    counter = mmap.mmap(-1, 8)
    losses = Losses(counter, lambda: now[0])
    for at in (0.0, 1.0, 59.0, 61.0):
        now[0] = at
        losses.lose(10, "refused\x1b[2J")
    assert [record.getMessage() for record in caplog.records] == [
        "10 spans could not be delivered: refused\\x1b[2J; calls go on",
        "30 spans could not be delivered: refused\\x1b[2J; calls go on",
    ]
    assert int.from_bytes(counter[:8], "little") == 40


def test_packets_are_read_until_everybody_has_ended() -> None:
    """Those that come at once, those that come after a while of nothing, and the end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    packets: list[bytes] = []
    reader = threading.Thread(target=lambda: packets.extend(read_packets(theirs.fileno())))
    reader.start()
    for number in (b"1", b"2"):
        ours.send(number)
    reader.join(1.5)  # longer than it looks again and again
    assert reader.is_alive()
    ours.send(b"3")
    ours.close()
    reader.join(60)
    theirs.close()
    assert packets == [b"1", b"2", b"3"]


def send(collector: Collector, *spans: Any, **environment: str) -> SpanChannel:
    """Starts an exporting process and sends it spans."""
    where = collector.url.replace("otlp", "http") + "/v1/traces"
    given = {**os.environ, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": where, **environment}

    def never() -> Descriptors:
        raise AssertionError("it has ended")

    channel = SpanChannel(launch_exporter(None, given), {"service.name": "echo"}, never, later=lambda *_: never)
    channel.send(spans)
    return channel


def test_spans_reach_a_collector_as_they_were(collector: Collector) -> None:
    """Through OpenTelemetry's own exporter, which honours its variables; also what cannot be encoded."""
    odd = SPAN._replace(name="odd \ud800", attributes={"text": "\udfff", "list": ["a", "b"]})
    channel = send(collector, SPAN, odd, OTEL_BSP_SCHEDULE_DELAY="10", OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
    eventually(lambda: len(collector.spans) == 2, 60)
    channel.close()
    first, second = collector.spans
    assert (first.name, first.trace_id, first.span_id, first.parent_span_id) == (
        SPAN.name,
        SPAN.trace_id,
        SPAN.span_id,
        SPAN.parent_id,
    )
    told = attributes_of(first)
    assert (told["zkrpc.attempts"], told["share"], told["yes"]) == (2, 0.5, True)
    assert [one.string_value for one in told["list"].values] == ["a", "b"]
    assert first.events[0].name == "exception" and first.status.message == "why" and first.trace_state == "a=b"
    assert second.name == "odd \\ud800" and attributes_of(second)["text"] == "\\udfff"
    assert collector.resources[0]["service.name"] == "echo"


def test_it_delivers_what_it_has_and_ends_when_nobody_is_left(collector: Collector) -> None:
    """Although it could wait for more; the end of whoever made the spans loses none of them."""
    channel = send(collector, SPAN, OTEL_BSP_SCHEDULE_DELAY="600000")
    descriptors = Descriptors(*map(os.dup, channel._descriptors))
    channel.close()
    assert finish_export(descriptors, 60)
    assert len(collector.spans) == 1


def test_what_a_collector_refuses_is_counted_for_all_to_see(collector: Collector) -> None:
    """In the status of those who made the spans."""
    collector.status = 400
    channel = send(collector, SPAN, SPAN, OTEL_BSP_SCHEDULE_DELAY="10")
    eventually(lambda: channel.status().lost == 2, 60)
    channel.close()
