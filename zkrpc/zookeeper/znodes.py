"""ZooKeeper's znodes through one session: reads, writes and transactions, as calls with plain values.

This module knows the form of each request and of its answer; the session decides whether and how a request is sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, assert_never

from gevent.event import Event
from kazoo.security import ACL, Id

from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.errors import ConfigError, CoordinationError, NodeExists, NodeMissing
from zkrpc.legible import legible
from zkrpc.zookeeper.access import Grant, Identity, Right, grants_of, who_am_i
from zkrpc.zookeeper.link import create_anywhere, exists_anywhere, get_anywhere
from zkrpc.zookeeper.operations import NO_STAT, Check, ConnectString, Create, Delete, Operation, SetData, Stat
from zkrpc.zookeeper.ownership import grants_for, is_shared
from zkrpc.zookeeper.refusals import denied, is_consequence, is_denied, translated


class Wakeable(Protocol):
    """What a watch sets when it fires: an event, or anything else of which two that are equal are the same."""

    def set(self) -> object:
        """Called from kazoo; must not wait."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Wake:
    """A kazoo watcher that sets an event. Equal for equal events, so that watching again does not pile up watchers."""

    event: Wakeable

    def __call__(self, _: object) -> None:
        self.event.set()


class Sender(Protocol):
    """Sends requests: a session."""

    def __call__(self, action: str, submit: Callable[[Any], Any], timeout: float | None) -> Any:
        """Calls ``submit`` with the kazoo client, and waits for the answer; ``action`` is for an error's text."""


class NodeReader(Protocol):
    """Reads nodes and watches them."""

    def exists(self, path: str, watch: Event | None = None) -> Stat | None:
        """As :meth:`Znodes.exists`."""

    def get(self, path: str, watch: Event | None = None) -> tuple[bytes, Stat] | None:
        """As :meth:`Znodes.get`."""


class SystemNodes:
    """The nodes of ZooKeeper itself, which are outside every chroot. It may keep them from us, which is no failure:
    then a node has no value."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def exists(self, path: str, watch: Event | None = None) -> Stat | None:
        """As :meth:`Znodes.exists`; ``path`` starts at the root."""
        found = self._send(
            f"exists {path}", lambda kazoo: exists_anywhere(kazoo, path, watcher=_watcher(watch)), timeout=None
        )
        return None if found is None else stat_of(found)

    def get(self, path: str, watch: Event | None = None) -> tuple[bytes, Stat] | None:
        """As :meth:`Znodes.get`; ``path`` starts at the root. The value is empty, and there is no watch, if we may not
        read it."""
        try:
            value, stat = self._send(
                f"get {path}", lambda kazoo: get_anywhere(kazoo, path, watcher=_watcher(watch)), timeout=None
            )
        except NodeMissing:
            return None
        except CoordinationError as error:
            if is_denied(error):
                return b"", NO_STAT
            raise
        return bytes(value or b""), stat_of(stat)


class Znodes:
    """The znodes that a session can reach: each method is one request to ZooKeeper, or a few.

    Each raises subclasses of CoordinationError: SessionSuspended (not sent), OutcomeUnknown (sent, no answer),
    SessionLost, NodeMissing, NodeExists, VersionConflict, AccessDenied; and ConfigError, before sending, for too large
    a value. ``timeout`` is in seconds, by default ``RegistryConfig.request_timeout``.
    """

    def __init__(
        self, send: Sender, target: ConnectString, max_payload: int, security: ZooKeeperSecurity = NO_SECURITY
    ) -> None:
        """All paths are below the chroot of ``target``; ``max_payload`` is in bytes. ``security`` says whose the nodes
        are that are made."""
        self.system = SystemNodes(send)
        """The nodes of ZooKeeper itself."""
        self._send = send
        self._target = target
        self._max_payload = max_payload
        self._security = security
        self._acl, self._shared_acl = (acl_of(grants_for(security, shared=shared)) for shared in (False, True))

    def __repr__(self) -> str:
        """The connect string."""
        return f"<Znodes of {self._target}>"

    def exists(self, path: str, watch: Event | None = None, *, timeout: float | None = None) -> Stat | None:
        """The node's stat, or None. The watch is set even if there is no such node, and then fires when it is
        created."""
        found = self._send(
            f"exists {legible(path)}", lambda kazoo: kazoo.exists_async(path, watch=_watcher(watch)), timeout
        )
        return None if found is None else stat_of(found)

    def get(
        self, path: str, watch: Wakeable | None = None, *, timeout: float | None = None
    ) -> tuple[bytes, Stat] | None:
        """The node's value and stat; None, and no watch, if there is no such node."""
        try:
            value, stat = self._ask(
                f"get {legible(path)}",
                lambda kazoo: kazoo.get_async(path, watch=_watcher(watch)),
                timeout,
                path,
                Right.READ,
            )
        except NodeMissing:
            return None
        return bytes(value or b""), stat_of(stat)

    def children(self, path: str, watch: Event | None = None, *, timeout: float | None = None) -> list[str] | None:
        """The names of the node's children, in no particular order; None, and no watch, if there is no such node."""
        try:
            names: list[str] = self._ask(
                f"list {legible(path)}",
                lambda kazoo: kazoo.get_children_async(path, watch=_watcher(watch)),
                timeout,
                path,
                Right.READ,
            )
        except NodeMissing:
            return None
        return names

    def listing(
        self, path: str, watch: Event | None = None, *, timeout: float | None = None
    ) -> tuple[list[str], Stat] | None:
        """Like :meth:`children`, with the stat of the node at the same moment."""
        try:
            names, stat = self._ask(
                f"list {legible(path)}",
                lambda kazoo: kazoo.get_children_async(path, watch=_watcher(watch), include_data=True),
                timeout,
                path,
                Right.READ,
            )
        except NodeMissing:
            return None
        return names, stat_of(stat)

    def access(self, path: str, *, timeout: float | None = None) -> tuple[Grant, ...] | None:
        """The node's access list; None if there is no such node. It is empty if we may not even read it, which nobody
        grants to nobody."""
        try:
            found, _ = self._send(f"access {legible(path)}", lambda kazoo: kazoo.get_acls_async(path), timeout)
        except NodeMissing:
            return None
        except CoordinationError as error:
            if is_denied(error):
                return ()
            raise
        return grants_of(found)

    def identities(self, *, timeout: float | None = None) -> tuple[Identity, ...]:
        """Who this session is for ZooKeeper, beside anyone. Do not ask a server before version 3.7: it hangs up."""
        found: list[Identity] = self._send("whoami", who_am_i, timeout)
        return tuple(found)

    def create(
        self,
        path: str,
        value: bytes = b"",
        *,
        ephemeral: bool = False,
        sequence: bool = False,
        timeout: float | None = None,
    ) -> str:
        """Creates a node whose parent exists; returns its path."""
        self._check_size(path, value)
        created = self._ask(
            f"create {legible(path)}",
            lambda kazoo: kazoo.create_async(path, value, acl=self._acl, ephemeral=ephemeral, sequence=sequence),
            timeout,
            parent_of(path),
            Right.CREATE,
        )
        return str(created)

    def ensure_path(self, path: str, *, shared_above: bool = False, timeout: float | None = None) -> None:
        """Creates the node and its parents as far as they are missing, the chroot's included; each request has the
        timeout. No other method creates a chroot, as a process that only reads must not create one whose name is
        mistyped. Which of them others may use is said in :mod:`zkrpc.zookeeper.ownership`; with ``shared_above`` they
        may use all levels above the node."""
        missing = []
        whole = full = f"{self._target.chroot}{path}".rstrip("/")
        while full and not self._send(f"exists {full}", partial(exists_anywhere, path=full), timeout):
            missing.append(full)
            full = full.rpartition("/")[0]
        for full in reversed(missing):
            shared = is_shared(full.removeprefix(self._target.chroot)) or (shared_above and full != whole)
            acl = self._shared_acl if shared else self._acl
            with suppress(NodeExists):
                create = partial(create_anywhere, path=full, acl=acl)
                self._ask(f"create {full}", create, timeout, parent_of(full), Right.CREATE)

    def explain_missing_chroot(self, watch: Event | None = None, *, timeout: float | None = None) -> str:
        """Explains that the connect string's chroot does not exist; empty if it exists, or if the string has none.

        The watch fires when it is created.
        """
        if not self._target.chroot or self.exists("/", watch, timeout=timeout) is not None:
            return ""
        servers = ",".join(map(str, self._target.servers))
        return (
            f"there is no {self._target.chroot} in the ZooKeeper at {servers}: nothing has been served there, or the "
            "/chroot of the connect string is mistyped"
        )

    def set(self, path: str, value: bytes, version: int = -1, *, timeout: float | None = None) -> Stat:
        """Changes the node's value if it is at ``version`` (-1: at any)."""
        self._check_size(path, value)
        action = f"set {legible(path)}"
        changed = self._ask(action, lambda kazoo: kazoo.set_async(path, value, version), timeout, path, Right.WRITE)
        return stat_of(changed)

    def delete(self, path: str, version: int = -1, *, timeout: float | None = None) -> None:
        """Deletes the node if it is at ``version`` (-1: at any) and has no children."""
        action, parent = f"delete {legible(path)}", parent_of(path)
        self._ask(action, lambda kazoo: kazoo.delete_async(path, version), timeout, parent, Right.DELETE)

    def set_access(self, path: str, grants: Sequence[Grant], *, timeout: float | None = None) -> None:
        """Replaces the node's access list."""
        action, acl = f"setAcl {legible(path)}", acl_of(grants)
        self._ask(action, lambda kazoo: kazoo.set_acls_async(path, acl), timeout, path, Right.ADMIN)

    def multi(
        self,
        operations: Sequence[Operation],
        *,
        timeout: float | None = None,
        before: Callable[[], object] = lambda: None,
    ) -> list[str | Stat | None]:
        """Does all of the operations or none; returns each one's result (a path, a Stat, or None).

        ``before`` is called right before they are sent, after any wait for earlier requests; if it raises, nothing is
        sent. Raises the exception that the first operation that failed by itself would raise alone.
        """
        values = [operation.value for operation in operations if isinstance(operation, (Create, SetData))]
        self._check_size("a transaction", b"".join(values))
        action = f"transaction of {len(operations)} ({legible(operations[0].path) if operations else ''}, …)"

        def submit(kazoo: Any) -> Any:
            before()
            transaction = kazoo.transaction()
            for operation in operations:
                _add(transaction, operation, self._acl)
            return transaction.commit_async()

        results = self._send(action, submit, timeout)
        self._raise_refusal(operations, results)
        return [_result(result) for result in results]

    def _ask(self, action: str, submit: Callable[[Any], Any], timeout: float | None, path: str, right: Right) -> Any:
        """Sends a request that needs the ``right`` to the node at ``path``."""
        try:
            return self._send(action, submit, timeout)
        except CoordinationError as error:
            if is_denied(error):
                raise denied(action, path, right, self._security) from error.__cause__
            raise

    def _raise_refusal(self, operations: Sequence[Operation], results: Sequence[object]) -> None:
        """Raises the error of the step that failed. kazoo returns a transaction's errors in its results, and those of
        the other steps only say that another one failed."""
        errors = [(step, error) for step, error in zip(operations, results) if isinstance(error, Exception)]
        for step, error in sorted(errors, key=lambda pair: is_consequence(pair[1])):
            action = f"transaction, at {type(step).__name__} {legible(step.path)}"
            if is_denied(error):
                raise denied(action, *_needed(step), self._security) from error
            raise translated(error, action) from error

    def _check_size(self, path: str, value: bytes) -> None:
        # ZooKeeper closes the connection at a request that is too large, and each retry would make it do so again.
        if len(value) > self._max_payload:
            raise ConfigError(
                f"{len(value)} bytes for {path} are over RegistryConfig.max_payload ({self._max_payload})"
            )


def _watcher(event: Wakeable | None) -> _Wake | None:
    return None if event is None else _Wake(event)


def stat_of(theirs: Any) -> Stat:
    """The metadata in one of kazoo's stats."""
    return Stat(
        version=theirs.version,
        owner=theirs.ephemeralOwner,
        created_zxid=theirs.czxid,
        modified_zxid=theirs.mzxid,
        size=theirs.dataLength,
        modified_at=theirs.mtime / 1000,
        changes=theirs.cversion % 2**32,
        children_zxid=theirs.pzxid,
    )


def parent_of(path: str) -> str:
    """The path of the node's parent."""
    return path.rpartition("/")[0] or "/"


def _needed(step: Operation) -> tuple[str, Right]:
    """To which node a step needs which right."""
    match step:
        case Create(path=path):
            return parent_of(path), Right.CREATE
        case Delete(path=path):
            return parent_of(path), Right.DELETE
        case SetData(path=path):
            return path, Right.WRITE
        case Check(path=path):
            return path, Right.READ
        case _:
            assert_never(step)


def acl_of(grants: Iterable[Grant]) -> list[Any]:
    """An access list as kazoo wants it."""
    return [ACL(int(one.rights), Id(one.to.scheme, one.to.name)) for one in grants]


def _add(transaction: Any, operation: Operation, acl: Sequence[Any]) -> None:
    match operation:
        case Create(path=path, value=value, ephemeral=ephemeral, sequence=sequence):
            transaction.create(path, value, acl=acl, ephemeral=ephemeral, sequence=sequence)
        case Delete(path=path, version=version):
            transaction.delete(path, version)
        case SetData(path=path, value=value, version=version):
            transaction.set_data(path, value, version)
        case Check(path=path, version=version):
            transaction.check(path, version)
        case _:
            assert_never(operation)


def _result(theirs: Any) -> str | Stat | None:
    if isinstance(theirs, str):
        return theirs
    return None if theirs is True else stat_of(theirs)
