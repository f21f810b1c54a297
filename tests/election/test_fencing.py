"""Fences only rise; the SQL fence on sqlite3, in each mode, and on a connection that only keeps to the DB-API."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.call import ServerCall, enter_call, leave_call
from zkrpc.election.fencing import Fence, SqlFence
from zkrpc.errors import ConfigError, Executed, StaleEpoch


def test_fence_refuses_what_is_over() -> None:
    """A write of a former primary fails once one of a later primary was seen; its own epoch goes on being fine."""
    fence = Fence()
    for epoch in (1, 1, 4):
        fence.check(epoch)
    with pytest.raises(StaleEpoch) as caught:
        fence.check(3)
    assert (caught.value.seen, caught.value.current, caught.value.executed) == (4, 3, Executed.NO)
    assert fence.epoch == 4 and fence.allows(4) and not fence.allows(3)
    assert repr(fence) == "<Fence 4>"


@given(st.lists(st.integers(0, 9)))
def test_fence_lets_through_exactly_what_does_not_fall(epochs: list[int]) -> None:
    """What passed is sorted, whatever was tried."""
    fence, passed = Fence(), []
    for epoch in epochs:
        allowed = fence.allows(epoch)
        try:
            fence.check(epoch)
            passed.append(epoch)
        except StaleEpoch:
            assert not allowed
    assert passed == sorted(passed)


class PlainCursor:
    """Nothing but the DB-API: begins a transaction by itself, as the standard says."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def execute(self, statement: str, arguments: tuple[Any, ...] = ()) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        self._cursor.execute(statement.replace("%s", "?"), arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class PlainConnection:
    """A driver that is not sqlite3, as far as anybody can see."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=60)

    def cursor(self) -> PlainCursor:
        return PlainCursor(self._connection)

    def commit(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


Open = Callable[[], Any]
_MODES: dict[str, Callable[[Path], Any]] = {
    "autocommit": lambda path: sqlite3.connect(path, isolation_level=None),
    "legacy": sqlite3.connect,
    "plain": PlainConnection,
}
if sys.version_info >= (3, 12):
    _MODES["pep 249"] = lambda path: sqlite3.connect(path, autocommit=False)


@pytest.fixture(params=list(_MODES))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens connections of one mode to one database with an empty table of amounts."""
    path, opened = tmp_path / "db.sqlite", []
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE amounts (amount INTEGER)")
    made.commit()
    made.close()

    def open_one() -> Any:
        opened.append(_MODES[request.param](path))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


def fence_on(connection: Any, **options: Any) -> SqlFence:
    """A fence that speaks the connection's dialect."""
    style = "format" if isinstance(connection, PlainConnection) else "qmark"
    return SqlFence(connection, paramstyle=style, **options)


def amounts(connection: Any) -> list[int]:
    """What was written and committed."""
    cursor = connection.cursor()
    cursor.execute("SELECT amount FROM amounts ORDER BY amount")
    found = [row[0] for row in cursor.fetchall()]
    cursor.close()
    connection.rollback()
    return found


def test_sql_fence_refuses_an_epoch_lower_than_one_seen(opener: Open) -> None:
    """Whoever saw it, through whichever connection; the refused one has written nothing."""
    old, new = fence_on(opener()), fence_on(opener())
    with old.transaction(3) as cursor:
        cursor.execute("INSERT INTO amounts VALUES (1)")
    with old.transaction(3) as cursor:
        cursor.execute("INSERT INTO amounts VALUES (2)")
    new.claim(5)
    for _ in range(2):
        with pytest.raises(StaleEpoch) as refused, old.transaction(3) as cursor:
            cursor.execute("INSERT INTO amounts VALUES (3)")
        assert (refused.value.seen, refused.value.current) == (5, 3)
    with new.transaction(5) as cursor:
        cursor.execute("INSERT INTO amounts VALUES (4)")
    assert amounts(opener()) == [1, 2, 4] and "'main'" in repr(old)


def test_sql_fence_rolls_back_what_fails(opener: Open) -> None:
    """An exception undoes the block's writes, and the rise of the fence with them."""
    fence = fence_on(opener())
    with pytest.raises(KeyError), fence.transaction(7) as cursor:
        cursor.execute("INSERT INTO amounts VALUES (1)")
        raise KeyError
    with fence.transaction(2) as cursor:
        cursor.execute("INSERT INTO amounts VALUES (2)")
    assert amounts(opener()) == [2]


def test_sql_fences_of_two_groups_do_not_know_each_other(opener: Open) -> None:
    """Each has a row of its own in the one table, or a table of its own."""
    connection = opener()
    left, right = fence_on(connection, group="left"), fence_on(connection, group="right")
    apart = fence_on(connection, group="left", table="other_fence")
    left.claim(9)
    right.claim(1)
    apart.claim(1)
    with pytest.raises(StaleEpoch):
        left.claim(8)


def test_sql_fence_takes_the_epoch_of_the_call_that_is_served(opener: Open) -> None:
    """Inside a primary-only handler nothing needs to be said; elsewhere it must be."""
    fence = fence_on(opener())
    with pytest.raises(ConfigError, match="give the epoch"), fence.transaction():
        pass
    call = ServerCall("write", print, (), {}, "peer", 0.0)
    token = enter_call(call)
    try:
        with pytest.raises(ConfigError, match="no primary-only call"), fence.transaction():
            pass
        call.epoch = 4
        with fence.transaction() as cursor:
            cursor.execute("INSERT INTO amounts VALUES (1)")
    finally:
        leave_call(token)
    with pytest.raises(StaleEpoch):
        fence.claim(3)


def test_sql_fence_explains_mistakes(tmp_path: Path) -> None:
    """A table that is no name, a style it does not know, a transaction that somebody left open."""
    connection = sqlite3.connect(tmp_path / "db.sqlite")
    for options in ({"table": "a; DROP TABLE b"}, {"paramstyle": "named"}):
        with pytest.raises(ConfigError, match="SqlFence"):
            SqlFence(connection, **options)  # type: ignore[arg-type]  # mistakes are text, too
    fence = SqlFence(connection)
    fence.claim(1)
    connection.execute("CREATE TABLE amounts (amount INTEGER)")
    connection.execute("INSERT INTO amounts VALUES (1)")
    with pytest.raises(ConfigError, match="without an open transaction"):
        fence.claim(1)
    connection.close()


def test_sql_fence_says_what_the_database_says(tmp_path: Path) -> None:
    """A database that cannot be written to is the caller's to see, not a missing row."""
    sqlite3.connect(tmp_path / "db.sqlite").close()
    connection = sqlite3.connect(f"file:{tmp_path}/db.sqlite?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError):
        SqlFence(connection).claim(1)
    connection.close()


def test_sql_fence_orders_writers_that_run_at_once(tmp_path: Path) -> None:
    """Two primaries that both believe in themselves: after the later one's first write no earlier one follows."""
    path = tmp_path / "db.sqlite"
    order: list[int] = []

    def write(epoch: int) -> None:
        connection = sqlite3.connect(path, isolation_level=None, timeout=60)
        fence = SqlFence(connection)
        for _ in range(50):
            try:
                with fence.transaction(epoch):
                    order.append(epoch)
            except StaleEpoch:
                break
        connection.close()

    writers = [threading.Thread(target=write, args=(epoch,)) for epoch in (1, 2, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    assert order == sorted(order) and order.count(3) == 50


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), max_size=12))
def test_sql_fence_never_falls(epochs: list[int]) -> None:
    """Whatever comes in whatever order: what is written has epochs that never decrease."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    fence, written = SqlFence(connection), []
    for epoch in epochs:
        try:
            with fence.transaction(epoch):
                written.append(epoch)
        except StaleEpoch as refused:
            assert refused.seen == max(written) > epoch
    assert written == sorted(written)
    connection.close()
