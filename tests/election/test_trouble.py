"""What an instance says about why it cannot lead."""

from __future__ import annotations

import pytest

from zkrpc.election.trouble import Trouble


def test_trouble_is_read_as_it_was_written() -> None:
    """The why and how often."""
    trouble = Trouble(why="ValueError: no such table", times=3)
    assert Trouble.parse(trouble.dump()) == trouble


def test_trouble_is_one_printable_line_of_bounded_length_on_both_sides() -> None:
    """What somebody's exception said ends on an operator's terminal; and somebody else may have written the node."""
    hostile = "bad\x1b[2J\n\tlines \u202e" + "x" * 5000
    read = Trouble.parse(Trouble(why=hostile).dump())
    assert read is not None and read.why.startswith("bad\\x1b[2J lines \\u202exxx") and len(read.why) < 400
    raw = Trouble.parse(b'{"why": "a\\u001b[2Jb", "times": 1}')
    assert raw is not None and raw.why == "a\\x1b[2Jb"


@pytest.mark.parametrize(
    "value",
    [b"", b"?", b"[]", b"{}", b'{"why": 1, "times": 1}', b'{"why": "", "times": 0}', b'{"why": "", "times": true}'],
)
def test_trouble_that_is_none_is_left_out(value: bytes) -> None:
    """Nothing depends on it."""
    assert Trouble.parse(value) is None
