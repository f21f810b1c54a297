"""What the supervisor tells systemd, by the protocol of ``sd_notify(3)``: datagrams to the socket in ``NOTIFY_SOCKET``.

=================  =====================================================================================================
it tells           when
=================  =====================================================================================================
READY=1            every worker is ready for the first time, or again after a reload
RELOADING=1        it was asked to replace the workers, as ``Type=notify-reload`` wants it
STOPPING=1         it was asked to stop
STATUS=…           that is another text than before; ``systemctl status`` shows it
WATCHDOG=1         twice as often as ``WatchdogSec=`` wants it, from the supervisor's own loop
=================  =====================================================================================================

``WatchdogSec=`` is also how long a worker's event loop may give no sign of life before the supervisor kills that
worker: so one that hangs is replaced alone, and systemd would end all of them.

Without a ``NOTIFY_SOCKET`` nothing is told. A socket that cannot be written to costs one line in the log.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, MutableMapping

log = logging.getLogger(__name__)

_SHORTEST_WATCH = 1.0
"""Seconds; a shorter ``WatchdogSec`` counts as this, as workers would be killed for a pause that any machine makes."""


class ServiceManager:
    """The service manager that started this process, if it is one that wants to be told.

    Args:
        address: the socket's path, with ``@`` in front of an abstract one; empty if nobody wants to be told.
        watch: ``WatchdogSec`` in seconds; None if it is not set.
        clock: monotonic seconds, of the system's CLOCK_MONOTONIC.
    """

    def __init__(
        self, address: str = "", watch: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.watch = None if watch is None else max(watch, _SHORTEST_WATCH)
        """How long a worker, and the supervisor, may give no sign of life; None for ever."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._clock = clock
        self._ready = self._stopping = False
        self._status = ""
        self._feed_at = clock()
        self._failed = False

    @classmethod
    def of(cls, environment: MutableMapping[str, str], pid: int) -> ServiceManager:
        """As the environment says it, from which it is taken: it is meant for the process ``pid`` and not for what that
        starts."""
        address, watch = environment.pop("NOTIFY_SOCKET", ""), environment.pop("WATCHDOG_USEC", "")
        meant_for = environment.pop("WATCHDOG_PID", str(pid))
        watched = address and watch.isascii() and watch.isdigit() and int(watch) > 0 and meant_for == str(pid)
        return cls(address if address[:1] in ("/", "@") else "", int(watch) / 1e6 if watched else None)

    def __repr__(self) -> str:
        """What it was told last."""
        return f"<ServiceManager ready={self._ready} stopping={self._stopping} {self._status!r}>"

    def next_feed(self) -> float | None:
        """When ``show`` is to be called again, even if nothing happens; None for never."""
        return self._feed_at if self.watch is not None and self._address else None

    def begin_reload(self) -> None:
        """The workers are about to be replaced."""
        self._ready = False
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(self._clock() * 1e6)}")

    def show(self, status: str, *, settled: bool, stopping: bool) -> None:
        """How things stand now: tells what is new. ``settled`` says that every worker is ready, and no successor is
        waited for."""
        news = []
        if stopping and not self._stopping:
            self._stopping = True
            news.append("STOPPING=1")
        elif settled and not self._ready and not stopping:
            self._ready = True
            news.append("READY=1")
        if status != self._status:
            self._status = status
            news.append(f"STATUS={status}")
        if self.watch is not None and self._clock() >= self._feed_at:
            self._feed_at = self._clock() + self.watch / 2
            news.append("WATCHDOG=1")
        if news:
            self._tell(*news)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:
                self._failed = True
                log.warning("cannot tell the service manager how things stand: %s", error.strerror or error)
