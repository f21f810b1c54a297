"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.scripted_servers import nothing_left


@pytest.fixture
def clean() -> Iterator[None]:
    """Fails the test if it leaves a greenlet or a watcher behind."""
    with nothing_left():
        yield
