"""What may be shown of the arguments and results of a server's calls, and how it is shown. Pure.

Three have a say, and each can only take away from what the one before has allowed. Whoever writes the service allows
methods (``Service(tap_bodies=...)``), none by default; the IDL (``zkrpc.masked``) and the service
(``Service(tap_masked=...)``) mask what is inside; and operators mask more, or switch all of it off, in the service's
config in ZooKeeper. Until that is known, nothing is shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any, NamedTuple

from zkrpc.codec.shape import Field, FieldType, Kind, reachable
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface, Method, masked_fields
from zkrpc.jsonform import Excerpt, excerpt, excerpt_arguments, excerpt_exception
from zkrpc.jsonform.excerpt import MASKED

SIZE = 1000
"""Characters of the arguments, and of the result, of one call that are shown."""
_RESULT = "result"


class Body(NamedTuple):
    """What one call was asked and answered, as JSON; ``arguments`` alone if it was answered by what the IDL does not
    declare, or not at all."""

    arguments: str
    result: str | None = None
    exception: str | None = None
    cut: bool = False
    """Whether something is missing for its size."""


class Bodies:
    """What may be shown of the calls of one port.

    Args:
        interface: what is served, one interface or several as one; methods of those beside the default one go by
            their labels, as in ``Audit:log``.
        allowed: the names of methods whose bodies may be shown.
        masked: what is masked in them, besides what the IDL masks: ``password`` for every field and parameter of the
            name, ``User.email`` for the field of a struct, ``login.code`` for the parameter of a method, and
            ``login.result`` for what it returns.

    Raises ConfigError for a name that stands for nothing.
    """

    def __init__(self, interface: Interface, allowed: Collection[str] = (), masked: Collection[str] = ()) -> None:
        self.interface = interface.name
        """The name of the default interface."""
        self._methods = interface.methods
        self._allowed = frozenset(_checked("tap_bodies", allowed, interface.methods))
        self._own = frozenset(_checked("tap_masked", masked, maskable(interface)))
        self._masked = self._own
        self._hidden: dict[type, Collection[str]] = {}
        self._obstacle = ""
        self.version = 0
        """Another number whenever something else may be shown."""

    def __repr__(self) -> str:
        """What is allowed."""
        return f"<Bodies {', '.join(sorted(self._allowed)) or 'none'}{self._obstacle and ' withheld'}>"

    def withhold(self, reason: str) -> None:
        """Shows nothing until ``narrow`` is called."""
        self._obstacle = reason
        self.version += 1

    def narrow(self, allowed: bool, masked: Collection[str]) -> None:
        """What operators say: whether anything is shown, and what is masked besides."""
        self._obstacle = "" if allowed else "the service's config in ZooKeeper switches it off"
        self._masked = self._own | frozenset(masked)
        self._hidden = {}
        self.version += 1

    def refusal(self, method: str) -> str | None:
        """Why no bodies of a method, or of any if it is empty, are shown; None if they are."""
        if not self._allowed or (method and method not in self._allowed):
            some = f"of {method}" if method else "of any method"
            return f"the service does not allow bodies {some} to be shown: Service(..., tap_bodies=[...]) would"
        return f"bodies are not shown: {self._obstacle}" if self._obstacle else None

    def allows(self, method: str) -> bool:
        """Whether those of this method are shown now."""
        return method in self._allowed and not self._obstacle

    def arguments(self, name: str, values: tuple[Any, ...]) -> Excerpt:
        """The arguments of a call, in the order of the parameters."""
        method = self._methods[name]
        masked = [one.name for one in method.parameters if self._masks_parameter(name, one.name)]
        return excerpt_arguments(method, values, size=SIZE, hidden=self._hidden_in, masked=masked)

    def result(self, name: str, value: Any) -> Excerpt | None:
        """What a call returned; None for a method that returns nothing."""
        method = self._methods[name]
        if method.result is None:
            return None
        if value is None or f"{name}.{_RESULT}" in self._masked:
            return Excerpt("null" if value is None else f'"{MASKED}"', False)
        return excerpt(method.result, value, size=SIZE, hidden=self._hidden_in)

    def exception(self, name: str, error: BaseException) -> Excerpt | None:
        """What a call raised; None for what the IDL does not declare, as nobody has said that it may be seen."""
        if not isinstance(error, Exception) or not isinstance(error, self._methods[name].throws):
            return None
        return excerpt_exception(error, size=SIZE, hidden=self._hidden_in)

    def _masks_parameter(self, method: str, name: str) -> bool:
        return name in self._methods[method].masked or name in self._masked or f"{method}.{name}" in self._masked

    def _hidden_in(self, struct: type) -> Collection[str]:
        known = self._hidden.get(struct)
        if known is None:
            names = [entry[1] for entry in struct.thrift_spec.values()]  # type: ignore[attr-defined]  # as all have it
            said = {one for one in names if one in self._masked or f"{struct.__name__}.{one}" in self._masked}
            known = self._hidden[struct] = masked_fields(struct) | said
        return known


def maskable(interface: Interface) -> set[str]:
    """The names that may be masked in the calls of an interface."""
    names: set[str] = set()
    for label, method in interface.methods.items():
        if method.refusal is not None:
            continue
        names |= {one.name for one in method.arguments} | {f"{label}.{one.name}" for one in method.arguments}
        if method.result is not None:
            names.add(f"{label}.{_RESULT}")
        for struct, fields in reachable(_carried(method)).items():
            names |= {one.name for one in fields} | {f"{struct.__name__}.{one.name}" for one in fields}
    return names


def _carried(method: Method) -> tuple[Field, ...]:
    """Whatever its calls carry: arguments, result and exceptions."""
    types = [FieldType(kind=Kind.STRUCT, cls=one) for one in method.throws]
    types += [] if method.result is None else [method.result]
    return (*method.arguments, *(Field(id=0, name=_RESULT, type=one) for one in types))


def _checked(what: str, given: Collection[str], known: Collection[str]) -> Collection[str]:
    if isinstance(given, str) or not all(isinstance(one, str) for one in given):
        raise ConfigError(f"{what} must be a list of names, got {given!r:.100}")
    for name in given:
        if name not in known:
            alike = difflib.get_close_matches(name, sorted(known), n=3)
            hint = f"did you mean {' or '.join(alike)}?" if alike else f"there are {', '.join(sorted(known)[:8])}"
            raise ConfigError(f"{what} has {name!r}, which is not in the IDL; {hint}")
    return given
