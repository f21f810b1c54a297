"""The load whose calls come when they are due."""

from __future__ import annotations

import random
import time

import gevent
import pytest

import zkrpc
from faults.load import percentile
from faults.steady import SteadyLoad, answered_share, witness
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.testing.faults import Faults
from zkrpc.testing.loopback import Loopback


def test_steady_load_goes_on_while_nobody_answers() -> None:
    """Calls come at their rate though none of the earlier ones has ended, and each counts from when it was due."""
    gate = gevent.event.Event()
    load = SteadyLoad(gate.wait, callers=8, rate=200, rng=random.Random(1))
    gevent.sleep(0.5)
    eventually(lambda: load.started > 50)
    assert not load.outcomes
    opened = time.monotonic()
    gate.set()
    load.stop()
    assert len(load.outcomes) == load.started
    assert max(one.ended_at - one.started_at for one in load.outcomes) > 0.3
    assert min(one.started_at for one in load.outcomes) < opened - 0.3


def test_steady_load_counts_the_time_that_kept_a_call_from_starting() -> None:
    """A blocked process makes calls late, not fewer and faster."""
    load = SteadyLoad(lambda: None, callers=4, rate=200, rng=random.Random(1))
    gevent.sleep(0.05)
    time.sleep(0.3)
    gevent.sleep(0.05)
    load.stop()
    assert load.latest_start > 0.2 and percentile(load.outcomes, 0.9) > 100


def test_steady_load_changes_its_rate() -> None:
    """From one interval to the next."""
    load = SteadyLoad(lambda: None, callers=2, rate=10, rng=random.Random(1))
    gevent.sleep(0.5)
    calm = load.started
    load.rate = 400
    gevent.sleep(0.5)
    load.stop()
    assert load.started - calm > 5 * calm


def test_steady_load_says_who_does_not_answer() -> None:
    """A call that never ends is told of, not waited for."""
    gate = gevent.event.Event()
    load = SteadyLoad(gate.wait, callers=1, rate=100, rng=random.Random(1))
    gevent.sleep(0.05)
    with pytest.raises(TimeoutError, match="have not ended"):
        load.stop(0.1)
    gate.set()


def test_steady_load_witnesses_attempts_and_instances() -> None:
    """Each call tells how often it was sent and who answered, or failed, last."""
    faults = Faults()
    service = zkrpc.Service(idl.Echo, EchoHandler, name="echo", interceptors=[faults])
    with Loopback(service, replicas=2, interceptors=[witness]) as echo:
        load = SteadyLoad(lambda: echo.echo("x"), callers=4, rate=200, rng=random.Random(1))
        with faults.rule(instance="replica-0", abort="Overloaded"):
            gevent.sleep(0.3)
        with faults.rule(abort="RemoteError"):
            gevent.sleep(0.2)
        load.stop()
    good = [one for one in load.outcomes if not one.error]
    assert {one.attempts for one in good} == {1, 2} and answered_share(good, "memory:1") > 0.5
    bad = [one for one in load.outcomes if one.error]
    assert bad and {one.endpoint for one in bad} <= {"memory:0", "memory:1"}
    assert len(load.due_between(0, time.monotonic())) == load.started


def test_share_of_nothing_is_nothing() -> None:
    """Without answers nobody has a share."""
    assert answered_share([], "memory:0") == 0.0
