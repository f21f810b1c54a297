"""Messages in every dialect, against frames that other libraries wrote."""

from __future__ import annotations

import json
import pathlib
import zlib
from typing import Any

import pytest

from tests.support.wire_frames import BODY, message, theader
from zkrpc.codec import Payload
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.envelope import MessageKind, read_envelope
from zkrpc.wire.inflation import Inflation
from zkrpc.wire.message import (
    Dialect,
    Inflated,
    Reply,
    Request,
    bare_name,
    check_reply,
    layout_at,
    layout_of,
    open_frame,
    plain_layout_at,
    plain_layout_of,
    plain_template_of,
    remember,
    shapes_of,
    template_of,
    write_head,
)
from zkrpc.wire.theader import NO_HEADERS, write_block

VECTORS = json.loads((pathlib.Path(__file__).parent.parent / "vectors" / "theader_vectors.json").read_text())
WIDE = WireLimits(max_header_entries=200, accept_zlib=True)
REFUSED = {"zlib_twice": "2 THeader transforms are over the limit of 1"}
"""What Apache reads and we do not."""
DIALECTS = {
    ("HEADERS", 0): Dialect.HEADER_BINARY,
    ("HEADERS", 2): Dialect.HEADER_COMPACT,
    ("FRAMED_BINARY", 0): Dialect.FRAMED_BINARY,
    ("FRAMED_COMPACT", 2): Dialect.FRAMED_COMPACT,
}
DEFLATED = {
    Dialect.HEADER_BINARY: Dialect.HEADER_BINARY_ZLIB,
    Dialect.HEADER_COMPACT: Dialect.HEADER_COMPACT_ZLIB,
}


def _framed_vectors() -> list[Any]:
    vectors = [(vector, vector["apache_decodes_to"]) for vector in VECTORS["valid"]]
    vectors += [(vector, vector["apache_python_decodes_to"]) for vector in VECTORS["captured_from_other_libraries"]]
    return [
        pytest.param(bytes.fromhex(vector["frame_hex"]), meaning, id=vector["id"])
        for vector, meaning in vectors
        if not meaning["client_type"].startswith("UNFRAMED") and vector["id"] not in REFUSED
    ]


@pytest.mark.parametrize(("raw", "meaning"), _framed_vectors())
def test_message_means_what_it_meant_to_its_writer(raw: bytes, meaning: dict[str, Any]) -> None:
    """Frames of Apache's Python, C++ and Node libraries are read as Apache reads them."""
    opening = open_frame(raw[4:], WIDE)
    plain = DIALECTS[meaning["client_type"], meaning["protocol_id"]]
    assert opening.dialect in (plain, DEFLATED.get(plain))
    assert (opening.flags, opening.header_seqid) == (meaning["flags"] or 0, meaning["header_seqid"] or 0)
    # Apache's library shows header bytes as Latin-1; to us they are UTF-8.
    readable = {
        key.encode("latin-1").decode(errors="surrogateescape"): value.encode("latin-1").decode(errors="surrogateescape")
        for key, value in meaning["info_headers"].items()
    }
    assert dict(opening.headers) == readable
    kind, name, seqid, _ = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
    assert {"name": name.decode(), "type": kind, "seqid": seqid} == meaning["message"]


@pytest.mark.parametrize(("raw", "meaning"), _framed_vectors())
def test_message_is_written_as_its_writer_wrote_it(raw: bytes, meaning: dict[str, Any]) -> None:
    """What we write is the same, byte for byte, where nothing was transformed."""
    opening = open_frame(raw[4:], WIDE)
    if opening.dialect.is_deflated:
        pytest.skip("other libraries deflate to other bytes")
    kind, name, seqid, offset = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
    body = opening.frame[offset:]
    block = write_block(opening.dialect.payload, opening.headers)
    if "HEADER" in opening.dialect.name:
        # The C++ library pads by a word more than needed.
        block = block.ljust(4 * int.from_bytes(raw[12:14], "big"), b"\0")
    head = write_head(
        opening.dialect,
        kind,
        name,
        seqid,
        len(body),
        block=block if opening.headers else None,
        flags=opening.flags,
        header_seqid=opening.header_seqid,
    )
    assert head + body == raw


@pytest.mark.parametrize(
    ("vector", "complaint"),
    [
        ("header_size_too_big", "block runs past its frame"),
        ("header_words_0", "cut short"),
        ("unknown_proto_id", "unknown THeader protocol id 9"),
        ("json_proto_id", "unknown THeader protocol id 1"),
        ("unknown_transform", "unknown THeader transform 3"),
        ("hmac_transform", "unknown THeader transform 2"),
        ("transform_count_huge", "transforms are over the limit"),
        ("kv_overrun", "runs past its block"),
        ("kv_count_huge", "entries are over"),
        ("varint_11_bytes", "longer than 5 bytes"),
        ("zlib_truncated", "cut short"),
        ("zlib_garbage", "cannot be inflated"),
        ("unknown_info_id", None),
        ("two_kv_blocks", None),
        ("dup_key", None),
        ("no_pad_full_block", None),
        ("extra_pad", None),
    ],
)
def test_message_at_the_edge_is_refused_or_read(vector: str, complaint: str | None) -> None:
    """What Apache reads legally we read too; where it is lax or breaks, we refuse with a reason."""
    found = next(edge for edge in VECTORS["edge_and_invalid"] if edge["id"] == vector)
    frame = bytes.fromhex(found["frame_hex"])[4:]
    if complaint is not None:
        with pytest.raises(RemoteProtocolError, match=complaint):
            open_frame(frame, WIDE)
        return
    opening = open_frame(frame, WIDE)
    expected = json.loads(found["apache_result"].removeprefix("ACCEPTED "))
    assert dict(opening.headers) == expected["info_headers"]


def test_persistent_headers_are_read_where_apache_drops_them() -> None:
    """Those of the message count more, in whatever order they come."""
    found = next(edge for edge in VECTORS["edge_and_invalid"] if edge["id"] == "kv_then_unknown_info")
    opening = open_frame(bytes.fromhex(found["frame_hex"])[4:], WIDE)
    assert (opening.headers, opening.persistent) == ({"a": "b", "c": "d"}, {"c": "d"})


@pytest.mark.parametrize(("vector", "complaint"), REFUSED.items())
def test_message_that_only_an_attacker_would_write_is_refused(vector: str, complaint: str) -> None:
    """Good by the letter of the format, and good for nothing but making the receiver work."""
    found = next(one for one in VECTORS["valid"] if one["id"] == vector)
    with pytest.raises(RemoteProtocolError, match=complaint):
        open_frame(bytes.fromhex(found["frame_hex"])[4:], WIDE)


def test_message_with_a_header_over_the_limit_is_refused() -> None:
    """The block's size is bounded before it is read."""
    raw = message(headers={"k": "x" * 100})
    with pytest.raises(RemoteProtocolError, match="block of 108 bytes is over max_header 64"):
        open_frame(raw[4:], WireLimits(max_header=64))
    with pytest.raises(RemoteProtocolError, match="frame of 5 bytes is shorter than its fixed part"):
        open_frame(b"\x0f\xff\0\0\0", WIDE)


def test_message_template_writes_what_write_head_writes() -> None:
    """The fast way and the general way agree, for names of any length."""
    for name in (b"", b"echo", b"n" * 255, b"n" * 600):
        block = write_block(Dialect.HEADER_BINARY.payload, {"k": "v"})
        pack, shape, base = template_of(block, MessageKind.CALL, name)
        fast = pack(base + 10, 0x0FFF0000, 7, shape, 7)
        assert fast == write_head(Dialect.HEADER_BINARY, MessageKind.CALL, name, 7, 10, block=block)


def test_message_layout_is_guessed_from_its_sizes() -> None:
    """The guess cuts a frame into its parts; it is none where too little is there, or too much would be."""
    raw = message(b"echo", 9, headers={"k": "v"})
    layout = layout_at(b"x" + raw, 1)
    assert layout is not None
    length, magic, header_seqid, shape, seqid = layout[0](raw, 0)
    assert (length, magic, header_seqid, seqid) == (len(raw) - 4, 0x0FFF0000, 9, 9)
    assert shape.endswith(b"echo")
    assert raw[4 + layout[2] :] == BODY
    assert layout_at(raw[:20], 0) is None
    assert layout_at(raw[:10], 0) is None
    assert layout_at(message(headers={"k": "v" * 600}), 0) is None
    assert layout_of(3) is layout_of(3)


def test_plain_layout_cuts_a_message_in_place() -> None:
    """Length, shape and id; too little of a message has none."""
    raw = message(b"echo", 9, dialect=Dialect.FRAMED_BINARY)
    layout = plain_layout_at(b"xx" + raw, 2)
    assert layout is not None and layout is plain_layout_of(12)
    length, shape, seqid = layout[0](raw)
    assert (length, shape[8:], seqid) == (len(raw) - 4, b"echo", 9)
    assert raw[4 + layout[2] :] == BODY
    assert plain_layout_at(raw[:11], 0) is None


def test_plain_template_writes_what_is_written_anew() -> None:
    """For names that are worth it."""
    template = plain_template_of(MessageKind.REPLY, b"echo")
    assert template is not None
    pack, shape, base = template
    written = pack(base + len(BODY), shape, 9) + BODY
    assert written == message(b"echo", 9, BODY, kind=MessageKind.REPLY, dialect=Dialect.FRAMED_BINARY)
    assert plain_template_of(MessageKind.REPLY, b"n" * 600) is None


def test_message_shape_is_only_that_of_the_common_case() -> None:
    """Flags, transforms, other dialects and long headers go the general way."""
    raw = message(b"echo", 9)
    opening = open_frame(raw[4:], WIDE)
    offset = len(raw) - 4 - len(BODY)
    assert opening.shape(offset) == raw[12 : -len(BODY) - 4]
    assert opening._replace(flags=1).shape(offset) is None
    assert opening._replace(dialect=Dialect.HEADER_BINARY_ZLIB).shape(offset) is None
    assert opening._replace(persistent={"k": "v"}).shape(offset) is None
    assert opening._replace(dialect=Dialect.HEADER_COMPACT).shape(offset) is None
    assert opening.shape(offset + 600) is None
    plain = message(b"echo", 9, dialect=Dialect.FRAMED_BINARY)
    assert open_frame(plain[4:], WIDE).shape(len(plain) - 4 - len(BODY)) == plain[4 : -len(BODY) - 4]


def test_message_shapes_are_bounded_and_kept_by_limits() -> None:
    """Peers cannot fill the process with shapes, nor get round one connection's limits by another's."""
    cache: dict[int, int] = {}
    for number in range(10):
        remember(cache, number, number, 4)
    assert cache == {8: 8, 9: 9}
    assert shapes_of(8192, 64) is shapes_of(8192, 64)
    assert shapes_of(8192, 64) is not shapes_of(8192, 63)
    assert shapes_of(8192, 64).blocks is not shapes_of(100, 64).blocks


def test_message_blocks_are_read_once_if_small() -> None:
    """A foreign client's constant headers are parsed once, and its large ones each time."""
    limits = WireLimits(max_header_entries=61)
    small, large = message(headers={"k": "v"}), message(headers={"k": "v" * 300})
    assert open_frame(small[4:], limits).headers is open_frame(small[4:], limits).headers
    assert open_frame(large[4:], limits).headers is not open_frame(large[4:], limits).headers


def test_message_names_lose_their_multiplexing_prefix() -> None:
    """Whatever the prefix is made of."""
    assert [bare_name(name) for name in (b"echo", b"Users:echo", b"a:b:echo", b"", b":")] == [
        b"echo",
        b"echo",
        b"echo",
        b"",
        b"",
    ]


def test_message_that_answers_no_call_is_named() -> None:
    """A call, a number of no meaning, and an answer to our greeting."""
    check_reply(MessageKind.REPLY, b"echo")
    check_reply(MessageKind.EXCEPTION, b"echo")
    for kind, name, complaint in ((1, b"echo", "type 1 instead"), (9, b"", "type 9"), (3, b"zkrpc:hello", "not zkrpc")):
        with pytest.raises(RemoteProtocolError, match=complaint):
            check_reply(kind, name)


def test_request_is_equal_to_itself_alone() -> None:
    """It can be a key, and two calls with the same contents stay two calls."""
    parts = (b"echo", 1, MessageKind.CALL, NO_HEADERS, b"secret", 0, Dialect.FRAMED_BINARY, 0.0, 1, 0, None)
    one, other = Request(*parts), Request(*parts)
    assert one != other and not one == other
    assert len({one, other, one}) == 2
    assert repr(one) == "<Request b'echo' seqid=1 FRAMED_BINARY>"
    assert Reply(MessageKind.REPLY, NO_HEADERS, b"", 0, Dialect.FRAMED_BINARY).kind is MessageKind.REPLY


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
ENTRY = "\x0btraceparent7"
"""What precedes the text of a ``traceparent`` in a block."""


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": PARENT + "1", "Deadline-Budget": "500"},
        {"tracestate": "a=b", "Deadline-Budget": "500", "traceparent": PARENT + "1"},
        {"traceparent": PARENT, "k": "v"},
        {"traceparent": "\N{SNOWMAN}" * 18 + "x"},
        {"traceparent": PARENT + "\udcff", "k": "\udcfe"},
        {"k": ENTRY + PARENT + "1"},
        {"k": ENTRY + "x" * 90, "traceparent": PARENT + "1"},
        {"traceparent": PARENT + "1", "xtraceparent": PARENT + "2"},
        {ENTRY + PARENT: "v"},
        {"k": ENTRY},
    ],
)
def test_block_with_a_trace_is_read_as_any_other(headers: dict[str, str]) -> None:
    """The first time and later ones, with the same text and with others; text that looks like one is not taken for
    it."""
    for digits in ("4b", "4b", "77", "ff"):
        given = {key: value.replace("4b", digits) for key, value in headers.items()}
        frame = write_head(
            Dialect.HEADER_BINARY, MessageKind.CALL, b"m", 1, 1, block=write_block(Payload.BINARY, given)
        )[4:]
        assert open_frame(frame, WireLimits()).headers == given


def test_message_that_inflates_to_too_much_is_known_by_its_beginning() -> None:
    """It is not kept whole, and says whether it is too large at any time or only now."""
    limits = WireLimits(accept_zlib=True, max_frame=100_000)
    frame = theader(b"\0\1\1", zlib.compress(message(b"echo", 7, bytes(200_000))[18:]))[4:]
    empty = Inflation(limits)
    empty.charge(0, 200_000)
    for inflation, is_too_large, why in ((None, True, "max_frame 100000"), (empty, False, "allows so soon")):
        with pytest.raises(Inflated, match=why) as caught:
            open_frame(frame, limits, inflation)
        assert caught.value.is_too_large is is_too_large and len(caught.value.opening.frame) < 2000
        assert (caught.value.kind, caught.value.name, caught.value.seqid) == (MessageKind.CALL, b"echo", 7)
