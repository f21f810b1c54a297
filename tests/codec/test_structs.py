"""Structs to bytes and back: round trips, other libraries' bytes, and every way a body can be wrong."""

from __future__ import annotations

import json
import pickle
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from tests.codec.both import compiled_shapes
from tests.codec.rich import idl, riches
from tests.support.waiting import least_seconds
from zkrpc.codec import Payload, StructCodec, structs
from zkrpc.codec.structs import SPECS, _transport
from zkrpc.errors import RemoteProtocolError
from zkrpc.idl import load_text

Rich, Point, Shape, Node, Oops = (getattr(idl(), name) for name in ("Rich", "Point", "Shape", "Node", "Oops"))
RICH, NODE, POINT = StructCodec(Rich), StructCodec(Node), StructCodec(Point)
HOSTILE = json.loads((Path(__file__).parent.parent / "vectors" / "hostile_frames.json").read_text("utf-8"))
BINARY, COMPACT = Payload.BINARY, Payload.COMPACT


@settings(max_examples=100, deadline=None)
@given(riches(), st.binary(max_size=5))
def test_struct_comes_back_as_it_was(value: Any, head: bytes) -> None:
    """Any value, in both encodings, from any offset; sets as sets, lists as lists."""
    for payload in Payload:
        assert RICH.decode(head + RICH.encode(value, payload), len(head), payload) == value


class Bridge:
    """What thriftpy2's structs call on a protocol, in the words of Apache's."""

    def write_struct(self, value: Any) -> None:
        self.writeStruct(value, SPECS.of_class(type(value))[1])  # type: ignore[attr-defined]

    def read_struct(self, value: Any) -> None:
        self.readStruct(value, SPECS.of_class(type(value))[1])  # type: ignore[attr-defined]


class ApacheBinary(Bridge, TBinaryProtocol):  # type: ignore[misc]
    """Pure Python, binary."""


class ApacheCompact(Bridge, TCompactProtocol):  # type: ignore[misc]
    """Pure Python, compact."""


@settings(max_examples=60, deadline=None)
@given(riches())
def test_bytes_are_those_of_apache_thrift(value: Any) -> None:
    """Written and read by the pure Python protocols of Apache's library, which share no code with the C module."""
    for payload, protocol in ((BINARY, ApacheBinary), (COMPACT, ApacheCompact)):
        written = TMemoryBuffer()
        value.write(protocol(written))
        body = RICH.encode(value, payload)
        assert body == written.getvalue()
        again = Rich()
        again.read(protocol(TMemoryBuffer(body)))
        assert again == value


@settings(max_examples=150, deadline=None)
@given(riches(), st.data())
def test_mutated_body_is_read_or_refused(value: Any, data: st.DataObject) -> None:
    """Whatever bytes are flipped, cut out or put in: a value or a RemoteProtocolError, nothing else, and soon."""
    for payload in Payload:
        body = bytearray(RICH.encode(value, payload))
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(body) - 1))
            old = data.draw(st.integers(0, 3))
            body[place : place + old] = data.draw(st.binary(max_size=4))
            body = body or bytearray(1)
        began = time.thread_time()
        try:
            decoded = RICH.decode(bytes(body), 0, payload)
        except RemoteProtocolError as exc:
            assert len(str(exc)) < 80
        else:
            assert isinstance(decoded, Rich) and repr(decoded)
        assert time.thread_time() - began < 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_garbage_is_read_or_refused(body: bytes) -> None:
    """Bytes that were never a struct."""
    for payload in Payload:
        try:
            RICH.decode(body, 0, payload)
        except RemoteProtocolError:
            pass


READABLE = {"wrong_field_type", "bool_2", "enum_unknown", "dup_field", "mapkey_struct"}
"""Odd, but nothing that Thrift forbids: fields of an unexpected type are skipped, the last duplicate wins."""


@pytest.mark.parametrize("payload", Payload)
def test_hostile_bodies_are_refused_quickly(payload: Payload) -> None:
    """Dozens of messages that made other decoders crash, hang, or give out their memory."""
    method = load_text(HOSTILE["idl"]).S.methods["f"]
    head = 13 if payload is BINARY else 5
    readable = set()
    for message in HOSTILE[payload.value]:
        if message.get("guard", "").startswith("n/a") or message["id"] == "c_seqid_big":
            continue  # the envelope is bad, which is not read here

        def decode(name: str = message["id"], body: bytes = bytes.fromhex(message["hex"])) -> None:
            try:
                method.decode_arguments(body, head, payload)
                readable.add(name)
            except RemoteProtocolError:
                pass

        assert least_seconds(decode) < 0.05, message["id"]
    assert readable == (READABLE if payload is BINARY else set())


@pytest.mark.parametrize(
    ("payload", "body", "message"),
    [
        (BINARY, b"\x0c\0\2" * 10_000 + bytes(10_010), "nested too deeply"),
        (BINARY, b"\x0c\0\x63" * 1_000_000 + bytes(1_000_010), "nested too deeply"),
        (BINARY, b"\x0f\0\2\x0c\0\0\0\1" * 10_000 + bytes(20_010), "nested too deeply"),
        (BINARY, b"\x0f\0\2\x0c\0\x0f\x42\x40" + bytes(1_000_001), "more than 100000 elements"),
        (COMPACT, b"\x18" + b"\xff" * 100_000, "more than ten bytes"),
        (COMPACT, b"\x29\xfc\xc0\x84\x3d" + bytes(1_000_001), "more than 100000 elements"),
    ],
)
def test_hostile_bodies_of_any_size_are_refused_quickly(payload: Payload, body: bytes, message: str) -> None:
    """Deep nesting, many small elements, endless numbers: time and memory stay bounded."""

    def decode() -> None:
        with pytest.raises(RemoteProtocolError, match=message):
            NODE.decode(body, 0, payload)

    assert least_seconds(decode) < 0.5


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "ends too early"),
        (b"\x08\0\1\0", "ends too early"),
        (b"\0\0", "left after the body"),
        (b"\x0b\0\1\xff\xff\xff\xff", "negative or beyond"),
        (b"\x0f\0\2\x08\0\0\0\1\0\0\0\0\0", "does not fit the declared types"),
        (b"\x0b\0\1\0\0\0\1\xff\0", "not UTF-8"),
        (b"\x0b\0\1\0\0\0\3\xed\xa0\x80\0", "not UTF-8"),
        (b"\0", "Node.label is required"),
    ],
)
def test_reason_is_short_and_says_what_is_wrong(body: bytes, message: str) -> None:
    """One clause, which a log line or a reply can hold."""
    with pytest.raises(RemoteProtocolError, match=message):
        NODE.decode(body)


def test_offset_beyond_the_body_is_refused() -> None:
    """The C module would compute a negative length and kill the process."""
    for offset in (1, 2, 13, 1 << 40, -1):
        with pytest.raises(RemoteProtocolError, match="ends too early"):
            NODE.decode(b"\0", offset)


def test_replacement_character_may_be_sent_as_such() -> None:
    """U+FFFD is suspected and then found to be innocent, in fields, keys and members; unless something else is not."""
    value = Rich(text="a\ufffdb", tags={"\ufffd"}, tree=Node("\ufffd", None, {"\ufffd": Node("é")}))
    for payload in Payload:
        assert RICH.decode(RICH.encode(value, payload), 0, payload) == value
        with pytest.raises(RemoteProtocolError, match="not UTF-8"):
            RICH.decode(RICH.encode(value, payload).replace("é".encode(), b"\xc3\xc3"), 0, payload)


def test_binary_is_not_looked_at() -> None:
    """Bytes that are no text arrive as they are."""
    assert RICH.decode(RICH.encode(Rich(blob=b"\xff\xfe", nested=[[b"\xff"]]))).blob == b"\xff\xfe"


def test_decoder_survives_what_it_refused() -> None:
    """One decoder serves all bodies, so a bad one must leave no trace."""
    good = POINT.encode(Point(1, 2))
    for bad in (b"", b"\x08", b"\x08\0\1\0\0", good[:-1], good + b"x"):
        with pytest.raises(RemoteProtocolError):
            POINT.decode(bad)
        assert POINT.decode(good) == Point(1, 2)


def test_large_body_is_not_kept() -> None:
    """What was decoded may go: no megabytes hang on the decoder until the next call."""
    blob = b"x" * 1_000_000
    assert RICH.decode(RICH.encode(Rich(blob=blob))).blob == blob
    assert len(_transport.cstringio_buf.getvalue()) < 1000


class Foreign:
    """Something else with the right attributes."""

    x, y = 1, 2


def deep(levels: int) -> Any:
    """A tree that is a line."""
    node = Node("leaf")
    for _ in range(levels):
        node = Node("", [node])
    return node


@pytest.mark.parametrize(
    ("codec", "value", "message"),
    [
        (POINT, Foreign(), "the value must be a Point, got"),
        (POINT, None, "the value must be a Point, got None"),
        (POINT, Point(1.5, 2), "Point.x must be an i32, got 1.5"),
        (POINT, Point(1 << 31, 2), "Point.x must be an i32"),
        (RICH, Rich(text=b"x"), "Rich.text must be a str"),
        (RICH, Rich(text="\ud800"), "Rich.text must be text without surrogates"),
        (RICH, Rich(numbers=[1, "2"]), r"Rich.numbers\[\] must be an i32"),
        (NODE, Node(), "Node.label is required"),
        (NODE, deep(64), "nested too deeply"),
        (NODE, deep(5000), "nested too deeply"),
    ],
)
def test_value_that_does_not_fit_is_a_type_error(codec: StructCodec, value: Any, message: str) -> None:
    """Also where the C module finds it, or would run out of stack."""
    for payload in Payload:
        with pytest.raises(TypeError, match=message):
            codec.encode(value, payload)


class Strange:
    """An integer that is one only sometimes."""

    def __init__(self) -> None:
        self.asked = 0

    def __index__(self) -> int:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("not now")
        return 1


def test_strange_values_are_type_errors_too() -> None:
    """Objects that change while they are looked at, and structs that lost a field."""
    with pytest.raises(TypeError, match="cannot be encoded: not now"):
        POINT.encode(Point(Strange(), 1))
    torn, cut = Point(1, 2), Node("a")
    del torn.x
    del cut.label
    with pytest.raises(TypeError, match="cannot be encoded: .*'x'"):
        POINT.encode(torn)
    with pytest.raises(TypeError, match="cannot be encoded: .*'label'"):
        NODE.encode(cut)


def test_structs_are_still_thriftpy2s() -> None:
    """They compare, hash, print and pickle as they were made to, before and after a journey."""
    value = Rich(normal=1, points={Point(1, 2)}, tree=Node("a"))
    came = RICH.decode(RICH.encode(value))
    assert came == value and hash(Point(1, 2)) == hash(Point(1, 2)) and came != Rich()
    assert pickle.loads(pickle.dumps(came)) == value
    assert repr(Point(1, 2)) == "Point(x=1, y=2)" and repr(NODE) == "<StructCodec Node>"
    assert pickle.loads(pickle.dumps(Oops("w"))).why == "w"


def test_defaults_come_fresh_for_each_object() -> None:
    """A default that can change belongs to the object that got it."""
    some = load_text("struct In { 1: list<i32> l = [1] } struct Out { 1: In i, 2: map<string, i32> m = {'a': 1} }")
    codec = StructCodec(some.Out)
    first, second = codec.decode(b"\x0c\0\1\0\0"), codec.decode(b"\x0c\0\1\0\0")
    first.i.l.append(2)
    first.m["b"] = 2
    assert second.i.l == [1] and second.m == {"a": 1}


def test_class_that_is_no_struct_is_refused() -> None:
    """By name."""
    with pytest.raises(ValueError, match="Foreign is no Thrift struct"):
        StructCodec(Foreign)


OLD = "enum Hue { RED = 1 } struct Old { required i32 x, string text, list<i32> l, 4: Old deep, 5: Hue hue, 6: bool b }"
"""A struct of the times when fields had no ids: theirs are -1, -2 and so on, which the C module does not find."""


@pytest.mark.parametrize("payload", Payload)
def test_struct_with_negative_ids_comes_back_as_it_was(payload: Payload) -> None:
    """From any offset, as those do that the C module reads."""
    old = load_text(OLD).Old
    codec = StructCodec(old)
    for value in (old(0), old(-7, "h\u00e9", [1, 2], old(2, "", []), 1, True)):
        for head in (b"", b"\xff\xff\xff"):
            again = codec.decode(head + codec.encode(value, payload), len(head), payload)
            assert again == value and type(again) is old


@pytest.mark.parametrize(
    ("body", "offset", "message"),
    [
        (b"", 0, "ends too early"),
        (b"\0", 1, "ends too early"),
        (b"\0", -1, "ends too early"),
        (b"\0", 1 << 40, "ends too early"),
        (b"\x08\xff\xff\0", 0, "ends too early"),
        (b"\x08\xff\xff\0\0\0\1\0\0", 0, "left after the body"),
        (b"\0", 0, "Old.x is required"),
        (b"\x0b\xff\xfe\xff\xff\xff\xff", 0, "negative or beyond"),
        (b"\x0b\xff\xfe\0\0\0\1\xff\0", 0, "a string is not UTF-8"),
        (b"\x0f\xff\xfd\x0b\0\0\0\1\0\0\0\0\0", 0, "does not fit the declared types"),
        (b"\x0c\0\4" * 10_000 + bytes(10_010), 0, "nested too deeply"),
        (b"\x0f\xff\xfd\x0c\0\x0f\x42\x40" + bytes(1_000_001), 0, "more than 100000 elements"),
    ],
)
def test_body_with_negative_ids_is_refused_as_any_other(body: bytes, offset: int, message: str) -> None:
    """With the same reasons, and nothing but a RemoteProtocolError."""
    began = time.thread_time()
    with pytest.raises(RemoteProtocolError, match=message):
        StructCodec(load_text(OLD).Old).decode(body, offset)
    assert time.thread_time() - began < 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_garbage_with_negative_ids_is_read_or_refused(body: bytes) -> None:
    """Whatever the bytes are, in both encodings."""
    codec = StructCodec(load_text(OLD).Old)
    for payload in Payload:
        try:
            codec.decode(body, 0, payload)
        except RemoteProtocolError as exc:
            assert len(str(exc)) < 80


@pytest.mark.parametrize("payload", Payload)
def test_compiled_part_is_tried_first(payload: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it does not take is done, or refused, in the usual way."""
    monkeypatch.setattr(structs, "SHAPES", compiled_shapes())
    codec = StructCodec(Rich)
    for value in (Rich(text="\u00e9", points={Point(1, 2)}), Rich(words=type("Mine", (list,), {})(["a"]))):
        body = codec.encode(value, payload)
        assert body == RICH.encode(value, payload) and codec.decode(body, 0, payload) == value
    with pytest.raises(TypeError, match="Rich.normal must be an i32"):
        codec.encode(Rich(normal=1 << 31), payload)
    with pytest.raises(RemoteProtocolError):
        codec.decode(body[:-1], 0, payload)


@pytest.mark.parametrize("payload", Payload)
def test_uuid_that_ends_too_early_does_not_reach_the_c_module(
    payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read beyond the body, before it refused it."""
    some = load_text("struct A { 1: uuid id, 2: list<uuid> more }").A
    codec = StructCodec(some)
    body = codec.encode(some(uuid.UUID(int=1), [uuid.UUID(int=2)]), payload)
    assert codec.decode(body, 0, payload).more == [uuid.UUID(int=2)]
    for name in ("_decode_binary", "_decode_compact"):
        monkeypatch.delattr(structs, name)
    for end in range(len(body)):
        with pytest.raises(RemoteProtocolError, match="ends too early|beyond the body"):
            codec.decode(body[:end], 0, payload)
