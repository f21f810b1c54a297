"""What a worker and its supervisor tell each other over a socket pair, as the worker sees it; see
:mod:`~zkrpc.server.supervisor`."""

from __future__ import annotations

import contextlib
import json
import os
import socket

from zkrpc.server.startup import StartFailure


class SupervisorChannel:
    """A worker's end of the pair: tells its ZooKeeper session, notices when the supervisor is gone.

    ``descriptor`` is inherited.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def tell_session(self, number: int, password: bytes) -> None:
        """Reports a new ZooKeeper session; a supervisor that is gone is no error here."""
        self._tell({"session": [number, password.hex()]})

    def tell_bound(self, seconds: float) -> None:
        """Reports how long finishing the calls may take once it is asked for; to be said before there are any."""
        self._tell({"bound": float(seconds)})

    def tell_done(self) -> None:
        """Reports that nothing is left to do but to end."""
        self._tell({"done": True})

    def tell_failure(self, failure: StartFailure) -> bool:
        """Reports why we end; False if there is nobody who could pass it on."""
        return self._tell({"failed": [failure.summary, failure.detail]})

    def tell_ready(self) -> None:
        """Reports that calls are served and callers can find us."""
        self._tell({"ready": True})

    def abandon(self) -> None:
        """In a forked child: leaves the pair to the worker, whose end the supervisor would not see otherwise."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._descriptor, inheritable=False)
        os.close(nothing)

    def wait_for_end(self) -> None:
        """Returns when the supervisor is gone. Meant for a greenlet of its own."""
        with contextlib.suppress(OSError):
            while self._socket.recv(64):
                pass

    def _tell(self, report: dict[str, object]) -> bool:
        try:
            self._socket.sendall(json.dumps(report).encode() + b"\n")
        except OSError:
            return False
        return True
