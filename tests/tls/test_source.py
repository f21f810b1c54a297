"""The context for new connections follows its files."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tests.support.certificates import SERVER_NAMES, Files
from zkrpc.errors import ConfigError
from zkrpc.testing.clock import ManualClock
from zkrpc.tls.reloading import INTERVAL
from zkrpc.tls.settings import ServerTls
from zkrpc.tls.source import ContextSource, Reload
from zkrpc.tls.validity import earliest_end


def test_a_source_without_files_that_can_be_used_is_not_made(files: Files) -> None:
    """A start with nothing is refused."""
    with pytest.raises(ConfigError, match="nowhere.pem"):
        ContextSource(ServerTls(certificate=str(files.folder / "nowhere.pem")), ManualClock())


def test_a_folder_may_be_replaced_as_a_whole(files: Files, tmp_path: Path) -> None:
    """By a link to another one, as Kubernetes does it with its secrets."""
    clock, told = ManualClock(), list[Reload]()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        Files(tmp_path / name).issue("server", *SERVER_NAMES)
    (tmp_path / "now").symlink_to("first")
    place = tmp_path / "now" / "server"
    source = ContextSource(ServerTls(certificate=f"{place}.pem", key=f"{place}.key"), clock, told.append)
    (tmp_path / "next").symlink_to("second")
    (tmp_path / "next").replace(tmp_path / "now")
    clock.advance(INTERVAL)
    source.look()
    assert told == [Reload()]


def test_source_knows_when_its_certificate_ends(files: Files) -> None:
    """That which new connections use; a client without one has no end."""
    clock, tls = ManualClock(), files.server()
    source = ContextSource(tls, clock)
    pem = Path(tls.certificate).read_bytes()
    assert source.expires_at == earliest_end(pem) is not None
    assert ContextSource(files.client(), clock).expires_at is None


def test_new_connections_get_what_the_files_hold(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    """A bad file keeps the earlier context, is told once, and good ones are taken again."""
    clock, told = ManualClock(), list[Reload]()
    tls = files.server()
    source = ContextSource(tls, clock, told.append)
    first = source.current()
    files.issue("server", *SERVER_NAMES)
    assert source.current() is first  # a look is not due yet
    clock.advance(INTERVAL)
    second = source.current()
    assert second is not first and told == [Reload()] and "reloads=1" in repr(source)

    good = Path(tls.certificate).read_bytes()
    Path(tls.certificate).write_bytes(good[: len(good) // 2])
    for _ in range(4):
        clock.advance(INTERVAL)
        source.look()
    kept = source.current()
    os.unlink(tls.certificate)
    for _ in range(4):
        clock.advance(INTERVAL)
        assert source.current() is kept
    assert len(told) == 2 and "server.pem" in told[1].failure
    assert [record.levelno for record in caplog.records] == [logging.ERROR]

    Path(tls.certificate).write_bytes(good)
    clock.advance(INTERVAL)
    assert source.current() is not kept and told[2:] == [Reload()]
