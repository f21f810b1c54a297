"""What is believed of the trace context that a peer sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

from zkrpc.codec import Payload
from zkrpc.tracing.propagation import (
    LONGEST_TRACESTATE,
    MOST_ENTRIES,
    RemoteParent,
    may_have_argument_field,
    read_argument_field,
    read_parent,
    write_parent,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_valid_parent_is_read_and_written_alike() -> None:
    """The example of the specification, with its flag and its state."""
    parent = read_parent({"traceparent": VALID, "tracestate": "rojo=00f067aa0ba902b7"})
    assert parent == RemoteParent(int(TRACE, 16), int(SPAN, 16), 1, "rojo=00f067aa0ba902b7")
    assert parent.is_sampled
    assert write_parent(parent.trace_id, parent.span_id, parent.flags) == VALID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-extra",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f" {VALID}",
        f"{VALID}\n",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01-{'x' * 300}",
    ],
)
def test_an_invalid_parent_is_none(text: str) -> None:
    """Wrong lengths, versions, letters, zeros, and what follows where nothing may."""
    assert read_parent({"traceparent": text}) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """More fields may follow, and of the flags only ours counts."""
    parent = read_parent({"traceparent": f"cc-{TRACE}-{SPAN}-ff-what-comes"})
    assert parent is not None and parent.flags == 1


@pytest.mark.parametrize("state", ["x=" + "y" * LONGEST_TRACESTATE, "a=\x1b[2J", "ä=1"])
def test_a_state_that_is_too_long_or_no_plain_text_is_left_out(state: str) -> None:
    """And the parent counts without it."""
    parent = read_parent({"traceparent": VALID, "tracestate": state})
    assert parent is not None and parent.state == ""


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate"]), st.text(max_size=80)))
def test_no_header_is_an_error(headers: dict[str, str]) -> None:
    """Whatever a peer writes."""
    read_parent(headers)


def arguments(entries: dict[str, str], payload: Payload, *, last: bool = True) -> bytes:
    """A struct as a caller with OpenTelemetry's Java agent writes it, by Apache Thrift's own library: a text, and the
    field."""
    transport = TMemoryBuffer()
    protocol: Any = (TCompactProtocol if payload is Payload.COMPACT else TBinaryProtocol)(transport)
    protocol.writeStructBegin("args")

    def write_text() -> None:
        protocol.writeFieldBegin("text", TType.STRING, 1)
        protocol.writeString("hello")
        protocol.writeFieldEnd()

    if last:
        write_text()
    protocol.writeFieldBegin("OTEL_TRACE_CONTEXT", TType.MAP, 8888)
    protocol.writeMapBegin(TType.STRING, TType.STRING, len(entries))
    for key, value in entries.items():
        protocol.writeString(key)
        protocol.writeString(value)
    protocol.writeMapEnd()
    protocol.writeFieldEnd()
    if not last:
        write_text()
    protocol.writeFieldStop()
    protocol.writeStructEnd()
    value: bytes = transport.getvalue()
    return value


@pytest.mark.parametrize("payload", Payload)
@pytest.mark.parametrize("entries", [{"traceparent": VALID}, {"Traceparent": VALID, "tracestate": "a=b"}, {}])
def test_the_argument_field_is_read(payload: Payload, entries: dict[str, str]) -> None:
    """As Apache's library writes it in either encoding, behind an envelope or without one; names in any case."""
    body = arguments(entries, payload)
    for frame, offset in ((body, 0), (b"\x80\x01 envelope" + body, 11)):
        assert may_have_argument_field(frame)
        found = read_argument_field(frame, offset, payload)
        assert found == {key.lower(): value for key, value in entries.items()}


@pytest.mark.parametrize("payload", Payload)
def test_what_only_looks_like_the_field_is_not_taken_for_it(payload: Payload) -> None:
    """A field that is not the last, as one in the middle of somebody's text is; too many entries; a frame without
    it."""
    assert read_argument_field(arguments({"traceparent": VALID}, payload, last=False), 0, payload) == {}
    many = {f"key-{number}": "x" for number in range(MOST_ENTRIES + 1)}
    assert read_argument_field(arguments(many, payload), 0, payload) == {}
    assert read_argument_field(arguments({"traceparent": "x" * 9000}, payload), 0, payload) == {}
    assert read_argument_field(b"\x0b\x00\x01\x00\x00\x00\x01x\x00", 0, payload) == {}


@pytest.mark.parametrize("payload", Payload)
@given(data=st.data())
def test_no_frame_is_an_error(payload: Payload, data: st.DataObject) -> None:
    """Cut, longer, or changed in any byte."""
    body = bytearray(arguments({"traceparent": VALID}, payload))
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(body)))
    read_argument_field(bytes(body[:cut]) + data.draw(st.binary(max_size=8)), 0, payload)
