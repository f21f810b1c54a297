"""The publication of an IDL: what is kept, what is refused, and when it is written, renewed and collected."""

from __future__ import annotations

import hashlib
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.publication import (
    COLLECT_EVERY,
    MAX_PACKED,
    MAX_TEXT,
    RENEW_AFTER,
    Announce,
    Collect,
    Effect,
    LookUp,
    Publication,
    PublicationMachine,
    Renew,
    Write,
    pack,
    unpack,
)

TEXT = "service Users { void f() }\n"
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()
USERS = Publication(interface="Users", digest=DIGEST)


def noise(size: int) -> str:
    """Text that hardly gets smaller when it is compressed."""
    return random.Random(7).randbytes(size // 2).hex()


def test_packed_text_is_the_same_when_it_is_unpacked() -> None:
    """And its digest is that of the text as it is, so that sha256sum finds it."""
    assert unpack(DIGEST, pack(TEXT)) == TEXT and zlib.decompress(pack(TEXT)) == TEXT.encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("/" * (MAX_TEXT + 1), f"1048577 bytes .* at most {MAX_TEXT}"),
        (noise(MAX_TEXT), "bytes compressed, and at most"),
    ],
    ids=["text", "packed"],
)
def test_text_that_is_too_large_is_refused_with_both_sizes(text: str, reason: str) -> None:
    """Before ZooKeeper could drop the connection for it."""
    with pytest.raises(ConfigError, match=reason):
        pack(text)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "other contents"),
        (TEXT.encode(), "not compressed"),
        (pack(TEXT)[:-9], "other contents"),
        (pack("another"), "other contents"),
        (b"\0" * (MAX_PACKED + 1), "are over"),
        (zlib.compress(b"\0" * (MAX_TEXT + 1)), "when unpacked"),
    ],
)
def test_what_is_not_the_text_of_the_digest_is_refused(payload: bytes, reason: str) -> None:
    """Whatever it is, and a small node that would fill the memory as well."""
    with pytest.raises(RemoteProtocolError, match=reason):
        unpack(DIGEST, payload)


def test_text_that_is_no_text_is_refused_even_under_its_own_digest() -> None:
    """A digest proves nothing about what it is the digest of."""
    with pytest.raises(RemoteProtocolError, match="not UTF-8"):
        unpack(hashlib.sha256(b"\xff").hexdigest(), zlib.compress(b"\xff"))


def test_note_is_read_as_it_was_written() -> None:
    """JSON that other programs can read."""
    assert Publication.parse(USERS.dump()) == USERS and str(USERS) == f"Users {DIGEST[:12]}"


@given(
    st.binary(max_size=200) | st.from_regex(r'\{"interface":.{0,20},"idl":.{0,70}\}', fullmatch=True).map(str.encode)
)
def test_note_that_is_none_is_refused(payload: bytes) -> None:
    """By one kind of exception, whatever it is."""
    try:
        Publication.parse(payload)
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize("wrong", [{"interface": "a/b"}, {"interface": ""}, {"digest": "../x"}, {"digest": "A" * 64}])
def test_publication_has_no_name_that_could_lead_elsewhere(wrong: dict[str, str]) -> None:
    """A digest becomes a part of a path."""
    with pytest.raises(RemoteProtocolError):
        Publication(**{"interface": "Users", "digest": DIGEST, **wrong})


def turn(machine: PublicationMachine, now: float) -> list[Effect]:
    """What the machine wants at this time."""
    machine.handle_timer(now)
    return machine.effects()


def made() -> PublicationMachine:
    """A machine whose dice show a half."""
    return PublicationMachine(rng=lambda: 0.5)


def settled(now: float = 0.0) -> PublicationMachine:
    """A machine at rest, its text there and new."""
    machine = made()
    assert turn(machine, now) == [LookUp()]
    machine.receive_found(0, 5.0, now)
    assert machine.effects() == [Announce()]
    machine.receive_announced(now)
    assert turn(machine, now) == [LookUp()]
    machine.receive_found(0, 5.0, now)
    assert turn(machine, now) == []
    return machine


def test_text_is_written_where_it_is_missing_and_then_announced() -> None:
    """A write is believed only when a look has seen it."""
    machine = made()
    assert turn(machine, 0.0) == [LookUp()] and machine.next_timer() is None
    machine.receive_missing(0.0)
    assert machine.effects() == [Write()] and not machine.is_published
    machine.receive_written(0.0)
    assert turn(machine, 0.0) == [LookUp()]
    machine.receive_found(0, 0.0, 0.0)
    assert machine.effects() == [Announce()] and machine.is_published


def test_announcement_is_made_once() -> None:
    """An instance that has run for long does not take the last word from a newer one."""
    machine = settled()
    machine.receive_change(1.0)
    assert turn(machine, 1.0) == [LookUp()]
    machine.receive_found(1, 0.0, 1.0)
    assert machine.effects() == []


def test_text_that_accompanies_another_one_is_not_announced() -> None:
    """Also where there is no note: whoever publishes the other one writes it."""
    machine = PublicationMachine(rng=lambda: 0.5, announces=False)
    machine.handle_timer(0.0)
    machine.receive_unannounced()
    assert machine.effects() == [LookUp()]
    machine.receive_found(0, 0.0, 0.0)
    assert machine.effects() == [] and machine.is_published


def test_note_that_vanishes_is_written_again() -> None:
    """Somebody removes what an earlier instance has left, just when this one has started."""
    machine = settled()
    machine.receive_change(5.0)
    assert turn(machine, 5.0) == [LookUp()]
    machine.receive_unannounced()
    machine.receive_found(0, 5.0, 5.0)
    assert machine.effects() == [Announce()]
    machine.receive_announced(5.0)
    assert turn(machine, 5.0) == [LookUp()]
    machine.receive_found(0, 5.0, 5.0)
    assert turn(machine, 5.0) == []


def test_text_that_vanishes_is_written_again() -> None:
    """The watch tells."""
    machine = settled()
    machine.receive_change(1.0)
    assert turn(machine, 1.0) == [LookUp()]
    machine.receive_missing(1.0)
    assert machine.effects() == [Write()] and not machine.is_published


def test_old_text_is_renewed_at_the_version_that_was_seen() -> None:
    """So that of a thousand instances one writes."""
    machine = settled()
    machine.receive_change(1.0)
    turn(machine, 1.0)
    machine.receive_found(3, RENEW_AFTER, 1.0)
    assert machine.effects() == [Renew(3)]


def test_clock_that_is_wrong_does_not_renew_again_and_again() -> None:
    """Even if a text that was just written seems years old."""
    machine, renewed = settled(), 0
    for now in range(1, 100):
        machine.receive_change(float(now))
        turn(machine, float(now))
        machine.receive_found(now, 1e9, float(now))
        renewed += machine.effects() != []
        machine.receive_written(float(now))
    assert renewed == 1


def test_collection_is_due_once_a_day_and_soon_after_the_start() -> None:
    """Within an hour, so that services which are often restarted collect as well."""
    machine, at = settled(), []
    for now in range(0, int(2.2 * COLLECT_EVERY), 600):
        for effect in turn(machine, float(now)):
            if effect == Collect():
                at.append(float(now))
            else:
                machine.receive_found(0, 0.0, float(now))
                machine.effects()
    assert len(at) == 3 and at[0] <= 3600 and at[1] - at[0] == COLLECT_EVERY


def test_failures_are_tried_again_later_each_time_and_forgotten_when_all_is_well() -> None:
    """From a second to five minutes."""
    machine, now, pauses = made(), 0.0, []
    for _ in range(12):
        assert turn(machine, now) == [LookUp()]
        machine.receive_failure("away", now)
        due = machine.next_timer()
        assert due is not None and machine.failure == "away"
        pauses.append(due - now)
        now = due
    assert pauses == sorted(pauses) and pauses[0] == 0.75 and pauses[-1] == 225.0
    turn(machine, now)
    machine.receive_found(0, 0.0, now)
    machine.receive_announced(now)
    assert machine.failure == "away" and "away" in repr(machine)
    turn(machine, now)
    machine.receive_found(0, 0.0, now)
    assert machine.failure is None
