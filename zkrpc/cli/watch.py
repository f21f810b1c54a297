"""``zkrpc watch``: services as they change.

A person at a terminal sees the tables of ``zkrpc ls`` and the latest changes below them, drawn anew at every change. In
a pipe or a file each change is one line, or with ``--json`` one object: the only command that writes several.
"""

from __future__ import annotations

import collections
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click
import gevent
from gevent.event import Event

from zkrpc.cli.completion import service_argument
from zkrpc.cli.ls import INSTANCE_COLUMNS, SERVICE_COLUMNS, headline, instance_rows, service_row
from zkrpc.cli.options import SECONDS, timeout_option, zookeeper_option
from zkrpc.cli.output import Picture, counted, live, tell, tell_json
from zkrpc.cli.registry import connected, require_members
from zkrpc.coordination import Registry
from zkrpc.errors import CoordinationError
from zkrpc.inspection.changes import Change, changes_between
from zkrpc.inspection.overview import ServiceOverview, plain_overview
from zkrpc.inspection.survey import Survey
from zkrpc.legible import moment
from zkrpc.zookeeper.operations import SessionState

_LONGEST_PAUSE = 5.0
"""Seconds until the next look, even if no watch fires."""
_PAUSE_AFTER_FAILURE = 0.5
_REDRAW = 1.0
"""Seconds between two drawings on a terminal, whose ages grow."""
_NEWS = 10
"""Changes that stay on a terminal."""
_FRESH = 5.0
"""Seconds for which a change is highlighted there."""

Seen = dict[str, ServiceOverview]


@click.command()
@service_argument(required=False)
@click.option("--for", "duration", type=SECONDS, help="Seconds after which it ends; else Ctrl-C ends it.")
@zookeeper_option
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line, the first with what there is.")
def watch(service: str | None, duration: float | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Show who joins, leaves and leads, or that of SERVICE alone, as it happens."""
    with connected(zookeeper, timeout) as registry:
        if service is not None:
            require_members(registry, service)
        looks = _Looks(registry, service, timeout)
        # Through the hub: an exception in whatever runs at that moment would be told as a mistake of the program's.
        handlers = [gevent.signal_handler(number, looks.end) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            if as_json:
                _tell_objects(looks, duration)
            elif sys.stdout.isatty():
                _draw(looks, duration)
            else:
                _tell_lines(looks, duration)
        finally:
            for handler in handlers:
                handler.cancel()
            looks.close()


class _Looks:
    """What there is, read anew whenever it may have changed."""

    def __init__(self, registry: Registry, service: str | None, timeout: float) -> None:
        self.registry = registry
        self.seen: Seen = {}
        self.trouble = ""
        """Why what was seen may be old; empty while it is not."""
        self._service = service
        self._timeout = timeout
        self._changed = Event()
        self._ended = False
        self._survey = Survey(registry, self._changed)
        registry.session.watch_state(self._changed)
        self.seen = self._look()

    def end(self) -> None:
        """Ends ``follow`` after its next look."""
        self._ended = True
        self._changed.set()

    def close(self) -> None:
        """Forgets the registry's news."""
        self.registry.session.unwatch_state(self._changed)

    def follow(self, duration: float | None, longest_pause: float = _LONGEST_PAUSE) -> Iterator[list[Change]]:
        """The changes since the last look, again and again, also when there are none; until the time is over."""
        give_up_at = float("inf") if duration is None else time.monotonic() + duration
        while not self._ended and (left := give_up_at - time.monotonic()) > 0:
            heard = self._changed.wait(min(left, longest_pause if not self.trouble else _PAUSE_AFTER_FAILURE))
            self._changed.clear()
            before = self.seen
            try:
                self.seen, self.trouble = self._look(again=not heard), ""
            except CoordinationError as error:
                self.trouble = str(error)
            yield changes_between(before, self.seen)

    def _look(self, *, again: bool = False) -> Seen:
        if self.registry.session.state is not SessionState.CONNECTED:
            raise CoordinationError(f"no connection to ZooKeeper: {self.registry.session.explain()}")
        names = self._survey.services()[0] if self._service is None else [self._service]
        return self._survey.look(names, self._timeout, again=again)


def _tell_objects(looks: _Looks, duration: float | None) -> None:
    services = {name: plain_overview(one) for name, one in looks.seen.items()}
    tell_json({"at": time.time(), "kind": "start", "services": services})
    for at, kind, change in _news(looks, duration):
        fields: dict[str, Any] = (
            {"service": "", "subject": "", "detail": change}
            if isinstance(change, str)
            else {"service": change.service, "subject": change.subject, "detail": change.detail}
        )
        tell_json({"at": at, "kind": kind, **fields})


def _tell_lines(looks: _Looks, duration: float | None) -> None:
    instances = counted(sum(len(one.instances) for one in looks.seen.values()), "instance")
    tell(f"watching {counted(len(looks.seen), 'service')} with {instances}; Ctrl-C ends it", err=True)
    for at, kind, change in _news(looks, duration):
        tell(f"{moment(at)} {change if isinstance(change, Change) else f'{kind}: {change}'}")


def _news(looks: _Looks, duration: float | None) -> Iterator[tuple[float, str, Change | str]]:
    """Each change with its time and kind; and, as texts, that ZooKeeper cannot be asked, and can again."""
    trouble = ""
    for changes in looks.follow(duration):
        at = time.time()
        if looks.trouble and not trouble:
            yield at, "suspended", looks.trouble
        elif trouble and not looks.trouble:
            yield at, "resumed", "ZooKeeper answers again"
        trouble = looks.trouble
        for change in changes:
            yield at, change.kind, change


def _draw(looks: _Looks, duration: float | None) -> None:
    news: collections.deque[tuple[float, Change]] = collections.deque(maxlen=_NEWS)
    with live() as show:
        show(_picture(looks, news))
        for changes in looks.follow(duration, _REDRAW):
            news.extend((time.time(), change) for change in changes)
            show(_picture(looks, news))


def _picture(looks: _Looks, news: collections.deque[tuple[float, Change]]) -> Picture:
    now = time.time()
    fresh = [change for at, change in news if now - at < _FRESH]
    picture = Picture()
    if looks.trouble:
        picture.add_line(f"what is shown may be old: {looks.trouble}", striking=True)
    if len(looks.seen) == 1:
        (seen,) = looks.seen.values()
        picture.add_line(headline(seen))
        rows = instance_rows(seen, now)
        picture.add_table(INSTANCE_COLUMNS, rows, {row[0] for row in rows} & _subjects(fresh, looks.seen))
    else:
        picture.add_table(
            SERVICE_COLUMNS, [service_row(one) for one in looks.seen.values()], {one.service for one in fresh}
        )
    for at, change in reversed(news):
        picture.add_line(f"{moment(at)} {change}", striking=now - at < _FRESH)
    return picture


def _subjects(fresh: list[Change], seen: Mapping[str, ServiceOverview]) -> set[str]:
    """The instances that the changes are about: those named, and who leads now."""
    named = {change.subject for change in fresh if change.kind != "primary"}
    for change in fresh:
        record = seen[change.service].primaries.get(change.subject) if change.service in seen else None
        if change.kind == "primary" and record is not None:
            named.add(record.instance)
    return named
