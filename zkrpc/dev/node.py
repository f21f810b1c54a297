"""One ZooKeeper server process: writes its files, starts and ends it, and asks for its mode.

It knows one server's folder and ports and not its peers: :mod:`zkrpc.dev.zookeeper` writes the configuration.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from zkrpc.errors import CoordinationError

_FLAGS = (
    "-Xms32m",
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Dzookeeper.admin.enableServer=false",
    # Throw-away: what a crash of the machine would lose was going to be deleted anyway.
    "-Dzookeeper.forceSync=no",
    "-Dzookeeper.cnxTimeout=500",
    "-Dzookeeper.fastleader.maxNotificationInterval=1000",
)
# Releases since 3.8 log by logback, which prints every debug line unless told otherwise.
_LOGBACK = """<configuration><appender name="LOG" class="ch.qos.logback.core.ConsoleAppender"><encoder>
<pattern>%d %p %m%n</pattern></encoder></appender><root level="INFO"><appender-ref ref="LOG"/></root></configuration>
"""
# Set by the child for itself just before it becomes Java, so that even a SIGKILL of ours leaves no JVM behind. Not a
# preexec_fn: that runs Python between fork and exec, which is unsafe in a program with threads.
_DIE_WITH_PARENT = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.argv[1],sys.argv[1:])"

_ANSWER_TIMEOUT = 2.0
"""Seconds for the answer to a question on loopback; on a busy machine a server that is well may take most of one."""


class ServerNode:
    """A ZooKeeper server on one loopback port, and the owner of its process."""

    def __init__(
        self,
        folder: Path,
        port: int,
        configuration: str,
        *,
        number: int,
        java: str,
        jars: str,
        options: Sequence[str] = (),
    ) -> None:
        """Writes the server's files into ``folder``; starts nothing yet. ``options`` are further ones of Java."""
        self.port = port
        self._log = folder / "zookeeper.log"
        self._data = folder / "version-2"
        self._command = [java, *_FLAGS, *options, "-cp", f"{folder}:{jars}"]
        self._command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(folder / "zoo.cfg")]
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "myid").write_text(f"{number}\n")
        (folder / "zoo.cfg").write_text(f"dataDir={folder}\n{configuration}")
        (folder / "logback.xml").write_text(_LOGBACK)

    def start(self) -> None:
        """Starts the process, if it is not running, and returns at once."""
        if self.running:
            return
        command = self._command
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *command]
        with self._log.open("ab") as log:
            # A session of its own, so that Ctrl-C in the terminal reaches only us and we end it in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def running(self) -> bool:
        """True while the process exists, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Ends the process as a crash would; returns when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def forget(self) -> None:
        """Ends the process, if it runs, and removes the server's data."""
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def freeze(self) -> None:
        """Stops the process where it stands, and returns when it has stopped; its sockets stay open and silent."""
        pid = self._signal(signal.SIGSTOP)
        # One of its threads takes the signal and stops the others, which answer for a while on a busy machine.
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Lets a frozen process go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> int:
        if not self.running or self._process is None:
            raise CoordinationError(f"the ZooKeeper node on port {self.port} is not running")
        os.kill(self._process.pid, number)
        return self._process.pid

    def mode(self) -> str | None:
        """``standalone``, ``leader`` or ``follower``, by the command ``srvr``; None while it does not serve."""
        try:
            text = self._ask(b"srvr")
        except OSError:
            return None
        lines = (line.partition(": ") for line in text.splitlines())
        return next((value for name, _, value in lines if name == "Mode"), None)

    def _ask(self, command: bytes) -> str:
        with socket.create_connection(("127.0.0.1", self.port), _ANSWER_TIMEOUT) as connection:
            connection.sendall(command)
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
        return answer.decode(errors="replace")

    def last_words(self, lines: int = 15) -> str:
        """The end of the log, for an error message."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
