"""The dashboard's door: HTTP on one port, for pages, streams of pages, and forms.

What may be asked is decided by :class:`Gate`, which is pure. A stream is an answer without an end: the server sends the
page's main part again whenever it has changed, as a server-sent event.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import hmac
import json
import logging
import re
import secrets
import time
import urllib.parse
from collections.abc import Iterator
from importlib import resources

from gevent.event import Event
from gevent.select import select
from gevent.socket import socket

from zkrpc.admin.door import Door
from zkrpc.admin.guard import Guard, make_guard
from zkrpc.admin.http import (
    ANSWER_TIMEOUT,
    Request,
    Response,
    refuse,
    write,
    write_head,
)
from zkrpc.belonging import Home
from zkrpc.coordination import Registry
from zkrpc.dashboard.actions import Actions
from zkrpc.dashboard.pages import Asked, Page, Pages
from zkrpc.dashboard.watcher import Watcher
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError

_log = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
"""Connections at once, most of them streams: one for each page that somebody looks at."""
MOST_STREAMS = 48
"""Streams at once: the other connections are left for pages, so that many open ones do not keep a new one away."""
MOST_FIELDS = 16
"""Fields of a query or a form."""
MAX_FORM = 16 * 1024
_TICK = 2.0
"""Seconds after which a stream looks whether its page has changed, without having been told."""
_HEARTBEAT = 15.0
"""Seconds of silence after which a stream sends an empty comment, by which it notices a browser whose machine has
gone; one that closes the stream is noticed within a tick."""
_MOST_SAID = 64
_PATH = re.compile(r"(?:/[A-Za-z0-9_.:@%-]+)*/?")
_COOKIE = "zkrpc-dashboard"
_HTML = "text/html; charset=utf-8"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with "no-referrer" a browser hides where our own forms come from
}
_STATIC = {"dashboard.css": "text/css; charset=utf-8", "dashboard.js": "text/javascript; charset=utf-8"}


class Gate:
    """Who may see the dashboard, and who may act. Pure.

    With a token, a browser shows it once, at ``/enter?token=…``, and gets a cookie; programs send it in
    ``Authorization: Bearer``. Whoever acts must also bring the proof that is in the forms of our own pages, and come
    from one of them.
    """

    def __init__(self, guard: Guard, *, acting: bool) -> None:
        self._guard = guard
        self._acting = acting
        self.cookie = hashlib.sha256(f"zkrpc cookie {guard.token}".encode()).hexdigest() if guard.token else ""
        """What the cookie holds: it does not give the token away."""
        self.proof = hashlib.sha256(f"zkrpc proof {guard.token}".encode()).hexdigest() if acting else ""
        """What forms bring along; empty if nothing may be done."""

    def __repr__(self) -> str:
        """What is wanted of visitors."""
        return f"<Gate {'token' if self._guard.token else 'open'}{', acting' if self._acting else ''}>"

    def refusal(self, request: Request) -> Response | None:
        """Why a request is not answered; None if it is."""
        if request.method not in ("GET", "HEAD", "POST"):
            return refuse(405, "the dashboard answers GET, HEAD and POST", Allow="GET, HEAD, POST")
        if request.path.startswith("/stream/") and request.method != "GET":
            return refuse(405, "a stream is asked for by GET", Allow="GET")
        if max(request.query.count("&"), request.body.count(b"&")) >= MOST_FIELDS:
            return refuse(400, f"the request has more than {MOST_FIELDS} fields")
        host = request.headers.get("host", "localhost")
        if not self._guard.is_known(host):
            return refuse(403, "the dashboard does not know the host that the request is for; see --host")
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        # A link on another page may lead here, as permalinks do; nothing else may come from elsewhere.
        is_link = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
        if (origin is not None and origin != f"http://{host}") or (site not in ("none", "same-origin") and not is_link):
            return refuse(403, "the dashboard does not answer pages from elsewhere")
        if request.path == "/enter":
            return None
        if self.cookie and not self._is_known(request):
            return refuse(401, "the dashboard wants its token: open /enter?token=TOKEN", WWW_Authenticate="Bearer")
        return None

    def admits(self, token: str) -> bool:
        """Whether this is the token."""
        return bool(self._guard.token) and hmac.compare_digest(token.encode(), self._guard.token.encode())

    def may_act(self, request: Request, proof: str) -> bool:
        """Whether a form may do what it says."""
        origin = request.headers.get("origin", "")
        from_us = origin == f"http://{request.headers.get('host', '')}"
        return self._acting and from_us and hmac.compare_digest(proof.encode(), self.proof.encode())

    def _is_known(self, request: Request) -> bool:
        for part in request.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == _COOKIE and hmac.compare_digest(value.encode(), self.cookie.encode()):
                return True
        return self._guard.knows(request)


class Dashboard(Door):
    """The dashboard of one registry, until it is closed. The registry stays open.

    Args:
        registry: where the services are.
        bind: ``host:port``; port 0 takes any free one.
        token: what visitors have to know; it may only be left out on loopback, and not with ``actions``.
        hosts: names of this host that requests may be for, beside addresses and ``localhost``.
        operator: who acts, for colleagues; None if nothing may be done here.

    Raises ConfigError if the address or the actions need a token and there is none, or the address is taken.
    """

    def __init__(
        self,
        registry: Registry,
        bind: str = "127.0.0.1:0",
        *,
        token: str = "",
        hosts: tuple[str, ...] = (),
        operator: str | None = None,
    ) -> None:
        place = Endpoint.parse(bind)
        if operator is not None and not token:
            raise ConfigError("actions need a token, as any page that a browser shows can reach this host")
        self._gate = Gate(make_guard(place, token, hosts), acting=operator is not None)
        home = Home("a dashboard", in_child="open one in the child", in_thread="leave it to its own thread")
        super().__init__(place, home, what="the dashboard", most=MOST_CONNECTIONS)
        self._watcher = Watcher(registry)
        self._actions = None if operator is None else Actions(registry, operator)
        self._pages = Pages(registry.hosts, self._watcher)
        self._streams = 0
        self._said: dict[str, str] = {}
        """What actions have brought, until their pages are shown; the oldest are forgotten."""
        self._watcher.start()
        self._open()

    def _shut(self) -> None:
        """Ends the watching, and with it all streams."""
        self._watcher.close()

    # -- one connection, in a greenlet of its own

    def _serve(self, sock: socket, address: object) -> None:
        with contextlib.suppress(OSError), contextlib.closing(sock):
            request = self._receive(sock, MAX_FORM)
            if request is None:
                return
            answer = request if isinstance(request, Response) else self._gate.refusal(request)
            sock.settimeout(ANSWER_TIMEOUT)
            if isinstance(request, Request) and answer is None:
                if request.path.startswith("/stream/"):
                    self._stream(sock, request)
                    return
                answer = self._answer(request)
            assert answer is not None
            sock.sendall(write(answer, head_only=isinstance(request, Request) and request.method == "HEAD"))

    def _answer(self, request: Request) -> Response:
        try:
            if request.method == "POST":
                return self._act(request)
            if request.path == "/enter":
                return self._enter(request)
            if request.path.startswith("/static/"):
                name = request.path.removeprefix("/static/")
                return _static(name) if name in _STATIC else refuse(404, "there is no such file")
            page = self._make(request.path, request.query)
            body = self._pages.whole(page).encode()
            return Response(status=page.status, body=body, content_type=_HTML, headers=_HEADERS)
        except Exception:
            _log.exception("a page of the dashboard failed: %s", request.path)
            return refuse(500, "this page failed; the dashboard's log says why")

    def _make(self, path: str, query: str) -> Page:
        _, _, rest = urllib.parse.unquote(path).partition("/services/")
        if rest:
            self._watcher.attend(rest.partition("/")[0])
        asked = Asked(path=path, query=query, proof=self._gate.proof)
        asked = dataclasses.replace(asked, answer=self._said.get(asked.field("done"), ""))
        return self._pages.make(asked, self._watcher.board)

    def _enter(self, request: Request) -> Response:
        token = urllib.parse.parse_qs(request.query).get("token", [""])[0]
        if not self._gate.admits(token):
            return refuse(401, "this is not the dashboard's token")
        cookie = f"{_COOKIE}={self._gate.cookie}; HttpOnly; SameSite=Lax; Path=/"
        return Response(status=303, headers={"Location": "/", "Set-Cookie": cookie})

    def _act(self, request: Request) -> Response:
        fields = urllib.parse.parse_qs(request.body.decode("utf-8", "replace"))
        form = {name: values[0] for name, values in fields.items()}
        if self._actions is None or not self._gate.may_act(request, form.get("proof", "")):
            return refuse(403, "nothing may be done here: the dashboard was started without --allow-actions")
        service, kind = [*request.path.split("/"), "", ""][2:4]
        subject, detail, reason = (form.get(name, "") for name in ("subject", "detail", "reason"))
        try:
            said = self._actions.do(kind, service, subject, detail, reason)
        except KeyError:
            return refuse(404, f"there is no such action: {kind}")
        _log.info("dashboard: %s %s of %s: %s", kind, subject, service, said)
        while len(self._said) >= _MOST_SAID:
            del self._said[next(iter(self._said))]
        number = secrets.token_hex(8)
        self._said[number] = said
        query = {"arguments": detail, "done": number} if detail else {"done": number}
        back = form.get("back", "")
        place = back if _PATH.fullmatch(back) else "/"
        # The page that follows is one that can be reloaded without doing it again.
        return Response(status=303, headers={"Location": f"{place}?{urllib.parse.urlencode(query)}"})

    # -- streams

    def _stream(self, sock: socket, request: Request) -> None:
        if self._streams >= MOST_STREAMS:
            sock.sendall(write(refuse(503, f"{MOST_STREAMS} pages are open and live; close one, or reload this one")))
            return
        self._streams += 1
        try:
            sock.sendall(write_head(Response(status=200, content_type="text/event-stream", headers=_HEADERS)))
            path = f"/{request.path.removeprefix('/stream/')}"
            with self._watcher.following() as changed:
                for event in self._events(sock, path, request.query, changed):
                    sock.sendall(event)
        finally:
            self._streams -= 1

    def _events(self, sock: socket, path: str, query: str, changed: Event) -> Iterator[bytes]:
        last, said_at = "", time.monotonic()
        while not self._closed and not _has_gone(sock):
            try:
                page = self._make(path, query)
            except Exception:
                _log.exception("a page of the dashboard failed: %s", path)
                return
            if page.body != last:
                last, said_at = page.body, time.monotonic()
                yield f"event: page\ndata: {json.dumps(page.body)}\n\n".encode()
            elif time.monotonic() > said_at + _HEARTBEAT:
                said_at = time.monotonic()
                yield b":\n\n"
            changed.wait(_TICK)
            changed.clear()


def _has_gone(sock: socket) -> bool:
    """Whether the browser has closed its end: it sends nothing else behind a request for a stream."""
    return bool(select([sock], [], [], 0)[0])


@functools.cache
def _static(name: str) -> Response:
    body = resources.files("zkrpc.dashboard").joinpath("static", name).read_bytes()
    return Response(status=200, body=body, content_type=_STATIC[name], headers=_HEADERS)
