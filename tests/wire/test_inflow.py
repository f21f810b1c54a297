"""The inward half of a connection: when it knows what it reads, and when its time is over."""

from __future__ import annotations

import pytest

from tests.support.wire_frames import message
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.frames import FrameBuffer
from zkrpc.wire.inflow import Inflow
from zkrpc.wire.message import Dialect
from zkrpc.wire.unframed import MessageBuffer

LIMITS = WireLimits(first_frame_timeout=10.0, partial_frame_timeout=4.0)


def begun(data: bytes) -> tuple[Inflow, bytes]:
    """An inflow after its first bytes, and those of messages among them."""
    inflow = Inflow(LIMITS, 100.0)
    assert inflow.prelude is not None
    return inflow, inflow.unwrap(inflow.prelude, data, 101.0)


@pytest.mark.parametrize("dialect", Dialect)
def test_first_bytes_settle_how_the_others_are_read(dialect: Dialect) -> None:
    """The prelude is over then, unless all is deflated."""
    whole = message(b"echo", 7, dialect=dialect)
    inflow, data = begun(whole)
    assert (data, inflow.prelude) == (whole, None)
    assert isinstance(inflow.buffer, FrameBuffer if dialect.is_framed else MessageBuffer)
    assert inflow.dialect is (None if dialect.is_framed else dialect)
    opening = inflow.open(whole[inflow.buffer.lead :])
    assert opening.dialect is dialect and opening.envelope()[:3] == (1, b"echo", 7)
    assert inflow.outward(b"reply") == b"reply"


def test_time_of_a_beginning_counts_from_its_first_byte() -> None:
    """And never beyond that of the first message."""
    inflow, data = begun(b"\x80")
    assert data == b"" and inflow.prelude is not None
    assert inflow.unwrap(inflow.prelude, b"\1", 103.0) == b"\x80\1"
    assert (inflow.partial_since, inflow.next_timer(), inflow.overdue(104.9)) == (101.0, 105.0, None)
    assert inflow.overdue(105.0) == "a frame stayed incomplete for 4 s"
    inflow.partial_since = 109.0
    assert inflow.next_timer() == 110.0
    assert inflow.overdue(110.0) == "no complete frame within 10 s of connecting"
    inflow.first_message_by = None
    assert (inflow.next_timer(), inflow.overdue(112.0)) == (113.0, None)
    inflow.clear()
    assert (inflow.next_timer(), inflow.overdue(1e9)) == (None, None)
    assert repr(inflow) == "<Inflow Dialect.BINARY prelude=None partial_since=None>"


def test_what_is_not_spoken_ends_it() -> None:
    """By its name."""
    with pytest.raises(RemoteProtocolError, match="HTTP"):
        begun(b"GET / HTTP/1.1")
