"""A service with one writer: accounts in a database that all replicas share, fenced by the primary's epoch.

zkrpc serve examples.ledger:service --zookeeper HOSTS --workers 3
zkrpc primary ledger --zookeeper HOSTS
"""

import contextlib
import os
import socket
import sqlite3
from pathlib import Path

import zkrpc
from idl import ledger_thrift as idl

DATABASE = os.environ.get("LEDGER_DATABASE") or Path.home() / ".zkrpc-example-ledger.sqlite"
TABLES = """
CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
CREATE TABLE IF NOT EXISTS transfers (request_id TEXT PRIMARY KEY, balance INTEGER NOT NULL, epoch INTEGER NOT NULL);
"""


class LedgerHandler:
    def __init__(self):
        self.database = sqlite3.connect(DATABASE, isolation_level=None, timeout=5)
        # Readers and the writer then never wait for each other: a replica that waits for a file lock serves nobody. It
        # is a property of the file; SQLite refuses if another replica is setting it at this moment.
        with contextlib.suppress(sqlite3.OperationalError):
            self.database.execute("PRAGMA journal_mode = WAL")
        self.database.executescript(TABLES)
        self.fence = zkrpc.SqlFence(self.database)

    def on_elected(self, leadership):
        # From here on no earlier primary can write, whatever it believes; only then may anything be read and kept.
        self.fence.claim(leadership.epoch)

    @zkrpc.primary_only
    def open(self, account, amount):
        with self.fence.transaction() as cursor:
            cursor.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?)", (account, amount))
            return self._balance(cursor, account)

    @zkrpc.primary_only
    def transfer(self, source, target, amount, request_id):
        with self.fence.transaction() as cursor:
            done = cursor.execute("SELECT balance FROM transfers WHERE request_id = ?", (request_id,)).fetchone()
            if done is not None:
                return done[0]
            left = self._balance(cursor, source) - amount
            self._balance(cursor, target)
            if left < 0 or amount < 0:
                raise idl.InsufficientFunds(account=source, balance=left + amount)
            cursor.execute("UPDATE accounts SET balance = balance - ? WHERE account = ?", (amount, source))
            cursor.execute("UPDATE accounts SET balance = balance + ? WHERE account = ?", (amount, target))
            cursor.execute("INSERT INTO transfers VALUES (?, ?, ?)", (request_id, left, zkrpc.current_call().epoch))
            return left

    def balance(self, account):
        return self._balance(self.database, account)

    def total(self):
        return self.database.execute("SELECT coalesce(sum(balance), 0) FROM accounts").fetchone()[0]

    @zkrpc.primary_only
    def whoami(self):
        return f"{socket.gethostname()} pid {os.getpid()} epoch {zkrpc.current_call().epoch}"

    def _balance(self, database, account):
        row = database.execute("SELECT balance FROM accounts WHERE account = ?", (account,)).fetchone()
        if row is None:
            raise idl.UnknownAccount(account=account)
        return row[0]


service = zkrpc.Service(idl.Ledger, LedgerHandler, name="ledger")
