"""When an instance is in service, and when an operator's order keeps it out."""

from __future__ import annotations

import itertools

import pytest

from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.rotation import Enter, HandOver, Leave, RotationMachine, RotationState

ORDER, OTHER = OfflineOrder(reason="leaks"), OfflineOrder(reason="slow")


def started(*orders: OfflineOrder | None) -> RotationMachine:
    """A machine that was told these, and has done what came of it."""
    machine = RotationMachine()
    machine.start()
    for order in orders:
        machine.receive_order(order)
    machine.effects()
    return machine


def test_instance_is_registered_once_it_is_known_that_no_order_is_against_it() -> None:
    """Not before: one that restarts while it is to be out of service must not serve for a moment."""
    machine = RotationMachine()
    machine.receive_order(None)
    assert machine.effects() == []
    machine.start()
    machine.start()
    assert machine.effects() == [] and machine.state is RotationState.ASKING
    machine.receive_order(None)
    assert machine.effects() == [Enter()] and machine.state is RotationState.SERVING
    machine.receive_order(None)
    assert machine.effects() == [] and "no order" in repr(machine)


def test_instance_that_starts_under_an_order_rests() -> None:
    """It has nothing to hand over."""
    machine = RotationMachine()
    machine.start()
    machine.receive_order(ORDER)
    assert machine.effects() == [Leave(ORDER)] and machine.order is ORDER and "leaks" in repr(machine)


def test_instance_that_serves_hands_over_before_it_leaves() -> None:
    """Callers find a primary through the list."""
    machine = started(None, ORDER)
    assert machine.state is RotationState.LEAVING
    machine.receive_order(OTHER)
    assert machine.effects() == []
    machine.receive_handed_over()
    assert machine.effects() == [Leave(OTHER)] and machine.state is RotationState.RESTING
    machine.receive_order(ORDER)
    machine.receive_handed_over()
    assert machine.effects() == [] and machine.order is ORDER
    machine.receive_order(None)
    assert machine.effects() == [Enter()] and machine.order is None


def test_order_that_is_taken_back_while_it_is_obeyed_is_undone() -> None:
    """What was handed over is stood for again."""
    machine = started(None, ORDER, None)
    assert machine.state is RotationState.LEAVING
    machine.receive_handed_over()
    assert machine.effects() == [Enter()] and machine.state is RotationState.SERVING


@pytest.mark.parametrize("told", [(), (None,), (None, ORDER), (ORDER,)])
def test_instance_that_stops_obeys_no_orders(told: tuple[OfflineOrder | None, ...]) -> None:
    """The stop does all of that itself."""
    machine = started(*told)
    machine.stop()
    for order in (None, ORDER, None):
        machine.receive_order(order)
        machine.receive_handed_over()
    assert machine.effects() == [] and machine.state is RotationState.IDLE and machine.next_timer() is None


def test_effects_always_end_as_the_last_order_says() -> None:
    """Whatever comes in whatever order: in service without an order, out of it with one."""
    inputs = (None, ORDER, "handed over")
    for told in itertools.product(inputs, repeat=6):
        machine, serves = started(), None
        for word in told:
            if word == "handed over":
                machine.receive_handed_over()
            else:
                machine.receive_order(word)  # type: ignore[arg-type]
            for effect in machine.effects():
                serves = {Enter: True, Leave: False}.get(type(effect), serves)
        machine.handle_timer(0.0)
        machine.receive_handed_over()
        for effect in machine.effects():
            assert not isinstance(effect, HandOver)
            serves = isinstance(effect, Enter)
        orders = [word for word in told if word != "handed over"]
        assert serves is ((orders[-1] is None) if orders else None)
