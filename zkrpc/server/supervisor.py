"""The parent of worker processes: spawns them, hears from them, and closes the ZooKeeper sessions of dead ones.

A plain process without gevent and without a ZooKeeper client of its own, so nothing of a worker's trouble is its
trouble. Each worker holds one end of a socket pair: it tells its session's id and password over it as JSON lines, and
when it is ready, and reads end-of-file from it when the supervisor is gone, upon which it drains. What to do is decided
by :class:`~zkrpc.server.supervision.Supervision`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from zkrpc.registry.closing import close_session
from zkrpc.server.supervision import CloseSession, Effect, Exit, Kill, Spawn, Supervision, Terminate

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 2.0
_WATCH_INTERVAL = 0.5
"""Seconds between looks at the files that a reloading supervisor watches."""
_MAX_REPORT = 4096


@dataclasses.dataclass(slots=True)
class _Worker:
    slot: int
    process: subprocess.Popen[bytes]
    channel: socket.socket
    received: bytes = b""
    session: tuple[int, bytes] | None = None


class Supervisor:
    """Runs ``workers`` processes until told to stop.

    Args:
        command: gives the argument list for a slot; ``--channel FD`` is appended to it.
        workers: how many slots.
        zookeeper: connect string for closing dead workers' sessions; None if they have none.
        watched: folders whose ``.py`` and ``.thrift`` files cause a reload when they change.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        workers: int,
        *,
        zookeeper: str | None = None,
        watched: Sequence[Path] = (),
    ) -> None:
        self._command = command
        self._machine = Supervision(workers)
        self._zookeeper = zookeeper
        self._watched = tuple(watched)
        self._workers: dict[int, _Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._closers: list[threading.Thread] = []
        self._status: int | None = None

    def run(self) -> int:
        """Supervises until a signal ends it; returns the exit status. Call it from the main thread.

        SIGTERM and SIGINT drain, a second one kills; SIGHUP replaces the workers, one after another.
        """
        with self._receiving_signals():
            self._machine.start(time.monotonic())
            self._execute(self._machine.effects())
            fingerprint, look_at = self._fingerprint(), time.monotonic() + _WATCH_INTERVAL
            while self._status is None:
                self._wait()
                now = time.monotonic()
                self._handle_signals(now)
                self._reap(now)
                if self._watched and now >= look_at:
                    look_at = now + _WATCH_INTERVAL
                    if (fresh := self._fingerprint()) != fingerprint:
                        fingerprint = fresh
                        log.info("files changed, replacing the workers")
                        self._machine.reload(now)
                self._machine.handle_timer(now)
                self._execute(self._machine.effects())
        for closer in self._closers:
            closer.join(_CLOSE_TIMEOUT)
        return self._status

    # -- waiting ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _receiving_signals(self) -> Iterator[None]:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._selector.register(reader, selectors.EVENT_READ, None)
        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
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
        timeout = _WATCH_INTERVAL if self._watched else None
        if due is not None:
            timeout = min(max(0.0, due - time.monotonic()), timeout or due)
        for key, _events in self._selector.select(timeout):
            if key.data is None:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(4096)
            else:
                self._hear(key.data)

    def _handle_signals(self, now: float) -> None:
        signals, self._signals = self._signals, []
        for number in signals:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._machine.stop(now)
            elif number == signal.SIGHUP:
                self._machine.reload(now)

    def _reap(self, now: float) -> None:
        for slot, worker in list(self._workers.items()):
            status = worker.process.poll()
            if status is not None:
                self._hear(worker)
                if status:
                    log.warning("worker %d (pid %d) ended with %s", slot, worker.process.pid, _describe(status))
                self._machine.receive_exit(slot, status, now)

    def _hear(self, worker: _Worker) -> None:
        """Takes the lines a worker sent; the last session it told of is the one to close for it."""
        try:
            while chunk := worker.channel.recv(_MAX_REPORT):
                *lines, worker.received = (worker.received + chunk)[-_MAX_REPORT:].split(b"\n")
                for line in lines:
                    self._note(worker, line)
        except (BlockingIOError, ConnectionError):
            return
        # End of file: the worker is exiting; its exit status will tell.
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.channel)

    def _note(self, worker: _Worker, line: bytes) -> None:
        """One report. A worker's nonsense is its own trouble: the others still need their supervisor."""
        try:
            match json.loads(line):
                case {"session": [int(number), str(password)]}:
                    worker.session = (number, bytes.fromhex(password))
                case {"ready": True}:
                    self._machine.receive_ready(worker.slot)
                case _:
                    raise ValueError("neither a session nor ready")
        except (ValueError, RecursionError) as error:
            log.warning("worker %d sent a line that is no report: %s", worker.slot, error)

    # -- acting ----------------------------------------------------------------------------------

    def _execute(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Spawn):
                self._spawn(effect.slot)
            elif isinstance(effect, CloseSession):
                if (worker := self._workers.pop(effect.slot, None)) is not None:
                    self._bury(worker)
            elif isinstance(effect, Terminate):
                self._workers[effect.slot].process.terminate()
            elif isinstance(effect, Kill):
                self._workers[effect.slot].process.kill()
            elif isinstance(effect, Exit):
                self._status = effect.status

    def _spawn(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        arguments = [*self._command(slot), "--channel", str(theirs.fileno())]
        with theirs:
            try:
                # A session of its own, so that Ctrl-C in the terminal reaches us alone and we stop it in order.
                process = subprocess.Popen(arguments, pass_fds=[theirs.fileno()], start_new_session=True)
            except OSError as error:
                # No processes or no memory left: that passes, and the other workers still need us.
                ours.close()
                log.error("cannot start worker %d: %s", slot, error)
                self._machine.receive_exit(slot, 1, time.monotonic())
                return
        worker = self._workers[slot] = _Worker(slot, process, ours)
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _bury(self, worker: _Worker) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        if worker.session is None or self._zookeeper is None or worker.process.returncode == 0:
            return
        # In a thread: an unreachable ZooKeeper must not hold up the restart of this worker or the care of others.
        closer = threading.Thread(
            target=close_session, args=(self._zookeeper, *worker.session, _CLOSE_TIMEOUT), daemon=True
        )
        closer.start()
        self._closers = [thread for thread in self._closers if thread.is_alive()] + [closer]

    def _fingerprint(self) -> dict[str, int]:
        return {path: stamp for folder in self._watched for path, stamp in _stamps(folder)}


def _stamps(folder: Path) -> Iterator[tuple[str, int]]:
    """The sources below a folder and when they changed; hidden folders and virtual environments are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_foreign(os.path.join(place, name))]
        for name in names:
            if name.endswith((".py", ".thrift")):
                path = os.path.join(place, name)
                with contextlib.suppress(OSError):
                    yield path, os.stat(path).st_mtime_ns


def _is_foreign(folder: str) -> bool:
    """True for what nobody edits: looking at thousands of installed files twice a second is not free."""
    return os.path.basename(folder).startswith((".", "__")) or os.path.exists(os.path.join(folder, "pyvenv.cfg"))


def _describe(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


class SupervisorChannel:
    """A worker's end of the pair: tells sessions, and notices the supervisor's end. ``descriptor`` is inherited."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        os.set_inheritable(descriptor, False)

    def tell_session(self, number: int, password: bytes) -> None:
        """Reports a new ZooKeeper session; a supervisor that is gone is no error here."""
        self._tell({"session": [number, password.hex()]})

    def tell_ready(self) -> None:
        """Reports that calls are served and callers can find us."""
        self._tell({"ready": True})

    def wait_for_end(self) -> None:
        """Returns when the supervisor is gone. Meant for a greenlet of its own."""
        with contextlib.suppress(OSError):
            while self._socket.recv(64):
                pass

    def _tell(self, report: dict[str, object]) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(report).encode() + b"\n")
