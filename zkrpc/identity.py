"""Who a peer is by its certificate, and the patterns and lists that say who may.

A certificate that was verified proves three kinds of names (:class:`Identity`); a pattern matches one of them:

=============================  =========================================================================================
pattern                        admits
=============================  =========================================================================================
``spiffe://prod/ns/web``       the SPIFFE ID, exactly; ``*`` stands for one segment of the path, ``**`` at its end for
                               one or more; the trust domain (``prod``) is always written out
``dns:web.internal``           the DNS name among the subject's alternative names, in any case of letters; ``*`` as the
                               first label stands for one label
``cn:nightly report``          the subject's common name, exactly
``any``                        everybody whose certificate was verified, whatever it says
=============================  =========================================================================================

Nothing admits a peer without a verified certificate. What a certificate says is still its holder's or a careless
authority's: a name that is malformed, stands for many, or is there twice where there can be one, is no name. Knows
nothing of sockets and of how certificates are verified.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from zkrpc.rpc_error import ConfigError

ANY = "any"
"""The pattern that admits everybody whose certificate was verified."""
MOST_NAMES = 100
"""DNS names that are looked at in one certificate."""
MOST_PATTERNS = 100
"""Patterns in one list."""
LONGEST_PATTERN = 2048
"""Characters; the longest SPIFFE ID has as many bytes."""

PATTERN_RULE = 'a SPIFFE ID such as "spiffe://prod/ns/*/sa/web", "dns:*.web.internal", "cn:NAME" or "any"'

_SPIFFE, _DNS, _COMMON_NAME = "spiffe://", "dns:", "cn:"
_SHOWN = 80
_LONGEST_COMMON_NAME = 128

_is_trust_domain = re.compile(r"[a-z0-9._-]{1,255}").fullmatch
_is_segment = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]+").fullmatch
_is_dns_name = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*").fullmatch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a peer is, proven by its certificate. :func:`identity_of` makes it."""

    spiffe: str = ""
    """The SPIFFE ID; empty without a valid one, and where the certificate has several."""
    dns: tuple[str, ...] = ()
    """DNS names, in lower case."""
    common_name: str = ""
    """The subject's common name; empty without one, and where there are several."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of it, each as it is written in a pattern; the most telling first."""
        spiffe = (self.spiffe,) if self.spiffe else ()
        common = (f"{_COMMON_NAME}{self.common_name}",) if self.common_name else ()
        return (*spiffe, *(f"{_DNS}{name}" for name in self.dns), *common)

    @property
    def name(self) -> str:
        """What to call it, where one name has to do; empty if the certificate has no name."""
        return next(iter(self.names), "")

    def __str__(self) -> str:
        """Its name."""
        return self.name or "a certificate without a name"


def identity_of(certificate: Mapping[str, Any] | None) -> Identity | None:
    """Who the holder of a certificate is. ``certificate`` is what ``ssl.SSLSocket.getpeercert()`` gives.

    None for None and for an empty mapping: the peer has shown no certificate, or nobody has verified it.
    """
    if not certificate:
        return None
    alternatives = certificate.get("subjectAltName", ())
    uris = [value for kind, value in alternatives if kind == "URI"]
    names = [value.lower().removesuffix(".") for kind, value in alternatives if kind == "DNS"]
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return Identity(
        # One URI and no other, says the SPIFFE standard: of two, readers might take different ones.
        spiffe=uris[0] if len(uris) == 1 and _is_spiffe(uris[0]) else "",
        dns=tuple(dict.fromkeys(name for name in names[:MOST_NAMES] if _is_dns_name(name))),
        common_name=common[0] if len(common) == 1 and _is_common_name(common[0]) else "",
    )


class AllowList:
    """Patterns of which one has to match. An empty list admits nobody.

    Raises ConfigError for a bad pattern, and for more than ``MOST_PATTERNS``.
    """

    __slots__ = ("_any", "_exact", "_hosts", "_paths", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise ConfigError(f"an allow-list is a list of patterns, not one text: [{patterns!r:.{_SHOWN}}]")
        self.patterns = tuple(dict.fromkeys(map(_pattern, patterns)))
        """As they were given, each once."""
        if len(self.patterns) > MOST_PATTERNS:
            raise ConfigError(f"an allow-list has at most {MOST_PATTERNS} patterns, got {len(self.patterns)}")
        self._any = False
        self._exact: set[str] = set()
        self._hosts: set[str] = set()
        """What follows the first label of names that begin with ``*``."""
        self._paths: list[list[str]] = []
        """SPIFFE IDs with a ``*``, by their segments."""
        for pattern in self.patterns:
            self._add(pattern)

    def __repr__(self) -> str:
        """The patterns."""
        return f"<AllowList {self}>"

    def __str__(self) -> str:
        """The patterns as one text, ``nobody`` for an empty list."""
        return ", ".join(self.patterns) or "nobody"

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same patterns."""
        return isinstance(other, AllowList) and set(self.patterns) == set(other.patterns)

    def __hash__(self) -> int:
        """By the patterns."""
        return hash(frozenset(self.patterns))

    def admits(self, identity: Identity | None) -> bool:
        """Whether it admits a peer; None is a peer without a verified certificate."""
        if identity is None:
            return False
        if self._any or not self._exact.isdisjoint(identity.names):
            return True
        if any(name.partition(".")[2] in self._hosts for name in identity.dns):
            return True
        segments = identity.spiffe.split("/")
        return any(_matches(pattern, segments) for pattern in self._paths)

    def _add(self, pattern: str) -> None:
        if pattern == ANY:
            self._any = True
        elif pattern.startswith(_SPIFFE):
            self._add_spiffe(pattern)
        elif pattern.startswith(_DNS):
            self._add_dns(pattern)
        elif not pattern.startswith(_COMMON_NAME):
            raise ConfigError(f"a pattern of an allow-list is {PATTERN_RULE}, got {pattern!r:.{_SHOWN}}")
        elif not _is_common_name(pattern.removeprefix(_COMMON_NAME)) or "," in pattern or "*" in pattern:
            said = (
                f"cn: is followed by a whole common name of at most {_LONGEST_COMMON_NAME} characters, without , or *"
            )
            raise ConfigError(f"{said}, got {pattern!r:.{_SHOWN}}")
        else:
            self._exact.add(pattern)

    def _add_spiffe(self, pattern: str) -> None:
        domain, _, path = pattern.removeprefix(_SPIFFE).partition("/")
        segments = path.split("/")
        if not _is_trust_domain(domain):
            said = "after spiffe:// there is a trust domain, written out: lower-case letters, digits, . - and _"
            raise ConfigError(f"{said}; got {pattern!r:.{_SHOWN}}")
        last = segments[-1:] == ["**"]
        if not all(one == "*" or _is_segment(one) for one in (segments[:-1] if last else segments)):
            said = "the path of a SPIFFE ID has segments of letters, digits, . - and _; * is one whole segment, and **"
            raise ConfigError(f"{said} at its end is all that follows; got {pattern!r:.{_SHOWN}}")
        if "*" in path:
            self._paths.append(pattern.split("/"))
        else:
            self._exact.add(pattern)

    def _add_dns(self, pattern: str) -> None:
        name = pattern.removeprefix(_DNS).lower().removesuffix(".")
        rest = name.removeprefix("*.")
        # What one label more than a top-level domain may hold, such as *.com, is anybody's.
        if not _is_dns_name(rest) or (rest != name and "." not in rest):
            said = "dns: is followed by a host's name; * stands for its whole first label, before two more at least"
            raise ConfigError(f"{said}: dns:*.web.internal; got {pattern!r:.{_SHOWN}}")
        if rest == name:
            self._exact.add(f"{_DNS}{name}")
        else:
            self._hosts.add(rest)


def is_identity_name(text: object) -> bool:
    """Whether it is one of the names that an identity can have (``Identity.names``), and no pattern for many."""
    try:
        return isinstance(text, str) and text in AllowList([text])._exact
    except ConfigError:
        return False


def split_patterns(text: str) -> list[str]:
    """The patterns of a list that is written as one text, with commas between them."""
    return [one.strip() for one in text.split(",")]


def _pattern(given: object) -> str:
    if not isinstance(given, str) or len(given) > LONGEST_PATTERN:
        raise ConfigError(f"a pattern of an allow-list is {PATTERN_RULE}, got {given!r:.{_SHOWN}}")
    return given


def _is_spiffe(text: str) -> bool:
    domain, _, path = text.removeprefix(_SPIFFE).partition("/")
    return (
        text.startswith(_SPIFFE)
        and len(text) <= LONGEST_PATTERN
        and _is_trust_domain(domain) is not None
        and all(map(_is_segment, path.split("/")))
    )


def _is_common_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_COMMON_NAME and text.isprintable() and text == text.strip()


def _matches(pattern: list[str], segments: list[str]) -> bool:
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        if len(segments) <= len(pattern):
            return False
        segments = segments[: len(pattern)]
    return len(pattern) == len(segments) and all(one in ("*", other) for one, other in zip(pattern, segments))
