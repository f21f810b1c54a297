"""Who may see the dashboard, and who may act."""

from __future__ import annotations

import pytest

from zkrpc.admin.guard import make_guard
from zkrpc.admin.http import Request
from zkrpc.dashboard.server import _PATH, MOST_FIELDS, Gate
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError

TOKEN = "a-token-of-some-length"
HOST = "127.0.0.1:8500"


def gate(token: str = "", *, acting: bool = False) -> Gate:
    """A gate on loopback."""
    return Gate(make_guard(Endpoint("127.0.0.1", 8500), token, ("ops.example",)), acting=acting)


def status(of: Gate, method: str = "GET", path: str = "/", **headers: str) -> int:
    """The status of the answer; 200 if there is no refusal."""
    named = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    refusal = of.refusal(Request(method=method, path=path, headers=named))
    return 200 if refusal is None else refusal.status


def test_loopback_is_open_to_this_host_only() -> None:
    """By its addresses and the names it was given; a name that somebody makes mean this host is refused."""
    assert status(gate()) == 200
    assert status(gate(), host="localhost:8500") == status(gate(), host="ops.example:8500") == 200
    assert status(gate(), host="evil.example:8500") == 403
    assert status(gate(), method="PUT") == 405


def test_pages_from_elsewhere_get_nothing() -> None:
    """Neither by script nor as a picture or a frame; a link may lead here."""
    assert status(gate(), origin="http://evil.example") == 403
    assert status(gate(), sec_fetch_site="cross-site") == 403
    assert status(gate(), sec_fetch_site="same-site", sec_fetch_mode="cors") == 403
    assert status(gate(), sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
    assert status(gate(), "POST", sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 403
    assert status(gate(), sec_fetch_site="same-origin", origin=f"http://{HOST}") == 200


def test_token_is_shown_once_and_kept_as_a_cookie() -> None:
    """The cookie does not give the token away; programs send the token itself."""
    of = gate(TOKEN)
    assert status(of) == 401
    assert status(of, authorization=f"Bearer {TOKEN}") == 200
    assert status(of, cookie=f"other=1; zkrpc-dashboard={of.cookie}") == 200
    assert status(of, cookie=f"zkrpc-dashboard={TOKEN}") == status(of, cookie="zkrpc-dashboard=") == 401
    assert TOKEN not in of.cookie and of.cookie not in (gate(TOKEN + "2").cookie, "")
    assert status(of, path="/enter") == 200
    assert of.admits(TOKEN) and not of.admits("") and not of.admits("äöü")
    assert not gate().admits("")


def test_acting_wants_the_proof_of_a_form_of_ours() -> None:
    """From our own origin; and without --allow-actions nothing helps."""
    of = gate(TOKEN, acting=True)
    ours = Request(method="POST", path="/actions/a/offline", headers={"host": HOST, "origin": f"http://{HOST}"})
    assert of.may_act(ours, of.proof)
    assert not of.may_act(ours, "") and not of.may_act(ours, of.cookie) and not of.may_act(ours, "ä")
    assert not of.may_act(Request(method="POST", path="/", headers={"host": HOST}), of.proof)
    reading = gate(TOKEN)
    assert reading.proof == "" and not reading.may_act(ours, reading.proof)


def test_other_addresses_want_a_token() -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match="needs a token"):
        make_guard(Endpoint("0.0.0.0", 8500))


def test_requests_that_no_page_of_ours_makes_are_refused() -> None:
    """More fields than a form has, and streams by another method, before anything is made for them."""
    of, fields = gate(TOKEN, acting=True), "&".join("a=1" for _ in range(MOST_FIELDS + 1))
    headers = {"host": HOST, "authorization": f"Bearer {TOKEN}"}
    for query, body, expected in (
        (fields, b"", 400),
        ("", fields.encode(), 400),
        (fields[4:], fields[4:].encode(), 200),
    ):
        refusal = of.refusal(Request(method="POST", path="/enter", headers=headers, query=query, body=body))
        assert (200 if refusal is None else refusal.status) == expected
    assert [status(gate(), method, "/stream/") for method in ("GET", "HEAD", "POST")] == [200, 405, 405]


def test_page_to_go_back_to_is_one_of_ours() -> None:
    """No other host's, and found out at once however long the text is."""
    for path in ("/", "/services/a", "/services/a@b:1/methods/", "/services/%41"):
        assert _PATH.fullmatch(path)
    for path in ("//evil.example", "/a//b", "/\\evil", "http://evil.example/", "/a\r\nX: y", "/" + "a" * 5000 + "~"):
        assert not _PATH.fullmatch(path)
