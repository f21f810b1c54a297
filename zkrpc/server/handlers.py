"""The handlers of several interfaces of one port as one object, which has the methods of each under their labels. Pure.

So whatever looks methods up on a handler (the dispatcher, the marks of primary-only methods) finds ``get`` and
``Audit:log`` in the same way, and ``on_elected`` and ``on_deposed`` are those of all handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zkrpc.callables import attribute_of, can_take
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.idl.served import label_of, parts_of

_MISSING = object()


class Handlers:
    """One handler for each interface that is served, in their order; the same object may be there more than once.

    Methods that a handler lacks are lacking here as well: :mod:`zkrpc.server.signatures` tells of each by itself.
    """

    def __init__(self, interface: Interface, handlers: Sequence[object]) -> None:
        parts = parts_of(interface)
        if len(handlers) != len(parts):
            raise ConfigError(
                f"{len(parts)} interfaces ({', '.join(one.name for one in parts)}) want as many handlers, or one that "
                f"has the methods of all; got {len(handlers)}"
            )
        self.given = tuple(handlers)
        """The handlers."""
        self.pairs = tuple(zip(parts, self.given, strict=True))
        """Each interface with its handler."""
        for part, handler in self.pairs:
            for method in part.methods.values():
                found = attribute_of(handler, method.name, _MISSING)
                if found is not _MISSING:
                    setattr(self, label_of(part, method, parts[0]), found)
        distinct = list({id(one): one for one in self.given}.values())
        self._elected, self._deposed = (_hooks(distinct, name) for name in ("on_elected", "on_deposed"))

    def __repr__(self) -> str:
        """The classes of the handlers."""
        return f"<Handlers {', '.join(type(one).__name__ for one in self.given)}>"

    def on_elected(self, leadership: Any) -> None:
        """Calls each handler's ``on_elected``, in order; the first one that raises is the last one that is called."""
        for hook in self._elected:
            _call(hook, leadership)

    def on_deposed(self, leadership: Any) -> None:
        """Calls each handler's ``on_deposed``, the last handler's first, all of them also if one raises."""
        _unwind([*self._deposed], leadership)


def _hooks(handlers: Sequence[object], name: str) -> list[Callable[..., object]]:
    found = [(one, hook) for one in handlers if (hook := attribute_of(one, name)) is not None]
    for one, hook in found:
        if not (can_take(hook, 1) or can_take(hook, 0)):
            raise ConfigError(f"{type(one).__name__}.{name} must take the leadership, or nothing")
    return [hook for _, hook in found]


def _unwind(hooks: list[Callable[..., object]], leadership: Any) -> None:
    if hooks:
        try:
            _call(hooks.pop(), leadership)
        finally:
            _unwind(hooks, leadership)


def _call(hook: Callable[..., object], leadership: Any) -> None:
    if can_take(hook, 1):
        hook(leadership)
    else:
        hook()


def pairs_of(interface: Interface, handler: object) -> Sequence[tuple[Interface, object]]:
    """Each interface that is served, with the handler that its methods are looked up on."""
    return handler.pairs if isinstance(handler, Handlers) else [(one, handler) for one in parts_of(interface)]
