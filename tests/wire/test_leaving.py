"""Half a call was never made: which calls of a chunk have left when the socket took a part of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.wire_frames import message
from zkrpc.wire.leaving import frames_in, last_that_left
from zkrpc.wire.message import CANCEL, PONG, Dialect, control_frame


@pytest.mark.parametrize("dialect", Dialect)
@given(sent=st.integers(0, 400))
def test_calls_have_left_up_to_the_last_whole_one(dialect: Dialect, sent: int) -> None:
    """Whatever was cut: those before it have left, it and those behind it have not."""
    calls = [message(b"echo" * seqid, seqid, dialect=dialect) for seqid in (4, 5, 6)]
    chunk = b"".join(calls)
    sent = min(sent, len(chunk))
    whole = sum(1 for number in range(3) if sum(map(len, calls[: number + 1])) <= sent)
    assert last_that_left(frames_in(chunk, dialect), len(chunk) - sent, before=3, last=6) == 3 + whole


def test_nothing_has_left_of_a_chunk_that_the_socket_refused() -> None:
    """There is nothing to be counted then."""
    assert last_that_left([], float("inf"), before=3, last=6) == 3


def test_control_frames_never_make_a_call_look_unsent() -> None:
    """A pong repeats an id of the peer's choice, a cancel one of an earlier call."""
    chunk = message(b"echo", 4) + message(b"echo", 5) + control_frame(PONG, 4) + control_frame(CANCEL, 2)
    frames = frames_in(chunk + message(b"echo", 6), Dialect.HEADER_BINARY)
    assert last_that_left(frames, 1, before=3, last=6) == 5
    chunk = control_frame(PONG, 5) + message(b"echo", 4)
    assert last_that_left(frames_in(chunk, Dialect.HEADER_BINARY), 1, before=3, last=5) == 5


def test_ids_that_begin_anew_are_told_by_their_distance() -> None:
    """Serials go on counting where ids have 31 bits."""
    before = 0x7FFFFFFE
    chunk = message(b"echo", 0x7FFFFFFF) + message(b"echo", 0) + message(b"echo", 1)
    frames = frames_in(chunk, Dialect.HEADER_BINARY)
    assert last_that_left(frames, 1, before=before, last=before + 3) == before + 2
