"""Reads and writes a service's config: JSON in a znode, written by operators, and therefore checked strictly.

::

    {
      "timeout_ms": 500, "idempotent": false, "hedge_ms": "p95", "max_attempts": 3,
      "balancing": "consistent_hash", "hash_key": "id", "subset_size": 20,
      "retry": {"ratio": 0.2, "reserve_per_s": 10},
      "methods": {"get": {"timeout_ms": 200, "idempotent": true, "hedge_ms": 20}},
      "callers": {"billing": {"max_rate": 100}},
      "allow": {"*": ["spiffe://prod/ns/*/sa/web"], "remove": ["cn:admin"]},
      "tap": {"bodies": false, "masked": ["email"]}
    }

Every key may be left out. Unlike in a record, an unknown key is refused: it is a typing error, and a config that is
applied without the misspelt setting is worse than keeping the one before it. Times are whole milliseconds, as in an
IDL. Knows nothing of paths or sessions, and not which of several sources of a setting takes precedence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from zkrpc.caller import NAME_RULE
from zkrpc.config import (
    BALANCING,
    GUARDED_RULE,
    HEDGE_OFF,
    LARGEST_RATE,
    LARGEST_RESERVE,
    LARGEST_SUBSET,
    LEAST_RATE,
    LONGEST_TIMEOUT,
    MASKED_RULE,
    MOST_ATTEMPTS,
    CallerConfig,
    MethodConfig,
    ServiceConfig,
    is_guarded_name,
    is_maskable,
    is_method_name,
    is_quota_name,
    is_rate,
    percentile,
)
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.identity import PATTERN_RULE, AllowList
from zkrpc.legible import legible
from zkrpc.registry.untrusted import load_object

_LONGEST = int(LONGEST_TIMEOUT * 1000)
_MOST_MASKED = 100


def parse_service_config(payload: bytes, *, max_size: int) -> ServiceConfig:
    """The config that ``payload`` holds. ``max_size`` is in bytes.

    Raises ConfigError, and nothing else, for bytes that cannot be used. Its text says what is wrong; for a bad value
    also its path in the document (``methods.get.timeout_ms``) and what would be accepted there.
    """
    try:
        document = load_object(payload, max_size, "a config", names_once=True)
    except RemoteProtocolError as error:
        raise ConfigError(str(error)) from error
    fields = _read(document, _SERVICE, "")
    if fields.get("balancing") == "consistent_hash" and "hash_key" not in fields:
        raise ConfigError("hash_key must be there for consistent_hash: the name of the parameter to hash by")
    return ServiceConfig(**fields)


def dump_service_config(config: ServiceConfig) -> bytes:
    """Writes a config for ``parse_service_config`` and for people: indented, keys in the order of the documentation.

    Raises ConfigError for a config that would be read back differently, such as one with half a millisecond.
    """
    document = _document(config, _SERVICE)
    payload = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(errors="surrogatepass")
    if parse_service_config(payload, max_size=len(payload)) != config:
        raise ConfigError("a service's config has times in whole milliseconds; make this one coarser")
    return payload


def flatten(config: ServiceConfig) -> dict[str, Any]:
    """All values that are set, by their paths in the document: ``{"methods.get.timeout_ms": 200}``."""
    return dict(_leaves(_document(config, _SERVICE), ""))


def _leaves(document: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in document.items():
        here = _at(path, key)
        found += _leaves(value, here) if isinstance(value, dict) else [(here, value)]
    return found


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _refuse(path: str, expected: str, value: object) -> NoReturn:
    raise ConfigError(f"{legible(path, 120)} must be {expected}, got {value!r:.80}")


# Values: how each is read from the document and written into it


class _Key(NamedTuple):
    """One key of a document: the config's field that it sets, and how its value is read and written."""

    field: str
    read: Callable[[str, Any], Any]
    write: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def _short(value: float) -> float:
    return int(value) if value == int(value) else value


def _milliseconds(value: float) -> int:
    return round(value * 1000)


def _seconds(path: str, value: Any) -> float:
    if type(value) is not int or not 1 <= value <= _LONGEST:
        _refuse(path, f"a whole number of milliseconds from 1 to {_LONGEST}", value)
    return value / 1000


def _truth(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse(path, "true or false", value)
    return value


def _hedge(path: str, value: Any) -> float | str:
    if type(value) is int and 1 <= value <= _LONGEST:
        return value / 1000
    if not isinstance(value, str) or (value != HEDGE_OFF and percentile(value) is None):
        kinds = f'a whole number of milliseconds from 1 to {_LONGEST}, a percentile such as "p95", or "{HEDGE_OFF}"'
        _refuse(path, kinds, value)
    return value


def _written_hedge(value: float | str) -> int | str:
    return value if isinstance(value, str) else _milliseconds(value)


def _whole(highest: int) -> Callable[[str, Any], int]:
    def read(path: str, value: Any) -> int:
        if type(value) is not int or not 1 <= value <= highest:
            _refuse(path, f"a whole number from 1 to {highest}", value)
        return value

    return read


def _number(highest: float) -> Callable[[str, Any], float]:
    def read(path: str, value: Any) -> float:
        if type(value) not in (int, float) or not 0 <= value <= highest:
            _refuse(path, f"a number from 0 to {highest:g}", value)
        return float(value)

    return read


def _balancing(path: str, value: Any) -> str:
    if not isinstance(value, str) or value not in BALANCING:
        _refuse(path, f"one of {', '.join(BALANCING)}", value)
    return value


def _name(path: str, value: Any) -> str:
    if not isinstance(value, str) or not _is_name(value):
        _refuse(path, "the name of a parameter", value)
    return value


def _is_name(text: str) -> bool:
    # Names are repeated in errors, logs and terminals, and they come from a node that anybody may have written.
    return text.isascii() and text.isidentifier()


def _never(path: str, value: Any) -> bool:
    if value is not False:
        _refuse(path, "false, or left out: only the service's code can allow it", value)
    return False


def _masked(path: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_MASKED or not all(map(is_maskable, value)):
        _refuse(path, MASKED_RULE, value)
    return tuple(value)


def _methods(path: str, value: Any) -> dict[str, MethodConfig]:
    if not isinstance(value, dict):
        _refuse(path, "an object of methods by their names", value)
    for name in value:
        if not is_method_name(name):
            _refuse(path, "an object of methods by their names, as get or Audit:get", name)
    return {name: MethodConfig(**_read(said, _METHOD, _at(path, name))) for name, said in value.items()}


def _written_methods(methods: Mapping[str, MethodConfig]) -> dict[str, Any]:
    return {name: _document(method, _METHOD) for name, method in methods.items()}


def _rate(path: str, value: Any) -> float:
    if type(value) not in (int, float) or not is_rate(value):
        _refuse(path, f"a number of calls a second from {LEAST_RATE:g} to {LARGEST_RATE:g}", value)
    return float(value)


def _callers(path: str, value: Any) -> dict[str, CallerConfig]:
    if not isinstance(value, dict):
        _refuse(path, "an object of callers by their names", value)
    for name in value:
        if not is_quota_name(name):
            expected = f"a caller's name has {NAME_RULE}; an identity is a SPIFFE ID, dns:HOST or cn:NAME, without a *"
            raise ConfigError(f"{path} has no place for {name!r:.80}: {expected}")
    return {name: CallerConfig(**_read(said, _CALLER, _at(path, name))) for name, said in value.items()}


def _written_callers(callers: Mapping[str, CallerConfig]) -> dict[str, Any]:
    return {name: _document(caller, _CALLER) for name, caller in callers.items()}


def _allow(path: str, value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        _refuse(path, "an object of lists of patterns by the names of methods", value)
    for name, patterns in value.items():
        if not is_guarded_name(name):
            _refuse(path, f"lists by names, each {GUARDED_RULE}", name)
        if not isinstance(patterns, list):
            _refuse(_at(path, name), f"a list of patterns, each {PATTERN_RULE}", patterns)
        try:
            AllowList(patterns)
        except ConfigError as error:
            raise ConfigError(f"{_at(path, name)}: {error}") from None
    return {name: tuple(patterns) for name, patterns in value.items()}


def _written_allow(lists: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    return {name: list(patterns) for name, patterns in lists.items()}


# Documents: a key has a value, or a nested document whose keys set fields of the same object

_Keys = Mapping[str, "_Key | _Keys"]

_METHOD: _Keys = {
    "timeout_ms": _Key("timeout", _seconds, _milliseconds),
    "idempotent": _Key("idempotent", _truth, _same),
    "hedge_ms": _Key("hedge", _hedge, _written_hedge),
    "max_attempts": _Key("max_attempts", _whole(MOST_ATTEMPTS), _same),
}
_CALLER: _Keys = {"max_rate": _Key("max_rate", _rate, _short)}
_SERVICE: _Keys = {
    **_METHOD,
    "balancing": _Key("balancing", _balancing, _same),
    "hash_key": _Key("hash_key", _name, _same),
    "subset_size": _Key("subset_size", _whole(LARGEST_SUBSET), _same),
    "retry": {
        "ratio": _Key("retry_ratio", _number(1.0), _short),
        "reserve_per_s": _Key("retry_reserve", _number(LARGEST_RESERVE), _short),
    },
    "methods": _Key("methods", _methods, _written_methods),
    "callers": _Key("callers", _callers, _written_callers),
    "allow": _Key("allow", _allow, _written_allow),
    "tap": {
        "bodies": _Key("tap_bodies", _never, _same),
        "masked": _Key("tap_masked", _masked, list),
    },
}


def _read(document: object, keys: _Keys, path: str) -> dict[str, Any]:
    """The config's fields that a document sets."""
    if not isinstance(document, dict):
        _refuse(path, f"an object of {', '.join(keys)}", document)
    fields: dict[str, Any] = {}
    for name, value in document.items():
        key, here = keys.get(name), _at(path, name)
        if key is None:
            raise ConfigError(f"unknown key {here!r:.80}; there are {', '.join(keys)}")
        fields |= {key.field: key.read(here, value)} if isinstance(key, _Key) else _read(value, key, here)
    return fields


def _document(config: MethodConfig | CallerConfig, keys: _Keys) -> dict[str, Any]:
    """A config as a document, without the values and nested documents that are not set."""
    written: dict[str, Any] = {}
    for name, key in keys.items():
        if isinstance(key, _Key):
            value = getattr(config, key.field)
            said = None if value is None else key.write(value)
        else:
            said = _document(config, key)
        if said is not None and said != {}:
            written[name] = said
    return written
