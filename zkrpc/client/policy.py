"""Settles the settings of calls: for each, the value in effect and the source that set it.

Each value is settled by itself: the source of the highest precedence that sets it wins.

==========================  =================================================================
source, the lowest first    set by
==========================  =================================================================
built-in default            zkrpc; every value has one
IDL                         the author of the service: ``zkrpc.*`` annotations of a method
service config              its operator, live; what it says of one method wins over the rest, and
                            what it says of one interface's method (``Audit:get``) over that
client config               the author of the client: :class:`~zkrpc.config.ClientConfig`
call options                the caller: ``options(...)`` of a stub
==========================  =================================================================

A :class:`ResolvedMethod` has the values of one method, a :class:`ResolvedClient` those that hold for all calls of one
client. Both carry a :class:`Setting` for each value, which names its source. They are made when a config arrives, and
never while a call is made.

Call options come with the call: ``Client.invoke`` applies them itself, because a look-up by options would cost more
than the two comparisons. :meth:`PolicyTable.explain` follows the same rule, and a test compares the two.

A hedge is a second copy of a call, so it is ignored for a method that is not idempotent, whichever source set it.

This module does not know where a service config comes from, and does not apply the values that it settles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from zkrpc.config import (
    DEFAULT_ATTEMPTS,
    DEFAULT_BALANCING,
    DEFAULT_RETRY_RATIO,
    DEFAULT_RETRY_RESERVE,
    DEFAULT_TIMEOUT,
    HEDGE_OFF,
    ClientConfig,
    MethodConfig,
    ServiceConfig,
)
from zkrpc.idl import MethodPolicy
from zkrpc.idl.served import names_in_config

BUILT_IN = "built-in default"
IDL = "IDL"
SERVICE = "service config"
CLIENT = "client config"
OPTIONS = "call options"

_DEFAULTS = ServiceConfig(
    timeout=DEFAULT_TIMEOUT,
    idempotent=False,
    hedge=HEDGE_OFF,
    max_attempts=DEFAULT_ATTEMPTS,
    balancing=DEFAULT_BALANCING,
    retry_ratio=DEFAULT_RETRY_RATIO,
    retry_reserve=DEFAULT_RETRY_RESERVE,
)
_OF_METHODS = ("timeout", "idempotent", "hedge", "max_attempts")
_OF_CLIENTS = ("balancing", "hash_key", "subset_size", "retry_ratio", "retry_reserve")
"""The settings that both a service's and a client's config may have, and that are not about single methods."""


class Described(Protocol):
    """A method to settle the values of: a :class:`zkrpc.Method`, or a stand-in for one whose IDL is not at hand."""

    @property
    def name(self) -> str:
        """Its name in the IDL."""
        ...

    @property
    def interface(self) -> str:
        """The name of its interface; empty if that is not known."""
        ...

    @property
    def policy(self) -> MethodPolicy:
        """The settings of its annotations in the IDL."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value in effect and the source that set it, for people and programs."""

    name: str
    """The field of :class:`ResolvedMethod` or of :class:`~zkrpc.config.ClientConfig`, as in ``breaker.window``."""
    value: Any
    """The value in effect; None for never, or for no limit."""
    source: str
    """``built-in default``, ``IDL``, ``service config``, ``client config`` or ``call options``."""
    note: str = ""
    """Why the value is not what the source set, if it is not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedMethod:
    """How one method is called: every value is settled."""

    timeout: float
    """Seconds for the whole call."""
    idempotent: bool
    """Whether it may be sent again when it is not known whether it ran."""
    hedge: float | str | None
    """Seconds, or a percentile as in ``"p95"``, after which a second copy is sent; None for never."""
    max_attempts: int
    """How often one call may be sent, the first time included."""
    settings: tuple[Setting, ...] = dataclasses.field(default=(), compare=False, repr=False)
    """The same values with their sources."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedClient:
    """The values that hold for all calls of one client and that a service config may set, too."""

    balancing: str
    """How an instance is picked: one of :data:`zkrpc.config.BALANCING`."""
    hash_key: str | None
    """The parameter whose argument is hashed; None if there is none."""
    subset_size: int | None
    """Instances to keep connections to; None for all."""
    retry_ratio: float
    """Further attempts for each call on average."""
    retry_reserve: float
    """Further attempts a second on top of that."""
    settings: tuple[Setting, ...] = dataclasses.field(default=(), compare=False, repr=False)
    """These values and all others of the client's config that are not about single methods, with their sources."""


class PolicyTable:
    """The settled values of one client and its methods."""

    __slots__ = ("_config", "_methods", "client", "service")

    def __init__(self, config: ClientConfig = ClientConfig()) -> None:
        self._config = config
        self._methods: dict[Described, ResolvedMethod] = {}
        self.receive_service_config(ServiceConfig())

    def receive_service_config(self, config: ServiceConfig) -> None:
        """A new service config is in effect for calls that begin from now on."""
        self.service = config
        """The last one received; the empty one before that."""
        self.client = resolve_client(self._config, config)
        """The values that hold for all calls now."""
        self._methods.clear()

    def resolve(self, method: Described) -> ResolvedMethod:
        """How ``method`` is called now: one look-up, except for the first time after a change."""
        resolved = self._methods.get(method)
        if resolved is None:
            resolved = self._methods[method] = resolve_method(method, self._config, self.service)
        return resolved

    def explain(self, method: Described, options: MethodConfig = MethodConfig()) -> list[Setting]:
        """The settings of a call of ``method`` with these options."""
        timeout, idempotent, hedge, attempts = self.resolve(method).settings
        words = ((OPTIONS, options),)
        timeout, idempotent = (_last_word(one.name, words, otherwise=one) for one in (timeout, idempotent))
        return [timeout, idempotent, _hedge_in_effect(hedge, idempotent.value), attempts]

    def __repr__(self) -> str:
        """How many methods are settled, and the service config."""
        return f"<PolicyTable {len(self._methods)} methods, {self.service}>"


def resolve_method(method: Described, config: ClientConfig, service: ServiceConfig) -> ResolvedMethod:
    """How a client with this config calls a method under this service config."""
    words = list(_who_speaks_of(method, config, service))
    timeout, idempotent, hedge, attempts = (_last_word(name, words) for name in _OF_METHODS)
    settings = (timeout, idempotent, _hedge_in_effect(hedge, idempotent.value), attempts)
    return ResolvedMethod(**{one.name: one.value for one in settings}, settings=settings)


def resolve_client(config: ClientConfig, service: ServiceConfig) -> ResolvedClient:
    """The values that hold for all calls of a client with this config under this service config."""
    words = ((CLIENT, config), (SERVICE, service), (BUILT_IN, _DEFAULTS))
    shared = {name: _last_word(name, words) for name in _OF_CLIENTS}
    balancing, key = shared["balancing"].value, shared["hash_key"]
    if key.value is not None and balancing != "consistent_hash":
        note = f"{key.value!r} is ignored: balancing is {balancing}"
        shared["hash_key"] = dataclasses.replace(key, value=None, note=note)
    own = [one for one in _fields_of(config, ClientConfig()) if one.name not in {*_OF_METHODS, *_OF_CLIENTS}]
    return ResolvedClient(
        **{name: one.value for name, one in shared.items()},
        settings=(*shared.values(), *sorted(own, key=lambda one: "." in one.name)),
    )


_Words = Sequence[tuple[str, object]]
"""Sources and what they set, the highest precedence first; None sets nothing."""


def _last_word(name: str, words: _Words, otherwise: Setting | None = None) -> Setting:
    for source, said in words:
        value = getattr(said, name)
        if value is not None:
            return Setting(name=name, value=value, source=source)
    return otherwise or Setting(name=name, value=None, source=BUILT_IN)


def _who_speaks_of(method: Described, config: ClientConfig, service: ServiceConfig) -> Iterator[tuple[str, object]]:
    yield CLIENT, MethodConfig(timeout=config.timeout, hedge=config.hedge, max_attempts=config.max_attempts)
    for name in names_in_config(method.interface, method.name):
        if name in service.methods:
            yield SERVICE, service.methods[name]
    yield SERVICE, service
    said = method.policy
    # An IDL cannot distinguish "not idempotent" from no annotation, and need not.
    yield IDL, MethodConfig(timeout=said.timeout, idempotent=said.idempotent or None, hedge=said.hedge)
    yield BUILT_IN, _DEFAULTS


def _hedge_in_effect(hedge: Setting, idempotent: bool) -> Setting:
    if hedge.value is None or idempotent and hedge.value != HEDGE_OFF:
        return hedge
    if hedge.value == HEDGE_OFF:
        return dataclasses.replace(hedge, value=None)
    said = hedge.value if isinstance(hedge.value, str) else f"{hedge.value:g} s"
    return dataclasses.replace(hedge, value=None, note=f"{said} is ignored: the method is not idempotent")


def _fields_of(holder: Any, usual: Any, prefix: str = "") -> Iterator[Setting]:
    """The settings that only a client's config has. A value that equals the default counts as the default."""
    for field in dataclasses.fields(holder):
        value, default = getattr(holder, field.name), getattr(usual, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields_of(value, default, f"{field.name}.")
        else:
            source = BUILT_IN if value == default else CLIENT
            yield Setting(name=prefix + field.name, value=value, source=source)
