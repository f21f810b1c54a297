"""What suite ``hostile`` sends is what it says. Were it refused for another reason, the suite would prove nothing."""

from __future__ import annotations

import random

import pytest

from faults import hostile_frames as frames
from tests.support.wire_frames import TAKEN, split_frames
from zkrpc.codec import Payload
from zkrpc.config import WireLimits
from zkrpc.wire.message import Dialect, open_frame
from zkrpc.wire.server import ServerProtocol

COUNT = frames.METHODS["count"]
ECHO = frames.METHODS["echo"]


@pytest.mark.parametrize("body", [frames.unknown_map(5), frames.unknown_structs(5)])
def test_unknown_fields_are_well_formed(body: bytes) -> None:
    """Beside what is known they would be skipped: it is their number alone that is hostile."""
    known = ECHO.encode_arguments(ECHO.bind(("text",), {}), Payload.COMPACT)
    assert ECHO.decode_arguments(known[:-1] + body, 0, Payload.COMPACT) == ("text",)


def test_many_pairs_are_as_many_as_they_say() -> None:
    """A method that knows the field reads all of them."""
    (pairs,) = COUNT.decode_arguments(frames.many_pairs(7), 0, Payload.BINARY)
    assert len(pairs) == 7 and pairs[6].name == "" and pairs[6].numbers == {}


def test_deflated_calls_inflate_to_the_same_call() -> None:
    """Where zlib is accepted."""
    (frame,) = split_frames(frames.deflated(frames.unknown_map(1000)))
    opening = open_frame(frame[4:], WireLimits(accept_zlib=True))
    assert opening.frame[opening.offset :].endswith(frames.unknown_map(1000))


@pytest.mark.parametrize("dialect", TAKEN)
def test_honest_calls_are_taken(dialect: Dialect) -> None:
    """In every dialect, so that what is spoilt of them gets far."""
    protocol = ServerProtocol(WireLimits(), 0.0)
    protocol.receive_data(frames.call("echo", "text", dialect=dialect), 0.0)
    request = protocol.next_request()
    assert request is not None and request.name == b"echo"


def test_mangled_calls_are_many_and_repeatable() -> None:
    """The seed says which; hardly two are alike."""
    rng, again = random.Random(4), random.Random(4)
    some = [frames.mangled(rng) for _ in range(500)]
    assert some == [frames.mangled(again) for _ in range(500)]
    assert len(set(some)) > 450
