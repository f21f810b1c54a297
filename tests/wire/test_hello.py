"""What peers say of themselves: it narrows what is sent to them, never widens it, and lies do little."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.caller import NOBODY, Caller
from zkrpc.config import WireLimits
from zkrpc.errors import TooLarge
from zkrpc.wire.envelope import MessageKind, read_envelope
from zkrpc.wire.hello import UNHEARD_FRAME, Introduction, NotIntroduced, caller_of, hello_frame, narrowed
from zkrpc.wire.message import open_frame

LIMITS = WireLimits()


def said(limits: WireLimits) -> Mapping[str, str]:
    return open_frame(hello_frame(limits)[4:], LIMITS).headers


def test_hello_is_a_oneway_control_message_with_the_limits() -> None:
    """Peers of an earlier version read the name and nothing else."""
    opening = open_frame(hello_frame(LIMITS)[4:], LIMITS)
    kind, name, seqid, _ = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
    assert (kind, name, seqid) == (MessageKind.ONEWAY, b"zkrpc:hello", 0)
    assert opening.headers == {
        "zkrpc-max-frame": "4194304",
        "zkrpc-max-header": "8192",
        "zkrpc-max-header-entries": "64",
    }


def test_hello_of_a_client_says_who_it_is() -> None:
    """A name, and a version if it has one; at their longest they fit into what every peer takes."""
    for caller in (Caller("billing", "1.2"), Caller("billing"), Caller("x" * 64, "1" * 32), NOBODY):
        frame = hello_frame(WireLimits(max_frame=2**29, max_header=10**9, max_header_entries=10**9), caller)
        assert caller_of(open_frame(frame[4:], WireLimits(max_header=256, max_header_entries=8)).headers) == caller


def test_peer_is_sent_what_both_sides_take() -> None:
    """The smaller of each."""
    small = WireLimits(max_frame=100_000, max_header=999, max_header_entries=10)
    assert narrowed(LIMITS, said(small)) == small
    assert narrowed(small, said(LIMITS)) is small and narrowed(LIMITS, said(LIMITS)) is LIMITS
    assert narrowed(LIMITS, {}) is LIMITS


@pytest.mark.parametrize("lie", ["", "-1", "1e9", "٣", "9" * 11, "x", " 1", "99999999999999999999"])
def test_number_that_is_none_is_not_believed(lie: str) -> None:
    """What cannot be read was not said."""
    assert narrowed(LIMITS, {"zkrpc-max-frame": lie}) == LIMITS


def test_limits_that_nobody_has_are_not_believed() -> None:
    """A peer that takes nothing would be of no use; one that takes more than we allow ourselves changes nothing."""
    zero = dict.fromkeys(said(LIMITS), "0")
    assert narrowed(LIMITS, zero) == WireLimits(max_frame=1024, max_header=256, max_header_entries=8)
    assert narrowed(LIMITS, dict.fromkeys(zero, "9" * 10)) == LIMITS


@given(st.dictionaries(st.sampled_from(list(said(LIMITS))), st.text(max_size=12) | st.integers(-9, 10**12).map(str)))
def test_hello_that_lies_only_ever_narrows(lies: dict[str, str]) -> None:
    """Whatever it says: nothing is sent that we would not take ourselves, and no peer talks us into sending nothing."""
    takes = narrowed(LIMITS, lies)
    for name, least in (("max_frame", 1024), ("max_header", 256), ("max_header_entries", 8)):
        assert least <= getattr(takes, name) <= getattr(LIMITS, name)


def test_introduction_ends_with_the_first_word() -> None:
    """A server that changes its mind afterwards is not followed."""
    server = Introduction(LIMITS, awaited=True)
    assert (server.max_frame, repr(server)) == (UNHEARD_FRAME, f"<Introduction awaited max_frame={UNHEARD_FRAME}>")
    with pytest.raises(NotIntroduced):
        server.refuse(UNHEARD_FRAME + 1)
    with pytest.raises(TooLarge, match="over this client's max_frame 4194304"):
        server.refuse(LIMITS.max_frame + 1)
    server.receive({"zkrpc-max-frame": "200000"})
    server.receive({"zkrpc-max-frame": "5000"})
    assert (server.max_frame, server.takes.max_frame) == (200_000, 200_000)
    with pytest.raises(TooLarge, match="over the server's max_frame 200000"):
        server.refuse(200_001)
    assert Introduction(LIMITS, awaited=False).max_frame == LIMITS.max_frame
