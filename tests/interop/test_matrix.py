"""The matrix of other libraries: its tables, its judgement, and those of its peers that are always here."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from interop import ours
from interop.cases import NAMES, OK, Failed, Handler, Thrown, ask, calls
from interop.programs import missing
from interop.run import LOST, judge
from interop.table import CALLS_US, DIALECTS, DIRECTIONS, IS_CALLED, KNOWN, OURS, PEERS, Peer
from tests.support.processes import python
from tests.support.programs import ROOT


class Point(SimpleNamespace):
    """Any struct, and any exception, as a library might have it."""


class Error(Exception):
    """An exception with fields."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


class Refused(Error):
    """Declared."""


class Missing(Error):
    """Declared too."""


class Failure(Exception):
    """Not declared."""

    def __init__(self, kind: int) -> None:
        self.type = kind


TYPES = SimpleNamespace(Point=Point, Everything=Point, Sparse=Point, Refused=Refused, Missing=Missing)


class Client:
    """Calls the handler without a wire between."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __getattr__(self, name: str) -> object:
        if name == "added":
            raise Failure(1)
        method = getattr(self._handler, name)

        def call(*arguments: object) -> object:
            try:
                return method(*arguments)
            except ValueError:
                raise Failure(6) from None

        return call


def told(handler: Handler) -> dict[str, str]:
    """What came of each case, with this handler behind no wire."""
    return dict(ask(Client(handler), TYPES, Failure, lambda error: error.type))  # type: ignore[attr-defined]


def test_every_case_comes_out_right_where_nothing_is_between() -> None:
    """And the handler is told what the cases say, in their order."""
    handler = Handler(TYPES)
    assert told(handler) == dict.fromkeys(NAMES, OK)
    due = [(call.method, *call.arguments) for call in calls(TYPES) if call.outcome != Failed(1)]
    assert handler.seen == due and len(NAMES) == 32


def test_difference_is_told_by_field() -> None:
    """Of a struct only what differs, of a long value its beginning; a set that came as a list is a set."""

    class Wrong(Handler):
        def everything(self, value: Point) -> Point:
            return Point(**{**vars(value), "tiny": 127, "numbers": [*value.numbers]})

        def text(self, value: str) -> str:
            return value[1:]

        def names(self, value: set[str]) -> list[str]:
            return [*value]

        def lookup(self, key: int) -> int:
            raise Refused(code=1, why="no")

    wrong = {case: what for case, what in told(Wrong(TYPES)).items() if what != OK}
    assert wrong["struct"] == "everything: tiny: 127 in place of -128"
    assert wrong["after unknown"] == "text: '' in place of 'b'"
    assert len(wrong["long text"]) < 300 and "characters)" in wrong["long text"]
    assert str(Thrown("Refused", {"code": 1, "why": "no"})) in wrong["declared or a value"]
    assert set(wrong) == {"struct", "text", "long text", "after undeclared", "after unknown", "declared or a value"}


def test_tables_name_only_what_there_is() -> None:
    """Dialects, cases and peers; what our client does not speak is asked of nobody's server."""
    for peer in PEERS.values():
        assert set(peer.client) <= set(DIALECTS) and set(peer.server) <= set(OURS)
        assert len(set(peer.client)) == len(peer.client) and len(set(peer.server)) == len(peer.server)
    for row in KNOWN:
        assert row.peer in PEERS and row.direction in DIRECTIONS
        assert set(row.dialects) <= set(DIALECTS) and set(row.cases) <= set(NAMES)
    needing = Peer(name="x", title="X", client=(), server=(), needs=(("no such program", "a-package"), ("sh", "dash")))
    assert missing(needing) == ["a-package"]


def test_page_names_every_peer_what_it_needs_and_its_faults() -> None:
    """In docs/interop.md, beside every dialect."""
    page = (ROOT / "docs" / "interop.md").read_text()
    for peer in PEERS.values():
        assert f"| {peer.title} |" in page
        assert [package for _, package in peer.needs if f"`{package}`" not in page] == []
    assert [row.why for row in KNOWN if row.why not in page] == []
    assert [dialect for dialect in DIALECTS if f"`{dialect}`" not in page] == []


ALL = dict.fromkeys(NAMES, OK)


@pytest.mark.parametrize("wrong", [{}, {"i64": "1 in place of 2"}, {"what reached the handler": "less"}])
def test_cell_without_known_faults(wrong: dict[str, str]) -> None:
    """Everything that is not right has failed."""
    cell = judge("cpp", CALLS_US, "binary", {**ALL, **wrong})
    assert cell.failed == wrong and cell.known == {}
    assert cell.passed == len(NAMES) - sum(name in NAMES for name in wrong)


def test_cell_of_a_lost_connection_says_so_for_all_that_was_not_made() -> None:
    """With the reason, or without one if nobody gave it."""
    cell = judge("cpp", IS_CALLED, "binary", {"void": OK, LOST: "reset"})
    assert cell.passed == 1 and cell.failed[LOST] == "reset"
    assert {cell.failed[name] for name in NAMES[1:]} == {"was not made: reset"}
    assert set(judge("cpp", IS_CALLED, "binary", {}).failed) == set(NAMES)


def test_known_fault_must_show() -> None:
    """It is no failure while it does, and one when it is gone."""
    row = KNOWN[0]
    faulty = {**ALL, **dict.fromkeys(row.cases, "false")}
    cell = judge(row.peer, row.direction, row.dialects[0], faulty)
    assert cell.failed == {} and set(cell.known) == set(row.cases)
    gone = judge(row.peer, row.direction, row.dialects[0], ALL)
    assert set(gone.failed) == set(row.cases) and gone.known == {}
    assert all(row.why in what for what in gone.failed.values())


def test_our_servers_say_what_their_handlers_were_not_told() -> None:
    """Fewer calls, or others."""
    servers = ours.OurServers(["binary"])
    assert servers.wrong("binary").startswith("the handler saw 0 of")
    servers._handlers["binary"].seen.append(("text", "x"))
    assert servers.wrong("binary") == "the handler saw ('text', 'x') in place of ('nothing',)"


def test_python_libraries_are_green() -> None:
    """Both directions, every dialect; the command tells it as JSON, and its status is that of the run."""
    peers = [PEERS["apache-c"], PEERS["thriftpy2"]]
    with python("-m", "interop", "--json", "--peers", ",".join(peer.name for peer in peers)) as process:
        out, _ = process.communicate(timeout=120)
    result = json.loads(out)
    assert [cell for cell in result["cells"] if cell["failed"]] == [] and result["skipped"] == {}
    assert all(cell["passed"] + len(cell["known"]) == len(NAMES) for cell in result["cells"])
    assert len(result["cells"]) == sum(len(peer.client) + len(peer.server) for peer in peers)
    assert process.returncode == 0 and result["ok"]
