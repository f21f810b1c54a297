"""Epochs as fencing tokens: numbers that only grow, compared where something is written.

A store keeps a :class:`Fence`, or a column that does the same, beside what it protects, and checks every write of a
primary in the same transaction.

:class:`SqlFence` does so in SQL: one small table remembers the highest epoch of each group and refuses lower ones. The
epoch is compared inside the transaction that does the writing, in one statement that also locks the row. So a primary
of a later epoch either waits until an earlier one's transaction is over, or was first, and then the earlier one is
refused: nothing of an earlier epoch is ever written after something of a later one. The module knows sqlite3 and the
Python DB-API, and nothing of elections.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from zkrpc.call import current_call
from zkrpc.endpoint import DEFAULT_GROUP, NO_EPOCH, Epoch
from zkrpc.errors import ConfigError, StaleEpoch


class Fence:
    """The highest epoch seen at one place, which only rises."""

    __slots__ = ("epoch",)

    def __init__(self, epoch: Epoch = NO_EPOCH) -> None:
        """``epoch`` is the highest one seen before, if the store has kept it."""
        self.epoch = epoch

    def __repr__(self) -> str:
        """The highest epoch seen."""
        return f"<Fence {self.epoch}>"

    def allows(self, epoch: Epoch) -> bool:
        """True if no later epoch has been seen."""
        return epoch >= self.epoch

    def check(self, epoch: Epoch) -> None:
        """Raises StaleEpoch for an epoch lower than one seen before; rises to a higher one."""
        if epoch < self.epoch:
            raise StaleEpoch(f"epoch {epoch} is over, {self.epoch} has begun", seen=self.epoch, current=epoch)
        self.epoch = epoch


_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric": ":{}"}


class SqlFence:
    """The fence of one group in one database.

    Args:
        connection: a DB-API connection that nothing else uses while a transaction of this fence is open.
        group: the group whose primaries write here; several groups may share the table.
        table: the table's name; it is created if it is not there.
        paramstyle: how the driver marks parameters, as its module says in ``paramstyle``.

    With sqlite3 each transaction takes the write lock when it begins, whatever the connection's own mode. Any other
    driver must begin a transaction by itself, as the DB-API says (no autocommit), at READ COMMITTED or stricter.
    """

    def __init__(
        self, connection: Any, *, group: str = DEFAULT_GROUP, table: str = "zkrpc_fence", paramstyle: str = "qmark"
    ) -> None:
        if not table.isidentifier() or not table.isascii():
            raise ConfigError(f"SqlFence wants a plain table name, got {table!r}")
        if paramstyle not in _MARKS:
            raise ConfigError(f"SqlFence knows the paramstyles {', '.join(_MARKS)}, got {paramstyle!r}")
        self._connection = connection
        self._group = group
        first, second = (_MARKS[paramstyle].format(place) for place in (1, 2))
        again = _MARKS[paramstyle].format(3)
        self._make = f"CREATE TABLE IF NOT EXISTS {table} (name VARCHAR(128) PRIMARY KEY, epoch BIGINT NOT NULL)"
        self._insert = f"INSERT INTO {table} (name, epoch) VALUES ({first}, {second})"
        self._raise = f"UPDATE {table} SET epoch = {first} WHERE name = {second} AND epoch <= {again}"
        self._read = f"SELECT epoch FROM {table} WHERE name = {first}"
        self._prepared = False

    def __repr__(self) -> str:
        """The group."""
        return f"<SqlFence {self._group!r}>"

    @contextlib.contextmanager
    def transaction(self, epoch: Epoch | None = None) -> Iterator[Any]:
        """A cursor inside a transaction that only a primary of this epoch or a later one can make.

        ``epoch`` is by default that of the call being served. The transaction is committed at the end of the block, and
        rolled back if an exception leaves it. Raises StaleEpoch, with nothing written, if a later epoch has written
        here.
        """
        epoch = _current_epoch() if epoch is None else epoch
        self._prepare()
        cursor = self._connection.cursor()
        explicit = self._begin(cursor)
        try:
            self._rise(cursor, epoch)
            yield cursor
        except BaseException:
            self._end(cursor, "ROLLBACK", explicit)
            raise
        else:
            self._end(cursor, "COMMIT", explicit)
        finally:
            cursor.close()

    def claim(self, epoch: Epoch) -> None:
        """Shuts out every earlier primary from now on; the first thing to do in ``on_elected``, before reading.

        Raises StaleEpoch if a later primary has claimed before.
        """
        with self.transaction(epoch):
            pass

    def _rise(self, cursor: Any, epoch: Epoch) -> None:
        cursor.execute(self._raise, (epoch, self._group, epoch))
        if cursor.rowcount == 1:
            return
        cursor.execute(self._read, (self._group,))
        seen = int(cursor.fetchone()[0])
        raise StaleEpoch(f"epoch {epoch} of {self._group} is over, {seen} has begun", seen=seen, current=epoch)

    def _prepare(self) -> None:
        """Makes the table and the group's row, once; another process may be doing the same."""
        if self._prepared:
            return
        for statement, arguments in ((self._make, ()), (self._insert, (self._group, 0))):
            cursor = self._connection.cursor()
            explicit = self._begin(cursor)
            try:
                cursor.execute(statement, arguments)
            except Exception:
                self._end(cursor, "ROLLBACK", explicit)
                if not self._has_row():
                    raise
            else:
                self._end(cursor, "COMMIT", explicit)
            finally:
                cursor.close()
        self._prepared = True

    def _has_row(self) -> bool:
        cursor = self._connection.cursor()
        try:
            cursor.execute(self._read, (self._group,))
            return cursor.fetchone() is not None
        except Exception:
            return False
        finally:
            cursor.close()
            if not isinstance(self._connection, sqlite3.Connection):
                self._connection.rollback()

    def _begin(self, cursor: Any) -> bool:
        """Begins a transaction unless the driver does; True if it must be ended by a statement."""
        if not isinstance(self._connection, sqlite3.Connection) or getattr(self._connection, "autocommit", -1) is False:
            return False
        if self._connection.in_transaction:
            raise ConfigError("SqlFence needs a connection without an open transaction: commit it first")
        # IMMEDIATE: otherwise a transaction that reads before it writes can fail when it upgrades its lock.
        cursor.execute("BEGIN IMMEDIATE")
        return True

    def _end(self, cursor: Any, how: str, explicit: bool) -> None:
        if explicit:
            cursor.execute(how)
        elif how == "COMMIT":
            self._connection.commit()
        else:
            self._connection.rollback()


def _current_epoch() -> Epoch:
    call = current_call()
    if call is None or call.epoch is None:
        raise ConfigError("there is no primary-only call here; give the epoch: fence.transaction(leadership.epoch)")
    return call.epoch
