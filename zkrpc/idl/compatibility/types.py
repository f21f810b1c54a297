"""Compares types, and the structs, unions, exceptions and enums that they stand for. Pure.

Types are compared by what they stand for: through typedefs, includes and containers, down to base types; so a struct
that was renamed or moved to another file is compared with what it was. Each pair of definitions is compared once,
however often it is reached, and circles end. What an IDL could make without end (typedefs of typedefs, two files whose
structs meet in ever new pairs) is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from zkrpc.errors import IdlError
from zkrpc.idl.compatibility.rules import RULES, Break
from zkrpc.idl.compatibility.values import same_value
from zkrpc.idl.names import resolve
from zkrpc.idl.outline import Definition, EnumItem, FieldOutline, FunctionOutline, Namespace, TypeName
from zkrpc.idl.policy import is_masked
from zkrpc.idl.source import Source

Thing: TypeAlias = Definition | FieldOutline | EnumItem | FunctionOutline | Namespace
"""What has a line."""
Pair: TypeAlias = tuple[Source, Definition, Source, Definition]
"""A definition of the old IDL, and the one that has taken its place."""

Owner: TypeAlias = str | tuple[int, int]
"""On whose behalf types are compared: a method as ``Service.method``, another definition, or a pair by its key."""

MOST_PAIRS = 20_000
"""How many pairs of definitions are compared at most: more than any IDL has, unless it is made to be slow."""
_SAME = {"i8": "byte", "slist": "string"}


class Role(NamedTuple):
    """What fields are, and the rules about them."""

    noun: str
    removed: str
    required_removed: str
    added: str = ""
    required_added: str = "required-field-added"
    named: bool = True
    """Whether their names are seen outside."""


FIELD = Role("field", "field-removed", "required-field-removed")
MEMBER = Role("member", "union-member-removed", "union-member-removed", required_added="")
ARGUMENT = Role("argument", "argument-removed", "argument-removed")
EXCEPTION = Role("exception", "exception-removed", "exception-removed", added="exception-added", named=False)


class Site(NamedTuple):
    """The two files that are being compared, and on whose behalf."""

    old: Source
    new: Source
    owner: Owner


class TypeComparison:
    """Compares types and collects breaks; what definitions they reach is compared by :meth:`finish`."""

    def __init__(self) -> None:
        self.breaks: list[tuple[Owner, Break]] = []
        """Every break, with whom it was found for."""
        self.reached: dict[Owner, dict[Owner, None]] = {}
        """The pairs that each owner reaches directly; a pair is an owner itself."""
        self._pairs: dict[Owner, Pair] = {}
        self._waiting: list[Pair] = []
        self._alike: set[tuple[int, int]] = set()

    def add(self, rule: str, subject: str, change: str, site: Site, old: Thing | None, new: Thing | None) -> None:
        """Notes a break, at the place of the new thing, or of the old one if that is gone."""
        source, thing = (site.new, new) if new is not None else (site.old, old)
        assert thing is not None
        before = "" if old is None else f"{site.old.name}:{old.line}"
        made = Break(rule=RULES[rule], subject=subject, change=change, file=source.name, line=thing.line, before=before)
        self.breaks.append((site.owner, made))

    def finish(self) -> None:
        """Compares all pairs of definitions that were reached, and those that these reach."""
        while self._waiting:
            old_source, old, new_source, new = self._waiting.pop()
            site = Site(old_source, new_source, (id(old), id(new)))
            if old.kind == "enum":
                self._enum(site, old, new)
            else:
                self._struct(site, old, new)

    # -- types

    def type(self, site: Site, old: TypeName, new: TypeName) -> tuple[str, str] | None:
        """The rule that a change of type breaks, and what has changed; None if it is the same type. The definitions in
        it are compared later."""
        before, after = resolve(site.old, old), resolve(site.new, new)
        assert before is not None and after is not None, "the checks let no unknown type through"
        was, now = before[1], after[1]
        if isinstance(was, Definition) and isinstance(now, Definition):
            return self._definitions(site, (before[0], was, after[0], now))
        if isinstance(was, Definition) or isinstance(now, Definition):
            rule = "enum-replaced" if {_wire(was), _wire(now)} == {"i32"} else "type-changed"
            return rule, _became(old, was, new, now)
        if _wire(was) != _wire(now) or len(was.inner) != len(now.inner):
            return "type-changed", _became(old, was, new, now)
        return self._inner(Site(before[0], after[0], site.owner), was, now)

    def use(self, site: Site, old: TypeName, new: TypeName) -> tuple[str, str] | None:
        """The same where the type is used; there it matters as well that one type is written in two ways."""
        found, before, after = self.type(site, old, new), _spelling(old), _spelling(new)
        if found is None and before != after:
            return "spelling-changed", f"is written {after}, it was {before}, which is the same type"
        return found

    def _inner(self, site: Site, old: TypeName, new: TypeName) -> tuple[str, str] | None:
        """The types inside a container; a pair that was found equal is not looked at again."""
        key = (id(old), id(new))
        if old.inner and key not in self._alike:
            for one, other in zip(old.inner, new.inner):
                if (found := self.type(site, one, other)) is not None:
                    return found[0], found[1] if ", inside " in found[1] else f"{found[1]}, inside {new}"
            self._alike.add(key)
        return None

    def _definitions(self, site: Site, pair: Pair) -> tuple[str, str] | None:
        _, old, _, new = pair
        if (old.kind == "enum") != (new.kind == "enum"):
            return "type-changed", f"became {_article(new.kind)} {new.name}, it was {_article(old.kind)} {old.name}"
        self._reach(site.owner, pair)
        if old.name != new.name:
            return "type-renamed", f"became {new.name}, it was {old.name}"
        return None

    def _reach(self, owner: Owner, pair: Pair) -> None:
        key = (id(pair[1]), id(pair[3]))
        if key not in self._pairs:
            if len(self._pairs) >= MOST_PAIRS:
                raise IdlError(f"too many types to compare: more than {MOST_PAIRS} pairs of them", file=pair[2].name)
            self._pairs[key] = pair
            self._waiting.append(pair)
        self.reached.setdefault(owner, {})[key] = None

    # -- structs and enums

    def _struct(self, site: Site, old: Definition, new: Definition) -> None:
        if (old.kind == "union") != (new.kind == "union"):
            self.add(
                "kind-changed", old.name, f"became {_article(new.kind)}, it was {_article(old.kind)}", site, old, new
            )
            return
        if old.kind != new.kind:
            change = f"became {_article(new.kind)}, it was {_article(old.kind)}"
            self.add("type-renamed", old.name, change, site, old, new)
        self.fields(
            site, MEMBER if new.kind == "union" else FIELD, f"{old.name}.", (old, old.fields), (new, new.fields)
        )

    def fields(
        self,
        site: Site,
        role: Role,
        prefix: str,
        old: tuple[Thing, Sequence[FieldOutline]],
        new: tuple[Thing, Sequence[FieldOutline]],
    ) -> None:
        """Compares fields, members, arguments or declared exceptions; ``prefix`` leads their names in messages."""
        before, after = ({field.id: field for field in fields} for _, fields in (old, new))
        renumbered = self._renumbered(site, prefix, before, after)
        for number, field in before.items():
            if number in after:
                self._field(site, role, f"{prefix}{field.name}", field, after[number])
            elif field.name not in renumbered:
                rule = role.required_removed if field.required else role.removed
                change = f"({role.noun} {number}) is gone"
                self.add(rule, f"{prefix}{field.name}", change, site, field, None)
        highest = max(before, default=0)
        for number, field in after.items():
            if number in before or field.name in renumbered:
                continue
            subject, change = f"{prefix}{field.name}", f"({role.noun} {number}) is new"
            if rule := role.added or (role.required_added if field.required else ""):
                self.add(rule, subject, change, site, None, field)
            elif 0 < number < highest:
                self.add("added-in-the-middle", subject, f"{change}, below {highest}", site, None, field)

    def _renumbered(
        self, site: Site, prefix: str, old: dict[int, FieldOutline], new: dict[int, FieldOutline]
    ) -> set[str]:
        """Notes the fields that have another id now; their names."""
        names, found = {field.name: field for field in new.values()}, set()
        for number, field in old.items():
            moved = names.get(field.name)
            if moved is not None and moved.id != number and number not in new and moved.id not in old:
                self.add(
                    "id-changed", f"{prefix}{field.name}", f"has the id {moved.id}, it had {number}", site, field, moved
                )
                found.add(field.name)
        return found

    def _field(self, site: Site, role: Role, subject: str, old: FieldOutline, new: FieldOutline) -> None:
        def add(rule: str, change: str) -> None:
            self.add(rule, subject, change, site, old, new)

        if role.named and old.name != new.name:
            add("name-changed", f"({role.noun} {old.id}) is called {new.name}")
        if (found := self.use(site, old.type, new.type)) is not None:
            add(*found)
        if role is not MEMBER and role is not EXCEPTION:
            if old.required != new.required:
                add("requiredness-changed", f"is {_required(new)}, it was {_required(old)}")
            elif old.optional != new.optional:
                add("optional-changed", f"is {_required(new)}, it was {_required(old)}")
        if not same_value((site.old, old.type, old.default), (site.new, new.type, new.default)):
            add("default-changed", f"has {_default(new)}, it had {_default(old)}")
        if is_masked(old.annotations, site.old.name) and not is_masked(new.annotations, site.new.name):
            add("masked-lost", "is not masked any more")

    def _enum(self, site: Site, old: Definition, new: Definition) -> None:
        names, numbers = {item.name: item for item in new.items}, {item.number for item in new.items}
        for item in old.items:
            found, subject = names.get(item.name), f"{old.name}.{item.name}"
            if found is not None and found.number != item.number:
                self.add("enum-number-changed", subject, f"is {found.number}, it was {item.number}", site, item, found)
            elif found is None and item.number in numbers:
                now = next(some for some in new.items if some.number == item.number)
                self.add("enum-name-changed", subject, f"({item.number}) is called {now.name}", site, item, now)
            elif found is None:
                self.add("enum-value-removed", subject, f"({item.number}) is gone", site, item, None)


def _wire(some: TypeName | Definition) -> str:
    """What a type is on the wire, without what is inside it."""
    if isinstance(some, Definition):
        return "i32" if some.kind == "enum" else "struct"
    return _SAME.get(some.name, some.name)


def _spelling(of: TypeName) -> str:
    """A type as it is written, whichever of the old names of base types are used."""
    if of.inner:
        return f"{of.name}<{', '.join(map(_spelling, of.inner))}>"
    return _SAME.get(of.name, of.name)


def _became(old: TypeName, was: TypeName | Definition, new: TypeName, now: TypeName | Definition) -> str:
    return f"became {_shown(new, now)}, it was {_shown(old, was)}"


def _shown(written: TypeName, some: TypeName | Definition) -> str:
    """A type as it is written, and what it stands for."""
    meant = f"{_article(some.kind)} {some.name}" if isinstance(some, Definition) else str(some)
    return meant if str(written) in meant else f"{written} ({meant})"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "e" else f"a {kind}"


def _required(field: FieldOutline) -> str:
    return "required" if field.required else "optional" if field.optional else "neither required nor optional"


def _default(field: FieldOutline) -> str:
    return "no default" if field.default is None else f"the default {_written(field.default)}"


def _written(value: object) -> str:
    text = value.name if hasattr(value, "name") else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
