"""Can anybody else have written what lies there? Asked before a file or folder of ours is believed, or run.

What is ours belongs to us or to root, and nobody else may write to it. In a folder where everybody may write, the
sticky bit keeps others from replacing what is ours, so what lies there is judged by itself. A folder may be writable
for our own group, as containers with an arbitrary user have it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def distrust(found: os.stat_result, path: Path) -> str:
    """Why somebody else may have written the file or folder, and what to do about it; empty if nobody can have."""
    if found.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to user {found.st_uid}, not to {os.geteuid()}; chown it, or use another place"
    if stat.S_ISDIR(found.st_mode):
        writable = found.st_mode & 0o002 or (found.st_mode & 0o020 and found.st_gid != os.getegid())
        unsafe = writable and not found.st_mode & stat.S_ISVTX
    else:
        unsafe = bool(found.st_mode & 0o022)
    return f"others may write to {path}; say chmod go-w {path}" if unsafe else ""
