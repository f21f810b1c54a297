"""The pytest plugin: a real ZooKeeper for tests that ask for one.

Every pytest run in an environment with zkrpc loads this module, so it imports nothing but pytest until a fixture is
used. With ``ZKRPC_ZOOKEEPER=host:port,…`` the tests run on that ensemble and no server is started.
"""

from __future__ import annotations

import itertools
import os
import uuid
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zkrpc.dev.zookeeper import DevZooKeeper
    from zkrpc.zookeeper.session import Session

_REMOVE_TIMEOUT = 5.0
_MAKE_TIMEOUT = 60.0
_serial = itertools.count(1)


def _started(nodes: int) -> DevZooKeeper:
    """A running throw-away ZooKeeper. If it cannot be started the test fails: if it were skipped, a run that tested
    nothing would pass."""
    from zkrpc.dev.zookeeper import DevZooKeeper
    from zkrpc.errors import RpcError

    try:
        return DevZooKeeper(nodes).start()
    except RpcError as error:
        pytest.fail(f"{error} (or leave these tests out: pytest -m 'not zookeeper')", pytrace=False)


@pytest.fixture(scope="session")
def zookeeper_server() -> Iterator[DevZooKeeper]:
    """A throw-away ZooKeeper of one server, started once per test session."""
    with _started(1) as server:
        yield server


@pytest.fixture(scope="module")
def zookeeper_ensemble() -> Iterator[DevZooKeeper]:
    """A throw-away ZooKeeper of three servers, started once per test module."""
    with _started(3) as ensemble:
        yield ensemble


@pytest.fixture
def zookeeper(request: pytest.FixtureRequest) -> Iterator[str]:
    """A connect string whose chroot no other test has used; on a running ensemble it is removed afterwards."""
    from zkrpc.dev.jars import running_ensemble

    running = running_ensemble()
    hosts = running or request.getfixturevalue("zookeeper_server").hosts
    chroot = f"/zkrpc-test-{os.getpid()}-{next(_serial)}-{uuid.uuid4().hex[:8]}"
    _make(hosts + chroot)
    yield hosts + chroot
    if running:
        _remove(running, chroot)


def _make(hosts: str) -> None:
    """Makes the chroot, so that a test can write below it at once."""
    from zkrpc.zookeeper.session import Session

    session = Session(hosts)
    session.start()
    try:
        if not session.wait_connected(_MAKE_TIMEOUT):
            pytest.fail(f"no ZooKeeper session at {hosts} within {_MAKE_TIMEOUT:g} s", pytrace=False)
        session.znodes.ensure_path("/")
    finally:
        session.close()


def _remove(hosts: str, chroot: str) -> None:
    """Removes the chroot from a running ensemble, as far as that answers."""
    from zkrpc.errors import CoordinationError
    from zkrpc.zookeeper.session import Session

    session = Session(hosts)
    session.start()
    try:
        if session.wait_connected(_REMOVE_TIMEOUT):
            _remove_tree(session, chroot)
    except CoordinationError as error:
        warnings.warn(f"{chroot} stays behind on {hosts}: {error}", stacklevel=1)
    finally:
        session.close()


def _remove_tree(session: Session, path: str) -> None:
    for name in session.znodes.children(path) or ():
        _remove_tree(session, f"{path}/{name}")
    if session.znodes.exists(path) is not None:
        session.znodes.delete(path)
