"""Decides whether an instance is in service or, by an operator's order, out of it while it runs.

A state machine: it is told whether there is an order, and knows nothing of ZooKeeper, greenlets and servers.

========  ====================================================  ====================================================
state     means                                                 left by
========  ====================================================  ====================================================
IDLE      not started, or stopped                               ``start``: ASKING
ASKING    it is not known yet whether there is an order         no order: SERVING; an order: RESTING
SERVING   registered, and calls come                            an order: LEAVING
LEAVING   ``HandOver`` is outstanding                           its end: RESTING, or SERVING if the order has gone
RESTING   runs, is not registered, and sends its peers away     no order: SERVING
========  ====================================================  ====================================================

A primary hands over before it leaves the list, since callers find it through the list. Nothing is registered in ASKING:
an instance that was taken out of service and restarts must not serve for a moment. While ZooKeeper cannot be reached
nothing is known of orders, and nothing could be registered; what was decided last stays.
"""

from __future__ import annotations

import dataclasses
import enum

from zkrpc.registry.offline import OfflineOrder


class RotationState(enum.Enum):
    """See the module's table."""

    IDLE = "idle"
    ASKING = "asking"
    SERVING = "serving"
    LEAVING = "leaving"
    RESTING = "resting"


@dataclasses.dataclass(frozen=True, slots=True)
class Enter:
    """Register the instance, let it stand in elections, and welcome its peers; undoes ``Leave``."""


@dataclasses.dataclass(frozen=True, slots=True)
class HandOver:
    """Hand over the groups that the instance leads, and stand for none; answer ``receive_handed_over``, in bounded
    time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Leave:
    """Withdraw the registration, put the record where operators see that the instance runs, and send its peers away."""

    order: OfflineOrder


Effect = Enter | HandOver | Leave


class RotationMachine:
    """One instance's place in service or out of it."""

    def __init__(self) -> None:
        self.state = RotationState.IDLE
        self.order: OfflineOrder | None = None
        """The order that is in force."""
        self._effects: list[Effect] = []

    def __repr__(self) -> str:
        """State and order."""
        return f"<RotationMachine {self.state.value} {self.order or 'no order'}>"

    def start(self) -> None:
        """The instance wants to serve from now on."""
        if self.state is RotationState.IDLE:
            self.state = RotationState.ASKING

    def stop(self) -> None:
        """The instance stops: orders change nothing any more, and what follows is the stop's."""
        self.state = RotationState.IDLE
        self._effects.clear()

    def receive_order(self, order: OfflineOrder | None) -> None:
        """Takes in the order that there is now, or None if there is none."""
        if self.state is RotationState.IDLE:
            return
        self.order = order
        if order is None and self.state in (RotationState.ASKING, RotationState.RESTING):
            self._become_serving()
        elif order is not None and self.state is RotationState.ASKING:
            self._become_resting(order)
        elif order is not None and self.state is RotationState.SERVING:
            self.state = RotationState.LEAVING
            self._effects.append(HandOver())

    def receive_handed_over(self) -> None:
        """The answer to ``HandOver``: nothing is led any more, or the time for it is over."""
        if self.state is not RotationState.LEAVING:
            return
        if self.order is None:
            self._become_serving()
        else:
            self._become_resting(self.order)

    def next_timer(self) -> float | None:
        """None: it has no timers."""
        return None

    def handle_timer(self, now: float) -> None:
        """Does nothing."""

    def effects(self) -> list[Effect]:
        """The effects to carry out, each returned once."""
        effects, self._effects = self._effects, []
        return effects

    def _become_serving(self) -> None:
        self.state = RotationState.SERVING
        self._effects.append(Enter())

    def _become_resting(self, order: OfflineOrder) -> None:
        self.state = RotationState.RESTING
        self._effects.append(Leave(order))
