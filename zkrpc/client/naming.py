"""What the methods of an interface are called at a server that may serve several, and which servers serve it. Pure.

A server with one interface takes plain names. One with several finds an interface by its name before the method's, as
in ``Audit:log``, and answers plain names by its default one. Foreign servers that multiplex (Apache's
``TMultiplexedProcessor``) know whatever names they were given.

===============  =====================================================  ==============================================
``multiplexed``  a method ``log`` of ``Audit`` is called                 members that are not called
===============  =====================================================  ==============================================
None             ``Audit:log`` where the record says that ``Audit`` is   those whose records have services, and not
                 served, and not as the default; else ``log``            ``Audit``
True             ``Audit:log``                                           the same
``"audit-v2"``   ``audit-v2:log``                                        those whose records have services, and not
                                                                         ``audit-v2``, unless the registry has it
False            ``log``                                                 none
===============  =====================================================  ==============================================

Records of foreign servers and of earlier versions of zkrpc name no services, and such members are called as ever. An
answer bears the bare name in any case. The names are made once for each method, and a call looks its own up; a call
with a plain name pays one comparison for that there are others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from zkrpc.endpoint import Instance, Snapshot
from zkrpc.errors import ConfigError
from zkrpc.idl import Method
from zkrpc.legible import legible

_LONGEST = 128
"""Characters of a service's name. Servers take 256 bytes for it and the method's."""
_MOST_SAID = 200
"""Characters of an error that tell what is served."""
_RESERVED = "zkrpc"
"""What stands before the names of control messages."""


class Names(dict[Method, bytes]):
    """The names of methods on the wire, with the name of a service before each, made as they are asked for."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def __missing__(self, method: Method) -> bytes:
        name = self[method] = f"{self.service}:{method.name}".encode()
        return name

    def __repr__(self) -> str:
        """The service."""
        return f"<Names {self.service}>"


class Naming:
    """How one client names what it calls, and whom it calls.

    Args:
        interface: the IDL's name of the service that is called; empty if that is not known: then all members are
            called, by plain names unless ``multiplexed`` is a name.
        multiplexed: whether its name, or which other one, stands before a method's; see the module.

    Raises ConfigError for a name that no service can be multiplexed by.
    """

    def __init__(self, interface: str = "", multiplexed: bool | str | None = None) -> None:
        if not isinstance(multiplexed, (bool, str, type(None))):
            raise ConfigError(f"multiplexed must be True, False or the name of a service, got {multiplexed!r:.100}")
        self.interface = interface
        self.multiplexed = multiplexed
        given = multiplexed if isinstance(multiplexed, str) else ""
        self._service = interface if multiplexed in (None, True) else given
        if multiplexed not in (None, False):
            _check(self._service)
        self._names = Names(self._service)

    def __repr__(self) -> str:
        """What is called, and by which names."""
        return f"<Naming {self.interface or '*'} multiplexed={self.multiplexed}>"

    def names_at(self, instance: Instance) -> Names | None:
        """The names of methods at an instance; None if they are the methods' own."""
        if self.multiplexed is None:
            return self._names if self._service in instance.services[1:] else None
        return None if self.multiplexed is False else self._names

    def fits(self, instance: Instance, service: str = "") -> bool:
        """Whether an instance of ``service``, the name in the registry, may be called: unless its record says that it
        serves other interfaces."""
        wanted, said = self._service, instance.services
        return not wanted or not said or wanted in said or (wanted == service and wanted == self.multiplexed)

    def narrow(self, snapshot: Snapshot) -> tuple[Snapshot, tuple[Instance, ...]]:
        """The list without the members that do not serve what is called, and those."""
        if not self._service or all(self.fits(one, snapshot.service) for one in snapshot.instances):
            return snapshot, ()
        fitting = tuple(one for one in snapshot.instances if self.fits(one, snapshot.service))
        others = tuple(one for one in snapshot.instances if not self.fits(one, snapshot.service))
        return dataclasses.replace(snapshot, instances=fitting), others

    def labels(self, method: str) -> tuple[str, str]:
        """What records and servers may call a method of the interface, where only a name tells which it is."""
        return method, f"{self.interface}:{method}"

    def obstacle(self, instance: Instance) -> str:
        """Why a member that does not fit is not called."""
        return f"it serves {_said(instance)}, and not {self._service}"

    def absence(self, service: str, instances: Sequence[Instance]) -> str:
        """Why nobody can be called: these, which do not fit, are all members of a service."""
        if len(instances) == 1:
            whom, pronoun = f"the only instance of {service!r} does not serve {self._service}: it serves", "it"
        else:
            count, pronoun = f"none of the {len(instances)} instances of {service!r}", "them"
            whom = f"{count} serves {self._service}: they serve"
        return f"{whom} {_said(*instances)}; connect(..., multiplexed=False) would call {pronoun} all the same"


PLAIN = Naming()
"""Plain names, whatever is called."""


def _said(*instances: Instance) -> str:
    return legible(", ".join(dict.fromkeys(name for one in instances for name in one.services)), _MOST_SAID)


def _check(service: object) -> None:
    fits = isinstance(service, str) and service.isprintable() and 0 < len(service.encode()) <= _LONGEST
    if not fits or not isinstance(service, str) or ":" in service:
        raise ConfigError(
            f"multiplexed={service!r:.200} cannot be a service's name: 1 to {_LONGEST} characters without a colon"
        )
    if service == _RESERVED:
        raise ConfigError(f"{service}: stands before zkrpc's own messages; multiplex by another name than {service!r}")
