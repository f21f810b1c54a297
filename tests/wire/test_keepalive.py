"""Silence, and what is concluded from it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.wire.keepalive import ControlAllowance, Keepalive, KeepalivePolicy, KeepaliveState, Verdict

POLICY = KeepalivePolicy(time=0.5, idle_time=30.0, patience=0.75, timeout=3.0, longest_step=0.25)
PING, SUSPECT, TRUST, CLOSE = Verdict.PING, Verdict.SUSPECT, Verdict.TRUST, Verdict.CLOSE


def watched(policy: KeepalivePolicy = POLICY) -> Keepalive:
    """A connection opened at time 0."""
    return Keepalive(policy, 0.0)


def story(
    keepalive: Keepalive, until: float, *, heard_at: float = 0.0, owed: bool = True
) -> list[tuple[float, Verdict]]:
    """What is said, and when, if looked at every quarter of a second."""
    looks = (keepalive._looked_at + 0.25 * (number + 1) for number in range(int(until * 4)))
    said = [(now, keepalive.look(now, heard_at, owed)) for now in list(looks) if now <= until]
    return [(now, verdict) for now, verdict in said if verdict is not None]


def test_keepalive_asks_suspects_and_gives_up() -> None:
    """The whole way of a peer that froze with calls in flight; the suspicion is said again after each patience."""
    keepalive = watched()
    assert story(keepalive, 3.5) == [
        (0.5, PING),
        (1.25, SUSPECT),
        (2.0, SUSPECT),
        (2.75, SUSPECT),
        (3.5, CLOSE),
    ]
    assert repr(keepalive) == "<Keepalive silent silence=3.000>"


def test_keepalive_trusts_again_what_is_heard() -> None:
    """Any byte will do, at any moment; only a suspect's return is worth a word."""
    keepalive = watched()
    assert story(keepalive, 1.25) == [(0.5, PING), (1.25, SUSPECT)]
    assert keepalive.look(1.5, 1.4, True) is TRUST
    assert keepalive.state is KeepaliveState.HEARD
    assert story(keepalive, 2.0, heard_at=1.4) == [(2.0, PING)]
    assert keepalive.look(2.25, 2.2, True) is None
    assert keepalive.state is KeepaliveState.HEARD


def test_keepalive_leaves_an_idle_peer_alone_for_longer() -> None:
    """It is asked now and then; at once when a call is sent after a long silence."""
    keepalive = watched()
    assert story(keepalive, 29.75, owed=False) == []
    assert keepalive.look(29.8, 0.0, True) is PING
    never = watched(KeepalivePolicy(time=0.5, patience=1.0, timeout=2.0))
    assert never._policy.idle_time == math.inf
    assert story(never, 100.0, owed=False) == []


def test_keepalive_does_not_count_the_time_we_slept_ourselves() -> None:
    """After a minute's freeze of our own, the peer gets its whole patience before it is suspected."""
    keepalive = watched()
    assert keepalive.look(0.5, 0.0, True) is None
    assert keepalive.look(60.0, 0.0, True) is PING
    assert keepalive.look(120.0, 0.0, True) is None
    assert keepalive.look(120.25, 120.1, True) is None
    assert keepalive.state is KeepaliveState.HEARD


@pytest.mark.parametrize("field", ["time", "idle_time", "patience", "timeout", "longest_step"])
def test_policy_wants_positive_durations(field: str) -> None:
    """Zero would ask without end."""
    with pytest.raises(ConfigError, match=field):
        KeepalivePolicy(**{"time": 1.0, "patience": 1.0, "timeout": 1.0, field: 0.0})


def test_policy_wants_suspicion_before_the_end() -> None:
    """The other way round the suspicion would never come."""
    with pytest.raises(ConfigError, match="patience"):
        KeepalivePolicy(time=1.0, patience=3.0, timeout=2.0)


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.booleans(), st.booleans()), max_size=60))
def test_keepalive_never_closes_before_its_whole_timeout_of_silence(steps: list[tuple[float, bool, bool]]) -> None:
    """Whatever the rhythm of looks and bytes: PING comes before SUSPECT before CLOSE, and time is never invented."""
    keepalive = watched()
    now = asked_at = heard_at = 0.0
    for step, heard, owed in steps:
        now += step
        heard_at = now if heard else heard_at
        verdict = keepalive.look(now, heard_at, owed)
        if verdict is PING:
            asked_at = now
        elif verdict is SUSPECT:
            assert asked_at > heard_at and now - asked_at >= POLICY.patience - 1e-9
        elif verdict is CLOSE:
            assert asked_at > heard_at and now - asked_at >= POLICY.timeout - 1e-9
            return


def test_control_messages_are_allowed_up_to_a_rate() -> None:
    """A thousand at once, and a hundred a second in the long run; never more than a thousand after a rest."""
    allowance = ControlAllowance(0.0)
    for _ in range(1000):
        allowance.count(0.0)
    assert repr(allowance) == "<ControlAllowance 0>"
    with pytest.raises(RemoteProtocolError, match="more than 1000 control messages that nobody asked for"):
        allowance.count(0.0)
    allowance.count(1.0)
    assert repr(allowance) == "<ControlAllowance 100>"
    for _ in range(100):
        allowance.count(1.0)
    allowance.count(1000.0)
    assert repr(allowance) == "<ControlAllowance 1000>"
