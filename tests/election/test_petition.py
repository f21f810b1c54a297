"""Petitions as they are written and read; how they are obeyed is shown on a real server, with the campaigns."""

from __future__ import annotations

import pytest

from zkrpc.election.petition import Petition, petition_path
from zkrpc.election.tree import ElectionPaths


def test_petition_is_read_as_it_was_written() -> None:
    """With an heir and without, beside what it is about."""
    for petition in (Petition(epoch=3), Petition(epoch=2**62, heir="w2")):
        assert Petition.parse(petition.dump()) == petition
    assert Petition.parse(b'{"epoch": 4, "later": "words"}') == Petition(epoch=4)
    assert petition_path(ElectionPaths("s", "g")) == "/services/s/election/g/step-down"


@pytest.mark.parametrize(
    "value",
    [b"", b"5", b"[]", b"{}", b'{"epoch": "5"}', b'{"epoch": true}', b'{"epoch": 5, "heir": 1}', b"\xff", b"[" * 4000],
)
def test_what_is_no_petition_is_none(value: bytes) -> None:
    """Anybody may write there, and anything."""
    assert Petition.parse(value) is None
    assert Petition.parse(b'{"epoch": 5, "heir": "' + b"x" * 5000 + b'"}') is None
