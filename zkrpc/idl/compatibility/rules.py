"""The rules of compatibility: what is a break, whom it breaks, and what to do instead. Only values.

Levels are those of buf, each of which contains the ones before, and policy, which contains all.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType


class Level(enum.IntEnum):
    """What is broken; a higher level demands more."""

    WIRE = 1
    """Running programs: a caller of the old version with a server of the new one, or data that either has written."""
    JSON = 2
    """Whoever names things: JSON, such as that of ``zkrpc call``."""
    SOURCE = 3
    """Whoever builds against the new IDL: programs that have to be changed."""
    POLICY = 4
    """Callers who rely on how a method is called: whether it may be sent twice, who serves it, how long it may take;
    and whoever relies on who may call it, and on what of it may be seen."""

    @property
    def word(self) -> str:
        """As options and JSON have it."""
        return self.name.lower()


class Severity(enum.Enum):
    """Whether something certainly breaks somebody."""

    ERROR = "error"
    WARNING = "warning"
    """Worth a look, and no reason to fail."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule."""

    name: str
    level: Level
    severity: Severity
    reason: str
    """Why it breaks whom."""
    remedy: str
    """What to do instead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One place where the new IDL breaks a rule."""

    rule: Rule
    subject: str
    """What is changed, such as ``Users.get`` or ``User.name``."""
    change: str
    """What has become of it."""
    file: str
    """Where to look: in the new IDL, or in the old one if the thing is gone."""
    line: int
    before: str
    """``file:line`` of the thing in the old IDL; empty if it was not there."""
    methods: tuple[str, ...] = ()
    """The methods of the old IDL, as ``Service.method``, whose calls it concerns; none if no call is concerned, or that
    is not known."""

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.file}:{self.line}: {self.rule.name}: {self.subject} {self.change}: {self.rule.reason}"


_KEEP = "keep the old one beside it until nobody uses it any more"
_NEW_ID = "give a field of another meaning a new id, and leave the old one"


def _rules(level: Level, *rows: tuple[str, str, str], severity: Severity = Severity.ERROR) -> Iterable[Rule]:
    for name, reason, remedy in rows:
        yield Rule(name=name, level=level, severity=severity, reason=reason, remedy=remedy)


_WIRE = _rules(
    Level.WIRE,
    ("service-removed", "calls of its methods are answered with UnknownMethod", _KEEP),
    ("method-removed", "calls of it are answered with UnknownMethod", _KEEP),
    (
        "oneway-changed",
        "one side waits for an answer that the other does not send, or gets one that it does not expect",
        "add a method of another name",
    ),
    ("result-changed", "callers get a result that they do not expect, or miss one", "add a method of another name"),
    ("argument-removed", "what old callers pass is ignored without a word", "keep it, and refuse values of it"),
    (
        "exception-added",
        "old callers do not know it and get an answer with neither result nor exception",
        "raise one that was declared before, or add a method of another name",
    ),
    ("type-changed", "the other side skips it, or reads something else", _NEW_ID),
    (
        "kind-changed",
        "a union has exactly one member and a struct any number, so either side refuses the other's",
        "define a new type under another name, and a new field for it",
    ),
    ("id-changed", "fields are known by their ids, so the other side does not find it", "restore the id"),
    (
        "requiredness-changed",
        "one side may leave out what the other refuses to miss",
        "leave it as it is; say in a comment what callers should do",
    ),
    ("required-field-added", "what old peers send lacks it and is refused", "leave out the word required"),
    ("required-field-removed", "old peers refuse what lacks it", "keep it"),
    ("union-member-removed", "what old peers send with it arrives as an empty union", _KEEP),
    ("enum-value-removed", "old peers send a number that means nothing any more", _KEEP),
    ("enum-number-changed", "old peers mean another item by the same number", "restore the number"),
)
_JSON = _rules(
    Level.JSON,
    ("field-removed", "JSON with it is refused, and what it held is lost", "keep it"),
    ("name-changed", "JSON with the old name is refused", "restore the name"),
    ("enum-name-changed", "JSON with the old name is refused", "restore the name, or add the new one with its number"),
    ("enum-replaced", "JSON has names for an enum, and numbers for a number", "restore the type"),
)
_SOURCE = (
    *_rules(
        Level.SOURCE,
        ("service-renamed", "programs refer to it by name", "restore the name"),
        ("inheritance-changed", "programs and tools refer to methods by the service that declares them", "restore it"),
        ("exception-removed", "programs that catch it wait for nothing", "keep it declared"),
        (
            "added-in-the-middle",
            "its id is below one that was there before, so it may be the id of something that was removed earlier, "
            "which old peers would take it for",
            "take an id above all others",
        ),
        ("optional-changed", "generated code of some languages has another type for it", "restore the word"),
        (
            "default-changed",
            "where it is left out, both sides assume another value",
            "leave the default, or add a field",
        ),
        ("type-renamed", "programs refer to the type by name", "restore the name"),
        ("definition-removed", "programs refer to it by name", _KEEP),
        ("typedef-changed", "programs hold values of another type under this name", "define another name"),
        ("constant-removed", "programs refer to it by name", _KEEP),
        ("constant-changed", "programs that were built before go on with the old value", "define another constant"),
        ("namespace-changed", "generated code moves elsewhere", "restore the namespace"),
    ),
    *_rules(
        Level.SOURCE,
        (
            "spelling-changed",
            "generated code of some languages has the name of a typedef or a file in it",
            "leave it if programs in those languages use it",
        ),
        severity=Severity.WARNING,
    ),
)
_POLICY = (
    *_rules(
        Level.POLICY,
        (
            "idempotent-lost",
            "callers with the old IDL go on sending it twice when they do not know whether it ran",
            "keep it idempotent, or add a method of another name",
        ),
        (
            "primary-gained",
            "callers with the old IDL send it to any instance and are refused or led on",
            "add a method of another name",
        ),
        (
            "primary-lost",
            "it runs at any instance of the new version while the primary of the old one still counts on being alone",
            "add a method of another name",
        ),
        (
            "allow-widened",
            "callers may call it who were kept from it",
            "say the list in the service's code first",
        ),
        (
            "masked-lost",
            "people who look at calls see what they were not to see",
            "mask it in the service's code first",
        ),
    ),
    *_rules(
        Level.POLICY,
        (
            "allow-narrowed",
            "callers who are on its list no more are refused",
            "look who calls it: zkrpc ls SERVICE --callers",
        ),
        ("timeout-shortened", "calls that were in time are not any more", "set it in the service config first"),
        ("hedge-lost", "slow calls are no longer sent a second time", "set it in the service config first"),
        severity=Severity.WARNING,
    ),
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in (*_WIRE, *_JSON, *_SOURCE, *_POLICY)})
"""Every rule by its name."""
