"""The last members of a service in a file, so that a client can start while ZooKeeper is down.

The file is JSON, one ServerSet record per member under its worker id. It is written to a temporary file and renamed, so
that a reader sees the old list or the new one. It is read as untrusted input, like a znode: a file that is missing,
torn, huge, not a regular file, or another service's counts as absent. So does one that any other user than this
process's and root could have written: the writer of the list of instances decides where all calls go.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from zkrpc.endpoint import Instance, Snapshot
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.formats import dump_serverset, parse_record
from zkrpc.registry.schema import MEMBER_PREFIX
from zkrpc.trust import distrust

_log = logging.getLogger(__name__)

_FORMAT = 1
_MAX_FILE = 16 * 1024 * 1024
"""Bytes; some fifty thousand members of ordinary size."""


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Replaces the file by this list, or raises OSError and leaves the old one. Logs nothing, as it runs in a
    thread."""
    members = {instance.id: record for instance in snapshot.instances if (record := _record(instance)) is not None}
    document = {"format": _FORMAT, "service": snapshot.service, "members": members}
    payload = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    if len(payload) > _MAX_FILE:
        raise OSError(errno.EFBIG, f"{len(payload)} bytes are over {_MAX_FILE}")
    _replace(path, payload)


def load_snapshot(path: Path, service: str) -> tuple[Instance, ...]:
    """The members in the file. If it cannot be used there are none, and the reason is logged unless the file is
    missing."""
    try:
        members = _members(_read(path), service)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("the saved members of %s are of no use: %s: %s", service, path, str(error)[:200])
        return ()
    return tuple(instance for name, record in members.items() if (instance := _instance(name, record)) is not None)


def _record(instance: Instance) -> dict[str, Any] | None:
    """The record as an object, so that the file stays readable for people."""
    try:
        record: dict[str, Any] = json.loads(dump_serverset(instance))
    except ConfigError:
        # A record may be readable and not writable; it is left out, and the others are saved.
        return None
    return record


def _instance(name: str, record: object) -> Instance | None:
    try:
        return parse_record(MEMBER_PREFIX + name, json.dumps(record).encode(), max_record=_MAX_FILE)
    except RemoteProtocolError:
        return None


def _replace(path: Path, payload: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = f".{path.name}.{secrets.token_hex(8)}"
    try:
        if reason := distrust(os.fstat(folder), path.parent):
            raise OSError(errno.EPERM, reason)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            with open(handle, "wb") as file:
                file.write(payload)
                file.flush()
                # Some file systems would otherwise put the new name on disk before the content.
                os.fsync(file.fileno())
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    # Without O_NONBLOCK, a named pipe at this path would block the open.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        reason = distrust(found, path) or distrust(os.stat(path.parent), path.parent)
        if reason:
            raise ValueError(reason)
        payload = file.read(_MAX_FILE + 1)
    if len(payload) > _MAX_FILE:
        raise ValueError(f"over {_MAX_FILE} bytes")
    return payload


def _members(payload: bytes, service: str) -> dict[str, object]:
    document = json.loads(payload)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError("not a list of members")
    if document.get("service") != service:
        raise ValueError("another service's")
    members = document.get("members")
    if not isinstance(members, dict):
        raise ValueError("not a list of members")
    return members
