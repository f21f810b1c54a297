"""What a client believes about primaries: transcripts, and the promises under any order of news."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.client.primaries import HINT_LIFE, Primaries
from zkrpc.endpoint import MAX_EPOCH, Endpoint, Primary

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
    machine.forget("g", primary(A, 1), 0.0)
    assert (machine.believed("g", 0.0), machine.hint("g", 0.0)) == ([], None)
    assert repr(machine) == "<Primaries nobody>"


def test_record_is_followed_through_a_change(machine: Primaries) -> None:
    """The registry tells of A, of its end, of B; and of another history, in which epochs begin anew."""
    assert machine.receive_record("g", primary(A, 5))
    assert machine.believed("g", 0.0) == [primary(A, 5)]
    assert not machine.receive_record("g", primary(A, 5))
    assert not machine.receive_record("g", None)
    assert machine.believed("g", 0.0) == []
    for news in (primary(B, 6), primary(C, 1)):
        assert machine.receive_record("g", news)
        assert machine.believed("g", 0.0) == [news]
    assert machine.believed("other", 0.0) == []


def test_record_is_doubted_for_a_while_when_its_primary_refused(machine: Primaries) -> None:
    """Somebody is asked instead meanwhile; then it is asked again, or at once if the registry says it once more."""
    machine.receive_record("g", primary(A, 5))
    machine.forget("g", primary(A, 5), 1.0)
    assert machine.believed("g", 1.0) == []
    assert machine.receive_redirect("g", B, 6, 1.0)
    assert machine.believed("g", 1.0) == [primary(B, 6)]
    assert not machine.receive_reply("g", B, 6, 1.1)
    assert machine.believed("g", 1.0 + HINT_LIFE) == [primary(A, 5), primary(B, 6)]
    assert machine.receive_record("g", primary(A, 5))
    assert machine.believed("g", 1.2)[0] == primary(A, 5)
    machine.receive_record("g", primary(A, 7))
    machine.forget("g", primary(A, 5), 1.3)  # a refusal that was long on its way
    assert machine.believed("g", 1.3) == [primary(A, 7)]


def test_reply_from_where_the_record_says_ends_the_doubt(machine: Primaries) -> None:
    """It was only slow, or the link to it broke."""
    machine.receive_record("g", primary(A, 5))
    machine.forget("g", primary(A, 5), 1.0)
    assert not machine.receive_reply("g", A, 5, 1.1)
    assert machine.believed("g", 1.1) == [primary(A, 5)]


def test_hint_ends_by_itself(machine: Primaries) -> None:
    """And sooner if who was named refuses; told again it counts again."""
    assert not machine.receive_redirect("g", None, 9, 0.0)
    assert machine.receive_redirect("g", A, None, 0.0)
    assert machine.hint("g", 1.0) == primary(A, 0)
    assert machine.believed("g", HINT_LIFE) == [] and machine.hint("g", HINT_LIFE) is None
    assert machine.receive_redirect("g", A, 3, HINT_LIFE)
    machine.forget("g", primary(A, 3), HINT_LIFE)
    assert machine.believed("g", HINT_LIFE) == []
    machine.receive_redirect("g", A, 3, HINT_LIFE)
    machine.drop_hint("g")
    assert machine.believed("g", HINT_LIFE) == []


def test_hint_of_an_earlier_primary_is_ignored(machine: Primaries) -> None:
    """By an instance that has not heard of the change, as long as somebody said otherwise; or of an old record."""
    machine.receive_redirect("g", B, 6, 0.0)
    assert not machine.receive_redirect("g", A, 5, 1.0)
    assert machine.receive_redirect("g", C, 7, 1.0)
    machine.receive_record("g", primary(A, 8))
    machine.forget("g", primary(A, 8), 1.0)
    assert not machine.receive_redirect("g", B, 7, 1.0)
    assert machine.believed("g", 1.0) == []


def test_no_epoch_outranks_the_registry(machine: Primaries) -> None:
    """Neither that of a hint nor that of a reply, nor both together."""
    assert machine.receive_redirect("g", C, MAX_EPOCH, 0.0)
    assert not machine.receive_reply("g", C, MAX_EPOCH, 0.0)
    assert machine.believed("g", 0.0) == [primary(C, MAX_EPOCH)]
    assert machine.receive_record("g", primary(A, 1))
    assert machine.believed("g", 0.0)[0] == primary(A, 1)
    machine.receive_redirect("g", C, MAX_EPOCH, 1.0)
    assert machine.believed("g", 1.0)[0] == primary(A, 1)
    assert machine.receive_record("g", primary(B, 2))
    assert machine.believed("g", 0.0)[0] == primary(B, 2)


def test_reply_tells_the_name_that_is_reached_from_here(machine: Primaries) -> None:
    """A record may name a primary by an address that is no member's; the one that served stays until it is news."""
    alias = Endpoint("localhost", 1)
    machine.receive_record("g", primary(A, 5))
    assert machine.receive_reply("g", alias, 5, 0.0)
    assert machine.believed("g", 0.0) == [primary(A, 5), primary(alias, 5)]
    assert not machine.receive_reply("g", alias, 5, 0.0)
    assert not machine.receive_record("g", primary(A, 5))
    assert machine.believed("g", 9.0) == [primary(A, 5), primary(alias, 5)]
    machine.receive_record("g", primary(B, 6))
    assert machine.believed("g", 0.0) == [primary(B, 6)]
    assert not machine.receive_reply("g", alias, 5, 0.0), "an answer that was long on its way"
    assert machine.believed("g", 0.0) == [primary(B, 6)]


def test_reply_outlives_the_end_of_an_earlier_record(machine: Primaries) -> None:
    """B answers first. Then the registry tells that A is gone, which is no news, and that B has come and gone."""
    machine.receive_record("g", primary(A, 5))
    machine.forget("g", primary(A, 5), 0.0)
    assert machine.receive_reply("g", B, 6, 0.0)
    assert not machine.receive_record("g", None)
    assert machine.believed("g", 0.0) == [primary(B, 6)]
    machine.receive_record("g", primary(B, 6))
    machine.receive_record("g", None)
    assert machine.believed("g", 0.0) == []


def test_reply_without_an_epoch_has_that_of_the_hint(machine: Primaries) -> None:
    """Servers without epochs are followed too."""
    machine.receive_redirect("g", A, None, 0.0)
    assert not machine.receive_reply("g", A, None, 0.0)
    assert machine.believed("g", 99.0) == [primary(A, 0)]
    machine.forget("g", primary(A, 0), 99.0)
    assert machine.receive_redirect("g", B, 4, 99.0)
    machine.receive_reply("g", B, None, 99.0)
    assert machine.believed("g", 999.0) == [primary(B, 4)]


def test_primary_that_is_lost_again_is_believed_after_a_pause(machine: Primaries) -> None:
    """At once the first time, as a broken connection ends no term; then ever later, until it answers."""
    assert machine.receive_redirect("g", A, 1, 0.0)
    machine.forget("g", primary(A, 1), 0.0)
    machine.forget("g", primary(A, 1), 0.0)  # another call that was on its way there: the same loss
    assert machine.receive_redirect("g", A, 1, 0.0)
    for lost_at, pause in ((0.0, 0.05), (1.0, 0.1), (2.0, 0.2), (3.0, 0.4), (4.0, 0.8), (5.0, 1.0), (7.0, 1.0)):
        machine.forget("g", primary(A, 1), lost_at)
        assert not machine.receive_redirect("g", A, 1, lost_at + pause - 0.001)
        assert not machine.receive_redirect("g", A, None, lost_at + pause - 0.001)
        assert machine.receive_redirect("g", A, 1, lost_at + pause)
    machine.receive_reply("g", A, 1, 8.5)
    machine.forget("g", primary(A, 1), 8.5)
    assert machine.receive_redirect("g", A, 1, 8.5)


def test_lost_primary_is_believed_at_once_in_a_later_epoch(machine: Primaries) -> None:
    """As is anybody else; and what was lost long ago is a first loss again."""
    for _ in range(3):
        machine.receive_redirect("g", A, 1, 0.0)
        machine.forget("g", primary(A, 1), 0.0)
    assert not machine.receive_redirect("g", A, 1, 0.0)
    assert machine.receive_redirect("g", B, 1, 0.0)
    machine.forget("g", primary(B, 1), 0.0)
    assert machine.receive_redirect("g", A, 2, 0.0)
    machine.forget("g", primary(A, 2), 20.0)
    assert machine.receive_redirect("g", A, 2, 20.0)


def test_losses_of_few_primaries_are_kept(machine: Primaries) -> None:
    """Whoever names a thousand makes nobody remember them."""
    for number in range(1000):
        endpoint = Endpoint("10.0.0.2", number)
        for _ in range(2):
            machine.receive_redirect("g", endpoint, 1, 0.0)
            machine.forget("g", primary(endpoint, 1), 0.0)
    assert len(machine._group("g").lost) == 8
    assert not machine.receive_redirect("g", endpoint, 1, 0.0)


def test_groups_are_apart_and_bounded() -> None:
    """Names that servers make up cannot fill the memory."""
    machine = Primaries(most_groups=2)
    for number, group in enumerate(("a", "b", "c"), 1):
        machine.receive_record(group, primary(A, number))
    assert [len(machine.believed(group, 0.0)) for group in ("a", "b", "c")] == [0, 1, 1]
    machine.receive_redirect("c", B, 4, 0.0)
    assert (
        repr(machine)
        == "<Primaries b=record:10.0.0.1:1 (epoch 2), c=record:10.0.0.1:1 (epoch 3) hint:10.0.0.1:2 (epoch 4)>"
    )


_ENDPOINTS = st.sampled_from([A, B, C])
_EPOCHS = st.one_of(st.integers(0, 6), st.just(MAX_EPOCH))
_PRIMARIES = st.builds(primary, _ENDPOINTS, _EPOCHS)
_NEWS = st.one_of(
    st.tuples(st.just("record"), st.one_of(st.none(), _PRIMARIES)),
    st.tuples(st.just("redirect"), st.one_of(st.none(), _ENDPOINTS), st.one_of(st.none(), _EPOCHS)),
    st.tuples(st.just("reply"), _ENDPOINTS, st.one_of(st.none(), _EPOCHS)),
    st.tuples(st.just("forget"), _PRIMARIES),
)


def _tell(machine: Primaries, now: float, kind: str, *what: Any) -> bool:
    if kind == "forget":
        machine.forget("g", *what, now)
        return False
    times = () if kind == "record" else (now,)
    told: bool = getattr(machine, f"receive_{kind}")("g", *what, *times)
    return told


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2), _NEWS), max_size=30))
def test_promises_hold_under_any_order_of_news(history: list[Any]) -> None:
    """A record is believed first unless its primary refused of late; a hint alone ends; one that refused is not
    believed at once; True means a new place to go."""
    machine, record, now = Primaries(), None, 0.0
    for pause, news in history:
        now += pause
        before = machine.believed("g", now)
        told = _tell(machine, now, *news)
        after = machine.believed("g", now)
        if news[0] == "record":
            record = news[1]
            assert after[:1] == [record] if record is not None else True
        if news[0] == "forget":
            assert not any(one.endpoint == news[1].endpoint and one.epoch <= news[1].epoch for one in after)
        if told:
            assert after and (after != before or news[0] == "record")
        if record is not None:
            assert machine.believed("g", now + HINT_LIFE)[0] == record
        later = machine.believed("g", now + HINT_LIFE)
        assert len(later) <= 2 and machine.hint("g", now + HINT_LIFE) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2), _NEWS), max_size=30), _ENDPOINTS, st.integers(0, 9))
def test_registry_is_always_believed(history: list[Any], endpoint: Endpoint, epoch: int) -> None:
    """Whatever was heard, refused or lost before, and whoever told."""
    machine, now = Primaries(), 0.0
    for pause, news in history:
        now += pause
        _tell(machine, now, *news)
    machine.receive_record("g", None)
    assert machine.receive_record("g", primary(endpoint, epoch))
    assert machine.believed("g", now)[0] == primary(endpoint, epoch)
