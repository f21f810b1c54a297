"""The tests that run from gevent, from threads and from asyncio."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.worlds import ELSEWHERE, EXCEPTIONS, worlds_of

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("test", EXCEPTIONS)
def test_exception_is_of_a_test_that_would_run_everywhere(test: str) -> None:
    """It has its name, so that an entry does not outlive it, a reason, and a world that is left."""
    path, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
    excepted, reason = EXCEPTIONS[test]
    assert reason and excepted and set(excepted) <= set(ELSEWHERE)
    assert worlds_of(test) == [one for one in ("gevent", *ELSEWHERE) if one not in excepted]
