"""The walk that counts before anything is built."""

from __future__ import annotations

import contextlib
import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codec.rich import idl, riches
from zkrpc.codec import Payload, StructCodec
from zkrpc.codec.budget import MAX_ELEMENTS, Walk, check_binary, check_compact
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


CONTAINER = 2
"""What a list, a set or a map counts."""


@pytest.mark.parametrize("most", [1000, MAX_ELEMENTS])
@pytest.mark.parametrize("excess", [0, 1])
def test_walk_counts_strings_structs_and_containers(most: int, excess: int) -> None:
    """As many as the budget are let through, one more is not, whether or not the IDL knows them."""
    count = most - CONTAINER + excess
    pairs = (most - CONTAINER) * 4 // 5 + excess  # a string and a number
    lists = (most - CONTAINER) // CONTAINER + excess
    bodies = [
        (check_binary, b"\x0f\0\1\x0c" + length(count) + bytes(count) + b"\0"),
        (check_binary, b"\x0e\0\1\x0b" + length(count) + bytes(4 * count) + b"\0"),
        (check_binary, b"\x0d\0\1\x0b\x02" + length(pairs) + bytes(5 * pairs) + b"\0"),
        (check_binary, b"\x0f\0\1\x0f" + length(lists) + b"\x02\0\0\0\0" * lists + b"\0"),
        (check_binary, b"\x0b\0\1\0\0\0\0" * (most + excess) + b"\0"),
        (check_compact, b"\x19\xfc" + many(count) + bytes(count) + b"\0"),
        (check_compact, b"\x19\xf8" + many(count) + bytes(count) + b"\0"),
        (check_compact, b"\x1b" + many(pairs) + b"\x85" + bytes(2 * pairs) + b"\0"),
        (check_compact, b"\x19\xf9" + many(lists) + b"\x05" * lists + b"\0"),
        (check_compact, b"\x18\0" * (most + excess) + b"\0"),
    ]
    for check, body in bodies:
        if excess:
            with pytest.raises(RemoteProtocolError, match=f"more than {most} elements"):
                check(body, 0, most)
        else:
            check(body, 0, most)


@pytest.mark.parametrize("excess", [0, 1])
def test_walk_counts_four_numbers_as_one(excess: int) -> None:
    """Fields of structs, known or not, and what a map has beside its strings; a bool takes no byte of its own."""
    most = 1000
    count, pairs = 4 * most + excess, 2 * (most - CONTAINER) + excess
    bodies = [
        (check_binary, b"\x02\0\1\1" * count + b"\0"),
        (check_binary, b"\x0a\0\1" + bytes(8) + b"\x08\0\1\0\0\0\0" * (count - 1) + b"\0"),
        (check_compact, b"\x11" * count + b"\0"),
        (check_compact, b"\x15\1" * count + b"\0"),
        (check_compact, b"\x15\x80\1" * (2 * most + excess) + b"\0"),  # the longer, the dearer
        (check_compact, b"\5\x80\1\1" * (2 * most + excess) + b"\0"),
        (check_compact, b"\x13\1" * count + b"\0"),
        (check_compact, b"\x1b" + many(pairs) + b"\x61" + b"\1\1" * pairs + b"\0"),
    ]
    for check, body in bodies:
        if excess:
            with pytest.raises(RemoteProtocolError, match=f"more than {most} elements"):
                check(body, 0, most)
        else:
            check(body, 0, most)


@pytest.mark.parametrize("excess", [0, 1])
def test_walk_counts_16_numbers_as_one(excess: int) -> None:
    """A long list of numbers is cheap, and not free, and as dear for numbers of a byte as for longer ones."""
    most = 1000
    count = 16 * (most - CONTAINER)
    bodies = [
        (check_binary, b"\x0f\0\1\x03" + length(count) + bytes(count) + b"\0"),
        (check_binary, b"\x0f\0\1\x08" + length(count) + bytes(4 * count) + b"\0"),
        (check_binary, b"\x0d\0\1\x0a\x0a" + length(count // 2) + bytes(8 * count) + b"\0"),
        (check_compact, b"\x19\xf7" + many(count) + bytes(8 * count) + b"\0"),
        (check_compact, b"\x19\xf1" + many(count) + bytes(count) + b"\0"),
        (check_compact, b"\x19\xf5" + many(count) + bytes(count) + b"\0"),
    ]
    for check, body in bodies:
        if excess:
            with pytest.raises(RemoteProtocolError, match=f"more than {most - 1} elements"):
                check(body, 0, most - 1)
        else:
            check(body, 0, most)


def test_walk_counts_all_values_together() -> None:
    """Two lists of half the budget and a bit."""
    some = MAX_ELEMENTS // 2 + 1
    with pytest.raises(RemoteProtocolError, match="more than"):
        check_binary((b"\x0f\0\1\x0c" + length(some) + bytes(some)) * 2 + b"\0", 0)


def largest_bodies() -> list[tuple[Callable[[bytes, int], None], bytes]]:
    """Bodies of four MiB whose values are as many, or as dear to step over, as they can be."""
    size = 4 * 1024 * 1024
    binary = [
        b"\x02\0\x63\1", b"\x0b\0\x63\0\0\0\0", b"\x0f\0\x63\x02\0\0\0\0", b"\x0f\0\x63\x02\0\0\0\1\1",
        b"\x0d\0\x63\x02\x02\0\0\0\1\1\1", b"\x0c\0\x63\0", b"\x0f\0\x63\x0c\0\0\0\1\0",
        b"\x0f\0\x63\x0b\0\0\0\1\0\0\0\0", b"\x0d\0\x63\x0b\x02\0\0\0\1\0\0\0\0\1",
    ]  # fmt: skip
    compact = [
        b"\x11", b"\x13\1", b"\x15\1", b"\x15" + b"\xff" * 9 + b"\1", b"\x18\0", b"\x19\5", b"\x19\x15\1",
        b"\x19\x25\xff\xff\xff\xff\1\xff\xff\xff\xff\1", b"\x1b\0", b"\x1b\1\x55\1\1", b"\x1b\1\x88\0\0",
        b"\x1c\0", b"\x19\x1c\0", b"\x19\x18\0", b"\x19\x19\5", b"\x05\xb0\1\1",
    ]  # fmt: skip
    long = many(size - 20)
    whole = [
        b"\x1b" + many(size // 2 - 20) + b"\x51" + b"\1" * size,
        b"\x1b" + many(size // 2 - 20) + b"\x55" + b"\1" * size,
        b"\x19\xf5" + many(size // 10) + (b"\xff" * 9 + b"\1") * (size // 10),
        b"\x19\x25" + b"\x80" * size,
        b"\x19\xf5" + many(40) + b"\x80" * size,
        b"\x19\xf5" + long + b"\x80" * size,
        *(b"\x19" + bytes([0xF0 | kind]) + long + bytes(size) for kind in (1, 3, 5, 8, 9, 12)),
        *(b"\x19" + bytes([0xF0 | kind]) + long + b"\1" * size for kind in (5, 8, 9, 12)),
    ]
    return [
        *((check_binary, body * (size // len(body)) + b"\0") for body in binary),
        *((check_compact, body * (size // len(body)) + b"\0") for body in compact),
        *((check_compact, body[:size]) for body in whole),
    ]


def test_walk_is_short_whatever_it_walks() -> None:
    """No body of the largest size takes it much longer than an honest one that just stays within the budget.

    The times are of this thread alone, the best of three, and compared with each other: neither a busy machine nor
    what watches the interpreter counts.
    """
    honest = b"\x0f\0\1\x0b" + length(MAX_ELEMENTS - CONTAINER) + b"\0\0\0\0" * (MAX_ELEMENTS - CONTAINER) + b"\0"
    allowed = took(check_binary, honest)
    for number, (check, body) in enumerate(largest_bodies()):
        assert took(check, body) < 8 * allowed, (number, body[:20])


def took(check: Callable[[bytes, int], None], body: bytes) -> float:
    """Seconds of a walk, refused or not."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        with contextlib.suppress(RemoteProtocolError):
            check(body, 0)
        times.append(time.thread_time() - began)
    return min(times)


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
        (check_compact, b"\x19\x25\x80\x80", "ends too early"),
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
    """It takes no more of it for what is nested."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            check_binary(b"\x0c\0\1" * 120 + bytes(121), 0)

    deep(sys.getrecursionlimit() - len(inspect.stack(0)) - 60)


@pytest.mark.parametrize("payload", Payload)
@given(value=riches(), sizes=st.lists(st.integers(1, 50), max_size=40))
@settings(deadline=None)
def test_walk_goes_on_where_it_stood(payload: Payload, value: Any, sizes: list[int]) -> None:
    """The end of a struct is found as soon as it has come, in any pieces, and what is behind it is not looked at."""
    body = StructCodec(idl().Rich).encode(value, payload)
    buffer, walk, end = bytearray(b"before"), Walk(6, MAX_ELEMENTS), 0
    for size in [*sizes, len(body)]:
        piece = body[end : end + size]
        buffer += piece
        end += len(piece)
        is_whole = walk.goes_through(buffer, compact=payload is Payload.COMPACT)
        assert is_whole is (end == len(body))
        if is_whole:
            break
    assert walk.position == 6 + len(body)
    ahead = Walk(0, MAX_ELEMENTS)
    assert ahead.goes_through(body + b"\xff" * 20, compact=payload is Payload.COMPACT)
    assert ahead.position == len(body) and repr(ahead).startswith(f"<Walk position={len(body)} depth=0 left=")


@pytest.mark.parametrize("count", [10, 1000, 300_000])
def test_walk_counts_numbers_together_though_they_come_in_pieces(count: int) -> None:
    """Numbers of variable length, byte by byte or nearly so: no more than twice what they cost at once."""
    body = b"\x19\xf5" + many(count) + b"\x81\x01" * count + b"\0"
    whole = Walk(0, MAX_ELEMENTS)
    assert whole.goes_through(body, compact=True)
    buffer, walk = bytearray(), Walk(0, MAX_ELEMENTS)
    step = max(1, count // 500) * 2 + 1
    for start in range(0, len(body), step):
        buffer += body[start : start + step]
        is_whole = walk.goes_through(buffer, compact=True)
    assert is_whole and walk.position == len(body)
    spent, at_once = 4 * MAX_ELEMENTS - walk.left, 4 * MAX_ELEMENTS - whole.left
    assert spent <= 2 * at_once + 1000


def test_walk_that_is_over_the_budget_says_so_before_all_has_come() -> None:
    """And lengths that cannot be are noticed at once."""
    with pytest.raises(RemoteProtocolError, match="more elements in one body than are taken"):
        Walk(0, 100).goes_through(b"\x0f\0\1\x0c\0\0\3\xe8", compact=False)
    with pytest.raises(RemoteProtocolError, match="a length is negative"):
        Walk(0, 100).goes_through(b"\x0b\0\1\xff\xff\xff\xff", compact=False)
    far = Walk(0, 100)
    assert not far.goes_through(b"\x0b\0\1\x7f\xff\xff\xff", compact=False)
    assert far.position == 7 + 0x7FFFFFFF
