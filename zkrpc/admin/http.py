"""What little of HTTP the admin door and the dashboard speak: one request on each connection. Pure.

It reads HTTP/1.1 and 1.0 by RFC 9112, strictly: whatever can be read in two ways is refused. A client may pipeline or
ask to keep the connection; it is told ``Connection: close`` and gets one answer.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

MAX_HEAD = 8 * 1024
"""Bytes of a request's line and headers; also the most that is kept of a request."""
MAX_HEADERS = 64
READ_TIMEOUT = 5.0
"""Seconds that a request has to come."""
ANSWER_TIMEOUT = 30.0
"""Seconds that making and sending an answer may take."""
CHUNK = 4096
"""Bytes to read at a time."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (/[!-~]*) HTTP/1\.([01])")
_TEXT = "text/plain; charset=utf-8"
_REASONS = {
    200: "OK",
    303: "See Other",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request."""

    method: str
    path: str
    """Without the query; as it was sent, percent signs and all."""
    query: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Names in lower case. Several lines of one name are joined by commas."""
    body: bytes = b""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = _TEXT
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def refuse(status: int, text: str, **headers: str) -> Response:
    """The answer that says in one line why there is no other."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, body=f"{text}\n".encode(), headers=named)


TOO_SLOW = refuse(408, "the request did not come in time")
TOO_MANY = refuse(503, "too many connections; try again")
FAILED = refuse(500, "this page failed; the log says why")


class RequestReader:
    """Reads one request. ``receive`` takes what came and returns the request, a refusal, or None while more is to
    come. A request with a body beyond ``max_body`` bytes is refused before any of it is kept."""

    def __init__(self, max_body: int = 0) -> None:
        self._received = b""
        self._max_body = max_body
        self._request: Request | None = None
        """The request, while its body is to come."""
        self._length = 0

    def __repr__(self) -> str:
        """How much has come."""
        return f"<RequestReader {len(self._received)} bytes>"

    def receive(self, data: bytes) -> Request | Response | None:
        """Takes in some bytes, at most as many as are still of use."""
        if self._request is not None:
            return self._receive_body(data)
        self._received += data[: MAX_HEAD + 1]
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD:
            return refuse(431, f"the request's head has more than {MAX_HEAD} bytes")
        if not end:
            return None
        found = _read(head)
        if isinstance(found, Response):
            return found
        length = _length_of(found, self._max_body)
        if isinstance(length, Response):
            return length
        self._request, self._length, self._received = found, length, b""
        return self._receive_body(rest)

    def _receive_body(self, data: bytes) -> Request | None:
        assert self._request is not None
        self._received += data[: self._length - len(self._received)]
        if len(self._received) < self._length:
            return None
        return dataclasses.replace(self._request, body=self._received)


def _read(head: bytes) -> Request | Response:
    try:
        line, *fields = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return refuse(400, "the request's head is not ASCII")
    found = _LINE.fullmatch(line)
    if found is None:
        if re.search(r" HTTP/[02-9]", line):
            return refuse(505, "this door speaks HTTP/1.1")
        return refuse(400, "the request's first line is not METHOD /path HTTP/1.1")
    headers = _read_headers(fields)
    if isinstance(headers, Response):
        return headers
    if found[3] == "1" and "host" not in headers:
        return refuse(400, "the request has no Host header")
    path, _, query = found[2].partition("?")
    return Request(method=found[1], path=path, query=query, headers=headers)


def _length_of(request: Request, most: int) -> int | Response:
    """The bytes of a request's body; the refusal if that is too much, or cannot be known."""
    text = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not (text.isascii() and text.isdigit() and len(text) < 12):
        return refuse(413, "the length of the request's body is not said")
    if int(text) > most:
        return refuse(413, f"a request's body may have {most} bytes here" if most else "requests here have no body")
    return int(text)


def _read_headers(fields: list[str]) -> dict[str, str] | Response:
    if len(fields) > MAX_HEADERS:
        return refuse(431, f"the request has more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        value = value.strip(" \t")
        if not colon or not _TOKEN.fullmatch(name) or not value.replace("\t", " ").isprintable():
            return refuse(400, "the request has a malformed header")
        key = name.lower()
        if key in headers and key in ("host", "content-length", "authorization", "origin"):
            return refuse(400, f"the request has two {key} headers")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def write(response: Response, *, head_only: bool = False) -> bytes:
    """An answer's bytes; for HEAD without its body."""
    length = {"Content-Length": str(len(response.body))}
    return write_head(response, length) + (b"" if head_only else response.body)


def write_head(response: Response, more: Mapping[str, str] | None = None) -> bytes:
    """The bytes before an answer's body. Without a length among the headers, the body lasts as long as the
    connection."""
    headers = {
        "Content-Type": response.content_type,
        **(more or {}),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Connection": "close",
        **response.headers,
    }
    lines = [
        f"HTTP/1.1 {response.status} {_REASONS[response.status]}",
        *(f"{name}: {headers[name]}" for name in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def write_answer(found: Request | Response, answer: Callable[[Request], Response]) -> bytes:
    """The bytes of the answer to what a :class:`RequestReader` found, a request or its refusal."""
    if isinstance(found, Response):
        return write(found)
    return write(answer(found), head_only=found.method == "HEAD")
