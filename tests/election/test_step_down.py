"""Petitions as they are written and read; how they are obeyed is shown on a real server, with the campaigns."""

from __future__ import annotations

import pytest

from zkrpc.election.step_down import StepDownRequest, step_down_path
from zkrpc.election.tree import ElectionPaths


def test_petition_is_read_as_it_was_written() -> None:
    """With an heir and without, beside what it is about."""
    for step_down in (StepDownRequest(epoch=3), StepDownRequest(epoch=2**62, heir="w2")):
        assert StepDownRequest.parse(step_down.dump()) == step_down
    assert StepDownRequest.parse(b'{"epoch": 4, "later": "words"}') == StepDownRequest(epoch=4)
    assert step_down_path(ElectionPaths("s", "g")) == "/services/s/election/g/step-down"


@pytest.mark.parametrize(
    "value",
    [b"", b"5", b"[]", b"{}", b'{"epoch": "5"}', b'{"epoch": true}', b'{"epoch": 5, "heir": 1}', b"\xff", b"[" * 4000],
)
def test_what_is_no_petition_is_none(value: bytes) -> None:
    """Anybody may write there, and anything."""
    assert StepDownRequest.parse(value) is None
    assert StepDownRequest.parse(b'{"epoch": 5, "heir": "' + b"x" * 5000 + b'"}') is None
