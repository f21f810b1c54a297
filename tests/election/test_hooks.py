"""How a campaign calls the application's hooks; how it takes part is shown on a real server, in tests/live."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from zkrpc.election.campaign import run_hook
from zkrpc.errors import StaleEpoch


class Term:
    """As much of a leadership as a hook's caller looks at."""

    epoch = 7


def run(raised: BaseException | None) -> tuple[str | None, list[int]]:
    """What is said of a hook that raises that, and which epochs are believed."""
    believed: list[int] = []

    def hook(leadership: Any) -> None:
        if raised is not None:
            raise raised

    term: Any = Term()
    return run_hook("on_elected", hook, term, "ledger/main", believed.append), believed


def test_hook_that_returns_has_nothing_to_say() -> None:
    """And one that is killed is no failure: whoever killed it knows."""
    assert run(None) == (None, [])
    with pytest.raises(gevent.GreenletExit):
        run(gevent.GreenletExit())


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (ValueError("no such table"), "ValueError: no such table"),
        (gevent.Timeout(2), "Timeout: 2 seconds"),
        (SystemExit(1), "SystemExit: 1"),
    ],
)
def test_hook_that_fails_says_why(raised: BaseException, why: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raised, also a timeout of its own; the log has the rest."""
    assert run(raised) == (why, [])
    assert "on_elected failed for ledger/main, epoch 7" in caplog.text


def test_hook_whose_store_knows_a_later_epoch_is_believed_and_no_other() -> None:
    """Only if it speaks of this term: a handler may have called another service."""
    assert run(StaleEpoch("the store", seen=9, current=7))[1] == [9]
    assert run(StaleEpoch("elsewhere", seen=9, current=3))[1] == []
