"""What the admin door answers under which path.

========  ===================================================================================================  =========
path      says                                                                                                 token
========  ===================================================================================================  =========
/livez    200 while the process gets on; 503, with why, if nothing but its end helps                           not asked
/readyz   200 while callers shall send calls to all that is served here; else 503, with why                    not asked
/metrics  everything that Prometheus asks for                                                                  asked
/status   how everything in the process stands, as one JSON object                                             asked
========  ===================================================================================================  =========

The first two are for probes, which bring no token; where one is wanted, who has none is told yes or no, and not why.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from zkrpc.admin.guard import Guard
from zkrpc.admin.http import FAILED, Request, Response, refuse
from zkrpc.telemetry.status import (
    AppStatus,
    ClientStatus,
    SessionStatus,
    Status,
    TracingStatus,
    statuses,
    statuses_here,
)

log = logging.getLogger(__name__)

Pause = Callable[[], object]
"""Lets others have their turn; to be called between pieces of long work."""
Page = Callable[[Request, Pause], Response]
WriteMetrics = Callable[[str], tuple[str, Iterable[bytes]]]
"""Given an ``Accept`` header, returns the content type, and the page in parts."""

_NAMES: dict[type[Status], str] = {
    AppStatus: "services",
    ClientStatus: "clients",
    SessionStatus: "sessions",
    TracingStatus: "tracing",
}
"""What each kind of state is called on the page of states."""
OPEN = frozenset({"/livez", "/readyz"})
"""Paths that are answered without a token."""


class Pages:
    """The pages of one door: which there are, and who gets them."""

    def __init__(self, guard: Guard, pages: Mapping[str, Page]) -> None:
        self._guard = guard
        self._pages = dict(pages)
        self._complained: set[str] = set()

    def __repr__(self) -> str:
        """The paths."""
        return f"<Pages {' '.join(self._pages)}>"

    def answer(self, request: Request, pause: Pause) -> Response:
        """The answer to one request, whatever it is. A page that fails is logged once."""
        page = self._pages.get(request.path)
        is_open = request.path in OPEN or page is None and not self._guard.token
        refusal = self._guard.refusal(request, is_open=is_open)
        if refusal is not None:
            return refusal
        if page is None:
            return refuse(404, f"there is no such page; there are {', '.join(self._pages)}")
        try:
            answer = page(request, pause)
        except Exception:
            if request.path not in self._complained:
                self._complained.add(request.path)
                log.exception("the admin page %s failed, which is logged once", request.path)
            return FAILED
        if request.path in OPEN and not self._guard.knows(request):
            return dataclasses.replace(answer, body=b"ok\n" if answer.status == 200 else b"no\n")
        return answer


def process_pages(
    write_metrics: WriteMetrics,
    ask: Callable[[], Iterator[Status]] = statuses,
    *,
    ask_here: Callable[[], Iterator[Status]] = statuses_here,
    serves: bool = False,
) -> dict[str, Page]:
    """The pages of a process of its own. ``ask`` gives the states of all that is in it, and ``ask_here`` those of the
    door's own thread, for probes, which wait for no other. If it is there to serve (``serves``), it is not ready while
    nothing is served."""

    def livez(request: Request, pause: Pause) -> Response:
        apps = [one for one in ask_here() if isinstance(one, AppStatus)]
        return verdict(reason for app in apps if not app.health.live for reason in _named(app))

    def readyz(request: Request, pause: Pause) -> Response:
        apps = [one for one in ask_here() if isinstance(one, AppStatus)]
        if serves and not apps:
            return verdict(["nothing is served yet, or any more"])
        return verdict(reason for app in apps if not app.health.ready for reason in _named(app))

    def metrics(request: Request, pause: Pause) -> Response:
        content_type, parts = write_metrics(request.headers.get("accept", ""))
        found = []
        for part in parts:
            found.append(part)
            pause()
        return Response(status=200, body=b"".join(found), content_type=content_type)

    def status(request: Request, pause: Pause) -> Response:
        found: dict[str, list[Status]] = {name: [] for name in _NAMES.values()}
        for one in ask():
            found[_NAMES[type(one)]].append(one)
            pause()
        return as_json({"pid": os.getpid(), **found})

    return {"/livez": livez, "/readyz": readyz, "/metrics": metrics, "/status": status}


def _named(app: AppStatus) -> Iterator[str]:
    return (f"{app.service}: {reason}" for reason in app.health.reasons)


def verdict(reasons: Iterable[str]) -> Response:
    """Yes if there is no reason against it; else no, with the reasons on a line each."""
    lines = list(reasons)
    if lines:
        return Response(status=503, body="".join(f"{line}\n" for line in lines).encode(errors="replace"))
    return Response(status=200, body=b"ok\n")


def as_json(document: object) -> Response:
    """A JSON object, in which values of states are objects too."""
    body = json.dumps(document, default=_plain).encode()
    return Response(status=200, body=body + b"\n", content_type="application/json")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        # Not asdict, which copies all that is below and takes ten times as long.
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
