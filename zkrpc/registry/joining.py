"""An instance's entries in trees of other libraries, which come and go with its own registration.

Each entry has a registrar of its own, so that a tree that cannot be written holds up neither the others nor the
instance: whoever looks into that tree misses it, and the log says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Instance
from zkrpc.registry.foreign import Membership
from zkrpc.registry.registrar import Registrar, withdraw_all
from zkrpc.telemetry.observer import Observer
from zkrpc.zookeeper.session import Session


class Joining:
    """The entries of one instance. They are kept from ``register`` until ``withdraw``."""

    def __init__(
        self,
        session: Session,
        places: Sequence[Membership],
        instance: Instance,
        launch_id: str,
        *,
        config: RegistryConfig,
        observers: Iterable[Observer] = (),
    ) -> None:
        """``observers`` receive the events of all entries, each with its path."""
        self._entries = {
            place: Registrar(
                session,
                place.path,
                place.dump(instance),
                launch_id,
                marked=False,
                audit_interval=config.audit_interval,
                observers=observers,
            )
            for place in places
        }

    def __repr__(self) -> str:
        """The paths, and whether each is registered."""
        entries = (f"{place.path} {registrar.registered}" for place, registrar in self._entries.items())
        return f"<Joining {', '.join(entries)}>"

    @property
    def registrars(self) -> tuple[Registrar, ...]:
        """One for each tree."""
        return tuple(self._entries.values())

    def register(self) -> None:
        """Keeps the entries from now on, and returns at once."""
        for registrar in self.registrars:
            registrar.register()

    def revise(self, instance: Instance) -> None:
        """Says something else of the same instance, in each tree's own way."""
        for place, registrar in self._entries.items():
            registrar.revise(place.dump(instance))

    def withdraw(self, timeout: float) -> None:
        """Removes all entries, within ``timeout`` seconds or after that in the background."""
        withdraw_all(self.registrars, timeout)
