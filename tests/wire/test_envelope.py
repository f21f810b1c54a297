"""Envelopes in both encodings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.codec import Payload
from zkrpc.wire.envelope import (
    EnvelopeError,
    MessageKind,
    envelope_end,
    read_envelope,
    write_envelope,
    write_old_envelope,
)

seqids = st.integers(-(2**31), 2**31 - 1)


@given(st.sampled_from(Payload), st.sampled_from(MessageKind), st.binary(max_size=300), seqids)
@settings(deadline=None, max_examples=100)
def test_envelope_is_read_as_it_was_written(payload: Payload, kind: MessageKind, name: bytes, seqid: int) -> None:
    """Any name and any signed id, negative ones included, survive."""
    written = write_envelope(payload, kind, name, seqid)
    assert read_envelope(payload, b"xy" + written + b"\0", 2) == (kind, name, seqid, 2 + len(written))


@given(st.sampled_from(Payload), st.binary(max_size=30))
@settings(deadline=None, max_examples=200)
def test_envelope_of_garbage_is_read_or_refused(payload: Payload, frame: bytes) -> None:
    """No bytes make it raise anything else, or look beyond their end."""
    try:
        _, _, _, offset = read_envelope(payload, frame, 0)
    except EnvelopeError:
        return
    assert offset <= len(frame)


@pytest.mark.parametrize(
    ("payload", "frame", "complaint", "seqid"),
    [
        (Payload.BINARY, "", "runs past", None),
        (Payload.BINARY, "8001000100000004", "runs past", None),
        (Payload.BINARY, "800100017fffffff66", "runs past", None),
        (Payload.BINARY, "80010001ffffffff660000000000", "runs past", None),
        (Payload.BINARY, "00000004706e676700000001", "starts with 00000004 instead", None),
        (Payload.COMPACT, "82", "does not start with its version", None),
        (Payload.COMPACT, "8222070466", "does not start with its version", None),
        (Payload.COMPACT, "8021070466", "does not start with its version", None),
        (Payload.COMPACT, "8221ffffffffffff", "longer than 5 bytes", None),
        (Payload.COMPACT, "822107", "cut short", 7),
        (Payload.COMPACT, "82210704666f6f", "runs past", 7),
        (Payload.COMPACT, "8221ffffffff0f04", "runs past", -1),
    ],
)
def test_envelope_that_is_wrong_tells_whom_to_answer(
    payload: Payload, frame: str, complaint: str, seqid: int | None
) -> None:
    """The id is known if it could be read before the fault."""
    with pytest.raises(EnvelopeError, match=complaint) as caught:
        read_envelope(payload, bytes.fromhex(frame), 0)
    assert caught.value.seqid == seqid


@given(st.sampled_from(MessageKind), st.binary(max_size=300), seqids)
@settings(deadline=None, max_examples=100)
def test_old_envelope_is_read_as_it_was_written(kind: MessageKind, name: bytes, seqid: int) -> None:
    """It has no version, and its parts in another order."""
    written = write_old_envelope(kind, name, seqid)
    assert read_envelope(Payload.BINARY, b"xy" + written + b"\0", 2, old=True) == (kind, name, seqid, 2 + len(written))
    with pytest.raises(EnvelopeError, match="runs past"):
        read_envelope(Payload.BINARY, written[:-1], 0, old=True)


@pytest.mark.parametrize("old", [False, True])
@given(st.sampled_from(Payload), st.binary(max_size=300), seqids)
@settings(deadline=None, max_examples=100)
def test_end_of_an_envelope_is_known_before_it_has_come(old: bool, payload: Payload, name: bytes, seqid: int) -> None:
    """As soon as the name's size has, and never wrongly."""
    old = old and payload is Payload.BINARY
    written = write_old_envelope(1, name, seqid) if old else write_envelope(payload, 1, name, seqid)
    stream = b"xy" + written + b"\0"
    found = [envelope_end(payload, stream[:size], 2, old=old) for size in range(2, len(stream) + 1)]
    assert found[-1] == 2 + len(written)
    assert set(found) <= {-1, found[-1]} and found.count(-1) <= 12


@pytest.mark.parametrize(
    ("payload", "frame", "complaint"),
    [
        (Payload.BINARY, "0000000470696e67", "starts with 00000004 instead"),
        (Payload.COMPACT, "8222", "does not start with its version"),
        (Payload.COMPACT, "8221" + "ff" * 11, "longer than 5 bytes"),
    ],
)
def test_beginning_of_no_envelope_is_refused(payload: Payload, frame: str, complaint: str) -> None:
    """No more of it is waited for."""
    with pytest.raises(EnvelopeError, match=complaint):
        envelope_end(payload, bytes.fromhex(frame), 0)
