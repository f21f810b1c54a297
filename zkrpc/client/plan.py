"""How calls of one method are made: all that is settled before the first of them, in one look-up per call."""

from __future__ import annotations

from zkrpc.call import Call, Proceed
from zkrpc.client.hedging import Hedge
from zkrpc.client.policy import PolicyTable
from zkrpc.idl import Method


class Plan:
    """One method of one client, until the service's config changes."""

    __slots__ = ("hash_key", "hedge", "idempotent", "max_attempts", "primary", "proceed", "timeout")

    def __init__(self, method: Method, policies: PolicyTable) -> None:
        resolved = policies.resolve(method)
        self.timeout = resolved.timeout
        """Seconds for the whole call."""
        self.idempotent = resolved.idempotent
        """It may be sent again when nobody knows whether it ran."""
        self.max_attempts = resolved.max_attempts
        """Times one call may reach a server."""
        self.hedge = None if resolved.hedge is None else Hedge(resolved.hedge)
        """When a second copy is sent; None for never."""
        self.proceed: Proceed[Call]
        """The layers that its calls go through; whoever makes the plan puts it there."""
        self.primary = method.policy.primary
        """Only the primary serves it."""
        key = policies.client.hash_key
        self.hash_key = key if any(one.name == key for one in method.parameters) else None
        """The parameter whose argument decides which instance is asked; None if none does."""

    def __repr__(self) -> str:
        """What it says."""
        return f"<Plan timeout={self.timeout:g} max_attempts={self.max_attempts} hedge={self.hedge is not None}>"
