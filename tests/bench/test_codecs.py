"""The codec by itself beside others: who is measured, and what is held to what."""

from __future__ import annotations

import random

import pytest

from bench.codecs import apache, contest, others, ours
from bench.codecs.contest import CYBIN, FASTBINARY, MSGSPEC, PURE, WAYS, ZKRPC, Contestant, Times
from bench.codecs.contestant import count_for, turn, ways_of
from bench.codecs.values import TITLES, Codec
from bench.codecs.verdict import check, render
from scripts.report import Report


def times_of(*measured: tuple[Contestant, str, str, float]) -> Times:
    """One turn of each."""
    times = Times()
    for one in measured:
        times.add(*one)
    return times


def judged(times: Times) -> list[tuple[str, float, str, bool]]:
    """What the report says."""
    report = Report("codec")
    check(times, report)
    return [(one.name, one.value, one.note, one.ok) for one in report.checks]


def test_thrift_codecs_take_every_value() -> None:
    """And give back what they were given; the bytes of all are as long as each other's."""
    codecs = [make() for make in (ours.zkrpc, apache.fastbinary_codec, others.cybin)]
    for value in TITLES:
        assert len({len(codec[value].encode(codec[value].value)) for codec in codecs}) == 1
        for codec in codecs:
            assert set(ways_of(codec[value])) == set(WAYS)


def test_wrong_codec_is_not_measured() -> None:
    """Nobody is fast by being wrong."""
    with pytest.raises(ValueError, match="decoded 6"):
        ways_of(Codec(5, lambda value: b"5", lambda body: 6))


def test_turn_lasts_about_as_long_as_it_should() -> None:
    """So that one of a slow codec is not one of many seconds, nor one of a fast codec too short for the clock."""
    count = count_for(sum, range(1000), 0.002)
    assert count > 1 and count * turn(sum, range(1000), count) / 1e6 < 1.0


def test_worst_value_is_what_counts_beside_thrift_codecs() -> None:
    """It is named; each way has a check of its own."""
    times = times_of(
        *((ZKRPC, value, way, 2.0) for value in TITLES for way in WAYS),
        *((FASTBINARY, value, way, 3.0) for value in TITLES for way in WAYS),
        (FASTBINARY, "words", "decode", 1.0),
    )
    assert judged(times) == [
        ("encode: times as fast as fastbinary, at the least", 1.5, "64 KiB binary", True),
        ("decode: times as fast as fastbinary, at the least", 0.5, "list of 1 000 strings", False),
    ]


def test_better_way_is_what_counts_beside_msgspec() -> None:
    """With an order only; and what was not measured is held to nothing."""
    times = times_of(
        (ZKRPC, "rich", "encode", 2.0),
        (ZKRPC, "rich", "decode", 4.0),
        (ZKRPC, "echo", "encode", 9.0),
        (MSGSPEC, "rich", "encode", 1.0),
        (MSGSPEC, "rich", "decode", 4.4),
        (MSGSPEC, "echo", "encode", 1.0),
    )
    assert judged(times) == [("20 nested structs: times as fast as msgspec, the better way", 1.1, "decode", True)]


def test_rounds_measure_who_can_be_had() -> None:
    """In processes; who cannot is named with the reason."""
    nobody = Contestant("nobody", "no_such_codec", "codec")
    told: list[str] = []
    times = contest.run(
        (PURE, CYBIN, nobody), random.Random(1), rounds=2, seconds=1e-4, values=("echo",), tell=told.append
    )
    assert told == ["round 1 of 2", "round 2 of 2"]
    assert set(times.left_out) == {"nobody"} and "no_such_codec" in times.left_out["nobody"]
    for way in WAYS:
        least, median = times.least(PURE, "echo", way), times.median(PURE, "echo", way)
        assert least is not None and median is not None and 0 < least <= median
    assert times.ratio(PURE, CYBIN, "echo", "encode") and times.ratio(ZKRPC, CYBIN, "echo", "encode") is None
    assert len(times.as_object()["us"]) == 4


def test_tables_show_fastest_and_median_turns() -> None:
    """A column for each codec that was measured."""
    times = times_of(*((ZKRPC, value, way, took) for value in TITLES for way in WAYS for took in (1.5, 150.0, 15.0)))
    times.left_out["msgspec"] = "No module named 'msgspec'"
    text = render(times)
    assert text.count("1.50 / 1.50") == text.count("15.0 / 15.0") == len(TITLES) and "cybin" not in text
    assert text.endswith("msgspec is left out: No module named 'msgspec'")
