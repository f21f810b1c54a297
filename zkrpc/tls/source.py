"""The context for new connections, which follows the files that it is made from.

Connections that are open keep what they began with. The files are looked at when somebody asks, so a process without
connections does not follow them; nothing runs in the background.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

from zkrpc.errors import ConfigError
from zkrpc.tls.contexts import client_context, files_of, server_context
from zkrpc.tls.reloading import Reloading
from zkrpc.tls.settings import ClientTls, ServerTls
from zkrpc.tls.validity import earliest_end

log = logging.getLogger(__name__)


class Reload(NamedTuple):
    """What became of files that have changed."""

    failure: str = ""
    """Why what they hold cannot be used, and the earlier is kept; empty if it is in use."""


class ContextSource:
    """Makes contexts, and makes them anew when their files change.

    Args:
        tls: names the files.
        clock: monotonic seconds.
        on_reload: told of each change that is taken in, and of one that cannot be used, once.

    Raises ConfigError if the files cannot be used at the start.
    """

    def __init__(
        self,
        tls: ServerTls | ClientTls,
        clock: Callable[[], float],
        on_reload: Callable[[Reload], object] = lambda reload: None,
    ) -> None:
        self.tls = tls
        self._clock = clock
        self._on_reload = on_reload
        self._files = tuple(files_of(tls))
        self._machine = Reloading(_stamps(self._files), clock())
        self.expires_at: float | None = None
        """When our own certificate ends that new connections use, or the first of those between it and an authority;
        Unix time. None without one, or if that cannot be read."""
        self._context = self._load()

    def __repr__(self) -> str:
        """The files' state."""
        return f"<ContextSource {', '.join(self._files)} {self._machine!r}>"

    def current(self) -> ssl.SSLContext:
        """The context for a new connection."""
        self.look()
        return self._context

    def look(self) -> None:
        """Looks at the files, if it is time for that."""
        machine, now = self._machine, self._clock()
        if not machine.is_due(now) or not machine.receive_stamps(_stamps(self._files), now):
            return
        try:
            self._context = self._load()
        except ConfigError as error:
            if machine.receive_failure():
                log.error("the certificate stays the earlier one: %s", error)
                self._on_reload(Reload(failure=str(error)))
        else:
            if machine.receive_loaded():
                log.info("new connections use the certificate that is in %s now", " and ".join(self._files))
                self._on_reload(Reload())

    def _load(self) -> ssl.SSLContext:
        tls = self.tls
        context = server_context(tls) if isinstance(tls, ServerTls) else client_context(tls)
        self.expires_at = _end_in(tls.certificate)
        return context


def _end_in(path: str) -> float | None:
    try:
        with open(path, "rb") as file:
            return earliest_end(file.read())
    except OSError:  # there is none, or it is being replaced, and is read once more in a moment
        return None


def _stamps(files: tuple[str, ...]) -> list[Any]:
    """What tells one version of the files from another; None for one that is not there."""
    return [_stamp(path) for path in files]


def _stamp(path: str) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
