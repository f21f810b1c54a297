"""What commands write, for people and for programs; and what the log of a process looks like."""

from __future__ import annotations

import io
import json
import logging
import math

import click
import pytest

from zkrpc.cli.output import (
    LegibleFormatter,
    counted,
    ending_with,
    fit,
    several,
    spoken,
    tell,
    tell_error,
    tell_json,
    tell_table,
)
from zkrpc.errors import ConfigError

ODD = "a\x1b[2Jb\nc\u202ed"


def test_lines_for_people_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is in them, on either stream."""
    tell(ODD)
    tell(ODD, err=True)
    captured = capsys.readouterr()
    assert captured.out == captured.err == "a\\x1b[2Jb\\nc\\u202ed\n"


def test_objects_for_programs_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """Text is what it was; only what is no JSON at all, NaN and infinity, is told as nothing."""
    tell_json({"text": ODD, "numbers": (1.5, math.nan, [math.inf]), "half": "\ud800"})
    line = capsys.readouterr().out
    assert json.loads(line, parse_constant=pytest.fail) == {
        "text": ODD,
        "numbers": [1.5, None, [None]],
        "half": "\ud800",
    }
    assert line.isascii() and line.count("\n") == 1


def test_error_of_several_lines_keeps_them(capsys: pytest.CaptureFixture[str]) -> None:
    """As that of a handler with many faults; each of its lines is made safe."""
    tell_error(ConfigError("H does not fit:\n  one\x1b\n  two"), 78, as_json=False)
    assert capsys.readouterr().err == "zkrpc: H does not fit:\n  one\\x1b\n  two\n"


def logged(name: str, message: str, *arguments: object, error: Exception | None = None) -> str:
    """What a record looks like."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LegibleFormatter("%(levelname)s %(name)s: %(message)s"))
    handler.handle(
        logging.LogRecord(name, logging.INFO, "", 0, message, arguments, error and (type(error), error, None))
    )
    return stream.getvalue()


def test_record_of_ours_begins_one_line() -> None:
    """Nobody's text forges another one, not in an exception either: what is not the first line is indented."""
    assert logged("zkrpc.client", "from %s", ODD) == "INFO zkrpc.client: from a\\x1b[2Jb\n  c\\u202ed\n"
    text = logged("zkrpc.server", "it failed", error=ValueError("x\nINFO zkrpc.server: all is well\x1b[8m"))
    assert text.splitlines() == [
        "INFO zkrpc.server: it failed",
        "  ValueError: x",
        "  INFO zkrpc.server: all is well\\x1b[8m",
    ]


def test_record_of_somebody_else_is_theirs() -> None:
    """A service may log tables if it likes."""
    assert logged("myservice", "a\nb") == "INFO myservice: a\nb\n" and logged("zkrpcs", "a\nb") == "INFO zkrpcs: a\nb\n"


def test_table_in_a_pipe_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Aligned, with headings, without spaces at the ends; foreign text is made safe."""
    tell_table(("NAME", "NOTE"), [("a", "x\x1by"), ("longer", "")], indent="  ")
    assert capsys.readouterr().out == "  NAME    NOTE\n  a       x\\x1by\n  longer\n"


def test_table_on_a_terminal_is_drawn_and_its_cells_are_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folded to its width; a cell in brackets stays as it is."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")
    tell_table(("NAME", "NOTE"), [("[bold]a", "word " * 12), ("b\x1b", "-")], indent="  ")
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert "[bold]a" in lines[2] and max(map(len, lines)) <= 30 and len(lines) > 4
    assert any("b\\x1b" in line for line in lines)


INSTANCES = ("INSTANCE", "ENDPOINT", "STATE", "VERSION", "PROTOCOLS")
ROWS = [["web1-0", "10.0.0.4:9000", "serves", "-", "zkrpc theader framed"], ["w2", "10.0.0.5:9", "serves", "-", "-"]]


@pytest.mark.parametrize(
    ("width", "columns", "fits"),
    [(80, 5, True), (62, 4, True), (46, 4, True), (45, 4, False), (1, 4, False)],
)
def test_narrow_terminal_shows_what_is_told(width: int, columns: int, fits: bool) -> None:
    """First the columns go that say nothing, and then long cells are folded; where even that is too wide, it is for the
    terminal to fold lines."""
    found = fit(INSTANCES, ROWS, width)
    assert (len(found.columns), found.fits, found.whole) == (columns, fits, 2)
    assert ("VERSION" in found.columns) == (columns == 5) and len(found.cells[0]) == columns


@pytest.mark.parametrize("width", [20, 48, 80])
def test_names_and_addresses_are_whole_on_any_terminal(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that they can be copied; and nothing is missing."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    tell_table(INSTANCES, ROWS)
    out = click.unstyle(capsys.readouterr().out)
    shown = out if width > 20 else out.replace("\n", "")
    assert all(text in shown for row in ROWS for text in row[:3]) and "theader" in shown


def test_many_names_are_the_first_and_a_number() -> None:
    """So that a line stays a line."""
    assert spoken(["zkrpc", "framed-old", "framed", "compact", "binary-old"]) == [
        *("zkrpc", "framed", "compact", "binary-old")
    ]
    assert several([]) == "-" and several(["a", "b"]) == "a, b" and several(list("abcde")) == "a, b, c and 2 more"
    assert counted(1, "call") == "1 call" and counted(0, "call") == "0 calls"


def test_finding_keeps_its_status_when_nobody_reads_on(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that found something wrong says so by its status, whatever became of its text."""
    with pytest.raises(SystemExit) as ended, ending_with(1):
        tell("a finding")
    assert ended.value.code == 1 and capsys.readouterr().out == "a finding\n"
