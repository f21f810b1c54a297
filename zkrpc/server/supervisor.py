"""The parent of worker processes: spawns them, reads their reports, and closes the ZooKeeper sessions of dead ones.

It is a plain process without gevent and without a ZooKeeper client of its own, so what goes wrong in a worker does not
affect it. Each worker holds one end of a socket pair. Over it the worker reports, as JSON lines, its session's id and
password, which servers ZooKeeper has when they are no longer those of the connect string, how long finishing its calls
may take, and when it is ready; it reads end-of-file from it when the supervisor has ended, and drains then.
:class:`~zkrpc.server.supervision.Supervision` decides what to do.

The supervisor binds a fixed port, and the workers inherit the socket and listen on it: so a worker and its successor
share it for a while, together with the connections that wait to be accepted. While a slot has no worker its port
refuses connections.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.legible import legible
from zkrpc.server.port import Port
from zkrpc.server.service_manager import ServiceManager
from zkrpc.server.startup import StartFailure, StartFailures, describe_status, log_with_detail
from zkrpc.server.supervision import (
    EXIT_CONFIG,
    CloseSession,
    Effect,
    Exit,
    Kill,
    Spawn,
    Supervision,
    SupervisionState,
    Terminate,
)
from zkrpc.server.supervisor_channel import (
    Accepted,
    AdminDoor,
    Bound,
    Milestone,
    Moved,
    OpenedSession,
    Worn,
    read_report,
)
from zkrpc.server.watched_files import WatchedFiles
from zkrpc.server.worker_process import WorkerProcess, adopts_orphans, reap_orphans
from zkrpc.zookeeper.closing import SessionCloser

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 2.0
_WHY = ": it is stopped, wedged, or waits for a thread that is no daemon"
_REPEAT_INTERVAL = 5.0
"""Seconds between log lines about a stop that is asked for again."""


class Supervisor:
    """Runs ``workers`` processes until told to stop.

    Args:
        command: gives the argument list for a slot; ``--channel FD`` is appended to it.
        workers: how many slots.
        zookeeper: connect string for closing dead workers' sessions; None if they have none. When a worker tells of
            other servers, these are used, and a new worker gets them by ``--zookeeper``, appended to its command.
        security: who we are for ZooKeeper then, and whether that speaks TLS.
        watched: folders whose ``.py`` and ``.thrift`` files cause a reload when they change.
        binds: the address of each slot that has a port of its own; ``--listener FD`` is appended to its command.
        inherited: descriptors that every worker gets.
        manager: the service manager to tell how things stand.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        workers: int,
        *,
        zookeeper: str | None = None,
        security: ZooKeeperSecurity = NO_SECURITY,
        watched: Sequence[Path] = (),
        binds: Sequence[Endpoint] = (),
        inherited: Sequence[int] = (),
        manager: ServiceManager | None = None,
    ) -> None:
        self._command = command
        self._manager, self._adopts = manager or ServiceManager(), adopts_orphans()
        self._slots = workers
        self._machine = Supervision(workers, awaits_changes=bool(watched), watch=self._manager.watch)
        self._sessions = None if zookeeper is None else SessionCloser(zookeeper, _CLOSE_TIMEOUT, security)
        self._files = WatchedFiles(watched)
        self._ports = [Port(endpoint) for endpoint in binds]
        self._inherited = tuple(inherited)
        self._workers: dict[int, WorkerProcess] = {}
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._status: int | None = None
        self._refusal: str | None = None
        self._accepted: tuple[str, ...] = ()
        """The IDL that a worker was let in with last, as an option: a worker that comes back with it need not ask."""
        self._failures = StartFailures()
        self._stopping_since: float | None = None
        self._repeated_at = -_REPEAT_INTERVAL

    def run(self) -> int:
        """Supervises until a signal ends that; returns the exit status. Call it from the main thread.

        SIGTERM and SIGINT drain, however often they come; SIGQUIT kills; SIGHUP replaces the workers, one after
        another. Raises ConfigError, with the worker's report, if trying again cannot help.
        """
        with self._receiving_signals():
            self._machine.start(time.monotonic())
            self._carry_out()
            while self._status is None:
                self._wait()
                now = time.monotonic()
                self._handle_signals(now)
                self._reap(now)
                if changed := self._files.look(now):
                    log.info("files changed, replacing the workers: %s", changed)
                    self._failures = StartFailures()  # what is wrong now is told anew
                    self._machine.reload(now)
                self._machine.handle_timer(now)
                self._carry_out()
                self._show()
        if self._sessions is not None:
            self._sessions.wait()
        for port in self._ports:
            port.close()
        if self._status == EXIT_CONFIG and self._refusal is not None:
            raise ConfigError(self._refusal)
        if self._stopping_since is not None:
            log.info("stopped after %.1f s", time.monotonic() - self._stopping_since)
        return self._status

    def admin_doors(self) -> dict[str, Endpoint | None]:
        """Where the admin door of each slot's worker is, by the slot's number; None while there is none. While one
        worker replaces another it is that of the new one as soon as that is ready. May be called by any thread."""
        # The last one counts: the newest of those that are ready, or else of all.
        workers = sorted(list(self._workers.values()), key=lambda worker: (worker.is_ready, worker.number))
        none: dict[str, Endpoint | None] = {str(slot): None for slot in range(self._slots)}
        return {**none, **{str(worker.slot): worker.admin for worker in workers}}

    # -- waiting ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _receiving_signals(self) -> Iterator[None]:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._selector.register(reader, selectors.EVENT_READ, None)
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)
        before = {
            number: signal.signal(number, lambda number, _frame: self._signals.append(number)) for number in handled
        }
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            reader.close()
            writer.close()

    def _wait(self) -> None:
        due = self._machine.next_timer()
        moments = [at for at in (due, self._manager.next_feed()) if at is not None]
        timeout = self._files.interval
        if moments:
            left = max(0.0, min(moments) - time.monotonic())
            timeout = left if timeout is None else min(left, timeout)
        for key, _events in self._selector.select(timeout):
            if key.data is None:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(4096)
            else:
                self._hear(key.data)

    def _handle_signals(self, now: float) -> None:
        signals, self._signals = self._signals, []
        machine = self._machine
        for number in signals:
            name, running = signal.Signals(number).name, machine.headcount
            if number == signal.SIGQUIT:
                log.warning("%s: ending %s and the calls in flight at once", name, running)
                machine.kill(now)
            elif number in (signal.SIGTERM, signal.SIGINT):
                if machine.stop(now):
                    self._stopping_since = now
                    log.info("%s: draining %s; SIGQUIT ends all at once", name, running)
                else:
                    self._note_repeated(name, now)
            elif number == signal.SIGHUP:
                if machine.reload(now):
                    self._manager.begin_reload()
                    log.info("%s: replacing the workers, one after another", name)
                else:
                    self._note_repeated(name, now)

    def _note_repeated(self, name: str, now: float) -> None:
        """Logs a repeated signal, at most once in a while, as some tools send it many times."""
        if now >= self._repeated_at + _REPEAT_INTERVAL:
            self._repeated_at = now
            log.info("%s: stopping already, waiting for %s; SIGQUIT ends all", name, self._machine.headcount)

    def _reap(self, now: float) -> None:
        for number, worker in list(self._workers.items()):
            status = worker.process.poll()
            if status is not None:
                self._hear(worker)
                self._machine.receive_exit(number, status, now)
                self._tell_end(worker, status, now)
        if self._adopts:
            reap_orphans({worker.process.pid for worker in self._workers.values()})

    def _show(self) -> None:
        """Tells the service manager how things stand."""
        machine = self._machine
        stopping = machine.state is not SupervisionState.RUNNING
        ready, settled = machine.standing
        doing = f"{machine.headcount} draining" if stopping else f"{ready} of {self._slots} workers ready"
        self._manager.show(doing, settled=settled, stopping=stopping)

    def _tell_end(self, worker: WorkerProcess, status: int, now: float) -> None:
        ended = f"{worker} ended with {describe_status(status)}"
        if worker.asked_at is not None:
            level = logging.INFO if status in (0, -signal.SIGTERM) else logging.WARNING
            log.log(level, "%s, %.1f s after it was asked", ended, now - worker.asked_at)
        elif worker.failure is None:
            log.warning("%s, %.1f s after its start", ended, now - worker.started_at)
        elif status == EXIT_CONFIG and self._machine.state is not SupervisionState.RUNNING:
            # We end for that, and say so when we do.
            self._refusal = self._refusal or f"{worker.failure.summary}\n{worker.failure.detail}".rstrip()
        else:
            self._tell_failure(worker, worker.failure, status, now)

    def _tell_failure(self, worker: WorkerProcess, failure: StartFailure, status: int, now: float) -> None:
        count = self._failures.receive(failure, now)
        if count == 1:
            then = "it is tried again, with growing pauses"
            if status == EXIT_CONFIG:
                then = "it is tried again when a file changes" if self._files.interval else "what runs stays as it is"
            log_with_detail(log, logging.ERROR, f"{worker}: {failure.summary}; {then}", failure.detail)
        elif count is not None:
            log.error("%s: %s, for the %dth time", worker, failure.summary, count)

    def _hear(self, worker: WorkerProcess) -> None:
        """Reads the lines that a worker sent; the session that it reported last is the one to close after its death."""
        lines, ended = worker.read_lines()
        for line in lines:
            self._note(worker, line)
        if ended:  # its exit status will tell
            with contextlib.suppress(KeyError):
                self._selector.unregister(worker.channel)

    def _note(self, worker: WorkerProcess, line: bytes) -> None:
        """Takes in one report. A malformed one is ignored, as the other workers still need their supervisor."""
        try:
            report = read_report(line)
        except (ValueError, RecursionError) as error:
            log.warning("%s sent a line that is no report: %s", worker, legible(error))
            return
        match report:
            case OpenedSession():
                worker.session = report
            case Moved(servers):
                if self._sessions is not None:
                    self._sessions.follow(servers)
            case Bound(seconds):
                self._machine.receive_bound(worker.number, seconds)
            case Accepted(digest):
                self._accepted = ("--accepted", digest)
            case AdminDoor(endpoint):
                worker.admin = endpoint
            case StartFailure():
                worker.failure = report
            case Worn(reason):
                if self._machine.receive_worn(worker.number, time.monotonic()):
                    log.info("%s is recycled: %s", worker, legible(reason))
            case Milestone.BEAT:
                self._machine.receive_beat(worker.number, time.monotonic())
            case Milestone.DONE:
                self._machine.receive_done(worker.number, time.monotonic())
            case Milestone.READY:
                log.debug("%s is ready", worker)
                worker.is_ready = True
                self._machine.receive_ready(worker.number, time.monotonic())

    # -- acting ----------------------------------------------------------------------------------

    def _carry_out(self) -> None:
        # What cannot be done comes back as further effects.
        while effects := self._machine.effects():
            for effect in effects:
                self._execute(effect)

    def _execute(self, effect: Effect) -> None:
        match effect:
            case Spawn(slot=slot, worker=number):
                self._spawn(slot, number)
            case CloseSession(worker=number):
                if (worker := self._workers.pop(number, None)) is not None:
                    self._bury(worker)
            case Terminate(worker=number):
                if (worker := self._workers.get(number)) is not None:
                    worker.asked_at = time.monotonic()
                    worker.process.terminate()
            case Kill(worker=number, overdue=overdue, hung=hung):
                if (worker := self._workers.get(number)) is not None:
                    if hung:
                        log.warning("%s has given no sign of life for %g s, and is killed", worker, self._manager.watch)
                    if overdue:
                        log.warning("%s does not end within the time it has, and is killed%s", worker, _WHY)
                    worker.process.kill()
            case Exit(status=status):
                self._status = status

    def _spawn(self, slot: int, number: int) -> None:
        port = self._ports[slot] if self._ports else None
        if port is not None and not self._bind(port, number):
            return
        arguments, inherited = [*self._command(slot), *self._accepted], [*self._inherited]
        if self._sessions is not None and self._sessions.moved:
            arguments += ["--zookeeper", self._sessions.hosts]
        if port is not None:
            arguments += ["--listener", str(port.descriptor)]
            inherited.append(port.descriptor)
        try:
            worker = self._workers[number] = WorkerProcess.start(number, slot, arguments, inherited)
        except OSError as error:
            # No processes or no memory left: that passes, and the other workers still need us.
            log.error("cannot start worker %d: %s", slot, error)
            self._machine.receive_exit(number, 1, time.monotonic())
            return
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _bind(self, port: Port, number: int) -> bool:
        """Binds the port of a worker that is to be started, or tells the machine that it is in use."""
        try:
            port.open()
        except OSError as error:
            refusal = f"cannot listen on {port.endpoint}: {error.strerror or error}"
            self._refusal = f"{refusal}; choose another --bind"
            if error.errno == errno.EADDRINUSE:
                if not port.awaited:
                    port.awaited = True
                    log.warning("%s; trying again for a while, as an earlier worker may be draining there", refusal)
                self._machine.receive_port_taken(number, time.monotonic())
            else:
                self._machine.receive_exit(number, EXIT_CONFIG, time.monotonic(), by_address=True)
            return False
        self._refusal = None
        return True

    def _bury(self, worker: WorkerProcess) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        if self._ports and not any(other.slot == worker.slot for other in self._workers.values()):
            # Nobody accepts: whoever calls shall be refused, and not wait for the next one.
            self._ports[worker.slot].close()
        if worker.session is not None and self._sessions is not None and worker.process.returncode != 0:
            self._sessions.close(*worker.session)
