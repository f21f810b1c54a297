"""What chance does to bytes. Pure: the source of chance is handed in, and the same one does the same again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LONGEST = 1 << 16
"""Bytes; what has grown over it is cut."""
_SIZES = (0, 1, 2, 3, 5, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 22, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_ENDLESS = b"\xff" * 12
"""A varint that goes on for longer than any number."""


def spoil(data: bytearray, rng: random.Random) -> None:
    """Changes, cuts out, puts in or repeats, once to three times; sometimes a frame's length is made right again, so
    that the rest is looked at."""
    for _ in range(rng.randrange(1, 4)):
        rng.choice(_SPOILERS)(data, rng)
    del data[LONGEST:]


def mutate(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One input: a seed, two of them in a row or spliced, spoilt; now and then chance alone, or a seed as it is."""
    what = rng.random()
    data = bytearray(rng.choice(seeds))
    if what < 0.02:
        return bytes(data)
    if what < 0.06:
        return rng.randbytes(rng.randrange(64))
    if what < 0.2:
        data += rng.choice(seeds)
    elif what < 0.35:
        other = rng.choice(seeds)
        data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]
    spoil(data, rng)
    return bytes(data)


def chunks(data: bytes, rng: random.Random) -> list[bytes]:
    """The bytes as they might come: mostly at once, or in a few pieces, or one by one."""
    how = rng.random()
    if how < 0.6 or len(data) < 2:
        return [data]
    if how < 0.65 and len(data) < 256:
        return [data[index : index + 1] for index in range(len(data))]
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(1, 5)))
    edges = [0, *cuts, len(data)]
    return [data[begin:end] for begin, end in zip(edges, edges[1:]) if begin != end]


def _change(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.randrange(256)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut_out(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data) + 1)
    del data[begin : begin + rng.randrange(1, 9)]


def _cut_off(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _put_in(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data) + 1)
    data[begin:begin] = rng.randbytes(rng.randrange(1, 9))


def _repeat(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data) + 1)
    data += data[begin : begin + 64]


def _double(data: bytearray, rng: random.Random) -> None:
    """The same piece again and again where it stands: what is nested becomes deep."""
    begin = rng.randrange(len(data) + 1)
    piece = data[begin : begin + rng.randrange(1, 9)]
    data[begin:begin] = piece * rng.choice((2, 16, 200))


def _size(data: bytearray, rng: random.Random) -> None:
    """A number of four bytes that is much, little or negative."""
    begin = rng.randrange(len(data) + 1)
    data[begin : begin + 4] = rng.choice(_SIZES).to_bytes(4)


def _varint(data: bytearray, rng: random.Random) -> None:
    begin = rng.randrange(len(data) + 1)
    data[begin : begin + 1] = _ENDLESS[: rng.randrange(1, len(_ENDLESS) + 1)]


def _right_length(data: bytearray, rng: random.Random) -> None:
    data[:4] = max(0, len(data) - 4).to_bytes(4)


_SPOILERS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _change,
    _change,
    _change,
    _flip,
    _cut_out,
    _cut_off,
    _put_in,
    _repeat,
    _double,
    _size,
    _varint,
    _right_length,
    _right_length,
    _right_length,
)
