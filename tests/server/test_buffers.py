"""One budget for all buffers: what counts, and who goes."""

from __future__ import annotations

import random
from typing import Any

from zkrpc.server.buffers import Buffers, Holding

KIB = 1024


class Peer:
    """A connection's holding, with a protocol that the test plays."""

    def __init__(self, buffers: Buffers, address: str = "10.0.0.1", *, stays: bool = False) -> None:
        self.reasons: list[str] = []
        self.partial_since: float | None = None
        self.in_flight = 0
        self.held_bytes = 0
        self.holding = Holding(buffers, address, self._stay if stays else self._leave)

    def _leave(self, reason: str) -> None:
        self.reasons.append(reason)
        self.holding.release()

    def _stay(self, reason: str) -> None:
        self.reasons.append(reason)

    def holds(self, *, partial: int = 0, unsent: int = 0) -> None:
        """Of a frame that is incomplete, and of replies that are not read, so many bytes."""
        self.partial_since = 1.0 if partial else None
        self.holding.received += max(0, partial - self.held_bytes)
        self.held_bytes = partial
        protocol: Any = self
        self.holding.update(protocol, unsent)


def test_holding_counts_what_came_until_it_is_looked_at() -> None:
    """All that came since something is in flight, as long as that is little; then what there really is."""
    buffers = Buffers(1000 * KIB)
    peer = Peer(buffers)
    protocol: Any = peer
    peer.in_flight, peer.holding.received, peer.held_bytes = 1, 60 * KIB, 1 * KIB
    peer.holding.update(protocol, 0)
    assert peer.holding.size == buffers.total == 60 * KIB
    peer.holding.received += 5 * KIB
    peer.holding.update(protocol, 7 * KIB)
    assert peer.holding.size == buffers.total == 8 * KIB
    peer.in_flight = 0
    peer.holding.update(protocol, 0)
    assert (peer.holding.size, buffers.total, repr(buffers)) == (0, 0, f"<Buffers 0/{1000 * KIB}>")


def test_holding_that_moves_counts_where_it_has_gone() -> None:
    """As of a peer that has just proven who it is: what it holds is no longer its address's."""
    buffers = Buffers(100 * KIB)
    moved, other = Peer(buffers), Peer(buffers)
    moved.holds(partial=60 * KIB)
    moved.holding.move("cn:web")
    assert (moved.holding.address, moved.holding.size, buffers.total) == ("cn:web", 60 * KIB, 60 * KIB)
    other.holds(partial=50 * KIB)
    assert moved.reasons and not other.reasons


def test_holding_of_some_small_calls_does_not_count() -> None:
    """They are what nearly everybody has."""
    buffers = Buffers(100)
    peer = Peer(buffers)
    peer.holds(partial=4 * KIB - 1)
    assert buffers.total == 0 and not peer.reasons
    peer.holds(partial=4 * KIB)
    assert buffers.total == 0 and peer.reasons == ["held 4096 bytes when max_buffered 100 was used up"]


def test_buffers_evict_who_holds_most_until_there_is_room() -> None:
    """Not who comes last; and no more of them than it takes."""
    buffers = Buffers(1000 * KIB)
    small, large, larger, late = (Peer(buffers) for _ in range(4))
    small.holds(partial=10 * KIB)
    large.holds(unsent=300 * KIB)
    larger.holds(partial=600 * KIB)
    late.holds(partial=200 * KIB)
    assert [bool(peer.reasons) for peer in (small, large, larger, late)] == [False, False, True, False]
    assert buffers.total == 510 * KIB


def test_buffers_evict_from_the_address_that_holds_most() -> None:
    """Three hundred halves of a frame from one address do not cost another one its single large call."""
    buffers = Buffers(1000 * KIB)
    honest = Peer(buffers, "10.0.0.2")
    honest.holds(partial=250 * KIB)
    crowd = [Peer(buffers) for _ in range(300)]
    for peer in crowd:
        peer.holds(partial=60 * KIB)
    assert not honest.reasons
    assert buffers.total <= buffers.most
    assert [bool(peer.reasons) for peer in crowd[-3:]] == [False] * 3 and crowd[0].reasons


def test_buffers_give_up_on_who_does_not_go() -> None:
    """Rather than to ask for ever."""
    buffers = Buffers(10 * KIB)
    peer = Peer(buffers, stays=True)
    peer.holds(partial=20 * KIB)
    assert len(peer.reasons) == 1 and buffers.total == 20 * KIB


def test_buffers_know_what_is_held_whatever_happens() -> None:
    """The total is the sum of what all hold, and never more than the budget."""
    rng = random.Random(7)
    buffers = Buffers(500 * KIB)
    peers = [Peer(buffers, f"10.0.0.{number % 4}") for number in range(20)]
    for _ in range(2000):
        number = rng.randrange(20)
        if peers[number].reasons:
            peers[number] = Peer(buffers, f"10.0.0.{number % 4}")
        peers[number].holds(partial=rng.choice((0, 1, 5000, 100_000)), unsent=rng.choice((0, 3000, 80_000)))
        assert buffers.total == sum(peer.holding.size for peer in peers) <= buffers.most
    for peer in peers:
        peer.holding.release()
    assert buffers.total == 0 and not buffers._accounts


def test_buffers_say_once_that_much_is_free_again() -> None:
    """What was little is not worth it, and neither is a moment between two floods."""
    buffers = Buffers(1000 * 1024 * KIB)
    peer = Peer(buffers)
    seen = []
    for mebibytes in (15, 0, 40, 11, 10, 0, 20, 3, 0):
        peer.holds(unsent=mebibytes * 1024 * KIB)
        seen.append(buffers.take_relief())
    assert seen == [False, False, False, False, True, False, False, True, False]
