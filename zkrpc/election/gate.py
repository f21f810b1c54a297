"""The gate in front of a group's handlers: asks the machine, keeps calls while the primary gets ready, counts them.

It decides nothing about elections; it refuses to know who else may lead, or what a call is.
"""

from __future__ import annotations

from collections.abc import Callable

from gevent.event import Event

from zkrpc.election.fencing import Epoch
from zkrpc.election.machine import ElectionMachine
from zkrpc.election.states import ElectionState

# From the claim on: callers read our record in the registry before we have the answer that it is there.
_ABOUT_TO_SERVE = (ElectionState.CLAIMING, ElectionState.CONFIRMING, ElectionState.SYNCHRONISING)
_LEADING = (ElectionState.SYNCHRONISING, ElectionState.PRIMARY)


class Gate:
    """Lets calls in while the machine serves. ``clock`` gives monotonic seconds; ``turn`` follows every change."""

    def __init__(self, machine: ElectionMachine, clock: Callable[[], float]) -> None:
        self.running = 0
        """Calls that are inside."""
        self.departing: Epoch | None = None
        """The epoch that is ending by our own wish, until ``on_deposed`` has returned: what still runs in it counts."""
        self.closed = False
        """True once no call is let in any more, whatever the machine says."""
        self._machine = machine
        self._clock = clock
        self._paused: Epoch | None = None
        self._turned = Event()

    def __repr__(self) -> str:
        """How many are inside, and whether others may come."""
        return f"<Gate running={self.running} paused={self._paused} closed={self.closed}>"

    def enter(self, give_up_at: float) -> Epoch | None:
        """Lets a call in and returns the epoch to serve it in; ``leave`` must follow. None: it must not run here.

        While the primary gets ready it waits, until ``give_up_at`` at the latest.
        """
        epoch = self._serving_epoch()
        while epoch is None:
            left = give_up_at - self._clock()
            if left <= 0 or self.closed or self._machine.state not in _ABOUT_TO_SERVE:
                return None
            self._turned.wait(left)
            epoch = self._serving_epoch()
        self.running += 1
        return epoch

    def leave(self, epoch: Epoch) -> bool:
        """The call is done. False if its outcome must not be told as certain, because the epoch no longer is ours."""
        self.running -= 1
        if not self.running:
            self.turn()
        return self.holds(epoch)

    def holds(self, epoch: Epoch) -> bool:
        """True while that epoch is ours, the lease is valid, and nothing has ended the term but our own wish."""
        if self._machine.held_epoch(self._clock()) != epoch:
            return False
        return self._machine.state in _LEADING or self.departing == epoch

    @property
    def is_paused(self) -> bool:
        """True while the epoch that is served lets no further calls in."""
        return self._paused is not None or self.closed

    def pause(self, epoch: Epoch, timeout: float) -> None:
        """Lets no further call into this epoch, and waits a while for those that run. ``resume`` must follow."""
        self._paused = epoch
        self.wait_until(lambda: not self.running, timeout)

    def resume(self) -> None:
        """Ends ``pause``."""
        self._paused = None

    def close(self) -> None:
        """Lets nobody in any more, and ends all waiting."""
        self.closed = True
        self.turn()

    def turn(self) -> None:
        """Something has changed: whoever waits looks again."""
        turned, self._turned = self._turned, Event()
        turned.set()

    def wait_until(self, met: Callable[[], bool], timeout: float) -> bool:
        """Waits until ``met()`` holds at a turn; False if the time ran out before."""
        give_up_at = self._clock() + timeout
        while not met():
            left = give_up_at - self._clock()
            if left <= 0:
                return False
            self._turned.wait(left)
        return True

    def _serving_epoch(self) -> Epoch | None:
        epoch = None if self.closed else self._machine.serving_epoch(self._clock())
        return None if epoch == self._paused else epoch
