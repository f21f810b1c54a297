"""Tests of a service and its callers without sockets and without ZooKeeper, on asyncio.

pytest examples/test_users_asyncio.py

pytest-asyncio runs them, each in an event loop of its own.
"""

import asyncio

import pytest
import pytest_asyncio

from examples import users as example
from idl import users_thrift as idl
from zkrpc.testing.aio import Loopback


@pytest_asyncio.fixture
async def loopback(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "DATABASE", tmp_path / "users.sqlite")
    loopback = Loopback(example.service, replicas=2)
    async with loopback:
        yield loopback


@pytest.mark.asyncio
async def test_users_are_found_by_many_tasks(loopback):
    found = await asyncio.gather(*(loopback.stub.get(42) for _ in range(20)))
    assert {user.name for user in found} == {"Ada"}


@pytest.mark.asyncio
async def test_users_are_found_when_a_replica_dies(loopback):
    await loopback.kill(0)
    assert (await loopback.stub.get(42)).name == "Ada"


@pytest.mark.asyncio
async def test_nobody_is_there_twice(loopback):
    await loopback.stub.create(idl.User(id=7, name="Grace"))
    with pytest.raises(idl.UserExists):
        await loopback.stub.create(idl.User(id=7, name="Grace"))
