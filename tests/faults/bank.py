"""The ledger under fault: the example service, with a journal of what it accepted and what the fence refused.

A line for each write that passed the gate (``accepted``) and for each that the database's fence refused afterwards
(``refused``), with the monotonic time, which all processes of a machine share, and the epoch. One file a process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import zkrpc
from examples.ledger import LedgerHandler

idl = zkrpc.load(Path(__file__).with_name("bank.thrift"))


class JournalingBank(LedgerHandler):  # type: ignore[misc]  # the example is untyped, as its readers' code may be
    """Writes ``$PROBE_JOURNAL/<pid>``."""

    def __init__(self) -> None:
        super().__init__()
        folder = Path(os.environ["PROBE_JOURNAL"])
        self._journal = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

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
