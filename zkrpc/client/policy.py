"""Whose word counts: how each method is called, put together from all who may say something about it.

Each value is settled by itself, by the highest of those who said it:

====================  =======================================================================
who, lowest first     says
====================  =======================================================================
built-in default      something about everything
IDL                   the author of the service: ``zkrpc.*`` behind a method
service config        its operator, live: of all methods, or of one, which counts more
client config         the author of the client: :class:`~zkrpc.config.ClientConfig`
====================  =======================================================================

A call's own options come on top of that, where the call is made. A hedge is a second copy of a call, so whoever sets
it, it only holds for a method that is idempotent in effect.

It knows nothing of where a service config comes from, and does not apply what it settles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol

from zkrpc.config import DEFAULT_ATTEMPTS, DEFAULT_TIMEOUT, HEDGE_OFF, ClientConfig, MethodConfig, ServiceConfig
from zkrpc.idl import MethodPolicy

BUILT_IN = "built-in default"
IDL = "IDL"
SERVICE = "service config"
CLIENT = "client config"

_DEFAULTS = MethodConfig(timeout=DEFAULT_TIMEOUT, idempotent=False, hedge=HEDGE_OFF, max_attempts=DEFAULT_ATTEMPTS)


class Described(Protocol):
    """What is asked about: a :class:`zkrpc.Method`, or what stands for one whose IDL is not at hand."""

    @property
    def name(self) -> str:
        """Its name in the IDL."""
        ...

    @property
    def policy(self) -> MethodPolicy:
        """What the IDL says."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePolicy:
    """How one method is called; everything is said."""

    timeout: float
    """Seconds for the whole call."""
    idempotent: bool
    """It may be sent again when nobody knows whether it ran."""
    hedge: float | str | None
    """Seconds, or a percentile as in ``"p95"``, after which a second copy is sent; None for never."""
    max_attempts: int
    """Times one call may reach a server, the first included."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One value of a policy, for people."""

    name: str
    """The field of :class:`EffectivePolicy`."""
    value: Any
    source: str
    """Who said it last: ``built-in default``, ``IDL``, ``service config`` or ``client config``."""
    note: str = ""
    """Why the value is not what the source said, if it is not."""


class PolicyTable:
    """The policies of one client's methods."""

    __slots__ = ("_client", "_resolved", "service")

    def __init__(self, config: ClientConfig = ClientConfig()) -> None:
        self.service = ServiceConfig()
        """The last one received; the empty one before that. What is not about single methods is read here."""
        self._client = MethodConfig(timeout=config.timeout, hedge=config.hedge, max_attempts=config.max_attempts)
        self._resolved: dict[Described, EffectivePolicy] = {}

    def receive_service_config(self, config: ServiceConfig) -> None:
        """The operator says something else from now on; calls that are under way go on as they began."""
        self.service = config
        self._resolved.clear()

    def resolve(self, method: Described) -> EffectivePolicy:
        """How to call ``method`` now. One look-up, but for the first time after a change."""
        policy = self._resolved.get(method)
        if policy is None:
            policy = self._resolved[method] = EffectivePolicy(**{one.name: one.value for one in self.explain(method)})
        return policy

    def explain(self, method: Described) -> list[Explained]:
        """Each value that :meth:`resolve` gives, and who said so."""
        timeout, idempotent, hedge, attempts = (
            self._last_word(name, method) for name in ("timeout", "idempotent", "hedge", "max_attempts")
        )
        return [timeout, idempotent, _in_effect(hedge, idempotent.value), attempts]

    def _last_word(self, name: str, method: Described) -> Explained:
        words = ((getattr(said, name), source) for source, said in self._sayings(method))
        value, source = next(word for word in words if word[0] is not None)
        return Explained(name=name, value=value, source=source)

    def _sayings(self, method: Described) -> Iterator[tuple[str, MethodConfig]]:
        """What each one says of the method, the last word first."""
        yield CLIENT, self._client
        if method.name in self.service.methods:
            yield SERVICE, self.service.methods[method.name]
        yield SERVICE, self.service
        yield IDL, _said_in_idl(method)
        yield BUILT_IN, _DEFAULTS

    def __repr__(self) -> str:
        """The test surface."""
        return f"<PolicyTable {len(self._resolved)} methods, {self.service}>"


def _said_in_idl(method: Described) -> MethodConfig:
    policy = method.policy
    # An IDL cannot say "not idempotent" in a way that differs from saying nothing, nor need it.
    return MethodConfig(timeout=policy.timeout, idempotent=policy.idempotent or None, hedge=policy.hedge)


def _in_effect(hedge: Explained, idempotent: bool) -> Explained:
    if hedge.value == HEDGE_OFF:
        return dataclasses.replace(hedge, value=None)
    if idempotent:
        return hedge
    said = hedge.value if isinstance(hedge.value, str) else f"{hedge.value:g} s"
    return dataclasses.replace(hedge, value=None, note=f"{said} is ignored: the method is not idempotent")
