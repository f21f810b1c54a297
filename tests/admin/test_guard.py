"""Who may ask the admin door."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from zkrpc.admin.guard import Guard, make_guard, names_of_host, read_token
from zkrpc.admin.http import Request
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError

TOKEN = "0123456789abcdef"


def status(guard: Guard, method: str = "GET", *, is_open: bool = False, **headers: str) -> int:
    """The status of the refusal; 200 if there is none."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = guard.refusal(Request(method=method, path="/status", headers=named), is_open=is_open)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "CONNECT"])
def test_only_reading_is_answered(method: str) -> None:
    """GET and HEAD."""
    assert (status(Guard(), method), status(Guard(), "GET"), status(Guard(), "HEAD")) == (405, 200, 200)


@pytest.mark.parametrize(
    "host, expected",
    [
        ("localhost", 200),
        ("localhost:9464", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:9464", 200),
        ("[::1]:9464", 200),
        ("[::1]", 200),
        ("10.1.2.3:9464", 200),
        ("box.internal:9464", 200),
        ("evil.example", 403),
        ("evil.example:9464", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("box.internal.", 403),
        ("", 403),
        ("localhost, evil.example", 403),
        ("[::1", 403),
        ("1:2:3", 403),
    ],
)
def test_request_for_a_name_that_is_not_known_is_refused(host: str, expected: int) -> None:
    """A page from elsewhere can make a name of its own mean this host, but not an address."""
    guard = make_guard(Endpoint("127.0.0.1", 0), hosts=("box.internal",))
    assert status(guard, host=host) == expected


@pytest.mark.parametrize(
    "headers, expected",
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:9464"}, 200),
        ({"origin": "https://localhost:9464"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "same-origin"}, 200),
    ],
)
def test_page_from_elsewhere_is_refused(headers: dict[str, str], expected: int) -> None:
    """As browsers tell who asks."""
    assert status(Guard(), host="localhost:9464", **headers) == expected


@pytest.mark.parametrize(
    "authorization, expected",
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN} ", 200),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401),
        ("", 401),
    ],
)
def test_token_is_asked_for_where_there_is_one(authorization: str, expected: int) -> None:
    """Except by what is open to probes; the token itself is never shown."""
    guard = make_guard(Endpoint("0.0.0.0", 0), TOKEN)
    assert status(guard, authorization=authorization) == expected
    assert status(guard, is_open=True) == 200 and TOKEN not in repr(guard)
    assert Guard().knows(Request(method="GET", path="/"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "box.internal"])
def test_door_that_others_can_reach_needs_a_token(host: str) -> None:
    """And says so at the start, in one line."""
    with pytest.raises(ConfigError, match="needs a token; give one, or bind it to 127.0.0.1"):
        make_guard(Endpoint(host, 9464))
    make_guard(Endpoint(host, 9464), TOKEN)


@pytest.mark.parametrize("token", ["short", "with spaces in between", "x" * 15, "x" * 15 + "\n", "\u00fc" * 20])
def test_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str) -> None:
    """Also on loopback."""
    with pytest.raises(ConfigError, match="a token has at least 16 ASCII characters"):
        make_guard(Endpoint("127.0.0.1", 0), token)


def test_token_in_a_file_is_read_without_the_white_space_around_it(tmp_path: Path) -> None:
    """As editors and ``echo`` write it; what is inside is left as it is, for the guard to judge."""
    file = tmp_path / "token"
    file.write_text(f" {TOKEN}\r\n\n")
    assert read_token(file) == read_token(str(file)) == TOKEN
    file.write_text(f"{TOKEN} x\n")
    assert read_token(file) == f"{TOKEN} x"


@pytest.mark.parametrize(
    "written, said",
    [
        (None, "cannot read the admin token from .*token: .*No such file"),
        (b"", "token holds no admin token$"),
        (b" \n\t", "token holds no admin token$"),
        (TOKEN.encode() + b"\xc3\xbc", "cannot read the admin token from .*token: "),
    ],
)
def test_file_without_a_token_is_refused_by_its_name(tmp_path: Path, written: bytes | None, said: str) -> None:
    """An empty token would open the door to everybody; what the file holds instead is not shown."""
    file = tmp_path / "token"
    if written is not None:
        file.write_bytes(written)
    with pytest.raises(ConfigError, match=said) as caught:
        read_token(file)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("advertise", ["Users-7.example", "users-7.example:9090"])
def test_host_is_asked_for_by_its_own_name_and_the_advertised_one(advertise: str) -> None:
    """With a port or without; no other name is known, and the port is no part of one."""
    guard = make_guard(Endpoint("127.0.0.1", 0), hosts=names_of_host(advertise))
    assert names_of_host(advertise)[0] == platform.node()
    assert (status(guard, host="users-7.example:9464"), status(guard, host="users-8.example:9464")) == (200, 403)


@pytest.mark.parametrize("advertise", [None, "", ":9090", "[::1]:9090"])
def test_without_an_advertised_name_only_the_host_s_own_is_known(advertise: str | None) -> None:
    """What is no name adds none, so that an empty one is not asked for; addresses are known anyway."""
    plain = make_guard(Endpoint("127.0.0.1", 0), hosts=(platform.node(),))
    guard = make_guard(Endpoint("127.0.0.1", 0), hosts=names_of_host(advertise))
    assert guard == plain and (status(guard, host=""), status(guard, host="[::1]:9464")) == (403, 200)
