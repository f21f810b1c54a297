"""The folder of a throw-away ZooKeeper, and those that killed ones have left.

Who is killed cannot clean up. So the owner of a folder holds a lock on a file in it, which the kernel takes back when
the owner is gone, however it went; whoever finds a folder of ours whose lock is free removes it. The servers themselves
end with their owner (:mod:`zkrpc.dev.node`).
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
    """A new folder in the temporary folder, ours until ``close``; the leftovers of killed owners go first."""

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
    """Removes the folders in ``place`` whose owners are gone; never anything of another user's."""
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
