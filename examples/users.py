"""A stateless service: the users live in a database that all replicas share.

zkrpc serve examples.users:service --zookeeper HOSTS --workers 3
"""

import os
import socket
import sqlite3
from pathlib import Path

import zkrpc
from idl import users_thrift as idl

DATABASE = os.environ.get("USERS_DATABASE") or Path.home() / ".zkrpc-example-users.sqlite"


class UsersHandler:
    def __init__(self):
        self.database = sqlite3.connect(DATABASE, isolation_level=None, timeout=5)
        self.database.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
        self.database.execute("INSERT OR IGNORE INTO users VALUES (42, 'Ada', 'ada@example.org')")

    def get(self, id):
        row = self.database.execute("SELECT id, name, email FROM users WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise idl.UserNotFound(id=id)
        return idl.User(*row)

    def find(self, prefix, limit):
        query = "SELECT id, name, email FROM users WHERE substr(name, 1, ?) = ? ORDER BY id LIMIT ?"
        return [idl.User(*row) for row in self.database.execute(query, (len(prefix), prefix, limit))]

    def put(self, user):
        self.database.execute("REPLACE INTO users VALUES (?, ?, ?)", (user.id, user.name, user.email))

    def create(self, user):
        try:
            self.database.execute("INSERT INTO users VALUES (?, ?, ?)", (user.id, user.name, user.email))
        except sqlite3.IntegrityError:
            raise idl.UserExists(id=user.id) from None

    def remove(self, id):
        return self.database.execute("DELETE FROM users WHERE id = ?", (id,)).rowcount > 0

    def seen(self, id, at_ms):
        print(f"user {id} was seen at {at_ms}")

    def whoami(self):
        return f"{socket.gethostname()} pid {os.getpid()}"


service = zkrpc.Service(idl.Users, UsersHandler, name="users")
