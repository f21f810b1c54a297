"""Keeps the last members of a service in a file, whatever becomes of the disk under it.

The file only matters to a process that starts while ZooKeeper is down, so no trouble with it is worth more than a line
in the log when it begins and one when it ends: the disk is full, the folder may not be written to, or the disk does not
answer at all.
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
"""Seconds that whoever follows the members waits for the disk."""


class SnapshotKeeper:
    """The file of one service."""

    def __init__(self, file: Path, service: str) -> None:
        self._file = file
        self._service = service
        self._trouble: str | None = None
        self._writing: Any = None

    def __repr__(self) -> str:
        """Where, and what is wrong with it."""
        return f"<SnapshotKeeper {self._file} {self._trouble or 'ok'}>"

    def load(self) -> tuple[Instance, ...]:
        """The members in the file; none if it is of no use."""
        return load_snapshot(self._file, self._service)

    def save(self, snapshot: Snapshot) -> None:
        """Replaces the file, or says once why it cannot. While the disk does not answer nothing more is asked of it:
        a thread that waits for it is one that others do not have."""
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
    """In a thread; why it failed."""
    try:
        save_snapshot(file, snapshot)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
