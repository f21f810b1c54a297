"""The walk that counts before anything is built."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from tests.codec.rich import idl, riches
from zkrpc.codec import Payload, StructCodec
from zkrpc.codec.budget import MAX_ELEMENTS, check_binary, check_compact
from zkrpc.errors import RemoteProtocolError

CHECKS: dict[Payload, Callable[[bytes, int], None]] = {Payload.BINARY: check_binary, Payload.COMPACT: check_compact}


@settings(max_examples=60, deadline=None)
@given(riches())
def test_walk_lets_every_valid_body_pass(value: Any) -> None:
    """In both encodings, from any offset."""
    for payload, check in CHECKS.items():
        check(b"frame" + StructCodec(idl().Rich).encode(value, payload), 5)


@settings(max_examples=60, deadline=None)
@given(riches())
def test_walk_refuses_every_truncated_body(value: Any) -> None:
    """A body is a prefix of no other, so each cut is noticed."""
    for payload, check in CHECKS.items():
        body = StructCodec(idl().Rich).encode(value, payload)
        for end in range(0, len(body), 1 + len(body) // 20):
            with pytest.raises(RemoteProtocolError):
                check(body[:end], 0)


def length(number: int) -> bytes:
    """A length in the binary encoding."""
    return number.to_bytes(4, "big")


def many(number: int) -> bytes:
    """A length in the compact encoding."""
    return b"" if number < 0 else bytes([number]) if number < 128 else bytes([number & 127 | 128]) + many(number >> 7)


@pytest.mark.parametrize("count", [MAX_ELEMENTS, MAX_ELEMENTS + 1])
def test_walk_counts_elements_that_are_no_scalars(count: int) -> None:
    """As many as the budget are let through, one more is not: structs, strings, and pairs of a map."""
    bodies = [
        (check_binary, b"\x0f\0\1\x0c" + length(count) + bytes(count) + b"\0"),
        (check_binary, b"\x0e\0\1\x0b" + length(count) + bytes(4 * count) + b"\0"),
        (check_binary, b"\x0d\0\1\x02\x0c" + length(count) + bytes(2 * count) + b"\0"),
        (check_compact, b"\x19\xfc" + many(count) + bytes(count) + b"\0"),
        (check_compact, b"\x1b" + many(count) + b"\x18" + b"\x01\0" * count + b"\0"),
    ]
    for check, body in bodies:
        if count > MAX_ELEMENTS:
            with pytest.raises(RemoteProtocolError, match="more than 100000 elements"):
                check(body, 0)
        else:
            check(body, 0)


def test_walk_counts_all_containers_together() -> None:
    """Two lists of half the budget and a bit."""
    some = MAX_ELEMENTS // 2 + 1
    with pytest.raises(RemoteProtocolError, match="more than"):
        check_binary((b"\x0f\0\1\x0c" + length(some) + bytes(some)) * 2 + b"\0", 0)


def test_walk_does_not_count_scalars() -> None:
    """A long list of numbers is one list; varints are stepped over in bulk."""
    count = 3 * MAX_ELEMENTS
    check_binary(b"\x0f\0\1\x08" + length(count) + bytes(4 * count) + b"\0", 0)
    check_compact(b"\x19\xf5" + many(count) + b"\x81\x01" * count + b"\0", 0)
    check_compact(b"\x19\xf7" + many(count) + bytes(8 * count) + b"\0", 0)
    check_compact(b"\x19\xf1" + many(count) + bytes(count) + b"\0", 0)


@pytest.mark.parametrize(
    ("check", "body", "message"),
    [
        (check_binary, b"", "ends too early"),
        (check_binary, b"\x0b\0\1\xff\xff\xff\xff", "negative or beyond"),
        (check_binary, b"\x0b\0\1\x7f\xff\xff\xff", "negative or beyond"),
        (check_binary, b"\x0f\0\1\x08\xff\xff\xff\xff", "negative or beyond"),
        (check_binary, b"\x0f\0\1\x08\0\0\0\x05\0\0\0\0\0", "negative or beyond"),
        (check_binary, b"\x0f\0\1\x0b\0\0", "ends too early"),
        (check_binary, b"\x63\0\1\0", "unknown wire type 99"),
        (check_binary, b"\x0f\0\1\x63\0\0\0\x01\0\0", "unknown wire type 99"),
        (check_binary, b"\x0c\0\1" * 130, "nested too deeply"),
        (check_binary, b"\x0f\0\1" + b"\x0f\0\0\0\1" * 130, "nested too deeply"),
        (check_compact, b"", "ends too early"),
        (check_compact, b"\x1e\0", "unknown wire type 14"),
        (check_compact, b"\x18" + b"\xff" * 12, "more than ten bytes"),
        (check_compact, b"\x19\xf5\xff\xff\xff\xff\x07", "negative or beyond"),
        (check_compact, b"\x1c" * 130, "nested too deeply"),
        (check_compact, b"\x15" + b"\xff" * 9, "ends too early"),
        (check_compact, b"\x19\x25\x80\x80", "negative or beyond"),
    ],
)
def test_walk_refuses_what_it_cannot_step_over(check: Callable[[bytes, int], None], body: bytes, message: str) -> None:
    """Short, and quick whatever the body claims."""
    with pytest.raises(RemoteProtocolError, match=message):
        check(body, 0)


def test_walk_knows_what_the_structs_do_not() -> None:
    """Long ids, an empty container of an unknown type, UUIDs, booleans in headers, and an empty map of one byte."""
    check_binary(b"\x0f\0\1\x63\0\0\0\0" + b"\x10\0\2" + bytes(16) + b"\0", 0)
    check_compact(b"\x05\xd0\x0f\x07" + b"\x1d" + bytes(16) + b"\x11\x12\x1b\x00\x13\x01\x1b\x01\x35\x01\x01\0", 0)


def test_walk_may_begin_deep_in_the_stack() -> None:
    """Where Python's own limit is nearer than ours."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            check_binary(b"\x0c\0\1" * 120 + bytes(121), 0)

    deep(0)
    room = sys.getrecursionlimit() - len(inspect.stack(0)) - 60
    with pytest.raises(RemoteProtocolError, match="nested too deeply"):
        deep(room)
