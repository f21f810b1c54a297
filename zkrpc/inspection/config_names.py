"""The names in a service's config that no IDL has which the service is served with. Pure.

A config that sets a timeout for ``gte`` is accepted by every client and changes nothing. While a service is served with
several versions of its IDL, a name that any of them has is right; and where an instance does not say what it serves, no
name can be called wrong.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

from zkrpc.config import ServiceConfig
from zkrpc.idl import SCOPE, Interface
from zkrpc.idl.served import names_in_config
from zkrpc.legible import legible
from zkrpc.server.bodies import maskable
from zkrpc.server.permissions import EVERY

_MOST_SHOWN = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UnknownName:
    """A name that stands for nothing."""

    path: str
    """Its place in the config: ``methods.gte``."""
    message: str
    """What there is none of, and which names there are."""
    alike: tuple[str, ...]
    """Names that may have been meant, the most similar first."""

    def __str__(self) -> str:
        """As one line."""
        return f"{self.path}: {self.message}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NameJudgement:
    """What is wrong with the names in a config, and what cannot be said of them."""

    wrong: tuple[UnknownName, ...] = ()
    """Names that are certainly in no interface."""
    notes: tuple[str, ...] = ()
    """Whatever could not be judged, in words."""


def has_names(config: ServiceConfig) -> bool:
    """Whether there is anything to be compared."""
    return bool(config.methods or config.tap_masked or config.allow) or config.hash_key is not None


def judge_names(config: ServiceConfig, interfaces: Sequence[Interface], unknown: Iterable[str] = ()) -> NameJudgement:
    """Compares the names of methods, of those with a list of who may call them, of the parameter to hash by and of what
    is masked with those of the interfaces.

    ``unknown`` says in words why there may be other interfaces. A name that no known one has is then a note.
    """
    if not has_names(config):
        return NameJudgement()
    reasons = "; ".join(unknown)
    if not interfaces:
        return NameJudgement(notes=(f"the names in it were not compared with an IDL: {reasons}",))
    found = (
        *_unknown_methods("methods", config.methods, interfaces),
        *_unknown_methods("allow", [*filter(_is_method, config.allow)], interfaces),
        *_unknown_parameters(config, interfaces),
        *_unknown_masked(config, interfaces),
    )
    if not reasons:
        return NameJudgement(wrong=found)
    return NameJudgement(notes=tuple(f"{one}; it may be right nevertheless: {reasons}" for one in found))


def _is_method(name: str) -> bool:
    """Of the names of lists."""
    return name != EVERY and not name.startswith(SCOPE)


def _unknown_methods(key: str, names: Iterable[str], interfaces: Sequence[Interface]) -> Iterable[UnknownName]:
    plain = {name for one in interfaces for name in one.methods}
    full = {names_in_config(one.name, name)[0] for one in interfaces for name in one.methods}
    for name in names:
        if name not in plain and name not in full:
            known = full if ":" in name else plain
            yield _unknown(f"{key}.{name}", f"{_named(interfaces)} has no method {name!r}", name, known)


def _unknown_parameters(config: ServiceConfig, interfaces: Sequence[Interface]) -> Iterable[UnknownName]:
    methods = [method for one in interfaces for method in one.methods.values()]
    known = {parameter.name for method in methods for parameter in method.parameters}
    name = config.hash_key
    if name is not None and name not in known:
        yield _unknown("hash_key", f"no method of {_named(interfaces)} has a parameter {name!r}", name, known)


def _unknown_masked(config: ServiceConfig, interfaces: Sequence[Interface]) -> Iterable[UnknownName]:
    known = {name for one in interfaces for name in maskable(one)}
    for name in config.tap_masked or ():
        if name not in known:
            yield _unknown("tap.masked", f"no field or parameter of {_named(interfaces)} is {name!r}", name, known)


def _named(interfaces: Sequence[Interface]) -> str:
    names = sorted({one.name for one in interfaces})
    versions = f", in {len(interfaces)} versions," if len(interfaces) > len(names) else ""
    return f"{' and '.join(names)}{versions}"


def _unknown(path: str, message: str, name: str, known: Iterable[str]) -> UnknownName:
    names = sorted(known)
    alike = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if alike:
        hint = f"did you mean {' or '.join(alike)}?"
    else:
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        hint = f"there are {', '.join(names[:_MOST_SHOWN])}{more}" if names else "there are none"
    return UnknownName(path=path, message=legible(f"{message}; {hint}", 500), alike=tuple(alike))
