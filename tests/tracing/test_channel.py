"""The way of spans out of a process."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.tracing.test_records import SPAN
from zkrpc.errors import ConfigError
from zkrpc.telemetry.status import TracingStatus, statuses
from zkrpc.tracing.channel import Descriptors, SpanChannel
from zkrpc.tracing.records import MOST_BYTES, MOST_SPANS, SpanRecord, load_batch


class Way:
    """A channel, and the end of its socket that the exporting process would have."""

    def __init__(self) -> None:
        self.now = 0.0
        self.launches = 0
        self.fails = False
        self.theirs: list[socket.socket] = []
        self.timers: list[Callable[[], object]] = []
        """Those that run."""
        self.channel = SpanChannel(
            self.launch(), {"service.name": "echo"}, self.launch, later=self.later, clock=lambda: self.now
        )

    def later(self, function: Callable[[], object], seconds: float) -> None:
        """Stands for a timer."""
        self.timers.append(function)

    def received(self) -> list[int]:
        """How many spans are in each of the packets that have come."""
        found, theirs = [], self.theirs[-1]
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(len(load_batch(theirs.recv(MOST_BYTES)).spans))
        return found

    def launch(self) -> Descriptors:
        """Stands for the start of a process."""
        self.launches += 1
        if self.fails:
            raise ConfigError("no processes left")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.theirs.append(theirs)
        lost = os.memfd_create("test")
        os.truncate(lost, 8)
        return Descriptors(ours.detach(), lost)

    def close(self) -> None:
        """Closes both ends."""
        self.channel.close()
        for one in self.theirs:
            one.close()


class Ended:
    """A call with two spans."""

    def records(self) -> list[SpanRecord]:
        """Both."""
        return [SPAN, SPAN]


@pytest.fixture
def way() -> Iterator[Way]:
    """One, closed at the end."""
    made = Way()
    yield made
    made.close()


def test_spans_are_packets(way: Way) -> None:
    """With the process and its resource as it is then."""
    way.channel.send([SPAN, SPAN])
    way.channel.resource = {"service.name": "shop"}
    way.channel.send([SPAN])
    first, second = (load_batch(way.theirs[0].recv(MOST_BYTES)) for _ in range(2))
    assert (first.pid, len(first.spans), first.resource) == (os.getpid(), 2, {"service.name": "echo"})
    assert second.resource == {"service.name": "shop"}


def test_a_process_that_does_not_read_costs_nothing_but_spans(way: Way) -> None:
    """Those that do not fit are counted; none of them waits, and what fits is still there."""
    for _ in range(5000):
        way.channel.send([SPAN])
    status = way.channel.status()
    assert status.spans + status.dropped == 5000 and status.dropped > 0 and way.launches == 1
    way.theirs[0].setblocking(False)
    for _ in range(status.spans):
        assert load_batch(way.theirs[0].recv(MOST_BYTES)).spans == [SPAN]
    with pytest.raises(BlockingIOError):
        way.theirs[0].recv(MOST_BYTES)


def test_spans_of_many_calls_leave_together(way: Way) -> None:
    """The first few at once, the others when a twentieth of a second is over, or when there are enough of them."""
    for _ in range(6):
        way.channel.put(Ended())
    assert way.received() == [2, 2, 2, 2] and len(way.timers) == 1
    way.timers.pop()()
    assert way.received() == [4]
    way.now = 0.04
    for _ in range(MOST_SPANS):
        way.channel.put(Ended())
    assert way.received() == [2 * MOST_SPANS] and len(way.timers) == 1
    way.timers.pop()()
    way.now = 0.06
    way.channel.put(Ended())
    assert way.received() == [2] and not way.timers


def test_no_span_waits_where_no_event_loop_may_run(way: Way) -> None:
    """In another thread; and what waits is sent before anybody asks how many were."""
    for _ in range(6):
        way.channel.put(Ended())
    way.received()
    thread = threading.Thread(target=way.channel.put, args=(Ended(),))
    thread.start()
    thread.join()
    assert way.received() == [2]
    assert way.channel.status().spans == 14 and way.received() == [4]


def test_what_waits_is_not_sent_by_a_forked_child(way: Way) -> None:
    """It is its parent's; what the child makes itself is sent."""
    for _ in range(5):
        way.channel.put(Ended())
    way.received()
    pid = os.fork()
    if not pid:
        way.channel.put(Ended())
        way.channel.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert way.received() == [2]
    way.channel.flush()
    assert way.received() == [2]


def test_another_process_is_started_for_one_that_has_ended(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    """Once, and no more often than twice a minute; what was sent in between is counted."""
    way.theirs[0].close()
    way.channel.send([SPAN])
    assert way.launches == 2 and way.channel.status().dropped == 1
    way.channel.send([SPAN])
    assert load_batch(way.theirs[1].recv(MOST_BYTES)).spans == [SPAN]
    way.theirs[1].close()
    way.now = 29.0
    way.channel.send([SPAN])
    assert way.launches == 2
    way.now, way.fails = 31.0, True
    way.channel.send([SPAN])
    way.channel.send([SPAN])
    assert way.launches == 3 and way.channel.status().dropped == 4
    assert [record.message for record in caplog.records] == [
        "the process that exports traces has ended; another one was started",
        "traces are lost: no processes left",
    ]


def test_a_span_that_fits_into_no_packet_is_dropped(way: Way) -> None:
    """And the next one goes."""
    way.channel.resource = {"text": "x" * MOST_BYTES}
    way.channel.send([SPAN])
    assert way.channel.status() == TracingStatus(exporting=True, spans=0, dropped=1, lost=0)


def test_its_status_is_found(way: Way) -> None:
    """By whoever looks for what there is to be known of this process, and with what could not be delivered."""
    os.pwrite(way.channel._descriptors.lost, (7).to_bytes(8, "little"), 0)
    assert TracingStatus(exporting=True, spans=0, dropped=0, lost=7) in list(statuses())


def test_descriptors_are_an_argument() -> None:
    """For the command line of a worker."""
    assert Descriptors.parse(str(Descriptors(5, 17))) == Descriptors(5, 17)


def test_a_closed_channel_counts_and_does_nothing_else(way: Way) -> None:
    """A span that ends after tracing was stopped is no reason to start a process."""
    other: Any = Way()
    other.channel.close()
    other.channel.send([SPAN])
    assert other.launches == 1 and other.channel.status().dropped == 1
    other.theirs[0].close()
