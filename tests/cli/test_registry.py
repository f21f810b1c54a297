"""Names that are not there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.waiting import eventually
from zkrpc.cli.registry import connected, find_alike, hint, missing
from zkrpc.errors import OutcomeUnknown, SessionSuspended
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.session import SessionState

MANY = [f"service-{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("usres", ["billing", "users"], "did you mean users?"),
        ("user", ["users", "user-v2"], "did you mean users or user-v2?"),
        ("Users", ["users"], "did you mean users?"),
        ("zzz", ["billing", "users"], "there are billing, users"),
        (
            "zzz",
            MANY,
            "there are service-0, service-1, service-2, service-3, service-4, service-5, service-6, service-7",
        ),
        ("zzz", ["a\x1bb"], "there are a\\x1bb"),
        ("zzz", [], ""),
    ],
)
def test_hint_is_what_may_have_been_meant_or_what_there_is(name: str, known: list[str], said: str) -> None:
    """The likest first; not hundreds of them, and nothing that a terminal would obey."""
    assert hint(name, known) == said + (" and 12 more" if known is MANY else "")


def test_missing_names_are_an_error_for_people_and_programs() -> None:
    """The text says all, and the names that are alike can be had from it."""
    error = missing("service", "usres", ["users", "billing"], where="at h:1", nothing="none")
    assert str(error) == "there is no service 'usres' at h:1; did you mean users?" and error.alike == ("users",)
    assert (
        str(missing("group", "\n", [], where="of x", nothing="none so far"))
        == "there is no group '\\n' of x; none so far"
    )
    assert find_alike("service-1", MANY)[0] == "service-1"


@pytest.mark.zookeeper
def test_request_without_an_answer_says_why_and_what_to_do(zookeeper_server: Any) -> None:
    """In the middle of a command, too: nobody knows what ConnectionLoss is, nor whether it has happened."""
    with Proxy(("127.0.0.1", zookeeper_server.ports[0])) as between:
        with pytest.raises(OutcomeUnknown, match="; if it was to change something, see first whether it has"):
            with connected(between.hosts, 60.0) as registry:
                between.mode = ProxyMode.HOLE
                registry.session.znodes.exists("/", timeout=0.2)
        between.mode = ProxyMode.FORWARD
        with pytest.raises(SessionSuspended, match=r"not sent.*: the session (has been|is) .*; try again when"):
            with connected(between.hosts, 60.0) as registry:
                between.mode = ProxyMode.REFUSE
                between.cut()
                eventually(lambda: registry.session.state is not SessionState.CONNECTED)
                registry.session.znodes.exists("/")
