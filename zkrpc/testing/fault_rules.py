"""Which calls get which fault: the rules, their spelling in a request header, and the decision.

Pure: random numbers are handed in, and nothing here waits or raises a fault; :mod:`zkrpc.testing.faults` does that.

A call gets at most one fault. The rules are tried in order; the first one that matches the call, has not used up its
``count`` and is drawn by its ``probability`` decides.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from zkrpc import errors
from zkrpc.errors import CallError, ConfigError

FAULT_HEADER = "x-zkrpc-fault"
"""The request header that asks for a fault, where the server allows it."""

_LONGEST_HEADER = 200
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_NAMES: dict[str, type[CallError]] = {
    name: one for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, CallError)
}
_MESSAGE = "a fault was injected"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """What happens to which calls. Raises ConfigError if a rule does nothing, or has two effects that exclude each
    other."""

    method: str = "*"
    """The IDL's name of a method, with ``*`` and ``?`` as in file names."""
    instance: str = "*"
    """The instance at which it happens, with wildcards likewise: a server's name, or ``host:port`` on a client."""
    delay: float = 0.0
    """Seconds before anything else happens."""
    delay_share: float = 1.0
    """The share of the affected calls that are delayed, over 0 and at most 1."""
    abort: Exception | type[Exception] | str | None = None
    """Raised instead of making or serving the call: an exception, a class that can be made without arguments, or the
    name of one of zkrpc's call errors, as in ``"Overloaded"``. Every call gets a copy of its own."""
    drop: bool = False
    """No answer ever comes."""
    probability: float = 1.0
    """The share of the matching calls that are affected, over 0 and at most 1."""
    count: int | None = None
    """How many calls are affected at most; None for no bound."""

    def __post_init__(self) -> None:
        """Checks every field."""
        for name in ("method", "instance"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ConfigError(f"FaultRule.{name} must be a name or a pattern, got {getattr(self, name)!r}")
        if not _is_number(self.delay) or not 0 <= self.delay < math.inf:
            raise ConfigError(f"FaultRule.delay must be a number of seconds from 0, got {self.delay!r}")
        for name in ("delay_share", "probability"):
            share = getattr(self, name)
            if not _is_number(share) or not 0 < share <= 1:
                raise ConfigError(f"FaultRule.{name} must be over 0 and at most 1, got {share!r}")
        if self.count is not None and (type(self.count) is not int or self.count < 1):
            raise ConfigError(f"FaultRule.count must be a whole number from 1, or None, got {self.count!r}")
        self._check_effect()

    def _check_effect(self) -> None:
        if self.abort is None and not self.drop and not self.delay:
            raise ConfigError("FaultRule does nothing; give it a delay, an abort or drop=True")
        if self.abort is not None and self.drop:
            raise ConfigError("FaultRule.abort answers the call and drop=True never does; choose one")
        if self.abort is not None:
            _new_error(self.abort)

    def fits(self, method: str, instance: str) -> bool:
        """True if the rule matches this method at this instance."""
        return fnmatch.fnmatchcase(method, self.method) and fnmatch.fnmatchcase(instance, self.instance)

    def fault(self, rng: Callable[[], float]) -> Fault | None:
        """The fault of a matching call; None if it is not drawn."""
        if self.probability < 1 and rng() >= self.probability:
            return None
        delayed = self.delay_share == 1 or rng() < self.delay_share
        error = None if self.abort is None else _new_error(self.abort)
        return Fault(delay=self.delay if delayed else 0.0, error=error, drop=self.drop)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The fault of one call: first the delay in seconds, then the error, or no answer ever, or the normal outcome."""

    delay: float = 0.0
    error: Exception | None = None
    drop: bool = False


class Armed:
    """A rule in force, and how many calls it has affected."""

    __slots__ = ("rule", "struck")

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.struck = 0

    def __repr__(self) -> str:
        """The rule and its count."""
        return f"<Armed {self.rule} struck={self.struck}>"

    def strike(self, rng: Callable[[], float]) -> Fault | None:
        """The fault of the next matching call; None if it is not drawn or ``count`` is used up."""
        if self.rule.count is not None and self.struck >= self.rule.count:
            return None
        fault = self.rule.fault(rng)
        self.struck += fault is not None
        return fault


class FaultPlan:
    """The rules in force, in the order in which they are tried. ``rng`` gives floats in [0, 1)."""

    def __init__(self, rules: Iterable[FaultRule], rng: Callable[[], float]) -> None:
        self.armed: list[Armed] = []
        self._rng = rng
        self.set(rules)

    def __repr__(self) -> str:
        """The rules and their counts."""
        return f"<FaultPlan rules={len(self.armed)} struck={sum(one.struck for one in self.armed)}>"

    def set(self, rules: Iterable[FaultRule]) -> None:
        """Replaces all rules; counts begin anew. Raises ConfigError for anything that is not a rule."""
        rules = tuple(rules)
        for rule in rules:
            if not isinstance(rule, FaultRule):
                raise ConfigError(f"faults are made of FaultRule(...), got {rule!r}")
        self.armed = [Armed(rule) for rule in rules]

    def put_first(self, rule: FaultRule) -> Armed:
        """Adds a rule that is tried before the others; ``remove`` takes it away."""
        armed = Armed(rule)
        self.armed = [armed, *self.armed]
        return armed

    def remove(self, armed: Armed) -> None:
        """Takes one rule away, if ``set`` did not do so already."""
        self.armed = [one for one in self.armed if one is not armed]

    def decide(self, method: str, instance: str) -> Fault | None:
        """The fault of a call at a known instance."""
        return self._first(one for one in self.armed if one.rule.fits(method, instance))

    def decide_anywhere(self, method: str) -> Fault | None:
        """The fault of a call whose instance is not known yet, by the rules that apply to every instance."""
        return self._first(one for one in self.armed if one.rule.instance == "*" and one.rule.fits(method, ""))

    def decide_at(self, method: str, instance: str) -> Fault | None:
        """The fault of a call at an instance, by the rules that apply to some instances only."""
        return self._first(one for one in self.armed if one.rule.instance != "*" and one.rule.fits(method, instance))

    def strike_by(self, rule: FaultRule) -> Fault | None:
        """The fault of a call by a rule in its own header."""
        return rule.fault(self._rng)

    def _first(self, fitting: Iterable[Armed]) -> Fault | None:
        return next((fault for one in fitting if (fault := one.strike(self._rng)) is not None), None)


def parse_fault(text: str) -> FaultRule:
    """The rule that a request header spells, as in ``delay=0.2; abort=Overloaded; p=0.5`` or ``drop``.

    Seconds and the share are plain decimal numbers, the error is a name. Raises ConfigError for anything else,
    including a word that is given twice: a test with another fault than the one that was meant proves nothing.
    """
    if len(text) > _LONGEST_HEADER:
        raise ConfigError(f"a fault is at most {_LONGEST_HEADER} characters long")
    found: dict[str, Any] = {}
    for part in text.split(";"):
        name, value = _parse_part(part.strip())
        if name in found:
            raise ConfigError(f"{part.strip()!r}: that is given twice")
        found[name] = value
    return FaultRule(**found)


def _parse_part(part: str) -> tuple[str, Any]:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if key == "drop" and not equals:
        return "drop", True
    if key == "abort" and value:
        return "abort", value
    if key in ("delay", "p") and _NUMBER.fullmatch(value):
        return {"delay": "delay", "p": "probability"}[key], float(value)
    raise ConfigError(f"{part!r} is no fault; expected delay=SECONDS, abort=ERROR, drop or p=SHARE")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _new_error(abort: Exception | type[Exception] | str) -> Exception:
    """An exception for one call: an error carries what happened to its call, so no two calls may share it."""
    if isinstance(abort, str):
        return _class_named(abort)(_MESSAGE)
    if isinstance(abort, Exception):
        # Not copy.copy: it calls __init__, which may want more than the message.
        copied: Exception = type(abort).__new__(type(abort), *abort.args)
        copied.__dict__.update(abort.__dict__)
        return copied
    if isinstance(abort, type) and issubclass(abort, Exception):
        try:
            return abort(_MESSAGE) if issubclass(abort, CallError) else abort()
        except TypeError as error:
            raise ConfigError(f"{abort.__name__} needs arguments ({error}); give an exception instead") from None
    raise ConfigError(f"FaultRule.abort must be an exception, its class or a call error's name, got {abort!r}")


def _class_named(name: str) -> type[CallError]:
    found = _NAMES.get(name)
    # StaleEpoch says which epochs have met, and nobody can invent them.
    possible = sorted(_NAMES.keys() - {"StaleEpoch"})
    if found is None or name not in possible:
        raise ConfigError(f"{name!r} names no call error; expected one of {', '.join(possible)}, or give an exception")
    return found
