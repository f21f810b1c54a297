"""The way of spans out of this process, and the start of the process that exports them.

Spans leave through a packet socket that is never waited for: when the exporting process is behind, a packet does not
fit into the kernel's buffer, and its spans are dropped and counted. So whatever a collector does, a call pays one
system call for its spans, and this process needs no thread, no queue and no lock for them. Forked children go on using
the socket; the exporting process ends by itself when nobody has it any more. When that process has ended before, it is
started again, at most once in half a minute.
"""

from __future__ import annotations

import importlib.util
import logging
import mmap
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from zkrpc.errors import ConfigError
from zkrpc.telemetry.status import TracingStatus, announce, withdraw
from zkrpc.tracing.records import SpanRecord, dump_batch
from zkrpc.tracing.settings import ENDPOINT

log = logging.getLogger(__name__)

_RESTART_INTERVAL = 30.0
"""Seconds between two starts of an exporting process."""
_PACKAGES = ("opentelemetry.trace", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_COUNTER = struct.Struct("Q")


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
        clock: monotonic seconds.
    """

    def __init__(
        self,
        descriptors: Descriptors,
        resource: dict[str, Any],
        relaunch: Callable[[], Descriptors],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resource = resource
        self._relaunch = relaunch
        self._clock = clock
        self._retry_at = -_RESTART_INTERVAL
        self._sent = self._dropped = 0
        self._is_closed = False
        self._use(descriptors)
        announce(self)

    def _use(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        os.set_blocking(descriptors.packets, False)
        for one in descriptors:
            os.set_inheritable(one, False)
        self._lost = mmap.mmap(descriptors.lost, _COUNTER.size, prot=mmap.PROT_READ)

    def __repr__(self) -> str:
        """The counts."""
        return f"<SpanChannel sent={self._sent} dropped={self._dropped}>"

    def send(self, spans: Sequence[SpanRecord]) -> None:
        """Sends spans, or drops them. Never waits."""
        try:
            os.write(self._descriptors.packets, dump_batch(os.getpid(), self.resource, spans))
            self._sent += len(spans)
        except (BlockingIOError, ValueError):
            self._dropped += len(spans)
        except OSError:
            self._dropped += len(spans)
            if not self._is_closed:
                self._start_again()

    def status(self) -> TracingStatus:
        """The counts so far."""
        (lost,) = (0,) if self._is_closed else _COUNTER.unpack(self._lost[: _COUNTER.size])
        return TracingStatus(exporting=True, spans=self._sent, dropped=self._dropped, lost=lost)

    def close(self, timeout: float = 0.0) -> None:
        """Lets go of the exporting process, which ends when the others have, too; with a ``timeout`` in seconds all let
        go of it, and its end is waited for."""
        if not self._is_closed:
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
