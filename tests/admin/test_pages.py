"""What the admin door says of a process."""

from __future__ import annotations

import dataclasses
import json
import logging
from types import MappingProxyType
from typing import Any, get_args

import pytest

from tests.telemetry.test_status import make
from zkrpc.admin.guard import Guard
from zkrpc.admin.http import Request, Response
from zkrpc.admin.pages import Pages, process_pages
from zkrpc.telemetry.status import AppStatus, ClientStatus, ServerStatus, SessionStatus, Status, TracingStatus

TOKEN = "0123456789abcdef"


def app(**health: Any) -> AppStatus:
    """A service of this health."""
    made: AppStatus = make(AppStatus)
    well = {"ready": True, "live": True, "reasons": ()}
    return dataclasses.replace(made, service="users", health=dataclasses.replace(made.health, **{**well, **health}))


def ask(path: str, *statuses: Status, token: str = "", serves: bool = False, **headers: str) -> Response:
    """The answer of a door of a process that stands so."""
    pages = process_pages(
        lambda accept: ("text/x", [b"one ", accept.encode()]),
        lambda: iter(statuses),
        ask_here=lambda: iter(statuses),
        serves=serves,
    )
    request = Request(method="GET", path=path, headers={"host": "localhost", **headers})
    return Pages(Guard(token=token), pages).answer(request, lambda: None)


def test_readiness_is_that_of_all_that_is_served() -> None:
    """With why not; a process that is there to serve, and does not, is not ready."""
    assert (ask("/readyz").status, ask("/readyz", app()).status) == (200, 200)
    assert (ask("/readyz", serves=True).status, ask("/readyz", app(), serves=True).status) == (503, 200)
    unready = ask("/readyz", app(), app(ready=False, reasons=("it is draining", "x")))
    assert (unready.status, unready.body) == (503, b"users: it is draining\nusers: x\n")


def test_life_is_apart_from_readiness() -> None:
    """Whoever is not ready is not ended for that."""
    assert ask("/livez", app(ready=False, reasons=("it is draining",))).status == 200
    dead = ask("/livez", app(ready=False, live=False, reasons=("stuck",)))
    assert (dead.status, dead.body) == (503, b"users: stuck\n")


def test_probe_without_a_token_is_told_yes_or_no() -> None:
    """And not why; with the token it is."""
    unready = app(ready=False, reasons=("the database at db1 is away",))
    assert ask("/readyz", unready, token=TOKEN).body == b"no\n" and ask("/readyz", app(), token=TOKEN).body == b"ok\n"
    told = ask("/readyz", unready, token=TOKEN, authorization=f"Bearer {TOKEN}")
    assert b"db1" in told.body
    for path in ("/metrics", "/status", "/nowhere"):
        assert ask(path, token=TOKEN).status == 401


def test_metrics_are_written_as_the_scraper_asks() -> None:
    """Its ``Accept`` header says how."""
    answer = ask("/metrics", accept="openmetrics")
    assert (answer.status, answer.body, answer.content_type) == (200, b"one openmetrics", "text/x")


def test_status_is_everything_as_json() -> None:
    """Every kind of state there is, with all its fields, as ``dataclasses.asdict`` has them."""
    parts: list[Any] = [app(), make(ClientStatus), make(SessionStatus), make(ClientStatus), make(TracingStatus)]
    assert {type(one) for one in parts} == set(get_args(Status))
    answer = ask("/status", *parts)
    found = json.loads(answer.body)
    assert answer.content_type == "application/json" and found.pop("pid") > 0
    asdict = json.loads(json.dumps([dataclasses.asdict(one) for one in parts]))
    services, clients, sessions, tracing = asdict[:1], [asdict[1], asdict[3]], [asdict[2]], [asdict[4]]
    assert found == {"services": services, "clients": clients, "sessions": sessions, "tracing": tracing}


def test_status_holds_what_json_has_no_form_for() -> None:
    """A mapping that is no ``dict`` is an object all the same, and anything else its text: one odd value does not cost
    an operator the page."""
    odd: Any = ValueError("away")
    server = dataclasses.replace(make(ServerStatus), calls=MappingProxyType({"get": 3}), state=odd)
    (service,) = json.loads(ask("/status", dataclasses.replace(app(), server=server)).body)["services"]
    assert (service["server"]["calls"], service["server"]["state"]) == ({"get": 3}, "away")


def test_others_have_their_turn_between_the_pieces_of_a_long_page() -> None:
    """After each part of the metrics, and after each state."""
    turns: list[int] = []
    pages = process_pages(lambda accept: ("text/x", [b"1", b"2", b"3"]), lambda: iter([app(), app()]))
    for path, expected in (("/metrics", 3), ("/status", 2)):
        turns.clear()
        pages[path](Request(method="GET", path=path), lambda: turns.append(1))
        assert len(turns) == expected


def test_page_that_is_not_there_is_answered_with_those_that_are() -> None:
    """Paths are taken to the letter."""
    answer = ask("/")
    assert answer.status == 404 and b"/livez, /readyz, /metrics, /status" in answer.body
    assert ask("/status/").status == ask("/%73tatus").status == ask("//status").status == 404


def test_page_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of why goes to whoever asked."""

    def broken(request: Request, pause: Any) -> Response:
        raise ValueError("secret")

    pages = Pages(Guard(), {"/metrics": broken})
    with caplog.at_level(logging.ERROR):
        answers = [pages.answer(Request(method="GET", path="/metrics"), lambda: None) for _ in range(3)]
    assert [one.status for one in answers] == [500] * 3 and b"secret" not in answers[0].body
    assert len(caplog.records) == 1 and "/metrics" in repr(pages)


def test_refused_request_reaches_no_page() -> None:
    """Whatever it asks for."""
    assert ask("/status", host="evil.example").status == 403
