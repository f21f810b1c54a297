"""What commands write: lines for people, one JSON object for programs, and errors as either.

Every line for people passes through :func:`tell`, since nearly all of them hold text from ZooKeeper or a peer. With
``--json`` standard output holds exactly one JSON object, whether the command succeeded or not; the exit status tells
which.

Tables are drawn by rich where a person looks at them, and are plain columns in a pipe or a file. This is the only
module that knows rich, and it is imported when it is needed, as it costs a tenth of a second.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import click

from zkrpc.legible import legible, legible_lines

_LONGEST_LINE = 100_000
_FOLDED = 10
"""Characters to which columns may be folded."""
_GAP = 3
"""Characters between two columns."""


def tell(line: str, *, err: bool = False) -> None:
    """Writes one line for people, to standard output or standard error."""
    click.echo(legible(line, _LONGEST_LINE), err=err)


def tell_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
    """Writes a table: for a terminal as wide as that, with long cells folded; else plain columns, two spaces apart."""
    cells = [[legible(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        click.echo(_drawn(columns, cells, indent))
        return
    for line in _plain_table(columns, cells):
        click.echo(f"{indent}{line}")


def _plain_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> Iterator[str]:
    table = [list(columns), *cells]
    widths = [max(len(row[place]) for row in table) for place in range(len(columns))]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _drawn(columns: Sequence[str], cells: Sequence[Sequence[str]], indent: str) -> str:
    from rich.console import Console
    from rich.padding import Padding

    console = Console()
    with console.capture() as captured:
        console.print(Padding(_rich_table(columns, cells, console.width - len(indent)), (0, 0, 0, len(indent))))
    return captured.get().rstrip("\n")


class Fitting(NamedTuple):
    """A table as a terminal can show it."""

    columns: list[str]
    cells: list[list[str]]
    whole: int
    """How many columns are not to be folded."""
    fits: bool
    """Whether there is room for the columns, the others folded."""


def fit(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Fitting:
    """What a terminal of so many characters shows of a table: all columns, or only those that say something if there is
    no room for all. The first two, mostly a name and an address, are whole, as they are to be copied; the others may be
    folded."""
    places = list(range(len(columns)))
    whole = min(2, len(columns) - 1)
    longest = [max(len(row[place]) for row in (columns, *cells)) for place in places]
    if sum(longest) + _GAP * (len(places) - 1) > width:
        places = [place for place in places if place < whole or any(row[place] not in ("", "-") for row in cells)]
    needed = sum(longest[place] if place < whole else min(longest[place], _FOLDED) for place in places)
    return Fitting(
        columns=[columns[place] for place in places],
        cells=[[row[place] for place in places] for row in cells],
        whole=whole,
        fits=needed + _GAP * (len(places) - 1) <= width,
    )


def _rich_table(
    columns: Sequence[str], cells: Sequence[Sequence[str]], width: int, striking: Collection[str] = ()
) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = fit(columns, cells, width)
    if not shown.fits:  # lines that go on below are easier to read than columns of a few letters
        return Text("\n".join(_plain_table(shown.columns, shown.cells)), overflow="fold")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for place, column in enumerate(shown.columns):
        table.add_column(Text(column), overflow="fold", no_wrap=place < shown.whole)
    for row in shown.cells:
        # As Text, since a cell's own brackets are no markup.
        table.add_row(*map(Text, row), style="bold reverse" if row[0] in striking else "")
    return table


class Picture:
    """Lines and tables that a terminal shows together, some of them strikingly: bold and reversed, never by colour
    alone."""

    def __init__(self) -> None:
        self.parts: list[Any] = []

    def __repr__(self) -> str:
        """How many parts it has."""
        return f"<Picture of {len(self.parts)}>"

    def add_line(self, line: str, *, striking: bool = False) -> None:
        """One more line."""
        from rich.text import Text

        self.parts.append(Text(legible(line, _LONGEST_LINE), style="bold reverse" if striking else ""))

    def add_table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], striking: Collection[str] = ()) -> None:
        """One more table; its rows whose first cells are ``striking`` are shown so."""
        from rich.console import Console

        cells = [[legible(cell) for cell in row] for row in rows]
        self.parts.append(_rich_table(columns, cells, Console().width, {legible(cell) for cell in striking}))


@contextlib.contextmanager
def live() -> Iterator[Callable[[Picture], None]]:
    """Gives a function that shows a picture in the place of the one before; the last one stays."""
    from rich.console import Group
    from rich.live import Live

    # It starts no thread then, and draws when it is told to.
    with Live(auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as screen:
        yield lambda picture: screen.update(Group(*picture.parts), refresh=True)


@contextlib.contextmanager
def ending_with(status: int) -> Iterator[None]:
    """Ends the command with this exit status once the block has written its findings, also if nobody reads them to
    their end."""
    try:
        yield
    except BrokenPipeError:
        forget_output()
    sys.exit(status)


def forget_output() -> None:
    """Throws away what is in standard output's buffer, and all that would still come: its reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)


def tell_json(value: object) -> None:
    """Writes the one object for programs, as JSON that every parser reads."""
    click.echo(json.dumps(_finite(value), allow_nan=False))


def tell_error(error: Exception, status: int, *, as_json: bool) -> None:
    """Writes an expected error as ``zkrpc: what is wrong, what to do``, or the same as an object."""
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    if as_json:
        told: dict[str, Any] = {"kind": type(error).__name__, "message": message, "exit_status": status}
        alike = getattr(error, "alike", None)
        tell_json({"error": told if alike is None else {**told, "alike": list(alike)}})
    elif isinstance(error, click.UsageError):
        error.show()  # with the command's usage
    else:
        # An error of ours may have several lines; foreign text in it was made legible where it came in.
        click.echo(f"zkrpc: {legible_lines(message)}", err=True)


def several(names: Sequence[str], most: int = 3) -> str:
    """The first of the names, and how many more there are; ``-`` if there are none."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "-"


def spoken(dialects: Sequence[str]) -> list[str]:
    """The dialects without the variants of one that is named as well: ``framed`` stands for ``framed-compact``, too."""
    return [one for one in dialects if "-" not in one or one.partition("-")[0] not in dialects]


def counted(number: int, noun: str) -> str:
    """``1 instance``, ``3 instances``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _finite(value: object) -> object:
    """The value with None in the place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class LegibleFormatter(logging.Formatter):
    """Writes each record's message as one line, whatever it holds, and indents what follows: a traceback, or a stack.

    So text from elsewhere cannot pass for a record of its own. That applies to records of zkrpc and of its ZooKeeper
    client; those of the service are left as they are.
    """

    def format(self, record: logging.LogRecord) -> str:
        """As :class:`logging.Formatter`, with the message made legible."""
        if record.name.partition(".")[0] not in ("zkrpc", "kazoo"):
            return super().format(record)
        safe = logging.makeLogRecord(vars(record))
        safe.msg, safe.args = legible_lines(record.getMessage()).replace("\n", "\n  "), None
        return super().format(safe)

    def formatException(self, ei: Any) -> str:
        """The traceback, each of its lines after two spaces."""
        return "\n".join(f"  {line}" for line in legible_lines(super().formatException(ei)).split("\n"))
