"""Keeps the last members of a service in a file, without being held up by a disk that fails.

The file only matters to a process that starts while ZooKeeper is down. So if it cannot be written (the disk is full,
the directory is not writable, the disk does not answer), that is logged once when it begins and once when it ends.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import gevent

from zkrpc.endpoint import Instance, Snapshot
from zkrpc.registry.snapshot_file import load_snapshot, save_snapshot

_log = logging.getLogger(__name__)

_PATIENCE = 2.0
"""Seconds for which the resolver waits for the disk."""


class SnapshotKeeper:
    """The file of one service."""

    def __init__(self, file: Path, service: str) -> None:
        self._file = file
        self._service = service
        self._trouble: str | None = None
        self._writing: Any = None

    def __repr__(self) -> str:
        """The path, and why the file cannot be written."""
        return f"<SnapshotKeeper {self._file} {self._trouble or 'ok'}>"

    def load(self) -> tuple[Instance, ...]:
        """The members in the file; none if the file cannot be used."""
        return load_snapshot(self._file, self._service)

    def save(self, snapshot: Snapshot) -> None:
        """Replaces the file, or logs once why it cannot. While a write hangs no other is started, as each would block
        one more thread of the pool."""
        if self._writing is not None and not self._writing.ready():
            return
        # In a thread: waiting for the disk would hold up every greenlet of this hub.
        self._writing = gevent.get_hub().threadpool.spawn(_save, self._file, snapshot)
        self._writing.wait(_PATIENCE)
        if not self._writing.ready():
            self._note(f"the disk has not answered for {_PATIENCE:g} s")
        else:
            self._note(self._writing.value)

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and self._trouble is None:
            _log.warning(
                "the members of %s are not saved in %s: %s; it is tried again at each change, and calls go on",
                self._service,
                self._file,
                trouble,
            )
        elif trouble is None and self._trouble is not None:
            _log.info("the members of %s are saved again in %s", self._service, self._file)
        self._trouble = trouble


def _save(file: Path, snapshot: Snapshot) -> str | None:
    """Runs in a thread; returns why it failed, or None."""
    try:
        save_snapshot(file, snapshot)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
