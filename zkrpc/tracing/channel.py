"""The way of spans out of this process, and the start of the process that exports them.

Spans leave through a packet socket that is never waited for: when the exporting process is behind, a packet does not
fit into the kernel's buffer, and its spans are dropped and counted. So whatever a collector does, this process needs no
thread and no lock for its spans. Those of many calls wait for each other for a twentieth of a second at most, since a
system call and the code before it cost more than the spans of one call. Forked children go on using
the socket; the exporting process ends by itself when nobody has it any more. When that process has ended before, it is
started again, at most once in half a minute.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import mmap
import os
import socket
import struct
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gevent.monkey import get_original

from zkrpc.errors import ConfigError
from zkrpc.telemetry.status import TracingStatus, announce, withdraw
from zkrpc.tracing.records import MOST_SPANS, Ended, SpanRecord, dump_batches
from zkrpc.tracing.settings import ENDPOINT

log = logging.getLogger(__name__)

_RESTART_INTERVAL = 30.0
"""Seconds between two starts of an exporting process."""
_PACKAGES = ("opentelemetry.trace", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_get_thread: Callable[[], int] = get_original("_thread", "get_ident")
_PATIENCE = 0.05
"""Seconds for which the spans of a call wait for others."""
_MOST_PROMPT = 4
"""As many calls and requests in that time have spans that do not wait: a program that makes a call now and then may
leave its event loop alone in between."""
_COUNTER = struct.Struct("Q")
_channels: weakref.WeakSet[SpanChannel] = weakref.WeakSet()


class Descriptors(NamedTuple):
    """What a process needs to send spans, and can hand to its children."""

    packets: int
    """The socket."""
    lost: int
    """Shared memory with the number of spans that could not be exported."""

    def __str__(self) -> str:
        """As an argument on a command line."""
        return f"{self.packets}:{self.lost}"

    @classmethod
    def parse(cls, text: str) -> Descriptors:
        """The opposite of ``str``."""
        packets, _, lost = text.partition(":")
        return cls(int(packets), int(lost))


def require_packages() -> None:
    """Raises ConfigError if what traces need is not installed."""
    for name in _PACKAGES:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise ConfigError(f"traces need the package that has {name}: pip install 'zkrpc[otel]'")


def launch_exporter(endpoint: str | None, environment: Mapping[str, str]) -> Descriptors:
    """Starts an exporting process with these environment variables, and returns the way to it. ``endpoint`` is the
    collector's URL, if it is not among them.

    It is a session of its own, so that Ctrl-C does not reach it; it ends when all copies of the socket are closed.
    Raises ConfigError if the system has no packet sockets or no room for a process.
    """
    if not hasattr(os, "memfd_create"):
        raise ConfigError("exporting traces needs Linux; elsewhere give the program a tracer provider of its own")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lost = os.memfd_create("zkrpc-traces")
    try:
        os.truncate(lost, _COUNTER.size)
        command = [sys.executable, "-m", "zkrpc.tracing.exporter", "3", "4"]
        # Out of the way first: one of the two may be the other's number.
        high = [os.dup2(one, 64 + place, inheritable=False) for place, one in enumerate((theirs.fileno(), lost))]
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, one, 3 + place) for place, one in enumerate(high)]
        # Whoever reads what this program writes need not wait until the last span is delivered.
        actions += [(os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in (0, 1)]
        try:
            given = {**environment} if endpoint is None else {**environment, ENDPOINT: endpoint}
            os.posix_spawn(sys.executable, command, given, file_actions=actions, setsid=True)
        finally:
            for one in high:
                os.close(one)
    except OSError as error:
        ours.close()
        os.close(lost)
        raise ConfigError(f"cannot start the process that exports traces: {error}") from error
    finally:
        theirs.close()
    return Descriptors(ours.detach(), lost)


def finish_export(descriptors: Descriptors, timeout: float) -> bool:
    """Lets go of an exporting process for all that share the way to it, and waits for its end; False if it takes longer
    than ``timeout`` seconds."""
    os.close(descriptors.lost)
    with socket.socket(fileno=descriptors.packets) as ours:
        try:
            ours.shutdown(socket.SHUT_WR)
            ours.settimeout(timeout)
            return not ours.recv(1)
        except TimeoutError:
            return False
        except OSError:  # it has ended before
            return True


class SpanChannel:
    """Sends spans to the exporting process.

    Args:
        descriptors: the way to it, from ``launch_exporter``, here or in the parent process.
        resource: facts about this process, as OpenTelemetry names them; may be added to until the first span ends.
        relaunch: starts another exporting process.
        later: makes a timer of this thread's event loop that calls a function once, after so many seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        descriptors: Descriptors,
        resource: dict[str, Any],
        relaunch: Callable[[], Descriptors],
        *,
        later: Callable[[Callable[[], object], float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self._waiting: list[Ended] = []
        self._later = later
        self._home = self._prompt = 0
        self._window = -math.inf
        self._timer: object = None
        self._relaunch = relaunch
        self._clock = clock
        self._retry_at = -_RESTART_INTERVAL
        self._sent = self._dropped = 0
        self._is_closed = False
        self._use(descriptors)
        announce(self)
        _channels.add(self)

    def _use(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        os.set_blocking(descriptors.packets, False)
        for one in descriptors:
            os.set_inheritable(one, False)
        self._lost = mmap.mmap(descriptors.lost, _COUNTER.size, prot=mmap.PROT_READ)

    def leave_to_parent(self) -> None:
        """In a forked child: what waits is the parent's to send, and so is its event loop."""
        self._waiting, self._home, self._timer = [], 0, None

    def __repr__(self) -> str:
        """The counts."""
        return f"<SpanChannel sent={self._sent} dropped={self._dropped}>"

    def put(self, ended: Ended) -> None:
        """Sends spans at once; but if many come, soon, and together with others. Where no event loop may run, in
        another thread than the one that called it first, they do not wait."""
        now, thread = self._clock(), _get_thread()
        if now >= self._window:
            self._window, self._prompt = now + _PATIENCE, _MOST_PROMPT
        if not self._home:
            self._home = thread
        if self._prompt or thread != self._home:
            self._prompt -= 1 if self._prompt else 0
            self.send_one(ended)
            return
        waiting = self._waiting
        if not waiting:
            self._timer = self._later(self.flush, _PATIENCE)
        waiting.append(ended)
        if len(waiting) >= MOST_SPANS:
            self.flush()

    def flush(self) -> None:
        """Sends the spans that wait for others."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.send([span for ended in waiting for span in ended.records()])

    def send_one(self, ended: Ended) -> None:
        """Sends spans at once."""
        self.send(ended.records())

    def send(self, spans: Sequence[SpanRecord]) -> None:
        """Sends spans, or drops them. Never waits."""
        for message, count in dump_batches(os.getpid(), self.resource, spans):
            try:
                if message:
                    os.write(self._descriptors.packets, message)
                    self._sent += count
                    continue
            except BlockingIOError:
                pass
            except OSError:
                if not self._is_closed:
                    self._start_again()
            self._dropped += count

    def status(self) -> TracingStatus:
        """The counts so far."""
        self.flush()
        (lost,) = (0,) if self._is_closed else _COUNTER.unpack(self._lost[: _COUNTER.size])
        return TracingStatus(exporting=True, spans=self._sent, dropped=self._dropped, lost=lost)

    def close(self, timeout: float = 0.0) -> None:
        """Lets go of the exporting process, which ends when the others have, too; with a ``timeout`` in seconds all let
        go of it, and its end is waited for."""
        if not self._is_closed:
            self.flush()
            self._is_closed = True
            withdraw(self)
            self._let_go(timeout)
            self._descriptors = Descriptors(-1, -1)

    def _let_go(self, timeout: float = 0.0) -> None:
        self._lost.close()
        if timeout:
            finish_export(self._descriptors, timeout)
        else:
            for one in self._descriptors:
                os.close(one)

    def _start_again(self) -> None:
        now = self._clock()
        if now < self._retry_at:
            return
        self._retry_at = now + _RESTART_INTERVAL
        try:
            descriptors = self._relaunch()
        except ConfigError as error:
            log.warning("traces are lost: %s", error)
            return
        log.warning("the process that exports traces has ended; another one was started")
        self._let_go()
        self._use(descriptors)


def _leave_to_parent() -> None:
    for channel in _channels:
        channel.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)
