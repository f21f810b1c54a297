"""Fixtures of the tests of TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificates import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A folder with the certificate of an authority, and room for what it issues."""
    return Files(tmp_path)
