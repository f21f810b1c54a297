"""What a client believes about primaries: transcripts, and the promises under any order of news."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.client.primaries import Primaries
from zkrpc.endpoint import Endpoint, Primary

A, B, C = (Endpoint("10.0.0.1", port) for port in (1, 2, 3))


def primary(endpoint: Endpoint, epoch: int) -> Primary:
    """Shorter to read."""
    return Primary(endpoint=endpoint, epoch=epoch)


@pytest.fixture
def machine() -> Primaries:
    """One that has heard nothing."""
    return Primaries()


def test_nobody_is_known_at_first(machine: Primaries) -> None:
    """And nobody can be forgotten."""
    assert machine.known("g") is None and machine.epoch("g") == 0
    machine.forget("g", primary(A, 1))
    assert repr(machine) == "<Primaries nobody>"


def test_record_is_followed_through_a_change(machine: Primaries) -> None:
    """The registry tells of A, of its end, of B; an older record that comes late changes nothing."""
    assert machine.receive_record("g", primary(A, 5))
    assert machine.known("g") == primary(A, 5)
    assert not machine.receive_record("g", primary(A, 5))
    assert not machine.receive_record("g", None)
    assert machine.known("g") is None and machine.epoch("g") == 5
    assert machine.receive_record("g", primary(B, 6))
    assert not machine.receive_record("g", primary(A, 5))
    assert machine.known("g") == primary(B, 6)
    assert machine.known("other") is None


def test_redirect_beats_a_registry_that_lags(machine: Primaries) -> None:
    """A redirect tells of B first. Then the registry tells that A is gone, which is no news, and that B has come."""
    machine.receive_record("g", primary(A, 5))
    assert machine.receive_redirect("g", B, 6)
    assert not machine.receive_record("g", primary(A, 5)) and not machine.receive_record("g", None)
    assert machine.known("g") == primary(B, 6)
    assert not machine.receive_record("g", primary(B, 6))
    machine.receive_record("g", None)
    assert machine.known("g") is None


def test_redirect_to_an_earlier_primary_is_ignored(machine: Primaries) -> None:
    """By an instance that has not heard of the change."""
    machine.receive_redirect("g", B, 6)
    assert not machine.receive_redirect("g", A, 5)
    machine.forget("g", primary(B, 6))
    assert not machine.receive_redirect("g", A, 5)
    assert machine.known("g") is None


def test_newer_epoch_without_a_place_ends_the_belief_in_the_old_one(machine: Primaries) -> None:
    """Somebody else was elected; where is not known yet."""
    machine.receive_record("g", primary(A, 5))
    assert not machine.receive_redirect("g", None, 6)
    assert machine.known("g") is None and machine.epoch("g") == 6
    assert not machine.receive_record("g", primary(A, 5))
    assert machine.receive_record("g", primary(B, 6))


def test_redirect_without_an_epoch_helps_only_who_knows_nothing(machine: Primaries) -> None:
    """It may be as old as it likes. A record of the same epoch is better, and replaces it."""
    assert not machine.receive_redirect("g", None, None)
    assert machine.receive_redirect("g", A, None)
    assert not machine.receive_redirect("g", B, None)
    assert machine.known("g") == primary(A, 0)
    assert machine.receive_record("g", primary(C, 4))
    machine.forget("g", primary(C, 4))
    assert machine.receive_redirect("g", B, None) and machine.known("g") == primary(B, 4)
    assert machine.receive_record("g", primary(C, 4)) and machine.known("g") == primary(C, 4)


def test_refused_primary_is_forgotten_until_it_is_told_of_again(machine: Primaries) -> None:
    """By anybody; a refusal that was on its way while somebody newer was told of is about the old one."""
    machine.receive_record("g", primary(A, 5))
    machine.forget("g", primary(A, 5))
    assert machine.known("g") is None
    assert machine.receive_redirect("g", A, 5)
    machine.receive_record("g", primary(A, 7))
    machine.forget("g", primary(A, 5))
    assert machine.known("g") == primary(A, 7)


def test_reply_is_the_best_source(machine: Primaries) -> None:
    """A record may name a primary by an address that is not the one it is reached by from here."""
    alias = Endpoint("localhost", 1)
    machine.receive_record("g", primary(A, 5))
    assert machine.receive_reply("g", alias, 5)
    assert not machine.receive_reply("g", alias, 5)
    assert not machine.receive_record("g", primary(A, 5)) and not machine.receive_redirect("g", A, 5)
    assert machine.known("g") == primary(alias, 5)
    machine.receive_record("g", primary(B, 6))
    assert not machine.receive_reply("g", alias, 5), "an answer that was long on its way"
    assert machine.known("g") == primary(B, 6)
    assert not machine.receive_reply("g", B, 6) and not machine.receive_redirect("g", C, 6)
    assert machine.known("g") == primary(B, 6)


def test_groups_are_apart_and_bounded() -> None:
    """Names that servers make up cannot fill the memory."""
    machine = Primaries(most_groups=2)
    for number, group in enumerate(("a", "b", "c"), 1):
        machine.receive_record(group, primary(A, number))
    assert [machine.epoch(group) for group in ("a", "b", "c")] == [0, 2, 3]
    machine.receive_redirect("c", None, 4)
    assert repr(machine) == "<Primaries b=10.0.0.1:1 (epoch 2), c=? (epoch 4)>"


_ENDPOINTS = st.sampled_from([A, B, C])
_EPOCHS = st.integers(0, 6)
_NEWS = st.one_of(
    st.tuples(st.just("record"), st.one_of(st.none(), st.builds(primary, _ENDPOINTS, _EPOCHS))),
    st.tuples(st.just("redirect"), st.one_of(st.none(), _ENDPOINTS), st.one_of(st.none(), _EPOCHS)),
    st.tuples(st.just("reply"), _ENDPOINTS, _EPOCHS),
    st.tuples(st.just("forget"), st.builds(primary, _ENDPOINTS, _EPOCHS)),
)


def _tell(machine: Primaries, kind: str, *what: Any) -> bool:
    if kind == "forget":
        machine.forget("g", *what)
        return False
    told: bool = getattr(machine, f"receive_{kind}")("g", *what)
    return told


def _epoch_in(kind: str, *what: Any) -> int | None:
    """The epoch that a piece of news speaks of, if it says one."""
    if kind in ("record", "forget"):
        return what[0].epoch if what[0] is not None else None
    epoch: int | None = what[1]
    return epoch


@settings(max_examples=400, deadline=None)
@given(st.lists(_NEWS, max_size=30))
def test_promises_hold_under_any_order_of_news(history: list[Any]) -> None:
    """Epochs never fall; who is known is of the highest; older news change nothing; True means a new place to go."""
    machine = Primaries()
    for news in history:
        before, height = machine.known("g"), machine.epoch("g")
        told = _tell(machine, *news)
        after, epoch = machine.known("g"), _epoch_in(*news)
        assert machine.epoch("g") >= height
        assert after is None or after.epoch == machine.epoch("g")
        assert told == (after is not None and after != before)
        if epoch is not None and epoch < height:
            assert (after, machine.epoch("g")) == (before, height)
        if news[0] == "forget" and news[1] == before:
            assert after is None
        if news[0] == "reply" and epoch == machine.epoch("g"):
            assert after == primary(news[1], epoch)


@settings(max_examples=200, deadline=None)
@given(st.lists(_NEWS, max_size=30), _ENDPOINTS, st.integers(7, 9))
def test_something_newer_is_always_believed(history: list[Any], endpoint: Endpoint, epoch: int) -> None:
    """Whatever was heard, refused or lost before, and whoever tells."""
    for kind in ("record", "redirect", "reply"):
        machine = Primaries()
        for news in history:
            _tell(machine, *news)
        told = (primary(endpoint, epoch),) if kind == "record" else (endpoint, epoch)
        assert _tell(machine, kind, *told)
        assert machine.known("g") == primary(endpoint, epoch)
