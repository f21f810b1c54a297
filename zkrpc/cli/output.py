"""What commands write: lines for people, one JSON object for programs, and errors as either.

Every line for people passes through :func:`tell`, since nearly all of them hold text from ZooKeeper or a peer. With
``--json`` standard output holds exactly one JSON object, whether the command succeeded or not; the exit status tells
which.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any

import click

from zkrpc.legible import legible, legible_lines
from zkrpc.registry.formats import PrimaryRecord

_LONGEST_LINE = 100_000


def tell(line: str, *, err: bool = False) -> None:
    """Writes one line for people, to standard output or standard error."""
    click.echo(legible(line, _LONGEST_LINE), err=err)


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
    elif isinstance(error, click.ClickException):
        error.show()
    else:
        # An error of ours may have several lines; foreign text in it was made legible where it came in.
        click.echo(f"zkrpc: {legible_lines(message)}", err=True)


def plain_primary(record: PrimaryRecord | None) -> dict[str, Any] | None:
    """A primary as a JSON value; an endpoint is ``host:port`` wherever a command shows one."""
    if record is None:
        return None
    return {"epoch": record.epoch, "instance": record.instance, "endpoint": str(record.endpoint)}


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
