"""What an IDL says about how to call a method: the annotations ``zkrpc.*`` behind a function; and which of its fields
are to be masked wherever values are shown.

Both sides of a call read them. What they mean, and what overrides them, is decided in the client and the server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from zkrpc.config import LONGEST_TIMEOUT, percentile
from zkrpc.errors import ConfigError, IdlError
from zkrpc.identity import AllowList, split_patterns
from zkrpc.idl.outline import Annotation

PREFIX = "zkrpc."
_KEYS = ("zkrpc.idempotent", "zkrpc.timeout_ms", "zkrpc.primary", "zkrpc.hedge_ms", "zkrpc.allow")
MASKED = "zkrpc.masked"
"""Behind a field or a parameter: its value is not for people who look at calls."""
_LONGEST = int(LONGEST_TIMEOUT * 1000)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MethodPolicy:
    """How one method is to be called, as far as the IDL says."""

    idempotent: bool = False
    """Executing it twice has the same effect as once: it may be sent again when it is unknown whether it ran."""
    timeout: float | None = None
    """Seconds for the whole call, None for the client's default."""
    primary: bool = False
    """Only the elected primary serves it."""
    hedge: float | str | None = None
    """When a second copy goes to another instance: after so many seconds, or after a percentile of the method's latency
    such as ``"p95"``; None for never."""
    allow: tuple[str, ...] | None = None
    """Patterns of the identities that may call it (:mod:`zkrpc.identity`); None for everybody."""


def policy_of(annotations: Iterable[Annotation], file: str) -> MethodPolicy:
    """The policy that a function's annotations declare. IdlError for an unknown ``zkrpc.`` key or a bad value."""
    found: dict[str, Annotation] = {}
    for annotation in annotations:
        if annotation.name.startswith(PREFIX):
            _check_key(annotation, found, file)
            found[annotation.name] = annotation
    policy = MethodPolicy(
        idempotent=_truth(found.get("zkrpc.idempotent"), file),
        timeout=_seconds(found.get("zkrpc.timeout_ms"), file),
        primary=_truth(found.get("zkrpc.primary"), file),
        hedge=_hedge(found.get("zkrpc.hedge_ms"), file),
        allow=_allow(found.get("zkrpc.allow"), file),
    )
    if policy.hedge is not None and not policy.idempotent:
        message = 'zkrpc.hedge_ms sends a call twice, so it needs zkrpc.idempotent="true" beside it'
        raise IdlError(message, file=file, line=found["zkrpc.hedge_ms"].line)
    return policy


def is_masked(annotations: Iterable[Annotation], file: str) -> bool:
    """Whether a field or parameter with these annotations is masked. IdlError for another ``zkrpc.`` key or a bad
    value."""
    found: Annotation | None = None
    for annotation in annotations:
        if not annotation.name.startswith(PREFIX):
            continue
        if annotation.name != MASKED:
            message = f"{annotation.name} belongs behind a function; behind a field there may be {MASKED}"
            raise IdlError(message, file=file, line=annotation.line)
        if found is not None:
            raise IdlError(f"{MASKED} is given twice", file=file, line=annotation.line)
        found = annotation
    return _truth(found, file)


def masked_fields(struct: type) -> frozenset[str]:
    """The fields of a struct's, union's or exception's class that its IDL masks."""
    said = getattr(struct, "__thrift_field_annotations__", {})
    return frozenset(name for name, annotations in said.items() if annotations.get(MASKED) == "true")


def _check_key(annotation: Annotation, found: dict[str, Annotation], file: str) -> None:
    if annotation.name not in _KEYS:
        message = f"unknown annotation {annotation.name}, expected one of {', '.join(_KEYS)}"
        raise IdlError(message, file=file, line=annotation.line)
    if annotation.name in found:
        raise IdlError(f"{annotation.name} is given twice", file=file, line=annotation.line)


def _truth(annotation: Annotation | None, file: str) -> bool:
    if annotation is None:
        return False
    if annotation.value not in ("true", "false"):
        raise IdlError(_wanted(annotation, '"true" or "false"'), file=file, line=annotation.line)
    return annotation.value == "true"


def _seconds(annotation: Annotation | None, file: str, otherwise: str = "") -> float | None:
    if annotation is None:
        return None
    text = annotation.value or ""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 0 < int(text) <= _LONGEST):
        expected = f"a whole number of milliseconds from 1 to {_LONGEST}{otherwise}"
        raise IdlError(_wanted(annotation, expected), file=file, line=annotation.line)
    return int(text) / 1000


def _hedge(annotation: Annotation | None, file: str) -> float | str | None:
    if annotation is not None and annotation.value is not None and percentile(annotation.value) is not None:
        return annotation.value
    return _seconds(annotation, file, otherwise=' or a percentile "p50" to "p99"')


def _allow(annotation: Annotation | None, file: str) -> tuple[str, ...] | None:
    if annotation is None:
        return None
    try:
        return AllowList(split_patterns(annotation.value or "")).patterns
    except ConfigError as error:
        raise IdlError(f"{annotation.name}: {error}", file=file, line=annotation.line) from None


def _wanted(annotation: Annotation, expected: str) -> str:
    return f"{annotation.name} must be {expected}, got {annotation.value!r}"
