"""The application's hooks, ``on_elected`` and ``on_deposed``: how they are found and called, and what is made of their
failures."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Protocol

import gevent

from zkrpc.callables import attribute_of
from zkrpc.election.leadership import Leadership
from zkrpc.endpoint import Epoch
from zkrpc.errors import ConfigError, StaleEpoch

log = logging.getLogger(__name__)


class Application(Protocol):
    """The hooks of an application. Both may wait; their exceptions are logged."""

    def on_elected(self, leadership: Leadership) -> None:
        """Gets ready to serve. If it raises or takes too long, the term is given up."""

    def on_deposed(self, leadership: Leadership) -> None:
        """Stops serving. It must return soon, because otherwise the process is ended."""


class HandlerHooks:
    """Calls a handler's ``on_elected`` and ``on_deposed``, where it has them, with as many arguments as they take."""

    def __init__(self, handler: object) -> None:
        self._elected = _hook(handler, "on_elected")
        self._deposed = _hook(handler, "on_deposed")

    def on_elected(self, leadership: Leadership) -> None:
        """Calls the handler's ``on_elected``."""
        self._elected(leadership)

    def on_deposed(self, leadership: Leadership) -> None:
        """Calls the handler's ``on_deposed``."""
        self._deposed(leadership)


def _hook(handler: object, name: str) -> Callable[[Leadership], None]:
    hook = attribute_of(handler, name)
    if hook is None:
        return lambda leadership: None
    for arguments in ((None,), ()):
        try:
            inspect.signature(hook).bind(*arguments)
        except TypeError:
            continue
        return (lambda leadership: hook(leadership)) if arguments else (lambda leadership: hook())
    raise ConfigError(f"{type(handler).__name__}.{name} must take the leadership, or nothing")


def run_hook(
    name: str,
    hook: Callable[[Leadership], None],
    leadership: Leadership,
    of: str,
    believe: Callable[[Epoch], None],
) -> str | None:
    """Calls one of the application's hooks and says why it failed; None if it did not. ``of`` is the group, for people.

    ``believe`` is called with the later epoch of a StaleEpoch: a store then knows of a later primary than ZooKeeper
    does.
    """
    try:
        hook(leadership)
    except gevent.GreenletExit:
        raise
    except BaseException as error:  # also a gevent.Timeout of the hook's own
        log.exception("%s failed for %s, epoch %d", name, of, leadership.epoch)
        if isinstance(error, StaleEpoch) and error.current == leadership.epoch:
            believe(error.seen)
        return f"{type(error).__name__}: {error}"
    return None
