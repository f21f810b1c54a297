"""Pages as functions of the board."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

import zkrpc
from tests.dashboard.boards import COMPLAINT, HOSTS, NOW, REPORT, board, instance, ledger, offline, view
from tests.support.waiting import least_seconds
from zkrpc.dashboard.board import Board, ServiceBoard
from zkrpc.dashboard.pages import ROWS, Asked, Config, Pages
from zkrpc.errors import CoordinationError, RemoteProtocolError
from zkrpc.idl import Interface, load_text
from zkrpc.inspection.checks import Facts, Verdict, judge
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.registry.config_history import ConfigVersion
from zkrpc.telemetry.callers import CallersReport, InstanceCallers, sum_up
from zkrpc.telemetry.status import CallerMethodStatus, CallerStatus

STATIC = Path(zkrpc.__file__).parent / "dashboard" / "static"
idl = load_text("""
    struct User { 1: required i64 id, 2: optional string name }
    service Users { User get(1: i64 id) (zkrpc.idempotent = "true"), oneway void note(1: string text) }
    """)


class Sources:
    """An interface and a config."""

    def interface(self, service: str) -> Interface:
        if service == "silent":
            raise CoordinationError("it has published no IDL")
        found: Interface = idl.Users
        return found

    def config(self, service: str) -> Config | None:
        if service == "silent":
            return None
        old = ConfigVersion(number=2, text='{"timeout_ms": 1000}', by="ann@desk", reason="slower disks", at=NOW - 99)
        new = ConfigVersion(number=3, text='{"timeout_ms": 2000}', by="bob@desk", at=NOW)
        return Config(text='{"timeout_ms": 2000}', modified_at=NOW, versions=(new, old))

    def verdicts(self) -> Sequence[Verdict]:
        return judge(Facts())

    def callers(self, service: str) -> CallersReport:
        get = CallerMethodStatus(method="get", calls=7, errors=1, called_at=NOW)
        one = CallerStatus(
            name="billing",
            version="2.1",
            connections=1,
            max_rate=None,
            refused=0,
            calls=7,
            errors=1,
            called_at=NOW,
            methods=(get,),
        )
        told = InstanceCallers(instance="w1", started_at=NOW - 500, callers=(one,))
        return sum_up(service, [told], {"w2": "it does not answer"})


@pytest.fixture
def pages() -> Pages:
    """Pages of a ZooKeeper."""
    return Pages(HOSTS, Sources())


def text_of(html: str) -> str:
    """What a reader sees, with single spaces."""
    parts: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            parts.append(data)

    Reader().feed(html)
    return " ".join(" ".join(parts).split())


def read(pages: Pages, path: str, of: Board, query: str = "", proof: str = "") -> str:
    """The text of a page's main part."""
    page = pages.make(Asked(path=path, query=query, proof=proof), of)
    assert page.status == 200, page.body
    return text_of(page.body)


def test_every_page_names_the_command_that_tells_the_same(pages: Pages) -> None:
    """With the connect string, so that it can be copied as it is."""
    commands = {
        "/": "zkrpc ls",
        "/primaries": "zkrpc ls",
        "/events": "zkrpc watch",
        "/lint": "zkrpc doctor",
        "/services/ledger": "zkrpc explain ledger",
        "/services/ledger/primaries": "zkrpc primary ledger",
        "/services/ledger/methods": "zkrpc describe ledger",
        "/services/ledger/methods/get": "zkrpc call ledger.get",
        "/services/ledger/config": "zkrpc config show ledger",
        "/services/ledger/callers": "zkrpc ls --callers ledger",
    }
    for path, command in commands.items():
        assert command in read(pages, path, board(ledger=ledger()))
        assert f"--zookeeper {HOSTS}" in read(pages, path, board(ledger=ledger()))


def test_services_are_told_at_a_glance(pages: Pages) -> None:
    """State as a word, instances, primaries with epochs, versions."""
    text = read(pages, "/", board(ledger=ledger()))
    assert "ledger ✓ serving 3 main: w1, epoch 7 1.2 × 3" in text
    assert "Nothing is served here." in read(pages, "/", board())


def test_primary_is_shown_with_its_epoch_and_why_the_last_one_ended(pages: Pages) -> None:
    """Newest first, with who cannot lead."""
    report = dataclasses.replace(REPORT, complaints=(COMPLAINT,))
    text = read(pages, "/services/ledger/primaries", board(ledger=ledger(elections=(report,))))
    assert "✓ primary w1 at 10.0.0.1:7001, epoch 7" in text
    assert "w2 , epoch 5, for 25 h; ended: lease ended" in text
    assert "! cannot lead w3: on_elected raised OSError (4 in a row)" in text
    assert text.index("epoch 7, leads") < text.index("epoch 5")


def test_instance_that_is_not_picked_says_why(pages: Pages) -> None:
    """On the line of the instance."""
    one, two = instance(1), instance(2)
    seen = ServiceOverview(service="users", instances=(one, two), orders={"w2": offline()})
    found = ServiceBoard(overview=seen, views={"w1": view(one, "no connection: refused")})
    text = read(pages, "/services/users", board(users=found))
    assert "w1 ✗ not picked no connection: refused" in text
    assert "w2 ! offline disk 2 is full (by ann@desk)" in text


def test_text_from_elsewhere_stays_text(pages: Pages) -> None:
    """Versions, zones, reasons and ids come from whoever registers."""
    evil = '<script>alert(1)</script>"\x1b[31m\u202e'
    one = instance(1, version=evil, zone=evil)
    seen = ServiceOverview(service="users", instances=(one,))
    page = pages.make(Asked(path="/services/users"), board(users=ServiceBoard(overview=seen)))
    assert "<script>alert" not in page.body and "\x1b" not in page.body and "\u202e" not in page.body
    assert "&lt;script&gt;" in page.body
    missing = pages.make(Asked(path="/<script>"), board())
    assert missing.status == 404 and "<script>" not in missing.body


def test_thousand_instances_are_quick_and_light(pages: Pages) -> None:
    """A page shows a hundred; everything that a browser gets for it is below 60 KiB."""
    members = tuple(instance(number, zone="eu-west-1a") for number in range(1000))
    found = ServiceBoard(
        overview=ServiceOverview(service="users", instances=members), views={one.id: view(one) for one in members}
    )
    of = board(users=found)
    page = pages.make(Asked(path="/services/users"), of)
    assert least_seconds(lambda: pages.make(Asked(path="/services/users"), of)) < 1
    assert page.body.count("<tr data-key") == ROWS
    weight = len(pages.whole(page).encode()) + sum(file.stat().st_size for file in STATIC.iterdir())
    assert weight < 60 * 1024
    last = pages.make(Asked(path="/services/users", query="from=950"), of)
    assert last.body.count("<tr data-key") == 50
    for query in ("from=-1", "from=9999", "from=x", "from=" + "9" * 50, "from=%00"):
        assert pages.make(Asked(path="/services/users", query=query), of).body.count("<tr data-key") == ROWS


def test_method_has_a_console_whose_address_keeps_the_arguments(pages: Pages) -> None:
    """A template at first; then what was typed, checked by the IDL, and the same as a command line."""
    of = board(users=ledger())
    assert '"id": "<i64>"' in read(pages, "/services/users/methods/get", of)
    text = read(pages, "/services/users/methods/get", of, query="arguments=%7B%22id%22%3A+42%7D")
    assert """zkrpc call users.get '{"id": 42}' --zookeeper""" in text and "✗" not in text
    text = read(pages, "/services/users/methods/get", of, query="arguments=%7B%22id%22%3A+%22x%22%7D")
    assert "$.id" in text and "✗" in text
    assert pages.make(Asked(path="/services/users/methods/nothing"), of).status == 404


def test_callers_are_told_with_those_that_did_not_tell(pages: Pages) -> None:
    """A caller that is not seen may be one of theirs."""
    text = read(pages, "/services/users/callers", board(users=ledger()))
    assert "1 of 2 instances tell" in text and "! silent w2: it does not answer" in text
    assert "billing 2.1 get 7 1" in text


def test_share_of_the_traffic_is_told(pages: Pages) -> None:
    """In calls a second and in percent; a dash for those that do not tell."""
    text = read(pages, "/services/ledger", board(ledger=ledger(rates={"w1": 30.0, "w2": 10.0})))
    assert "30.0 75 %" in text and "10.0 25 %" in text and "– –" in text


def test_service_without_idl_or_config_says_so(pages: Pages) -> None:
    """Instead of failing."""
    of = board(silent=ledger())
    assert "it has published no IDL" in read(pages, "/services/silent/methods", of)
    assert "It has no config" in read(pages, "/services/silent/config", of)


def test_config_has_a_history_of_what_changed(pages: Pages) -> None:
    """Who, when, why, and which values."""
    text = read(pages, "/services/users/config", board(users=ledger()))
    assert '{"timeout_ms": 2000}' in text
    assert "Version 3 , 2027-01-15 08:00:00 , by bob@desk timeout_ms − 1000 + 2000" in text
    assert "by ann@desk: slower disks timeout_ms + 1000" in text


def test_lint_names_every_check(pages: Pages) -> None:
    """Those that found something first, with a remedy; those that do not know say why."""
    text = read(pages, "/lint", board())
    verdicts = judge(Facts())
    assert verdicts and all(one.check.name in text for one in verdicts)
    assert all(one.check.remedy in text for one in verdicts if one.findings)
    assert all(one.unknown in text for one in verdicts if one.unknown)


def test_nothing_can_be_done_without_actions(pages: Pages) -> None:
    """No page has a form that changes anything; with actions, those that can have one, with its proof."""
    of = board(ledger=ledger())
    for path in ("/services/ledger", "/services/ledger/primaries", "/services/ledger/methods/get"):
        assert 'method="post"' not in pages.make(Asked(path=path), of).body
        acting = pages.make(Asked(path=path, proof="p" * 64), of).body
        assert re.search(r'<form method="post" action="/actions/ledger/[a-z-]+">', acting) and "p" * 64 in acting


def test_what_an_action_has_brought_is_shown_once_as_text(pages: Pages) -> None:
    """On any page above the rest; on a method's as its answer."""
    of = board(users=ledger())
    page = pages.make(Asked(path="/services/users", answer="<b>w1</b> is told to go offline"), of)
    assert "· done <b>w1</b> is told to go offline" in text_of(page.body) and "<b>w1" not in page.body
    page = pages.make(Asked(path="/services/users/methods/get", answer='{"id": 42}'), of)
    assert 'Answer {"id": 42}' in text_of(page.body) and "· done" not in text_of(page.body)
    assert repr(pages) == "<Pages routes=10>"


def test_page_whose_source_does_not_answer_says_so(pages: Pages) -> None:
    """As a page that is not there, with the reason."""

    class Silent(Sources):
        def config(self, service: str) -> Config | None:
            raise CoordinationError("the session has been suspended")

        def verdicts(self) -> Sequence[Verdict]:
            raise CoordinationError("the session has been suspended")

    away = Pages(HOSTS, Silent())
    for path in ("/services/silent/config", "/lint", "/services/silent/methods/get"):
        page = away.make(Asked(path=path), board(silent=ledger()))
        assert page.status == 404
        assert "suspended" in page.body or "has published no IDL" in page.body
    assert pages.make(Asked(path="/services/nobody"), board()).status == 404


def test_page_of_what_makes_no_sense_says_so(pages: Pages) -> None:
    """What lies in ZooKeeper may be anything; that is no failure of the page."""

    class Scribbled(Sources):
        def interface(self, service: str) -> Interface:
            raise RemoteProtocolError("/idl/abc holds no IDL")

    made = Pages(HOSTS, Scribbled())
    for path, status in (("/services/users/methods", 200), ("/services/users/methods/get", 404)):
        page = made.make(Asked(path=path), board(users=ledger()))
        assert page.status == status and "holds no IDL" in page.body


def test_percent_signs_in_a_path_mean_the_same(pages: Pages) -> None:
    """Also for the forms on the page, which name the service."""
    for path in ("/services%2Fusers/primaries", "/services/%75sers/primaries"):
        page = pages.make(Asked(path=path, proof="proof"), board(users=ledger()))
        assert page.status == 200 and 'action="/actions/users/step-down"' in page.body


def test_version_that_clients_refused_has_no_values(pages: Pages) -> None:
    """Nor has one that removed the config; both are in the history."""

    class Odd(Sources):
        def config(self, service: str) -> Config | None:
            gone = ConfigVersion(number=2, text=None, at=NOW - 9)
            bad = ConfigVersion(number=1, text='{"timeout_ms": "soon"}', at=NOW - 99)
            return Config(text="{}", modified_at=NOW, versions=(gone, bad))

    text = text_of(Pages(HOSTS, Odd()).make(Asked(path="/services/users/config"), board(users=ledger())).body)
    assert "Version 2" in text and "removed" in text and "Version 1" in text


def test_page_that_may_be_out_of_date_says_so(pages: Pages) -> None:
    """And shows what was known last."""
    of = dataclasses.replace(board(ledger=ledger()), trouble="the session has been suspended for 3 s")
    text = read(pages, "/", of)
    assert "not up to date the session has been suspended for 3 s" in text and "ledger" in text
