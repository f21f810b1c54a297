"""The inward half of a connection: when it knows what it reads, and when its time is over."""

from __future__ import annotations

import pytest

from tests.support.wire_frames import message
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.fast_path import KnownRequests
from zkrpc.wire.frames import FrameBuffer
from zkrpc.wire.inflow import Inflow
from zkrpc.wire.message import Dialect
from zkrpc.wire.unframed import MessageBuffer

LIMITS = WireLimits(accept_zlib=True, first_frame_timeout=10.0, partial_frame_timeout=4.0)


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
    opening = inflow.open(whole[inflow.buffer.lead :], KnownRequests(LIMITS), 0.0)
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


def kept(**headers: str) -> bytes:
    """The block of a frame with these as fbthrift's persistent headers."""
    pairs = b"".join(bytes((len(text),)) + text.encode() for pair in headers.items() for text in pair)
    return b"\0\0\2" + bytes((len(headers),)) + pairs


def framed(block: bytes) -> bytes:
    """A THeader message with this block, without its length."""
    block += bytes(-len(block) % 4)
    whole = message(b"echo", 7)[4:]
    return (
        whole[:8] + (len(block) // 4).to_bytes(2, "big") + block + whole[10 + 4 * int.from_bytes(whole[8:10], "big") :]
    )


def test_persistent_headers_hold_for_what_follows() -> None:
    """Under those of a message itself, and not for one in a dialect without headers; the known shapes are forgone."""
    inflow, _ = begun(message(b"echo", 7))
    known = KnownRequests(LIMITS)
    assert inflow.open(message(b"echo", 7)[4:], known, 0.0).headers == {}
    assert inflow.open(framed(kept(tenant="blue", zone="a")), known, 0.0).headers == {"tenant": "blue", "zone": "a"}
    later = inflow.open(message(b"echo", 7, headers={"tenant": "red"})[4:], known, 0.0)
    assert later.headers == {"tenant": "red", "zone": "a"}
    assert inflow.open(message(b"echo", 7, dialect=Dialect.FRAMED_BINARY)[4:], known, 0.0).headers == {}


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        (WireLimits(max_header_entries=3), "4 persistent headers are over max_header_entries 3"),
        (WireLimits(max_header=64), "persistent headers of .* bytes are over max_header 64"),
    ],
)
def test_persistent_headers_of_a_connection_are_bounded_together(limits: WireLimits, complaint: str) -> None:
    """However few each message has."""
    inflow, known = Inflow(limits, 100.0), KnownRequests(limits)
    with pytest.raises(RemoteProtocolError, match=complaint):
        for number in range(10):
            inflow.open(framed(kept(**{f"key{number}": "v" * 20})), known, 0.0)
