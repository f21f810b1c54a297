"""The ledger under fault: the example service, with a journal of what it accepted and what the fence refused.

A line for each write that passed the gate (``accepted``) and for each that the database's fence refused afterwards
(``refused``), with the monotonic time, which all processes of a machine share, and the epoch. One file a process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from examples.ledger import LedgerHandler

idl = zkrpc.load(Path(__file__).with_name("bank.thrift"))
MARK = "/mark"
"""The node that ``mark`` writes; somebody else has made it."""


def illness_of(folder: Path, name: str) -> Path:
    """The file that makes a replica sick while it exists: it begins with ``raise`` or ``hang``, for what ``on_elected``
    then does, and gets a line for each time."""
    return folder / f"sick-{name}"


class JournalingBank(LedgerHandler):  # type: ignore[misc]  # the example is untyped, as its readers' code may be
    """Writes ``$PROBE_JOURNAL/<pid>``."""

    def __init__(self) -> None:
        super().__init__()
        folder = Path(os.environ["PROBE_JOURNAL"])
        self._journal = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._illness = illness_of(folder, os.environ["PROBE_NAME"])
        self._leadership: zkrpc.Leadership | None = None

    def on_elected(self, leadership: zkrpc.Leadership) -> None:
        """As the example's, unless this replica has been made sick."""
        while self._illness.exists():
            with self._illness.open("a") as told:
                told.write("elected\n")
            if self._illness.read_text().startswith("raise"):
                raise RuntimeError("sick, as the suite wants it")
            while self._illness.exists():
                gevent.sleep(0.05)
        super().on_elected(leadership)
        self._leadership = leadership

    @zkrpc.primary_only
    def mark(self) -> int:
        """Notes the epoch in ZooKeeper, guarded by it."""
        assert self._leadership is not None
        with self._leadership.transaction() as transaction:
            transaction.set(MARK, str(self._leadership.epoch).encode())
        return self._leadership.epoch

    @zkrpc.primary_only
    def transfer(self, source: str, target: str, amount: int, request_id: str) -> Any:
        """As the example's, journalled."""
        self._note("accepted", request_id)
        try:
            return super().transfer(source, target, amount, request_id)
        except zkrpc.StaleEpoch:
            self._note("refused", request_id)
            raise

    @zkrpc.primary_only
    def burn(self, milliseconds: int) -> None:
        """Computes without ever giving up the hub."""
        end = time.monotonic() + milliseconds / 1000
        while time.monotonic() < end:
            pass

    def _note(self, what: str, request_id: str) -> None:
        call = zkrpc.current_call()
        assert call is not None
        os.write(self._journal, f"{what} {time.monotonic():.6f} {call.epoch} {request_id}\n".encode())


service = zkrpc.Service(idl.Bank, JournalingBank, name="bank", config=zkrpc.ServerConfig(linger=0.2))
