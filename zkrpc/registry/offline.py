"""The orders by which operators take instances out of service while they run.

An order is a persistent node named after the worker id, so it outlives its writer, the worker's process, and its
session: a worker that restarts under the same id stays out of service. While it exists the worker is not registered.
So every client learns of it as it learns of any instance that leaves, Finagle's and Spring's included, and needs to
know nothing of orders. The worker's record is in another place meanwhile, by which operators see that it runs.

Pure values and their bytes; what a worker does about an order is decided by :mod:`zkrpc.registry.rotation`.
"""

from __future__ import annotations

import dataclasses
import json

from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.untrusted import load_object

MAX_REASON = 500
"""Characters of a reason: a sentence for colleagues."""
_MAX_ORDER = 16 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OfflineOrder:
    """An operator's word that one instance takes no calls."""

    reason: str = ""
    by: str = ""
    """Who gave it, ``user@host``; for people."""
    since: float = 0.0
    """Wall-clock seconds since 1970 at which it was given, by ZooKeeper's clock; 0 if that is not known."""

    def dump(self) -> bytes:
        """The node's value, without the time, which ZooKeeper keeps. Raises ConfigError for too long a reason."""
        if len(self.reason) > MAX_REASON:
            raise ConfigError(f"a reason has at most {MAX_REASON} characters, this one {len(self.reason)}")
        return json.dumps({"reason": self.reason, "by": self.by}, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, payload: bytes, since: float = 0.0) -> OfflineOrder:
        """Reads what ``dump`` wrote. A node with any other value is an order without a reason: its existence counts, as
        an operator may have made it by hand."""
        try:
            document = load_object(payload, _MAX_ORDER, "an order")
        except RemoteProtocolError:
            return cls(since=since)
        reason, by = document.get("reason"), document.get("by")
        return cls(reason=reason if isinstance(reason, str) else "", by=by if isinstance(by, str) else "", since=since)

    def __str__(self) -> str:
        """The reason and who gave it, as a phrase behind a colon."""
        return f"{self.reason or 'no reason given'} (by {self.by or 'somebody'})"
