"""Whether another user can have written a file or folder, checked before it is read or executed.

A trusted file or folder belongs to this user or to root, and no other user may write to it. In a folder to which
everybody may write, the sticky bit keeps others from replacing this user's files, so each file there is judged by
itself. A folder may be writable for this user's own group, as in containers that run under an arbitrary user.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def distrust(found: os.stat_result, path: Path) -> str:
    """Why another user may have written the file or folder, and what to do about it; empty if none can have."""
    if found.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to user {found.st_uid}, not to {os.geteuid()}; chown it, or use another place"
    if stat.S_ISDIR(found.st_mode):
        writable = found.st_mode & 0o002 or (found.st_mode & 0o020 and found.st_gid != os.getegid())
        unsafe = writable and not found.st_mode & stat.S_ISVTX
    else:
        unsafe = bool(found.st_mode & 0o022)
    return f"others may write to {path}; say chmod go-w {path}" if unsafe else ""
