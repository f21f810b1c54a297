"""Compares two IDLs: services with their methods, constants, namespaces, and through :mod:`types` the rest. Pure."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from zkrpc.config import DEFAULT_TIMEOUT
from zkrpc.idl.compatibility.rules import Break
from zkrpc.idl.compatibility.types import ARGUMENT, EXCEPTION, Owner, Site, TypeComparison
from zkrpc.idl.compatibility.values import same_value
from zkrpc.idl.names import functions_of, parent_of
from zkrpc.idl.outline import Definition, FunctionOutline, TypeName
from zkrpc.idl.policy import MethodPolicy, policy_of
from zkrpc.idl.source import Source

_MOST_STEPS = 200_000
"""How far it is followed which methods a type belongs to."""


class Declared(NamedTuple):
    """A method, and where it is declared: an inherited one elsewhere than its service."""

    source: Source
    owner: Definition
    function: FunctionOutline
    inherited: bool


def compare(old: Source, new: Source, *, services: tuple[str, str] | None = None) -> list[Break]:
    """The breaks between two versions of a file, in the order of the files' lines.

    ``services`` are the old and the new name of one service: then only that one and what it uses are compared. Else all
    that the old file defines itself is compared, with whatever types it uses of included files. Both must have passed
    the checks. IdlError if they are made so that comparing them would take too long.
    """
    comparison = _Comparison(old, new)
    if services is None:
        comparison.files()
    else:
        comparison.service(old.definitions[services[0]], new.definitions.get(services[1]))
    return comparison.finish()


class _Comparison:
    """Compares two files."""

    def __init__(self, old: Source, new: Source) -> None:
        self._types = TypeComparison()
        self._old = old
        self._new = new
        self._methods: dict[str, str] = {}
        """The old IDL's methods, and under which name their service is compared."""

    def files(self) -> None:
        """Everything that the old file defines itself."""
        self._namespaces()
        for definition in self._old.outline.definitions:
            found = self._new.definitions.get(definition.name)
            if definition.kind == "service":
                self.service(definition, found)
            elif definition.kind == "const":
                self._constant(definition, found)
            else:
                self._definition(definition, found)

    def finish(self) -> list[Break]:
        """All breaks, each with the methods that it concerns."""
        self._types.finish()
        users = self._users()
        breaks = [dataclasses.replace(some, methods=tuple(users.get(owner, ()))) for owner, some in self._types.breaks]
        return sorted(dict.fromkeys(breaks), key=lambda some: (some.rule.level, some.file, some.line, some.rule.name))

    def _site(self, owner: str) -> Site:
        return Site(self._old, self._new, owner)

    # -- what is not called

    def _namespaces(self) -> None:
        names = {some.scope: some for some in self._new.outline.namespaces}
        for some in self._old.outline.namespaces:
            now = names.get(some.scope)
            if now is None or now.name != some.name:
                change = "is gone" if now is None else f"is {now.name}, it was {some.name}"
                self._types.add("namespace-changed", f"namespace {some.scope}", change, self._site(""), some, now)

    def _constant(self, old: Definition, new: Definition | None) -> None:
        assert old.type is not None
        site = self._site(f"constant {old.name}")
        if new is None or new.kind != "const" or new.type is None:
            self._types.add("constant-removed", old.name, "is gone", site, old, None)
            return
        if (found := self._types.type(site, old.type, new.type)) is not None:
            self._types.add("constant-changed", old.name, found[1], site, old, new)
        elif not same_value((self._old, old.type, old.value), (self._new, new.type, new.value)):
            self._types.add("constant-changed", old.name, "has another value", site, old, new)

    def _definition(self, old: Definition, new: Definition | None) -> None:
        site = self._site(f"definition {old.name}")
        if new is None or new.kind in ("const", "service"):
            self._types.add("definition-removed", old.name, f"({old.kind}) is gone", site, old, None)
            return
        names = (TypeName(name=old.name, line=some.line) for some in (old, new))
        if (found := self._types.type(site, *names)) is not None:
            rule = "typedef-changed" if "typedef" in (old.kind, new.kind) else found[0]
            self._types.add(rule, old.name, found[1], site, old, new)

    # -- services

    def service(self, old: Definition, new: Definition | None) -> None:
        """A service with its methods, inherited ones included."""
        methods, site = dict(_declared(self._old, old)), self._site(f"service {old.name}")
        self._methods |= dict.fromkeys((f"{old.name}.{name}" for name in methods), f"service {old.name}")
        if new is None or new.kind != "service":
            self._types.add("service-removed", old.name, "is gone", site, old, None)
            return
        if old.name != new.name:
            self._types.add("service-renamed", old.name, f"is called {new.name}", site, old, new)
        before, after = _parent(self._old, old), _parent(self._new, new)
        if before != after:
            change = f"extends {after or 'nothing'}, it extended {before or 'nothing'}"
            self._types.add("inheritance-changed", old.name, change, site, old, new)
        now = dict(_declared(self._new, new))
        alike: dict[object, list[str]] = defaultdict(list)
        for name in now.keys() - methods.keys():
            alike[_shape(now[name].function)].append(name)
        for name, declared in methods.items():
            if name in now:
                self._method(f"{old.name}.{name}", declared, now[name])
            else:
                self._removed(f"{old.name}.{name}", declared, alike[_shape(declared.function)])

    def _removed(self, subject: str, declared: Declared, alike: list[str]) -> None:
        change = f"is gone, or is called {alike[0]} now" if len(alike) == 1 else "is gone"
        site = Site(declared.source, self._new, subject)
        self._types.add("method-removed", subject, change, site, declared.function, None)

    def _method(self, subject: str, old: Declared, new: Declared) -> None:
        site = Site(old.source, new.source, subject)
        was, now = old.function, new.function

        def add(rule: str, change: str) -> None:
            self._types.add(rule, subject, change, site, was, now)

        if new.inherited and not old.inherited:
            add("inheritance-changed", f"is declared by {new.owner.name}, it was by {old.owner.name} itself")
        if was.oneway != now.oneway:
            add("oneway-changed", "is oneway now" if now.oneway else "is not oneway any more")
        if was.returns is None or now.returns is None:
            if was.returns is not now.returns:
                add("result-changed", f"returns {now.returns or 'nothing'}, it returned {was.returns or 'nothing'}")
        elif (found := self._types.use(site, was.returns, now.returns)) is not None:
            self._types.add(found[0], f"{subject}'s result", found[1], site, was, now)
        for role, before, after in (
            (ARGUMENT, was.parameters, now.parameters),
            (EXCEPTION, was.throws, now.throws),
        ):
            self._types.fields(site, role, f"{subject}: ", (was, before), (now, after))
        policies = (policy_of(some.function.annotations, some.source.name) for some in (old, new))
        for rule, change in _policy_breaks(*policies):
            add(rule, change)

    # -- who is concerned

    def _users(self) -> dict[Owner, list[str]]:
        """The methods whose calls something concerns for which a break was found; nothing if that takes too long."""
        users: dict[Owner, list[str]] = {}
        broken, reached = {owner for owner, _ in self._types.breaks}, self._types.reached
        steps = 0
        for method, service in self._methods.items():
            users.setdefault(service, []).append(method)
            seen: set[Owner] = set()
            waiting: list[Owner] = [method]
            while waiting:
                owner = waiting.pop()
                steps += 1
                if owner not in seen:
                    seen.add(owner)
                    waiting += reached.get(owner, ())
                if steps > _MOST_STEPS:
                    return {}
            for owner in seen & broken:
                users.setdefault(owner, []).append(method)
        return users


def _declared(source: Source, service: Definition) -> Iterator[tuple[str, Declared]]:
    for home, owner, function in functions_of(source, service):
        yield function.name, Declared(home, owner, function, owner is not service)


def _parent(source: Source, service: Definition) -> str:
    """The service that it extends, told apart from one of the same name in another file."""
    place = parent_of(source, service)
    if place is None:
        return ""
    return place[1].name if place[0] is source else f"{place[0].stem}.{place[1].name}"


def _shape(function: FunctionOutline) -> tuple[object, ...]:
    """What two methods have in common of which one is the other under another name."""
    return (
        function.oneway,
        str(function.returns),
        *((field.id, str(field.type), field.name) for field in (*function.parameters, *function.throws)),
    )


def _policy_breaks(old: MethodPolicy, new: MethodPolicy) -> Iterator[tuple[str, str]]:
    if old.idempotent and not new.idempotent:
        yield "idempotent-lost", "is not idempotent any more"
    if new.primary and not old.primary:
        yield "primary-gained", "is served by the primary only"
    if old.primary and not new.primary:
        yield "primary-lost", "is served by any instance, and was by the primary only"
    yield from _list_breaks(old.allow, new.allow)
    before, after = old.timeout or DEFAULT_TIMEOUT, new.timeout or DEFAULT_TIMEOUT
    if after < before:
        yield "timeout-shortened", f"may take {after:g} s, it might take {before:g} s"
    if old.hedge is not None and new.hedge is None:
        yield "hedge-lost", "is not hedged any more"


def _list_breaks(old: tuple[str, ...] | None, new: tuple[str, ...] | None) -> Iterator[tuple[str, str]]:
    if new is None:
        if old is not None:
            yield "allow-widened", f"may be called by everybody, and might be by {', '.join(old)} only"
        return
    gained, lost = [one for one in new if one not in (old or ())], [one for one in old or () if one not in new]
    if old is not None and gained:
        yield "allow-widened", f"may be called by {', '.join(gained)} as well"
    if old is None:
        yield "allow-narrowed", f"may be called by {', '.join(new)} only"
    elif lost:
        yield "allow-narrowed", f"may not be called by {', '.join(lost)} any more"
