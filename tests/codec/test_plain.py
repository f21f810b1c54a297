"""Fields with negative ids, which the C module writes and does not find."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.codec import Payload, StructCodec
from zkrpc.errors import RemoteProtocolError
from zkrpc.idl import load_text

IDL = """
struct Old { string name, i32 age, list<Old> children, map<list<i32>, set<string>> seen, Kind kind, uuid id, double d,
  bool b, binary raw, i8 tiny, i16 small, i64 large, 7: required string new = "n", set<list<i32>> odd, Either either }
enum Kind { A = 1 }
union Either { string left, i32 right }
struct Holder { 1: map<string, list<Old>> olds }
struct Newer { 1: string x, -1: string name, list<i32> wrong_type, 2: list<i32> l, 3: Deep deep }
struct Deep { 1: map<i32, list<string>> x }
exception Lost { string why }
service S { Old f(string name, Holder holder) throws (Lost lost), string g(string only) }
"""


@pytest.fixture(name="idl", scope="module")
def _idl() -> Any:
    return load_text(IDL)


def old(idl: Any, **more: Any) -> Any:
    """One with a value of every type."""
    given: dict[str, Any] = {
        "name": "é",
        "age": -5,
        "seen": {(1, 2): {"x"}},
        "kind": 1,
        "id": uuid.UUID(int=5),
        "d": 1.5,
        "b": True,
        "raw": b"\xff",
        "tiny": -1,
        "small": -300,
        "large": 1 << 40,
        "odd": {(1,)},
        "either": idl.Either(right=3),
    }
    return idl.Old(**{**given, **more})


@pytest.mark.parametrize("payload", Payload)
def test_structs_without_ids_go_there_and_back(idl: Any, payload: Payload) -> None:
    """Every type, nested, and inside structs that have ids themselves."""
    value = idl.Holder({"x": [old(idl, children=[old(idl), idl.Old()])]})
    codec = StructCodec(idl.Holder)
    assert codec.decode(b"ab" + codec.encode(value, payload), 2, payload) == value


@pytest.mark.parametrize("payload", Payload)
def test_methods_without_ids_go_there_and_back(idl: Any, payload: Payload) -> None:
    """Arguments, results and exceptions."""
    f, g = idl.S.methods["f"], idl.S.methods["g"]
    args = ("x", idl.Holder({"a": [old(idl)]}))
    assert f.decode_arguments(f.encode_arguments(f.bind(args, {}), payload), 0, payload) == args
    assert f.read_result(f.encode_result(old(idl), payload), 0, payload) == old(idl)
    with pytest.raises(idl.Lost, match="gone"):
        f.read_result(f.encode_exception(idl.Lost("gone"), payload), 0, payload)
    assert g.decode_arguments(g.encode_arguments(g.bind(("y" * 9999,), {}), payload), 0, payload) == ("y" * 9999,)


def test_ids_on_the_wire_are_those_of_apaches_compiler(idl: Any) -> None:
    """-1 for the first field without one, written by its own generated code."""
    assert StructCodec(idl.Lost).encode(idl.Lost("x")) == b"\x0b\xff\xff\0\0\0\1x\0"


@pytest.mark.parametrize("payload", Payload)
def test_fields_that_are_unknown_or_of_another_type_are_passed_over(idl: Any, payload: Payload) -> None:
    """As the C module does."""
    sent = idl.Newer("x", "n", [5], [1], idl.Deep({1: ["a"]}))
    again = StructCodec(idl.Old).decode(StructCodec(idl.Newer).encode(sent, payload), 0, payload)
    assert again == idl.Old("n")


@pytest.mark.parametrize("payload", Payload)
def test_bytes_that_are_passed_over_need_not_be_text(payload: Payload) -> None:
    """What the peer knows and we do not may be ``binary``."""
    idl = load_text("struct Newer { 1: binary a, 2: list<binary> b, 3: map<binary, i32> c } struct Old { i32 x }")
    body = StructCodec(idl.Newer).encode(idl.Newer(b"\xff", [b"\xfe"], {b"\xfd": 1}), payload)
    assert StructCodec(idl.Old).decode(body, 0, payload) == idl.Old()


@pytest.mark.parametrize("payload", Payload)
def test_elements_of_another_type_are_an_error(payload: Payload) -> None:
    """Unless there are none; as to the C module."""
    idl = load_text("struct A { list<i32> a, map<i32, i32> b } struct B { list<string> a, map<i32, string> b }")
    read, write = StructCodec(idl.A), StructCodec(idl.B)
    for sent in (idl.B(["x"]), idl.B(b={1: "x"})):
        with pytest.raises(RemoteProtocolError, match="does not fit the declared types"):
            read.decode(write.encode(sent, payload), 0, payload)
    assert read.decode(write.encode(idl.B([], {}), payload), 0, payload) == idl.A([], {})


@pytest.mark.parametrize("payload", Payload)
def test_body_that_is_wrong_is_an_error(idl: Any, payload: Payload) -> None:
    """Cut anywhere, with bytes left over, with two members of a union, or with text that is none."""
    codec = StructCodec(idl.Old)
    body = codec.encode(old(idl), payload)
    for end in range(len(body)):
        with pytest.raises(RemoteProtocolError):
            codec.decode(body[:end], 0, payload)
    with pytest.raises(RemoteProtocolError):
        codec.decode(body + b"\0", 0, payload)
    with pytest.raises(RemoteProtocolError, match="not UTF-8"):
        codec.decode(body.replace("é".encode(), b"\xff\xff"), 0, payload)


@pytest.mark.parametrize("payload", Payload)
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_mangled_body_is_a_struct_or_an_error(idl: Any, payload: Payload, data: st.DataObject) -> None:
    """In bounded time, whatever it claims to hold."""
    codec = StructCodec(idl.Old)
    body = bytearray(codec.encode(old(idl, children=[old(idl)]), payload))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(
            st.sampled_from([0, 1, 11, 12, 13, 15, 16, 127, 128, 255])
        )
    began = time.process_time()
    try:
        codec.decode(bytes(body), 0, payload)
    except RemoteProtocolError:
        pass
    assert time.process_time() - began < 5
