"""Programs and observers for the tests of the command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import zkrpc
from tests.support.command import Command
from tests.support.programs import Programs


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that runs in this process sets up its log; what it sets is set back."""
    loggers = [logging.getLogger(name) for name in (None, "zkrpc", "kazoo")]
    levels, last_resort = [logger.level for logger in loggers], logging.lastResort
    yield
    logging.lastResort = last_resort
    for logger, level in zip(loggers, levels):
        logger.setLevel(level)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts programs that end with the test."""
    started = Programs(tmp_path)
    yield started
    started.close()


@pytest.fixture
def command(programs: Programs, tmp_path: Path) -> Command:
    """Types ``zkrpc`` commands."""
    return Command(programs, tmp_path)


@pytest.fixture
def registry(zookeeper: str) -> Iterator[zkrpc.Registry]:
    """A view of our own of what is registered."""
    with zkrpc.Registry(zookeeper) as observer:
        assert observer.session.wait_connected(60)
        yield observer
