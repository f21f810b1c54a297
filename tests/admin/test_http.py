"""The door's HTTP is small and strict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from zkrpc.admin.http import MAX_HEAD, Request, RequestReader, Response, refuse, write, write_answer

GET = b"GET /status?all=1 HTTP/1.1\r\nHost: localhost:9464\r\nAccept: text/plain\r\naccept: */*\r\n\r\n"


def read(data: bytes) -> Request | Response | None:
    """What the machine makes of some bytes."""
    return RequestReader().receive(data)


def test_request_is_read_with_its_path_query_and_headers() -> None:
    """Names of headers in lower case, several lines of one joined."""
    assert read(GET) == Request(
        method="GET",
        path="/status",
        query="all=1",
        headers={"host": "localhost:9464", "accept": "text/plain, */*"},
    )


@pytest.mark.parametrize("cuts", [[], [1], [10, 50], [*range(len(GET))], [len(GET) - 1], [len(GET) - 4]])
def test_request_is_the_same_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    """One byte at a time, or all at once."""
    reader, found = RequestReader(), None
    places = [0, *sorted(cuts), len(GET)]
    for start, end in zip(places, places[1:]):
        assert found is None or start == end
        found = reader.receive(GET[start:end]) or found
    assert found == read(GET)


@given(some.binary(max_size=300))
def test_whatever_comes_is_a_request_a_refusal_or_not_enough(data: bytes) -> None:
    """And raises nothing."""
    for found in (read(data), read(data + b"\r\n\r\n"), read(b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n")):
        assert found is None or isinstance(found, Request) or 400 <= found.status < 600


@pytest.mark.parametrize(
    "head, status",
    [
        ("GET / HTTP/1.1", 400),
        ("GET / HTTP/2.0\r\nHost: h", 505),
        ("GET http://h/ HTTP/1.1\r\nHost: h", 400),
        ("GET  / HTTP/1.1\r\nHost: h", 400),
        ("GET /\x7f HTTP/1.1\r\nHost: h", 400),
        ("GET / HTTP/1.1\nHost: h", 400),
        ("\r\nGET / HTTP/1.1\r\nHost: h", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h", 400),
        ("GET / HTTP/1.1\r\nHost : h", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\n folded", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: a\rb", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: \u00fc", 400),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5", 413),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked", 413),
        ("GET / HTTP/1.1\r\n" + "\r\n".join(f"X{number}: y" for number in range(70)), 431),
        ("GET / HTTP/1.1\r\nX: " + "y" * MAX_HEAD, 431),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(head: str, status: int) -> None:
    """So is what is too long, and what has a body."""
    found = read(head.encode() + b"\r\n\r\n")
    assert isinstance(found, Response) and found.status == status


@given(some.lists(some.integers(0, 90), max_size=5))
def test_body_is_read_where_it_is_allowed(cuts: list[int]) -> None:
    """In whatever pieces it comes; what follows it is not read."""
    text = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\na=1&b=2GET /"
    reader, found = RequestReader(max_body=7), None
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(text)], strict=True):
        found = found or reader.receive(text[start:end])
    assert isinstance(found, Request) and (found.method, found.body) == ("POST", b"a=1&b=2")


@pytest.mark.parametrize("length", ["8", "-1", "1e3", "99999999999999", "\u0667", "0x7", "+7"])
def test_body_that_is_too_long_or_of_no_known_length_is_refused(length: str) -> None:
    """Before any of it is kept."""
    head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
    found = RequestReader(max_body=7).receive(head.encode())
    assert isinstance(found, Response) and found.status in (400, 413)


def test_head_that_does_not_end_is_refused() -> None:
    """Before more than its share of memory is used."""
    reader = RequestReader()
    found = None
    for _ in range(100):
        found = reader.receive(b"x" * 1000)
        if found is not None:
            break
    assert isinstance(found, Response) and found.status == 431 and len(reader._received) < 2 * MAX_HEAD + 2


def test_old_request_needs_no_host() -> None:
    """HTTP/1.0 has none; probes still speak it."""
    found = read(b"GET /livez HTTP/1.0\r\n\r\n")
    assert isinstance(found, Request) and found.headers == {}


def test_answer_is_written_with_its_length_and_ends_the_connection() -> None:
    """Nothing may be kept, framed or guessed; for HEAD the body is left out and its length is not."""
    answer = refuse(405, "not so", Allow="GET")
    text = write(answer)
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 405 Method Not Allowed" and body == b"not so\n"
    assert {"Content-Length: 7", "Connection: close", "Allow: GET", "Cache-Control: no-store"} <= set(lines)
    assert write(answer, head_only=True) == head + b"\r\n\r\n"


def test_talk_is_one_request_and_one_answer() -> None:
    """A refusal is an answer; a peer that goes without asking gets none; what follows the request is not read."""

    def talk(*pieces: bytes) -> bytes:
        reader = RequestReader()
        found = next(found for found in map(reader.receive, pieces) if found is not None)
        return write_answer(found, lambda request: Response(status=200, body=request.path.encode()))

    assert talk(GET[:10], GET[10:] + GET).endswith(b"\r\n\r\n/status")
    assert talk(b"HEAD /livez HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")
    assert talk(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert read(GET[:10]) is None
