"""What people read: foreign text, durations and moments."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.legible import ago, lasting, legible, legible_lines, moment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("users", "users"),
        ("", ""),
        ("grüße 日本 🙂", "grüße 日本 🙂"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree"),
        ("\x00\x7f\x9b31m", "\\x00\\x7f\\x9b31m"),
        ("a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"),
        ("a\u2028b\u2029c\x85d", "a\\u2028b\\u2029c\\x85d"),
        ("\ud800", "\\ud800"),
        ("\U000e0001", "\\U000e0001"),
        (7, "7"),
    ],
)
def test_legible_escapes_what_cannot_be_seen(text: object, shown: str) -> None:
    """Escapes, breaks of lines, directions and halves of characters; letters of any script stay."""
    assert legible(text) == shown


def test_legible_shows_the_beginning_of_what_is_long() -> None:
    """And how much more there is: a megabyte in a name is somebody's joke."""
    assert legible("x" * 1000) == "x" * 1000
    assert legible("x" * 1001) == "x" * 1000 + "… (1 characters more)"
    assert legible("\n" * 9, limit=2) == "\\n\\n… (7 characters more)"


def test_legible_keeps_the_lines_of_what_has_lines() -> None:
    """A traceback stays one, however long its lines are."""
    assert legible_lines("a\n  b\x1b[0m\n" + "c" * 2000) == "a\n  b\\x1b[0m\n" + "c" * 2000


@given(st.text())
def test_legible_is_printable_whatever_it_is_given(text: str) -> None:
    """Always, and on one line; what is legible already is left alone."""
    shown = legible(text)
    assert shown.isprintable() and legible(shown) == shown


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (0.04, "0 s"),
        (1.24, "1.2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.9, "60 s"),
        (119, "119 s"),
        (120, "2 min"),
        (150, "2.5 min"),
        (600, "10 min"),
        (7199, "120 min"),
        (9000, "2.5 h"),
        (47 * 3600, "47 h"),
        (2 * 86_400, "2 d"),
        (1e6, "12 d"),
        (float("inf"), "inf d"),
    ],
)
def test_duration_is_in_the_largest_unit_of_which_there_are_two(seconds: float, told: str) -> None:
    """With a decimal below ten, unless that is none."""
    assert lasting(seconds) == told


def test_age_is_told_from_two_moments_of_one_clock() -> None:
    """What was written by a clock that is ahead was written now."""
    assert ago(100.0, 2560.0) == "41 min ago"
    assert ago(100.0, 99.0) == "0 s ago"


def test_moment_is_told_to_the_second_in_the_time_of_a_zone() -> None:
    """In this machine's by default; what no calendar has is told as the number that it is."""
    assert moment(0.9, datetime.UTC) == "1970-01-01 00:00:00"
    assert moment(0.0, datetime.timezone(datetime.timedelta(hours=2))) == "1970-01-01 02:00:00"
    assert moment(0.0) == datetime.datetime.fromtimestamp(0.0).strftime("%Y-%m-%d %H:%M:%S")
    assert [moment(at) for at in (1e300, float("nan"), float("inf"))] == ["1e+300 s", "nan s", "inf s"]
