"""What little of HTTP the admin door speaks: one request without a body on each connection. Pure.

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
    come."""

    def __init__(self) -> None:
        self._received = b""

    def __repr__(self) -> str:
        """How much has come."""
        return f"<RequestReader {len(self._received)} bytes>"

    def receive(self, data: bytes) -> Request | Response | None:
        """Takes in some bytes, at most as many as are still of use."""
        self._received += data[: MAX_HEAD + 1]
        head, end, _ = self._received.partition(b"\r\n\r\n")
        if len(head) > MAX_HEAD:
            return refuse(431, f"the request's head has more than {MAX_HEAD} bytes")
        return _read(head) if end else None


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
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return refuse(413, "requests to this door have no body")
    path, _, query = found[2].partition("?")
    return Request(method=found[1], path=path, query=query, headers=headers)


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
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
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
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if head_only else response.body)


def converse(receive: Callable[[], bytes], answer: Callable[[Request], Response]) -> bytes:
    """One connection's talk: reads its request with ``receive``, which gives no bytes at the end of the stream, and
    returns what to send back; nothing if the peer went before it had asked."""
    reader = RequestReader()
    while True:
        data = receive()
        if not data:
            return b""
        found = reader.receive(data)
        if isinstance(found, Request):
            return write(answer(found), head_only=found.method == "HEAD")
        if found is not None:
            return write(found)
