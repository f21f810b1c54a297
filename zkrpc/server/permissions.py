"""Who may call what on one server: allow-lists of identities, for each method. Pure.

Three may say a list for a method, and a caller must be admitted by each list that there is:

===================  ==============================================  =================================================
who                  says it by                                      and for all methods without one of their own
===================  ==============================================  =================================================
the service's code   ``@zkrpc.allow(...)`` on the handler's method,  ``Service(allow=[...])``, or ``"*"`` in the mapping
                     or ``Service(allow={"remove": [...]})``
the IDL              ``zkrpc.allow`` behind the function             cannot
operators            ``allow`` in the service's config               ``"*"``
===================  ==============================================  =================================================

The code speaks of methods by their labels (:mod:`zkrpc.idl.served`), operators by the same names as of their settings:
``get`` for that of every interface, or ``Audit:get`` for that of one, which counts more.

So nobody can open what another has closed: who may write to ZooKeeper is not always who may call ``remove``, and a
config that is lost or not known yet does not open what the code and the IDL close. Without any list anybody may call.
Built-in services have lists by their names (``zkrpc.Introspection``), and that for all methods else; ``zkrpc.Health``
always answers, so that whoever watches over processes needs no certificate.

A judgement is asked for at a caller's first call of a method, and again when the config changes
(:mod:`zkrpc.server.accounts`); calls that may be made pay nothing for it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from zkrpc.callables import attribute_of
from zkrpc.errors import ConfigError
from zkrpc.identity import AllowList, Identity
from zkrpc.idl import BUILT_INS, SCOPE, Interface
from zkrpc.idl.served import names_in_config

MethodT = TypeVar("MethodT", bound=Callable[..., Any])
Allowed = Collection[str] | Mapping[str, Collection[str]]
"""One list for all methods, or lists by the names of methods."""

Judge = Callable[[str, Identity | None], str | None]
"""Why a caller may not call a method; None if it may. See :meth:`Permissions.judge`."""

EVERY = "*"
"""Stands for all methods that have no list of their own."""
_ALWAYS = f"{SCOPE}Health"
_MARK = "zkrpc_allow"
_CODE, _IDL, _CONFIG = "the service's code", "the IDL", "the service's config"


class Rule(NamedTuple):
    """One list, and who says it."""

    source: str
    allowed: AllowList

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.source}: {self.allowed}"


def allow(*patterns: str) -> Callable[[MethodT], MethodT]:
    """Marks a handler's method as one for callers whose identity one of the patterns matches (:mod:`zkrpc.identity`):
    ``@zkrpc.allow("spiffe://prod/ns/*/sa/admin")``.

    Others are answered PermissionDenied, and the method is not called. The method itself is not changed. Raises
    ConfigError for a bad pattern, or none.
    """
    if not patterns or not all(isinstance(one, str) for one in patterns):
        raise ConfigError('allow wants the patterns of those who may call: @zkrpc.allow("cn:billing")')
    allowed = AllowList(patterns)

    def mark(method: MethodT) -> MethodT:
        setattr(method, _MARK, allowed)
        return method

    return mark


class Permissions:
    """The lists of one server.

    Args:
        interface: what is served, one interface or several as one, whose methods go by their labels.
        handler: whose methods may be marked; None for no marks.
        allowed: the service's lists.

    Raises ConfigError for a name that stands for nothing, a bad pattern, and a method that has two lists in the code.
    """

    def __init__(self, interface: Interface, handler: object = None, allowed: Allowed = ()) -> None:
        self._methods = interface.methods
        self._code = self._read(allowed)
        for name in interface.methods:
            mark = getattr(attribute_of(handler, name), _MARK, None)
            if mark is not None and name in self._code:
                raise ConfigError(f"{name} has two lists: that of @zkrpc.allow, and that of Service(allow=...)")
            if mark is not None:
                self._code[name] = mark
        said = {name: one.policy.allow for name, one in interface.methods.items()}
        self._idl = {name: AllowList(patterns) for name, patterns in said.items() if patterns is not None}
        self._config: Mapping[str, AllowList] = {}
        self._is_open = not self._code and not self._idl

    def __repr__(self) -> str:
        """How many lists there are."""
        return f"<Permissions lists={len(self._code) + len(self._idl) + len(self._config)}>"

    def narrow(self, said: Mapping[str, Collection[str]]) -> bool:
        """Takes in the lists of the service's config, in the place of those before; whether that changes anything.

        Raises ConfigError for a bad pattern. A name that the interface does not have is without effect.
        """
        given = {name: AllowList(patterns) for name, patterns in said.items()}
        config = dict(given)
        for label, method in self._methods.items():
            names = names_in_config(method.interface, method.name)
            config.update((label, given[name]) for name in reversed(names) if name in given)
        changes = config != self._config
        self._config = config
        self._is_open = not (self._code or self._idl or config)
        return changes

    def lists(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """All lists: the method's name or ``"*"``, who says it (``code``, ``IDL`` or ``config``), and the patterns."""
        for source, lists in (("code", self._code), ("IDL", self._idl), ("config", self._config)):
            for method, allowed in lists.items():
                yield method, source, allowed.patterns

    def rules(self, method: str) -> Iterator[Rule]:
        """The lists that a caller of a method, or of a built-in service, must be on."""
        if method == _ALWAYS:
            return
        for source, lists in ((_CODE, self._code), (_IDL, self._idl), (_CONFIG, self._config)):
            allowed = lists.get(method)
            if allowed is None:
                allowed = lists.get(EVERY)
            if allowed is not None:
                yield Rule(source, allowed)

    def judge(self, method: str, identity: Identity | None) -> str | None:
        """Why a caller may not call a method, or a built-in service, in one line; None if it may."""
        if self._is_open:
            return None
        for source, allowed in self.rules(method):
            if not allowed.admits(identity):
                if identity is None:
                    return f"{method} is for callers on the list of {source}, and this one has shown no certificate"
                return f"{identity} may not call {method}: it is not on the list of {source}"
        return None

    def _read(self, given: Allowed) -> dict[str, AllowList]:
        if isinstance(given, str) or not isinstance(given, Collection):
            raise ConfigError(f"allow must be a list of patterns, or such lists by names of methods; got {given!r:.80}")
        if not isinstance(given, Mapping):
            return {EVERY: AllowList(given)} if given else {}
        known = [EVERY, *self._methods, *(f"{SCOPE}{name}" for name in BUILT_INS if f"{SCOPE}{name}" != _ALWAYS)]
        for name in given:
            if name not in known:
                alike = difflib.get_close_matches(str(name), known, n=3)
                hint = f"did you mean {' or '.join(alike)}?" if alike else f"there are {', '.join(known[:8])}"
                raise ConfigError(f"allow has {name!r:.80}, which is no method; {hint}")
        return {name: AllowList(patterns) for name, patterns in given.items()}
