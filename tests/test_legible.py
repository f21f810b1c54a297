"""Foreign text for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.legible import legible, legible_lines


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
