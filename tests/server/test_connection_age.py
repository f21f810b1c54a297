"""The age and the silence of a connection, told as time passes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.wire_frames import message
from zkrpc.config import ServerConfig, WireLimits
from zkrpc.server.connection_age import AgeAction, ConnectionAge, carry_out, pace_of
from zkrpc.wire.message import control_frame
from zkrpc.wire.server import ServerProtocol


class Peer:
    """A connection opened at time 100."""

    def __init__(self, *, rng: float = 0.5, zkrpc: bool = False, **fields: Any) -> None:
        config = ServerConfig(**{"max_connection_age_grace": 5.0, **fields})
        self.protocol = ServerProtocol(WireLimits(), 100.0)
        if zkrpc:
            self.protocol.receive_data(control_frame(b"zkrpc:hello"), 100.0)
        self.connection_age = ConnectionAge(config, lambda: rng, 100.0)

    def be_busy(self, now: float) -> None:
        """A call comes, and is not answered."""
        self.protocol.receive_data(message(), now)

    def look(self, now: float, used_at: float = 100.0) -> AgeAction | None:
        return self.connection_age.look(now, self.protocol, used_at)


def test_connection_lives_for_ever_by_default() -> None:
    """Neither age nor idleness ends it, and a plain peer is asked nothing."""
    assert Peer().look(1e9) is None


def test_old_connection_is_asked_to_go_once_and_closed_after_its_grace() -> None:
    """Busy or not."""
    old = Peer(max_connection_age=60.0)
    old.be_busy(101.0)
    assert old.look(159.9, 159.0) is None
    assert old.look(160.0, 159.0) is AgeAction.END
    assert old.look(164.9, 159.0) is None
    assert old.look(165.0, 159.0) is AgeAction.CLOSE
    assert repr(old.connection_age).startswith("<ConnectionAge end_at=160.0 close_at=165.0 <Keepalive")


@pytest.mark.parametrize("rng, ends_at", [(0.0, 154.0), (1.0, 166.0)])
def test_age_is_jittered_by_a_tenth(rng: float, ends_at: float) -> None:
    """Those that were opened together do not end together."""
    old = Peer(max_connection_age=60.0, rng=rng)
    assert old.look(ends_at - 0.1) is None
    assert old.look(ends_at + 0.1) is AgeAction.END


def test_idle_connection_is_asked_to_go_but_a_busy_one_is_not_idle() -> None:
    """Idleness is time since the last call, while none is in flight."""
    busy = Peer(max_connection_idle=30.0)
    busy.be_busy(100.0)
    assert busy.look(131.0) is None
    idle = Peer(max_connection_idle=30.0)
    assert idle.look(131.0, 110.0) is None
    assert idle.look(140.0, 110.0) is AgeAction.END


def test_silent_zkrpc_peer_is_asked_and_then_closed() -> None:
    """Time passes in steps: only the time that we were awake for counts."""
    peer = Peer(zkrpc=True, keepalive_time=1.0, keepalive_timeout=2.0)
    steps = {now: peer.look(100.0 + now * 0.5) for now in range(1, 8)}
    assert {now: step for now, step in steps.items() if step} == {
        2: AgeAction.PING,
        6: AgeAction.CLOSE,
        7: AgeAction.CLOSE,
    }


def test_peer_that_answers_stays() -> None:
    """Whatever it sends; a suspicion means nothing to a server, which owes it the answers."""
    peer = Peer(zkrpc=True, keepalive_time=1.0, keepalive_timeout=2.0)
    assert [peer.look(100.5), peer.look(101.0), peer.look(101.5)] == [None, AgeAction.PING, None]
    peer.protocol.receive_data(control_frame(b"zkrpc:pong"), 101.6)
    assert [peer.look(102.0), peer.look(102.5), peer.look(103.0)] == [None, None, AgeAction.PING]
    assert math.isinf(peer.connection_age._close_at)


def test_pace_is_an_eighth_of_the_shortest_limit() -> None:
    """By default that is the time for a frame; no grace at all is no reason to look without a pause."""
    assert pace_of(ServerConfig()) == 1.25
    assert pace_of(ServerConfig(max_connection_idle=2.0, max_connection_age_grace=0)) == 0.25
    assert pace_of(ServerConfig(wire=WireLimits(partial_frame_timeout=0.8))) == 0.1


def test_silence_counts_in_full_at_the_pace_of_the_looks() -> None:
    """Looks that are seldom do not make a silent peer live longer."""
    peer = Peer(zkrpc=True, keepalive_time=80.0, keepalive_timeout=16.0, max_connection_age_grace=60.0)
    steps = {now: peer.look(100.0 + now) for now in range(0, 100, 2)}
    assert {now: step for now, step in steps.items() if step} == {
        80: AgeAction.PING,
        96: AgeAction.CLOSE,
        98: AgeAction.CLOSE,
    }


@pytest.mark.parametrize(
    ("action", "done"),
    [
        (AgeAction.PING, ["ping", "flush"]),
        (AgeAction.END, ["finish"]),
        (AgeAction.CLOSE, ["close"]),
        (None, []),
    ],
)
def test_connection_does_what_its_age_wants(action: AgeAction | None, done: list[str]) -> None:
    """A ping is sent at once; one that has to end may finish what is in flight."""
    seen: list[str] = []

    def noting(name: str) -> Any:
        return lambda: seen.append(name)

    protocol = SimpleNamespace(send_ping=noting("ping"))
    calls = {name: noting(name) for name in ("flush", "finish", "close")}
    connection: Any = SimpleNamespace(protocol=protocol, **calls)
    carry_out(action, connection)
    assert seen == done
