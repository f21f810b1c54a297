"""Structs of one text or of some bytes, beside what the C module makes of them; and long values among other fields."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.codec.fast_path import LONG, is_single, reader_of, writer_of
from zkrpc.codec.shape import Field, FieldType, Kind
from zkrpc.codec.structs import SPECS, encode_binary
from zkrpc.idl import load

TEXT = Field(id=1, name="text", type=FieldType(kind=Kind.STRING))
DATA = Field(id=-3, name="data", type=FieldType(kind=Kind.BINARY))
VALUE = Field(id=0, name="value", type=FieldType(kind=Kind.STRING))


class Bag:
    """Something with a text."""

    text = ""


@given(st.text(max_size=50))
def test_text_is_written_as_the_c_module_does_and_read_back(text: str) -> None:
    """Byte by byte the same, behind whatever stands in front."""
    bag = Bag()
    bag.text = text
    written = writer_of(TEXT)(text)
    assert written == encode_binary(bag, [Bag, SPECS.specification((TEXT,))])
    assert reader_of(TEXT)(b"head" + written, 4) == text


@given(st.binary(max_size=50))
def test_bytes_are_taken_as_they_are(data: bytes) -> None:
    """UTF-8 or not."""
    assert reader_of(DATA)(writer_of(DATA)(data), 0) == data


def test_text_without_bytes_is_refused() -> None:
    """A lone surrogate has none in UTF-8."""
    with pytest.raises(ValueError, match="surrogates"):
        writer_of(TEXT)("\ud800")


@given(st.binary(max_size=30), st.integers(0, 40))
def test_reader_leaves_everything_else_to_others(rest: bytes, offset: int) -> None:
    """Other fields, more fields, lengths that lie, ends that are none: no value, and no error."""
    value = reader_of(VALUE)(rest, offset)
    assert value is None or rest[offset:] == writer_of(VALUE)(value)


@pytest.mark.parametrize(
    "body",
    [
        writer_of(TEXT)("other id"),
        writer_of(VALUE)("more behind it") + b"\0",
        writer_of(VALUE)("no end")[:-1] + b"\1",
        b"\x0b\0\0" + struct.pack("!i", -1) + b"\0",
        b"\x0b\0\0" + struct.pack("!i", 1 << 30) + b"x\0",
        b"\x0b\0\0" + struct.pack("!i", 2) + b"\xff\xfe\0",
        b"\0",
        b"",
    ],
)
def test_reader_knows_what_is_not_for_it(body: bytes) -> None:
    """Each of these is read, or refused with its reason, in the usual way."""
    assert reader_of(VALUE)(body, 0) is None


def test_single_is_one_field_of_the_right_kind() -> None:
    """Nothing more, nothing else."""
    number = Field(id=1, name="number", type=FieldType(kind=Kind.I32))
    assert is_single([TEXT]) and is_single((DATA,))
    assert not is_single([]) and not is_single([TEXT, DATA]) and not is_single([number])


# Long values


@pytest.fixture(scope="module")
def methods(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A method with long things among short ones."""
    path: Path = tmp_path_factory.mktemp("idl") / "files.thrift"
    path.write_text("service Files { void store(1: i64 id, 2: string name, 5: binary data, 6: list<i32> marks) }")
    return load(path).Files.methods


@pytest.mark.parametrize(
    "arguments",
    [
        (7, "short", b"x" * LONG, [1, 2]),
        (7, "\u00e9" * LONG, b"short", None),
        (7, "l" * LONG, b"\xff" * LONG, []),
        (None, None, b"x" * LONG, None),
    ],
)
def test_long_values_are_read_like_short_ones(methods: Any, arguments: tuple[Any, ...]) -> None:
    """The order of fields on the wire means nothing; that the slow way was not taken shows in it."""
    method = methods["store"]
    body = method.encode_arguments(method.bind(arguments, {}))
    assert method.decode_arguments(body, 0) == arguments
    assert body.startswith(b"\x0b") is (arguments[0] is None)


def test_what_else_does_not_fit_is_named_as_ever(methods: Any) -> None:
    """A number in a list, and a text that is none, beside something long."""
    method = methods["store"]
    with pytest.raises(TypeError, match="marks"):
        method.encode_arguments(method.bind((7, "n", b"x" * LONG, [1 << 40]), {}))
    with pytest.raises(TypeError, match="name"):
        method.encode_arguments(method.bind((7, "\ud800", b"x" * LONG, []), {}))
