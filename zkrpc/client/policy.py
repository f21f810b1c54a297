"""Whose word counts: every value that says how calls are made, settled, and who said it.

Each value is settled by itself, by the highest of those who said it:

====================  =======================================================================
who, lowest first     says
====================  =======================================================================
built-in default      something about everything
IDL                   the author of the service: ``zkrpc.*`` behind a method
service config        its operator, live: of all methods, or of one, which counts more
client config         the author of the client: :class:`~zkrpc.config.ClientConfig`
call options          whoever makes the call: ``options(...)`` of a stub
====================  =======================================================================

A :class:`ResolvedMethod` has the values of one method, a :class:`ResolvedClient` those that hold for all calls of one
client. Both carry, beside the values that the code goes by, a :class:`Setting` for each of them, which says whose word
it is. They are settled when a config arrives, never while a call is made.

Only the options come with the call. ``Client.invoke`` puts them above the settled values itself, as they must cost
nothing; :meth:`PolicyTable.explain` says what comes of that, and a test holds the two together.

A hedge is a second copy of a call, so whoever sets it, it only holds for a method that is idempotent in effect.

It knows nothing of where a service config comes from, and does not apply what it settles.
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
"""What both a service's and a client's config may say, and what is not about single methods."""


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
class Setting:
    """One value and whose word it is, for people and programs."""

    name: str
    """The field of :class:`ResolvedMethod` or of :class:`~zkrpc.config.ClientConfig`, as in ``breaker.window``."""
    value: Any
    """What is in effect; None for never, or for no limit."""
    source: str
    """Who said it last: ``built-in default``, ``IDL``, ``service config``, ``client config`` or ``call options``."""
    note: str = ""
    """Why the value is not what the source said, if it is not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedMethod:
    """How one method is called; everything is said."""

    timeout: float
    """Seconds for the whole call."""
    idempotent: bool
    """It may be sent again when nobody knows whether it ran."""
    hedge: float | str | None
    """Seconds, or a percentile as in ``"p95"``, after which a second copy is sent; None for never."""
    max_attempts: int
    """Times one call may reach a server, the first included."""
    settings: tuple[Setting, ...] = dataclasses.field(default=(), compare=False, repr=False)
    """The same values, and who said so."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedClient:
    """What holds for all calls of one client and not only its own config may say."""

    balancing: str
    """How an instance is picked: one of :data:`zkrpc.config.BALANCING`."""
    hash_key: str | None
    """The parameter that is hashed; None if nothing is."""
    subset_size: int | None
    """Instances to keep connections to; None for all."""
    retry_ratio: float
    """Further attempts for each call on average."""
    retry_reserve: float
    """Further attempts a second on top of that."""
    settings: tuple[Setting, ...] = dataclasses.field(default=(), compare=False, repr=False)
    """These values, and all others of the client's config that are not about single methods; and who said so."""


class PolicyTable:
    """The settled values of one client and its methods."""

    __slots__ = ("_config", "_methods", "client", "service")

    def __init__(self, config: ClientConfig = ClientConfig()) -> None:
        self._config = config
        self._methods: dict[Described, ResolvedMethod] = {}
        self.receive_service_config(ServiceConfig())

    def receive_service_config(self, config: ServiceConfig) -> None:
        """The operator says something else from now on; calls that are under way go on as they began."""
        self.service = config
        """The last one received; the empty one before that."""
        self.client = resolve_client(self._config, config)
        """What holds for all calls now."""
        self._methods.clear()

    def resolve(self, method: Described) -> ResolvedMethod:
        """How to call ``method`` now. One look-up, but for the first time after a change."""
        resolved = self._methods.get(method)
        if resolved is None:
            resolved = self._methods[method] = resolve_method(method, self._config, self.service)
        return resolved

    def explain(self, method: Described, options: MethodConfig = MethodConfig()) -> list[Setting]:
        """Each value that a call with these options has, and who said so."""
        timeout, idempotent, hedge, attempts = self.resolve(method).settings
        words = ((OPTIONS, options),)
        timeout, idempotent = (_last_word(one.name, words, otherwise=one) for one in (timeout, idempotent))
        return [timeout, idempotent, _hedge_in_effect(hedge, idempotent.value), attempts]

    def __repr__(self) -> str:
        """How many methods were asked about, and what the operator says."""
        return f"<PolicyTable {len(self._methods)} methods, {self.service}>"


def resolve_method(method: Described, config: ClientConfig, service: ServiceConfig) -> ResolvedMethod:
    """How a client of this config calls a method, as long as the service's config is this one."""
    words = list(_who_speaks_of(method, config, service))
    timeout, idempotent, hedge, attempts = (_last_word(name, words) for name in _OF_METHODS)
    settings = (timeout, idempotent, _hedge_in_effect(hedge, idempotent.value), attempts)
    return ResolvedMethod(**{one.name: one.value for one in settings}, settings=settings)


def resolve_client(config: ClientConfig, service: ServiceConfig) -> ResolvedClient:
    """What holds for all calls of a client of this config, as long as the service's config is this one."""
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
"""Who says something, the last word first; what says None says nothing."""


def _last_word(name: str, words: _Words, otherwise: Setting | None = None) -> Setting:
    for source, said in words:
        value = getattr(said, name)
        if value is not None:
            return Setting(name=name, value=value, source=source)
    return otherwise or Setting(name=name, value=None, source=BUILT_IN)


def _who_speaks_of(method: Described, config: ClientConfig, service: ServiceConfig) -> Iterator[tuple[str, object]]:
    yield CLIENT, MethodConfig(timeout=config.timeout, hedge=config.hedge, max_attempts=config.max_attempts)
    if method.name in service.methods:
        yield SERVICE, service.methods[method.name]
    yield SERVICE, service
    said = method.policy
    # An IDL cannot say "not idempotent" in a way that differs from saying nothing, nor need it.
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
    """What only the client's config says. A value that is as usual was as good as not said."""
    for field in dataclasses.fields(holder):
        value, default = getattr(holder, field.name), getattr(usual, field.name)
        if dataclasses.is_dataclass(value):
            yield from _fields_of(value, default, f"{field.name}.")
        else:
            source = BUILT_IN if value == default else CLIENT
            yield Setting(name=prefix + field.name, value=value, source=source)
