"""What one port serves: an interface or several, and the names by which calls of their methods come. Pure.

Thrift clients that multiplex write the name of a service before a method's, as in ``Audit:log``. A call with a plain
name is for the first interface, the *default* one. The others' methods are known by their *labels* wherever only a name
tells what is called: ``get`` is the default interface's, and ``Audit:log`` that of another.

===========================  =========================================================================================
a call's name                is looked up among
===========================  =========================================================================================
``get``                      the methods of the default interface
``Users:get``                those of the interface of this name
``users:get``                those of the default interface, if this is the service's name in the registry
``Base:ping``                those of the service ``Base`` that an interface extends; the first one that does
===========================  =========================================================================================

The table is made once, so that finding a method is one look-up, however many interfaces there are. Where two lines
tell what stands before the colon, the upper one counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zkrpc.idl.model import Interface, Method


class ServedInterface(Interface[Any, Any]):
    """The interfaces of one port as one, by ``Interface``'s attributes: its methods are those of all, by their labels;
    all else is the default one's, but for the digest, which is that of all texts.

    Args:
        parts: the interfaces, the default one first.
        alias: another name for the default one: the service's in the registry.
    """

    __slots__ = ("alias", "parts")

    def __init__(self, parts: Sequence[Interface], alias: str = "") -> None:
        default = parts[0]
        methods = {label_of(one, method, default): method for one in parts for method in one.methods.values()}
        digests = list(dict.fromkeys(one.digest for one in parts))
        digest = hashlib.sha256("".join(digests).encode()).hexdigest() if digests[1:] else default.digest
        super().__init__(
            default.name, methods, file=default.file, text=default.text, digest=digest, parents=default.parents
        )
        self.parts = tuple(parts)
        self.alias = alias


def label_of(interface: Interface, method: Method, default: Interface) -> str:
    """What a method is called where only a name tells which it is."""
    return method.name if interface is default else f"{interface.name}:{method.name}"


def names_in_config(interface: str, method: str) -> tuple[str, str]:
    """The names by which a service's config may speak of a method: the one that counts more, which is that of this
    interface's method alone, and the one that is also that of all others of the name."""
    return f"{interface}:{method}", method


def parts_of(interface: Interface) -> tuple[Interface, ...]:
    """The interfaces that are served as one; the interface itself if it is only one."""
    return interface.parts if isinstance(interface, ServedInterface) else (interface,)


def services_of(interface: Interface) -> tuple[str, ...]:
    """The names of the services that are served, the default one first, and those that they extend last."""
    parts = parts_of(interface)
    return tuple(dict.fromkeys([*(one.name for one in parts), *(name for one in parts for name in one.parents)]))


def wire_names(interface: Interface) -> dict[bytes, str]:
    """Every name by which calls may come, with the label of the method that it stands for."""
    default = parts_of(interface)[0]
    found = {method.wire_name: name for name, method in default.methods.items()}
    scopes: dict[str, Mapping[str, str]] = {}
    for scope, labels in _scopes(interface):
        scopes.setdefault(scope, labels)
    found.update((f"{scope}:{name}".encode(), label) for scope in scopes for name, label in scopes[scope].items())
    return found


def _scopes(interface: Interface) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What may stand before a method's name, with the labels of the methods that may follow it."""
    parts = parts_of(interface)
    labels = [{name: label_of(one, method, parts[0]) for name, method in one.methods.items()} for one in parts]
    yield from zip((one.name for one in parts), labels, strict=True)
    if isinstance(interface, ServedInterface) and interface.alias:
        yield interface.alias, labels[0]
    for one, known in zip(parts, labels, strict=True):
        yield from ((parent, {name: known[name] for name in names}) for parent, names in one.parents.items())
