"""The files of a throw-away ZooKeeper with TLS."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from zkrpc.credentials import FILE_VARIABLE, read_security
from zkrpc.dev.secured import issue, make_security
from zkrpc.errors import ConfigError


def test_the_file_has_what_a_client_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and passwords are the owner's alone to read; without openssl the error says what to install."""
    made = make_security(tmp_path / "security", [("eve", "evil")])
    assert read_security({FILE_VARIABLE: str(made.file)}) == made.client
    assert 'user_eve="evil"' in (made.folder / "users.jaas").read_text()
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    for file in (made.file, made.folder / "server.pem", made.folder / "users.jaas"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="openssl x509 failed"):
        issue(made.folder, "nobody", "nonsense")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="install it"):
        make_security(tmp_path / "third")
