"""The folder of a throw-away ZooKeeper, and the removal of folders that killed ones left behind.

A process that is killed cannot clean up. So the owner of a folder holds a lock on a file in it, which the kernel
releases when the owner has ended, for whatever reason; the next start removes every such folder whose lock is free. The
servers themselves end with their owner (:mod:`zkrpc.dev.node`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

_PREFIX = "zkrpc-zookeeper-"
_LOCK = "owner.lock"


class Folder:
    """A new folder in the system's temporary folder, locked until ``close``. Folders of killed owners are removed
    first."""

    def __init__(self) -> None:
        place = Path(tempfile.gettempdir())
        sweep(place)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        # Locked before it has the name that others look for: a lock that can be seen and is free is a dead owner's.
        fresh = self.path / f"{_LOCK}.new"
        self._lock = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        fresh.rename(self.path / _LOCK)

    def close(self) -> None:
        """Removes it. May be called more than once."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def sweep(place: Path) -> None:
    """Removes the folders in ``place`` whose owners have ended, and nothing that belongs to another user."""
    for found in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            own = found.lstat()
            if stat.S_ISDIR(own.st_mode) and own.st_uid == os.geteuid():
                _remove_if_left(found)


def _remove_if_left(folder: Path) -> None:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # BlockingIOError, an OSError: its owner lives.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
