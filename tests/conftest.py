"""What holds for all tests."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.leftovers import nothing_outlives
from tests.support.worlds import World, all_worlds, make_world, worlds_of
from zkrpc import compiled
from zkrpc.dev.zookeeper import DevZooKeeper

# Whoever runs the tests in the background has them ignore Ctrl-C, and with them all programs that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# An example may take as long as the machine takes: that it stands still for a third of a second is no fault of the code
# under test, and Hypothesis' own deadline is 0.2 s. What has to be quick is asked by tests of its own.
settings.register_profile("explore", deadline=None)
# The same examples in each run, so that a run fails by what was changed and by nothing else; others, new ones each
# time, are tried with --hypothesis-profile=explore.
settings.register_profile("zkrpc", deadline=None, derandomize=True)
settings.load_profile("zkrpc")


def pytest_report_header() -> str:
    """Says at the head of a run what it tests: ZKRPC_PURE=1 and 0 choose."""
    return f"zkrpc: {compiled.in_words()}"


def pytest_collection_finish() -> None:
    """Takes what is there before the first test, some 300 000 objects, out of all later garbage collections, and out of
    the looks at what a test has left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def nothing_outlives_its_module() -> Iterator[None]:
    """Fails the last test of a module that leaves something running, before a test of another module has to wonder."""
    with nothing_outlives():
        yield


@pytest.fixture(scope="session")
def secured_zookeeper() -> Iterator[DevZooKeeper]:
    """A throw-away ZooKeeper with TLS that serves only those whom it knows, started once per test session."""
    with DevZooKeeper(secured=True, users=[("eve", "evil")]) as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Has a test that takes ``world`` run in each of them."""
    if "world" in metafunc.fixturenames:
        metafunc.parametrize("world", worlds_of(metafunc.definition.nodeid), indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """From where the test calls: gevent, threads, or asyncio."""
    made = make_world(request.param)
    yield made
    made.close()


@pytest.fixture
def worlds() -> Iterator[dict[str, World]]:
    """From everywhere at once, by name."""
    with all_worlds() as made:
        yield made
