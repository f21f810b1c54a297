"""Tests of a service and its callers without sockets and without ZooKeeper, in threads.

pytest examples/test_users_threads.py

They need no patches, and no fixtures but those of pytest.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from examples import users as example
from idl import users_thrift as idl
from zkrpc.testing.threads import Loopback


@pytest.fixture
def loopback(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "DATABASE", tmp_path / "users.sqlite")
    loopback = Loopback(example.service, replicas=2)
    with loopback:
        yield loopback


def test_users_are_found_from_many_threads(loopback):
    with ThreadPoolExecutor(4) as pool:
        assert {user.name for user in pool.map(loopback.stub.get, [42] * 20)} == {"Ada"}


def test_users_are_found_when_a_replica_dies(loopback):
    loopback.kill(0)
    assert loopback.stub.submit.get(42).result().name == "Ada"


def test_nobody_is_there_twice(loopback):
    loopback.stub.create(idl.User(id=7, name="Grace"))
    with pytest.raises(idl.UserExists):
        loopback.stub.create(idl.User(id=7, name="Grace"))
