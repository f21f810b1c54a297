"""What commands write, for people and for programs; and what the log of a process looks like."""

from __future__ import annotations

import io
import json
import logging
import math

import pytest

from zkrpc.cli.output import LegibleFormatter, plain_primary, tell, tell_error, tell_json
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.registry.formats import PrimaryRecord

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


def test_endpoint_of_a_primary_is_told_as_everywhere() -> None:
    """One shape in all outputs: ``host:port``."""
    record = PrimaryRecord(epoch=3, instance="w", endpoint=Endpoint("::1", 9))
    assert plain_primary(record) == {"epoch": 3, "instance": "w", "endpoint": "[::1]:9"} and plain_primary(None) is None


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
