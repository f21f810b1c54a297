"""Follows what the callers of one service may do, and passes each caller's part of one instance to its server. Pure.

A quota holds for the whole service, so each instance that is registered allows an equal part of it. The members are
followed only while there is a quota. Until they are known, and while ZooKeeper cannot be reached, the last known part
stays; before there is any, an instance allows all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from zkrpc.config import ServiceConfig
from zkrpc.endpoint import Snapshot

Unfollow = Callable[[], object]
"""Ends what a callback was given for."""
Apply = Callable[[Mapping[str, float]], object]
"""Takes the calls a second that each caller may make of this instance; an empty mapping for no quotas."""


class QuotaWatch:
    """The quotas of one service, as they are for one of its instances.

    Args:
        follow_config: has a function called back with the service's config, now if it is known and at every change.
        follow_members: the same with the list of members; called when there is a quota.
        apply: what the server does with its part. It is called where the callbacks are and must not wait.
    """

    def __init__(
        self,
        follow_config: Callable[[Callable[[ServiceConfig], None]], Unfollow],
        follow_members: Callable[[Callable[[Snapshot], None]], Unfollow],
        apply: Apply,
    ) -> None:
        self._follow_members = follow_members
        self._apply = apply
        self._rates: dict[str, float] = {}
        self._instances = 1
        self._unfollow_members: Unfollow | None = None
        self._unfollow_config = follow_config(self._receive_config)

    def __repr__(self) -> str:
        """How many quotas, and among how many instances."""
        return f"<QuotaWatch {len(self._rates)} among {self._instances}>"

    def close(self) -> None:
        """Ends the following at once; what was applied last stays."""
        self._unfollow_config()
        self._leave_members()

    def _receive_config(self, config: ServiceConfig) -> None:
        rates = {name: one.max_rate for name, one in config.callers.items() if one.max_rate is not None}
        if rates == self._rates:
            return
        self._rates = rates
        if not rates:
            self._leave_members()
        elif self._unfollow_members is None:
            self._unfollow_members = self._follow_members(self._receive_members)
        self._tell()

    def _receive_members(self, snapshot: Snapshot) -> None:
        instances = max(1, len(snapshot.instances))
        if instances != self._instances:
            self._instances = instances
            self._tell()

    def _leave_members(self) -> None:
        if self._unfollow_members is not None:
            self._unfollow_members()
            self._unfollow_members = None

    def _tell(self) -> None:
        self._apply({name: rate / self._instances for name, rate in self._rates.items()})
