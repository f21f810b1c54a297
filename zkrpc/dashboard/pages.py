"""Which page is at which path, and what it says. Pure: a page is made of the board, the request, and what its sources
give.

======================================  ====================================================================
path                                    question
======================================  ====================================================================
/                                       What is served, by how many, and who leads?
/services/SERVICE                       Which instances serve it, and why is one not picked?
/services/SERVICE/primaries             Who leads, since when, and why did it change?
/services/SERVICE/methods[/METHOD]      What can be called, and what does it answer?
/services/SERVICE/callers               Who calls it, and what?
/services/SERVICE/config                What have operators set?
/primaries                              Who leads everywhere?
/events                                 What has changed?
/lint                                   What is wrong, and what helps?
======================================  ====================================================================

Each names the command that tells the same.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from markupsafe import Markup

from zkrpc.dashboard.board import Board, ServiceBoard, share_of, state_of_service, worst_first
from zkrpc.dashboard.templates import form_maker, make_environment
from zkrpc.errors import ConfigError, CoordinationError, IdlError, JsonError, RemoteProtocolError
from zkrpc.idl import Interface, Method
from zkrpc.inspection.checks import Verdict
from zkrpc.jsonform import dump, parse, read_arguments, template
from zkrpc.registry.config_history import ConfigVersion, changes_between
from zkrpc.registry.service_config import flatten, parse_service_config
from zkrpc.telemetry.callers import CallersReport

ROWS = 100
"""Instances on one page: what a reader and a browser take in at once."""
MOST_TERMS = 12
_LONGEST_ARGUMENTS = 4096
_MAX_CONFIG = 64 * 1024
_LINKS = (("/", "Services"), ("/primaries", "Primaries"), ("/events", "Events"), ("/lint", "Lint"))
_UNKNOWN = (CoordinationError, RemoteProtocolError, IdlError)
"""What sources raise if they cannot say, or if what is in ZooKeeper makes no sense."""
_NAME = r"([A-Za-z0-9_.:@-]{1,128})"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A service's config as it lies in ZooKeeper."""

    text: str
    modified_at: float
    """Wall-clock seconds since 1970."""
    versions: tuple[ConfigVersion, ...] = ()
    """What it has been, the newest first."""


class Sources(Protocol):
    """What pages ask for beside the board. Each may wait, and raises CoordinationError if there is no answer, and
    RemoteProtocolError for an answer that makes no sense."""

    def interface(self, service: str) -> Interface:
        """The published interface of a service. Raises IdlError if it cannot be read."""

    def config(self, service: str) -> Config | None:
        """The service's config; None if it has none."""

    def verdicts(self) -> Sequence[Verdict]:
        """What is wrong with ZooKeeper and the services."""

    def callers(self, service: str) -> CallersReport:
        """Who calls the service, as its instances tell it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a page is asked for."""

    path: str
    query: str = ""
    answer: str = ""
    """What an action has brought, to be shown on the page."""
    proof: str = ""
    """What forms for actions bring along; empty if there are no actions."""

    def field(self, name: str) -> str:
        """A field of the query; empty if it is not there."""
        return urllib.parse.parse_qs(self.query).get(name, [""])[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page."""

    title: str
    section: str
    """The path of the entry in the navigation that it belongs to."""
    body: str
    """The main part, as HTML."""
    live: bool = False
    """Whether its main part may change by itself."""
    status: int = 200


class Missing(Exception):
    """There is no such page."""


class Pages:
    """Makes pages."""

    def __init__(self, zookeeper: str, sources: Sources) -> None:
        self._zookeeper = zookeeper
        self._sources = sources
        self._templates = make_environment()
        self._routes: tuple[tuple[re.Pattern[str], Callable[..., Page]], ...] = tuple(
            (re.compile(pattern), page)
            for pattern, page in (
                (r"/", self._services),
                (r"/primaries", self._all_primaries),
                (r"/events", self._events),
                (r"/lint", self._lint),
                (rf"/services/{_NAME}", self._service),
                (rf"/services/{_NAME}/primaries", self._primaries),
                (rf"/services/{_NAME}/methods", self._methods),
                (rf"/services/{_NAME}/methods/{_NAME}", self._method),
                (rf"/services/{_NAME}/config", self._config),
                (rf"/services/{_NAME}/callers", self._who_calls),
            )
        )

    def __repr__(self) -> str:
        """How many kinds of pages there are."""
        return f"<Pages routes={len(self._routes)}>"

    def make(self, asked: Asked, board: Board) -> Page:
        """The page at a path; one that says so if there is none."""
        asked = dataclasses.replace(asked, path=urllib.parse.unquote(asked.path))
        for pattern, page in self._routes:
            found = pattern.fullmatch(asked.path)
            if found is not None:
                try:
                    return page(asked, board, *found.groups())
                except Missing as missing:
                    return self._missing(str(missing))
        return self._missing(f"nothing is at {asked.path}")

    def whole(self, page: Page) -> str:
        """The page as a document."""
        return self._templates.get_template("base.html").render(
            title=page.title,
            section=page.section,
            live=page.live,
            links=_LINKS,
            zookeeper=self._zookeeper,
            body=Markup(page.body),
        )

    def _render(self, file: str, asked: Asked, *, command: str, title: str, section: str, **values: Any) -> Page:
        live = values.pop("live", False)
        body = self._templates.get_template(file).render(
            title=title,
            command=f"{command} --zookeeper {shlex.quote(self._zookeeper)}",
            actions=bool(asked.proof),
            action=form_maker(asked.path, asked.proof),
            **values,
        )
        if asked.answer and "answer" not in values:
            told = Markup('<p role="status"><span class="state quiet">· done</span> {}</p>').format(asked.answer)
            body = told + Markup(body)
        return Page(title=title, section=section, body=body, live=live)

    def _missing(self, message: str) -> Page:
        body = self._templates.get_template("missing.html").render(message=message)
        return Page(title="No such page", section="", body=body, status=404)

    def _services(self, asked: Asked, board: Board) -> Page:
        rows = [(name, state_of_service(one), one.overview) for name, one in board.services.items()]
        return self._render(
            "services.html",
            asked,
            command="zkrpc ls",
            title="Services",
            section="/",
            live=True,
            rows=rows,
            strange=board.strange,
            trouble=board.trouble,
        )

    def _service(self, asked: Asked, board: Board, name: str) -> Page:
        found = _service_of(board, name)
        rows = worst_first(found)
        text = asked.field("from")
        first = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
        first = first if first < len(rows) else 0
        shown = rows[first : first + ROWS]
        return self._render(
            "service.html",
            asked,
            command=f"zkrpc explain {name}",
            title=name,
            section="/",
            live=True,
            name=name,
            state=state_of_service(found),
            seen=found.overview,
            rows=[
                (one, state, found.views.get(one.id), found.rates.get(one.id), share_of(found, one))
                for one, state in shown
            ],
            gone=found.overview.out_of_service,
            first=first,
            shown=len(shown),
            previous=max(0, first - ROWS),
            total=len(rows),
            trouble=board.trouble,
        )

    def _all_primaries(self, asked: Asked, board: Board) -> Page:
        reports = [(name, report) for name, one in board.services.items() for report in one.elections]
        return self._elections(asked, board, reports, title="Primaries", command="zkrpc ls", most=3)

    def _primaries(self, asked: Asked, board: Board, name: str) -> Page:
        reports = [(name, report) for report in _service_of(board, name).elections]
        command = f"zkrpc primary {name}"
        return self._elections(asked, board, reports, title=f"{name}: primaries", command=command, name=name)

    def _elections(
        self,
        asked: Asked,
        board: Board,
        reports: Any,
        *,
        title: str,
        command: str,
        name: str = "",
        most: int = MOST_TERMS,
    ) -> Page:
        return self._render(
            "primaries.html",
            asked,
            command=command,
            title=title,
            section="/" if name else "/primaries",
            live=True,
            name=name,
            reports=reports,
            most=most,
            trouble=board.trouble,
        )

    def _events(self, asked: Asked, board: Board) -> Page:
        return self._render(
            "events.html",
            asked,
            command="zkrpc watch",
            title="Recent events",
            section="/events",
            live=True,
            happenings=list(board.happenings),
            trouble=board.trouble,
        )

    def _methods(self, asked: Asked, board: Board, name: str) -> Page:
        _service_of(board, name)
        problem, methods = "", dict[str, Method]()
        try:
            methods = dict(self._sources.interface(name).methods)
        except _UNKNOWN as error:
            problem = str(error)
        return self._render(
            "methods.html",
            asked,
            command=f"zkrpc describe {name}",
            title=f"{name}: methods",
            section="/",
            name=name,
            methods=methods,
            problem=problem,
        )

    def _method(self, asked: Asked, board: Board, name: str, wanted: str) -> Page:
        _service_of(board, name)
        try:
            method = self._sources.interface(name).methods.get(wanted)
        except _UNKNOWN as error:
            raise Missing(str(error)) from error
        if method is None:
            raise Missing(f"{name} has no method {wanted}")
        arguments = asked.field("arguments")[:_LONGEST_ARGUMENTS]
        problem = ""
        if arguments:
            try:
                read_arguments(method, parse(arguments))
            except JsonError as error:
                problem = str(error)
        else:
            arguments = dump(template(method))
        return self._render(
            "method.html",
            asked,
            command=f"zkrpc call {name}.{wanted} {shlex.quote(arguments)}",
            title=f"{name}.{wanted}",
            section="/",
            name=name,
            label=wanted,
            method=method,
            arguments=arguments,
            problem=problem,
            answer=asked.answer,
        )

    def _who_calls(self, asked: Asked, board: Board, name: str) -> Page:
        _service_of(board, name)
        return self._render(
            "callers.html",
            asked,
            command=f"zkrpc ls --callers {name}",
            title=f"{name}: callers",
            section="/",
            live=True,
            name=name,
            report=self._sources.callers(name),
            trouble=board.trouble,
        )

    def _config(self, asked: Asked, board: Board, name: str) -> Page:
        _service_of(board, name)
        try:
            found = self._sources.config(name)
        except _UNKNOWN as error:
            raise Missing(str(error)) from error
        values: Mapping[str, Any] = dict(text=None, modified_at=None, versions=())
        return self._render(
            "config.html",
            asked,
            command=f"zkrpc config show {name}",
            title=f"{name}: config",
            section="/",
            name=name,
            **(values if found is None else _values_of(found)),
        )

    def _lint(self, asked: Asked, board: Board) -> Page:
        try:
            verdicts = list(self._sources.verdicts())
        except _UNKNOWN as error:
            raise Missing(str(error)) from error
        return self._render(
            "lint.html",
            asked,
            command="zkrpc doctor",
            title="Lint",
            section="/lint",
            live=True,
            verdicts=sorted(verdicts, key=lambda one: (not one.findings, not one.unknown)),
            trouble=board.trouble,
        )


def _values_of(config: Config) -> dict[str, Any]:
    """The config for its template: each version with what it changed."""
    olds = [*(_flat(one.text) for one in config.versions[1:]), {}]
    versions = [
        (version, changes_between(old, _flat(version.text)))
        for version, old in zip(config.versions, olds, strict=False)
    ]
    return dict(text=config.text, modified_at=config.modified_at, versions=versions)


def _flat(text: str | None) -> dict[str, Any]:
    """The values of a version; none for one that was removed, or that clients refused."""
    try:
        return {} if text is None else flatten(parse_service_config(text.encode(), max_size=_MAX_CONFIG))
    except ConfigError:
        return {}


def _service_of(board: Board, name: str) -> ServiceBoard:
    found = board.services.get(name)
    if found is None:
        raise Missing(f"there is no service {name}")
    return found
