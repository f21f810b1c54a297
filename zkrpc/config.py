"""Every number that can be set: frozen keyword-only dataclasses, one per public object.

Durations are seconds as floats, sizes are bytes. A bad value is a :class:`~zkrpc.errors.ConfigError` that names the
field. Change one with ``dataclasses.replace``.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from zkrpc.caller import NAME_RULE, OTHER_CALLERS, VERSION_RULE, is_name, is_version
from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import ConfigError
from zkrpc.identity import AllowList, is_identity_name
from zkrpc.tls.settings import ServerTls

DEFAULT_TIMEOUT = 5.0
"""Seconds that a call may take by default. Finite on purpose: the infinite defaults of gRPC and Finagle are a known
trap."""
DEFAULT_ATTEMPTS = 4
"""How often one call may reach a server by default."""

DEFAULT_RETRY_RATIO = 0.2
"""Further attempts for each call on average, by default; the same as in Finagle."""
DEFAULT_RETRY_RESERVE = 10.0
"""Further attempts a second on top of that."""

LONGEST_TIMEOUT = 24 * 60 * 60.0
"""Seconds; the longest timeout that a config or an IDL may set."""
MOST_ATTEMPTS = 100
"""The most attempts that a config may set: more would be a mistake."""
LARGEST_SUBSET = 1_000_000
"""The largest subset that a config may set: more instances than any service has."""
LARGEST_RESERVE = 1_000_000.0
"""The largest reserve that a config may set: more attempts a second than any client makes calls."""

LEAST_RATE, LARGEST_RATE = 0.001, 1_000_000_000.0
"""Calls a second that a config may allow a caller: from one in a quarter of an hour to more than a service serves."""

HEDGE_OFF = "off"
"""The value of ``hedge`` that turns off a hedge which a source of lower precedence sets."""
BALANCING = ("p2c", "round_robin", "consistent_hash")
"""The names of the ways to pick an instance."""
DEFAULT_BALANCING = BALANCING[0]
"""How an instance is picked by default."""


def _require(holder: object, rule: str, *fields: str) -> None:
    for name in fields:
        value = getattr(holder, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
        if not number or (value <= 0 if rule == "positive" else value < 0):
            raise ConfigError(f"{type(holder).__name__}.{name} must be a {rule} number, got {value!r}")


def percentile(text: str) -> float | None:
    """The share that a setting such as ``"p95"`` means, 0.95; None if it is not one from ``"p50"`` to ``"p99"``.

    Percentiles below the median are refused because a copy would be sent for more than every other call; those above
    the p99 because a few hundred latencies do not determine them.
    """
    return int(text[1:]) / 100 if re.fullmatch("p[5-9][0-9]", text) else None


def _accept(holder: object, name: str, accepted: bool, expected: str) -> None:
    """Raises ConfigError for a value that is not accepted; None means not set, and passes."""
    value = getattr(holder, name)
    if value is not None and not accepted:
        raise ConfigError(f"{type(holder).__name__}.{name} must be {expected}, got {value!r}")


def _is_number(value: object, lowest: float, highest: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and lowest <= value <= highest


def _is_whole(value: object, highest: int) -> bool:
    return type(value) is int and 1 <= value <= highest


def is_timeout(value: object) -> bool:
    """Whether a config or a call may have this value as its timeout in seconds."""
    return _is_number(value, 0.0, LONGEST_TIMEOUT) and value != 0


def is_rate(value: object) -> bool:
    """Whether a config may allow a caller this many calls a second."""
    return _is_number(value, LEAST_RATE, LARGEST_RATE)


def is_quota_name(name: object) -> bool:
    """Whether a config may speak of callers by this name."""
    return is_name(name) or name == OTHER_CALLERS or is_identity_name(name)


_is_guarded = re.compile(r"\*|[A-Za-z_]\w*(:[A-Za-z_]\w*)?|zkrpc\.(?!Health\Z)[A-Z]\w*", re.ASCII).fullmatch
GUARDED_RULE = 'the name of a method, as "get" or "Audit:log", of a built-in service but zkrpc.Health, or "*"'


def is_method_name(name: object) -> bool:
    """Whether a config may speak of a method by this name: ``get``, or ``Audit:get`` for that of one interface."""
    return isinstance(name, str) and is_guarded_name(name) and name != "*" and "." not in name


def is_guarded_name(name: object) -> bool:
    """Whether a config may say who may call what has this name."""
    return isinstance(name, str) and len(name) <= 200 and _is_guarded(name) is not None


_MASKABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?", re.ASCII)
MASKED_RULE = "at most 100 names such as password, User.email or login.result"


def is_maskable(name: object) -> bool:
    """Whether a config may mask what has this name."""
    return isinstance(name, str) and len(name) <= 200 and _MASKABLE.fullmatch(name) is not None


def _is_hedge(value: object) -> bool:
    if isinstance(value, str):
        return value == HEDGE_OFF or percentile(value) is not None
    return is_timeout(value)


def _check_policy(holder: MethodConfig | ClientConfig) -> None:
    """Checks what a method's and a client's config have in common."""
    time = f"seconds, more than 0 and at most {LONGEST_TIMEOUT:g}"
    attempts = f"a whole number from 1 to {MOST_ATTEMPTS}"
    _accept(holder, "timeout", is_timeout(holder.timeout), time)
    _accept(holder, "hedge", _is_hedge(holder.hedge), f"{time}, or a percentile from 'p50' to 'p99', or '{HEDGE_OFF}'")
    _accept(holder, "max_attempts", _is_whole(holder.max_attempts, MOST_ATTEMPTS), attempts)


def _check_picking(holder: ServiceConfig | ClientConfig) -> None:
    """Checks what a service's and a client's config have in common, and that consistent hashing has a key."""
    _accept(holder, "balancing", holder.balancing in BALANCING, f"one of {', '.join(BALANCING)}")
    _accept(holder, "hash_key", isinstance(holder.hash_key, str) and holder.hash_key != "", "the name of a parameter")
    subset, reserve = f"a whole number from 1 to {LARGEST_SUBSET}", f"a number from 0 to {LARGEST_RESERVE:g}"
    _accept(holder, "subset_size", _is_whole(holder.subset_size, LARGEST_SUBSET), subset)
    _accept(holder, "retry_ratio", _is_number(holder.retry_ratio, 0.0, 1.0), "a number from 0 to 1")
    _accept(holder, "retry_reserve", _is_number(holder.retry_reserve, 0.0, LARGEST_RESERVE), reserve)
    if holder.balancing == "consistent_hash" and holder.hash_key is None:
        kind = type(holder).__name__
        raise ConfigError(f"{kind}.hash_key must name the parameter that consistent_hash hashes by")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What one connection may cost this process, whatever its peer sends."""

    max_frame: int = 4 * 1024 * 1024
    """Largest frame in bytes, either way. 4 MiB as gRPC's receive limit: larger values belong in a store."""
    max_header: int = 8 * 1024
    """Largest THeader block in bytes. For ids and credentials; 8 KiB is what gRPC takes, too."""
    max_header_entries: int = 64
    """Most key/value pairs in one THeader block: many small ones cost more to read than their size suggests."""
    max_in_flight: int = 1024
    """Most calls one connection may have unanswered, as each holds memory; more are answered Overloaded."""
    max_in_flight_bytes: int = 64 * 1024 * 1024
    """Bytes of unanswered calls beyond which one connection's large calls (over 128 KiB) are answered Overloaded."""
    max_unsent: int = 16 * 1024 * 1024
    """Bytes of replies kept for a peer that does not read them; beyond it no more of its calls are read or begun, until
    half of them have left."""
    first_frame_timeout: float = 10.0
    """Seconds from accept to the first complete frame; cuts off port scanners and stuck peers."""
    partial_frame_timeout: float = 10.0
    """Seconds a frame may stay incomplete; cuts off a sender of one byte now and then."""
    max_elements: int = 100_000
    """Strings and structs that one call's arguments, or its result, may hold; a container counts as two, a number as a
    quarter, and sixteen numbers of one list, set or map as one. With the default, reading a body costs some tens of
    milliseconds at most, and it grows in proportion."""
    accept_zlib: bool = False
    """Whether messages may come deflated (THeader's zlib transform); zkrpc itself never sends such. Off, because they
    cost the receiver many times what they cost the sender."""
    max_inflation: int = 32
    """Bytes that one deflated byte may become without end. What becomes more, as text that repeats itself does, uses up
    a credit of ``max_frame`` bytes, which a connection regains four times in each second."""

    def __post_init__(self) -> None:
        """Checks every field."""
        numbers = [field.name for field in dataclasses.fields(self) if field.name != "accept_zlib"]
        _require(self, "positive", *numbers)
        _accept(self, "accept_zlib", isinstance(self.accept_zlib, bool), "True or False")
        if self.max_frame >= 0x3FFFFFFF:
            raise ConfigError("WireLimits.max_frame must be below 0x3FFFFFFF, the largest length a THeader can say")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How a server accepts, serves and stops."""

    wire: WireLimits = WireLimits()
    """Caps of each connection."""
    tls: ServerTls | None = None
    """How it does TLS; None serves without, and takes no connection with it. A port does one of both."""
    max_connections: int = 10_000
    """Connections open at once; each costs a descriptor and some memory even while it is idle. A new one beyond that is
    closed at accept, or takes the place of a quiet one of the address that has most, if its own address has fewer than
    its part."""
    max_concurrent: int = 1_000
    """Handlers running at once; the others wait in the queue or are answered Overloaded. The default protects the
    process only; set it to what the handlers' bottleneck can take, such as the size of a pool of database
    connections."""
    max_queue: int | None = None
    """Calls that may wait for a handler to end, the nearest deadline first. None: as many as may run, so that a burst
    waits about as long as a call takes; a longer queue would only make every call late."""
    offload_threads: int = 16
    """Native threads for handlers that ``zkrpc.offload`` marks: so many of their calls run at once. They are started as
    they are needed."""
    offload_queue: int | None = None
    """Calls that may wait for one of these threads; more are answered Overloaded. None: as many as there are
    threads."""
    reserved_share: float = 0.125
    """Part of ``max_concurrent`` that, while callers of several addresses are connected, is kept for addresses that
    hold less than their fair share, so that slow calls from one address cannot take every place. 0 keeps none."""
    adaptive_limit: bool = False
    """Whether to adapt the number of handlers that run at once to their latency, up to ``max_concurrent``."""
    backlog: int = 512
    """Connections that the kernel queues before they are accepted, as when all clients connect again at once."""
    linger: float = 1.0
    """Seconds to keep serving after withdrawing, for clients whose watch has not fired yet."""
    drain_timeout: float = 10.0
    """Seconds that calls in flight may still take during a stop."""
    max_buffered: int = 256 * 1024 * 1024
    """Bytes that all connections together may hold: frames that are incomplete or in flight, and replies that wait to
    be read. Beyond it the connection that holds most is closed; what one read and one slice of work add may be held on
    top."""
    max_write_stall: float = 30.0
    """Seconds a peer may leave its replies unread before its connection is closed, as they take up memory meanwhile."""
    min_read_rate: float = 16 * 1024
    """Bytes a second that a peer must read, on average over ``max_write_stall``, as long as replies wait for it.
    Without it a peer that reads a byte now and then would have its replies kept for ever. 0 turns this off."""
    max_connection_age: float = math.inf
    """Seconds after which a connection is asked to end, so that clients spread anew; jittered by a tenth. Infinite as
    in gRPC: with a registry, new instances are found without it."""
    max_connection_age_grace: float = 10.0
    """Seconds that calls in flight on such a connection may still take."""
    max_connection_idle: float = math.inf
    """Seconds without a call after which a connection is asked to end."""
    keepalive_time: float = 60.0
    """Seconds of silence after which a zkrpc peer is asked for a sign of life; others are left to TCP's keepalive."""
    keepalive_timeout: float = 20.0
    """Seconds that it may take for one before its connection is closed."""
    introspection: bool = True
    """Whether the server tells whoever can call it what state it is in, and who calls it: ``zkrpc.Introspection``."""
    health_interval: float = 5.0
    """Seconds between two questions to the service's ``is_healthy``. Three bad answers take an instance out of the
    rotation: soon enough for a trouble that lasts, and late enough for one that passes."""
    health_timeout: float = 2.0
    """Seconds that it may take for an answer."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _require(self, "positive", "health_interval", "health_timeout")
        _require(self, "positive", "max_buffered", "max_connections", "max_concurrent", "backlog", "max_write_stall")
        _require(self, "positive", "offload_threads")
        _require(self, "positive", "max_connection_age", "max_connection_idle", "keepalive_time", "keepalive_timeout")
        _require(
            self,
            "non-negative",
            "linger",
            "drain_timeout",
            "max_connection_age_grace",
            "reserved_share",
            "min_read_rate",
        )
        _accept(self, "introspection", isinstance(self.introspection, bool), "True or False")
        _accept(self, "tls", isinstance(self.tls, ServerTls), "a ServerTls")
        if self.reserved_share >= 1:
            raise ConfigError(f"ServerConfig.reserved_share must be less than 1, got {self.reserved_share!r}")
        for name in ("max_queue", "offload_queue"):
            if getattr(self, name) is not None:
                _require(self, "non-negative", name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MethodConfig:
    """How one method is to be called; None leaves a value to other sources."""

    timeout: float | None = None
    """Seconds for the whole call."""
    idempotent: bool | None = None
    """Whether executing it twice has the same effect as once: only then it is sent again when it is unknown whether it
    ran."""
    hedge: float | str | None = None
    """Seconds after which a second copy goes to another instance; or ``"p95"``: after as long as 95 % of the calls
    take; or ``"off"``: never, whatever sources of lower precedence say."""
    max_attempts: int | None = None
    """Times one call may reach a server, the first included."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _check_policy(self)
        _accept(self, "idempotent", isinstance(self.idempotent, bool), "True or False")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallerConfig:
    """What one caller of a service may do; None for no bound."""

    max_rate: float | None = None
    """Calls a second that the caller may make of all instances together. Each instance that lives allows its part, and
    answers Overloaded beyond that."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _accept(self, "max_rate", is_rate(self.max_rate), f"calls a second from {LEAST_RATE:g} to {LARGEST_RATE:g}")


_NO_METHODS: Mapping[str, MethodConfig] = MappingProxyType({})
_NO_LISTS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_NO_CALLERS: Mapping[str, CallerConfig] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig(MethodConfig):
    """How a service is to be called, as its operators set it in ZooKeeper for all running clients. None leaves a value
    to other sources.

    Those of its fields that a method's config has, too, apply to every method for which ``methods`` sets nothing else.
    """

    balancing: str | None = None
    """How an instance is picked: ``"p2c"``, ``"round_robin"`` or ``"consistent_hash"``."""
    hash_key: str | None = None
    """The parameter whose argument ``consistent_hash`` hashes by."""
    subset_size: int | None = None
    """Instances that one client keeps connections to, out of all."""
    retry_ratio: float | None = None
    """Further attempts, hedges included, that a client may make for each call on average."""
    retry_reserve: float | None = None
    """Further attempts a second that a client may make on top, so that a client that makes few calls can repeat them,
    too."""
    methods: Mapping[str, MethodConfig] = dataclasses.field(default_factory=lambda: _NO_METHODS, hash=False)
    """Settings for single methods, by the name in the IDL: ``get`` for every interface's method of the name, or
    ``Audit:get`` for that of one, which counts more."""
    callers: Mapping[str, CallerConfig] = dataclasses.field(default_factory=lambda: _NO_CALLERS, hash=False)
    """What single callers may do, by the names that they say, or by what their certificates prove
    (``spiffe://prod/ns/shop/sa/web``, ``dns:HOST``, ``cn:NAME``); ``unnamed`` for all that say none, ``_OTHER`` for all
    others that are not here. Servers keep them to it, not clients."""
    allow: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=lambda: _NO_LISTS, hash=False)
    """The identities that may call, as patterns (:mod:`zkrpc.identity`), by the names of methods; ``"*"`` for all
    others, and built-in services among them, as ``zkrpc.Introspection``. It only narrows what the service's code and
    its IDL say. Servers keep to it, not clients."""
    tap_bodies: bool | None = None
    """False if taps shall show neither arguments nor results, whatever the service allows. It cannot be True, as only
    the service's code allows it."""
    tap_masked: tuple[str, ...] | None = None
    """What taps mask besides what the IDL and the service mask: ``password``, ``User.email``, ``login.result``."""

    def __post_init__(self) -> None:
        """Checks every field, and that consistent hashing has a key."""
        MethodConfig.__post_init__(self)
        _check_picking(self)
        _accept(self, "tap_bodies", self.tap_bodies is False, "False")
        masked = self.tap_masked
        _accept(self, "tap_masked", isinstance(masked, tuple) and all(map(is_maskable, masked)), MASKED_RULE)
        for name, caller in self.callers.items():
            if not is_quota_name(name) or type(caller) is not CallerConfig:
                raise ConfigError(
                    f"ServiceConfig.callers must be CallerConfigs by the names of callers, got {name!r}: {caller!r}"
                )
        object.__setattr__(self, "callers", MappingProxyType(dict(self.callers)))
        for name, patterns in self.allow.items():
            if not is_guarded_name(name) or type(patterns) is not tuple:
                said = f"got {name!r}: {patterns!r}"
                raise ConfigError(f"ServiceConfig.allow must be tuples of patterns by the names of methods, {said}")
            AllowList(patterns)
        object.__setattr__(self, "allow", MappingProxyType(dict(self.allow)))
        for name, method in self.methods.items():
            if not isinstance(name, str) or type(method) is not MethodConfig:
                raise ConfigError(
                    f"ServiceConfig.methods must be MethodConfigs by the names of methods, got {name!r}: {method!r}"
                )
        object.__setattr__(self, "methods", MappingProxyType(dict(self.methods)))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BreakerConfig:
    """When a client stops sending calls to one endpoint, and for how long. The numbers are Finagle's."""

    consecutive_failures: int = 5
    """Failures in a row that open it. With fewer, a lost packet or two would count as a dead instance; with more, more
    calls fail."""
    success_rate: float = 0.8
    """Share of successes, 0 to 1, below which it opens; finds an endpoint that never fails five times in a row. 0 turns
    this off."""
    min_calls: int = 5
    """Calls in the window below which the share of successes is not used: one failure of two is no rate."""
    window: float = 30.0
    """Seconds, the time constant with which calls are forgotten. Several times the default timeout of a call, so that
    several timeouts of a slow endpoint fall into it."""
    open_first: float = 5.0
    """Seconds until the first probe, less a random part of up to half. As long as a quick restart takes."""
    open_longest: float = 300.0
    """Seconds, where the doubling ends: an instance that was away for an hour is in use again at most five minutes
    after its return."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _require(self, "positive", "consecutive_failures", "min_calls", "window", "open_first", "open_longest")
        _require(self, "non-negative", "success_rate")
        if self.success_rate > 1:
            raise ConfigError(f"BreakerConfig.success_rate must be a share from 0 to 1, got {self.success_rate!r}")
        if self.open_longest < self.open_first:
            raise ConfigError("BreakerConfig.open_longest must be at least BreakerConfig.open_first")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """How a client calls.

    It takes precedence over the IDL and over the service's config in ZooKeeper; the options of a single call take
    precedence over it.
    """

    wire: WireLimits = WireLimits()
    """Caps of each connection."""
    timeout: float | None = None
    """Seconds a call may take with everything it causes, also where the IDL says something else. None leaves it to
    the service's config, then to the IDL, then to :data:`DEFAULT_TIMEOUT`."""
    connect_timeout: float = 1.0
    """Seconds to open one connection; a call moves on to another instance after it. TCP itself tries for minutes where
    a machine is switched off."""
    max_attempts: int | None = None
    """Times one call may reach a server, the first included. Attempts that reach no server are bounded by time only.
    None leaves it to the service's config, then to :data:`DEFAULT_ATTEMPTS`."""
    hedge: float | str | None = None
    """When a second copy of an idempotent call goes to another instance, as :attr:`MethodConfig.hedge` says it. None
    leaves it to the service's config, then to the IDL."""
    backoff: float = 0.025
    """Seconds, the first pause when no untried instance is left; doubles with full jitter."""
    max_backoff: float = 1.0
    """Seconds, the longest pause between attempts and between reconnects."""
    patience: float = 0.75
    """Seconds that a call waits for an instance where there are none at all, within its deadline. Long enough for the
    gap that a restart leaves, short enough that a service which was taken down does not block all its callers."""
    plain_connections: int = 4
    """The most connections to one plain Thrift server, which takes one call at a time on each. They are opened as calls
    need them. A server with a thread for each connection serves only as many as it has threads, of all its clients
    together: often ten."""
    plain_idle: float = 2.0
    """Seconds after which such a connection is given back to its server if no call has needed it. Opening another one
    costs one round trip."""
    balancing: str | None = None
    """How an instance is picked: ``"p2c"``, ``"round_robin"`` or ``"consistent_hash"``. None leaves it to the service's
    config, then to p2c."""
    hash_key: str | None = None
    """The parameter whose argument ``consistent_hash`` hashes by."""
    subset_size: int | None = None
    """Instances to keep connections to, out of all. None leaves it to the service's config, then to all."""
    client_id: str = ""
    """Decides which instances are in this client's subset; with an id of its own that stays the same when it restarts,
    a client uses the same instances again. Empty: another one for each client."""
    name: str = ""
    """What this client goes by at servers, which count its calls by it, and share them out by it if their operators say
    so. Empty: the service that its process serves, or else the program's name; :mod:`zkrpc.caller` has the rule."""
    version: str = ""
    """Its version, which servers show to operators. Empty: the program's, if it goes by the program's name."""
    zone: str = ""
    """Where this client runs; instances there are preferred as long as there are enough of them."""
    warm_up: float = 30.0
    """Seconds for which a new instance gets fewer calls than its weight says, as its caches are empty; 0 for none."""
    retry_ratio: float | None = None
    """Further attempts, hedges included, for each call on average. None leaves it to the service's config, then to
    :data:`DEFAULT_RETRY_RATIO`."""
    retry_reserve: float | None = None
    """Further attempts a second on top of that. None: as above, then :data:`DEFAULT_RETRY_RESERVE`."""
    breaker: BreakerConfig = BreakerConfig()
    """When an instance whose calls fail is left alone, and for how long."""
    keepalive_time: float = 0.5
    """Seconds of silence, while calls wait, after which an instance is asked for a sign of life."""
    keepalive_idle_time: float = 30.0
    """The same while no call waits."""
    keepalive_patience: float = 0.75
    """Seconds that it may take for one before others are preferred and idempotent calls move there. With the time above
    and a tenth of a second between looks, a frozen instance is found within 1.5 s, session timeouts notwithstanding."""
    keepalive_timeout: float = 10.0
    """Seconds that it may take for one before its connection is closed, and with it the calls that cannot move."""
    collapse_floor: float = 0.5
    """Share of its recent size below which a list of instances is doubted: instances that are missing from it stay in
    use while they answer. 0 accepts every list but an empty one, which is doubted unless ``collapse_window`` is 0."""
    collapse_window: float = 10.0
    """Seconds within which a list must have shrunk that far to be doubted; 0 accepts every list."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _require(self, "positive", "connect_timeout", "backoff", "max_backoff", "plain_connections", "plain_idle")
        _require(self, "positive", "keepalive_time", "keepalive_idle_time", "keepalive_patience", "keepalive_timeout")
        _require(self, "non-negative", "patience", "warm_up", "collapse_window")
        _check_policy(self)
        _check_picking(self)
        for name, kind in (("wire", WireLimits), ("breaker", BreakerConfig), ("client_id", str), ("zone", str)):
            if not isinstance(getattr(self, name), kind):
                raise ConfigError(f"ClientConfig.{name} must be a {kind.__name__}, got {getattr(self, name)!r}")
        _accept(self, "name", self.name == "" or is_name(self.name), NAME_RULE)
        _accept(self, "version", is_version(self.version), VERSION_RULE)
        _accept(self, "plain_connections", _is_whole(self.plain_connections, 10_000), "a whole number from 1 to 10000")
        _accept(self, "collapse_floor", _is_number(self.collapse_floor, 0.0, 1.0), "a share from 0 to 1")
        if self.keepalive_patience > self.keepalive_timeout:
            raise ConfigError("ClientConfig.keepalive_patience must be at most ClientConfig.keepalive_timeout")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """How this process uses ZooKeeper."""

    session_timeout: float = 10.0
    """Seconds to ask for; the server may grant another (2 to 20 ticks). 10 s rides out short blocks of the hub, while a
    crash under the supervisor is noticed in milliseconds anyway."""
    request_timeout: float = 5.0
    """Seconds to wait for one answer; after it the outcome is unknown."""
    max_in_flight: int = 128
    """Requests unanswered at once; more than about 278 wedge kazoo for good (measured)."""
    max_payload: int = 512 * 1024
    """Bytes in one znode. ZooKeeper drops the connection at 1 MiB, so larger ones are refused before they are sent."""
    max_record: int = 64 * 1024
    """Bytes of one member's record, or of a service's config, that is parsed."""
    debounce: float = 0.1
    """Seconds to collect further membership changes after the first; jittered by half. At least half a millisecond for
    each member of the list, so that following a long one costs little."""
    refresh_interval: float = 60.0
    """Seconds between full re-reads of a membership list, as a safety net."""
    audit_interval: float = 30.0
    """Seconds between checks of this process's own registration, as a safety net."""
    persistent_watches: bool = True
    """Whether members are followed by a watch that stays and names who has changed, where the ZooKeeper server knows
    such watches (since 3.6). A server that does not know them hangs up when it is asked, which costs one reconnect;
    False asks none."""
    security: ZooKeeperSecurity | None = None
    """Credentials and TLS. None: what the environment says (``ZKRPC_ZOOKEEPER_USERNAME`` and others)."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _require(self, "positive", "session_timeout", "request_timeout", "max_in_flight", "max_payload", "max_record")
        _require(self, "positive", "refresh_interval", "audit_interval")
        _require(self, "non-negative", "debounce")
        if self.max_in_flight > 200:
            raise ConfigError("RegistryConfig.max_in_flight must be at most 200: more can wedge the ZooKeeper client")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ElectionConfig:
    """How an instance stands for primary, serves as one, and stops being one."""

    elected_timeout: float = 30.0
    """Seconds that ``on_elected`` may take; calls for the primary wait meanwhile. After it another one is elected."""
    deposed_timeout: float | None = None
    """Seconds that ``on_deposed`` may take, after which the process is ended. None: a fifth of the session timeout that
    was granted, so that with the lease of 0.7 it is over before ZooKeeper can let another lead; more than 0.3 would not
    be."""
    finish_timeout: float = 1.0
    """Seconds that the primary's calls in flight may take before a hand-over goes on without waiting for them, while
    callers wait for the next one."""
    hand_over_timeout: float = 5.0
    """Seconds that a server which stops takes at most for handing over. Four fifths of them, or ``finish_timeout`` if
    that is more, may go by with waiting for the primary's calls in flight, which no other instance could finish."""
    audit_interval: float = 30.0
    """Seconds between checks of the election's own nodes in ZooKeeper, as a safety net; jittered by a fifth."""
    settle: float = 2.0
    """Seconds for which groups and replicas must have been still before a group moves to another replica, so that a
    rolling restart does not move groups at each of its steps."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _require(self, "positive", "elected_timeout", "hand_over_timeout", "audit_interval", "settle")
        _require(self, "non-negative", "finish_timeout")
        if self.deposed_timeout is not None:
            _require(self, "positive", "deposed_timeout")
