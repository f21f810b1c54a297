"""Keeps an instance registered, unless an operator's order takes it out of service.

A shell: one :class:`~zkrpc.driver.Driver` carries out what :class:`~zkrpc.registry.rotation.RotationMachine` decides,
woken by a watch on the order's node. Two registrars keep the instance's record, one among the members and one among
those that rest; at most one of them is told to.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import assert_never

from zkrpc.config import RegistryConfig
from zkrpc.driver import Driver
from zkrpc.legible import legible
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.registrar import Registrar
from zkrpc.registry.rotation import Effect, Enter, HandOver, Leave, RotationMachine
from zkrpc.telemetry.events import CameOnline, WentOffline
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.zookeeper.node_watch import NodeWatch
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)

_WITHDRAW_TIMEOUT = 2.0
"""Seconds that leaving waits for the registration to be removed before peers are sent away all the same."""


class Rotator:
    """One instance, in service or out of it. ``stop`` ends the following of orders and leaves the rest to a stop."""

    def __init__(
        self,
        session: Session,
        order_path: str,
        registrar: Registrar,
        rester: Registrar,
        *,
        config: RegistryConfig,
        rng: Callable[[], float],
        hand_over: Callable[[], object],
        welcome: Callable[[bool], object],
        clock: Callable[[], float] = time.monotonic,
        observers: Iterable[Observer] = (),
    ) -> None:
        """``registrar`` registers among the members, ``rester`` among those out of service.

        ``hand_over`` hands over what the instance leads, in bounded time, and keeps it from standing again until
        ``welcome(True)``; ``welcome`` is told whether peers are wanted.
        """
        self._observers = gather(observers)
        self._session = session
        self._order_path = order_path
        self._registrar = registrar
        self._rester = rester
        self._config = config
        self._rng = rng
        self._hand_over = hand_over
        self._welcome = welcome
        self._machine = RotationMachine()
        self._driver: Driver[Effect] = Driver(self._machine, self._obey, clock=clock)
        self._watch: NodeWatch[OfflineOrder | None] | None = None

    def __repr__(self) -> str:
        """The machine's state."""
        return f"<Rotator {self._machine!r}>"

    @property
    def order(self) -> OfflineOrder | None:
        """The order that is in force."""
        return self._machine.order

    def start(self) -> None:
        """Registers the instance as soon as it is known that no order is against it. Does not wait."""
        self._machine.start()
        self._driver.start()
        if self._watch is None:
            self._watch = NodeWatch(
                self._session,
                self._order_path,
                lambda value: None if value is None else OfflineOrder.parse(value),
                refresh_interval=self._config.refresh_interval,
                rng=self._rng,
            )
            self._watch.add(self._hear)

    def stop(self) -> None:
        """Ends the following, at once; who rests or serves stays as it is."""
        if self._watch is not None:
            self._watch.close()
        self._machine.stop()
        self._driver.kill()

    def _hear(self, order: OfflineOrder | None) -> None:
        self._machine.receive_order(order)
        self._driver.nudged.set()

    def _obey(self, effect: Effect) -> None:
        """Carries out one effect. A failure is logged and does not end the following: an instance that heard no more
        orders could not be brought back."""
        try:
            match effect:
                case HandOver():
                    self._hand_over()
                case Enter():
                    self._enter()
                case Leave(order=order):
                    self._leave(order)
                case _:
                    assert_never(effect)
        except Exception:
            _log.exception("could not obey %s of %s", effect, self._order_path)
        if isinstance(effect, HandOver):
            self._machine.receive_handed_over()

    def _enter(self) -> None:
        returns = self._registrar.held is not None
        self._registrar.hold(None)
        self._rester.withdraw(0)
        self._registrar.register()
        self._welcome(True)
        if returns:
            _log.info("back in service: the order %s is gone", self._order_path)
            self._observers.tell(CameOnline(path=self._registrar.status().path))

    def _leave(self, order: OfflineOrder) -> None:
        self._registrar.hold(str(order))
        self._registrar.withdraw(_WITHDRAW_TIMEOUT)
        self._rester.register()
        self._welcome(False)
        _log.warning("out of service by an operator's order: %s", legible(order))
        self._observers.tell(WentOffline(path=self._registrar.status().path, reason=order.reason, by=order.by))
