"""The saved list: what is written is read, and nothing that could lie there hurts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.registry import snapshot_file
from zkrpc.registry.snapshot_file import load_snapshot, save_snapshot

MEMBERS = (
    Instance(id="a", endpoint=Endpoint("10.0.0.1", 9090), weight=2.0, zone="eu", metadata={"owner": "Zoë"}),
    Instance(id="member_b", endpoint=Endpoint("::1", 9091), started_at=5.25, shard=1),
)
SNAPSHOT = Snapshot(service="users", instances=MEMBERS, confirmed_at=7.0)


def test_saved_members_are_read_back(tmp_path: Path) -> None:
    """Everything an instance says survives; the directory is made when it is missing."""
    path = tmp_path / "cache" / "users.json"
    save_snapshot(path, SNAPSHOT)
    assert load_snapshot(path, "users") == MEMBERS
    assert os.listdir(path.parent) == ["users.json"]


def test_saving_replaces_the_file_and_keeps_the_old_one_if_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader sees the old list or the new one, and no rest is left behind."""
    path = tmp_path / "users.json"
    save_snapshot(path, SNAPSHOT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            save_snapshot(path, Snapshot(service="users", instances=MEMBERS[:1]))
    assert os.listdir(tmp_path) == ["users.json"]
    assert load_snapshot(path, "users") == MEMBERS
    save_snapshot(path, Snapshot(service="users", instances=MEMBERS[:1]))
    assert load_snapshot(path, "users") == MEMBERS[:1]


def test_saving_leaves_out_what_cannot_be_written(tmp_path: Path) -> None:
    """A foreign record that says more than we would write costs only itself."""
    odd = Instance(id="odd", endpoint=Endpoint("h", 1), protocols=("a,b",))
    save_snapshot(tmp_path / "f", Snapshot(service="users", instances=(odd, *MEMBERS)))
    assert load_snapshot(tmp_path / "f", "users") == MEMBERS


def test_saving_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What we would not read is not written."""
    monkeypatch.setattr(snapshot_file, "_MAX_FILE", 50)
    with pytest.raises(OSError, match="over 50"):
        save_snapshot(tmp_path / "f", SNAPSHOT)
    assert not os.listdir(tmp_path)


def test_a_missing_file_is_silently_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first start ever has no file, and that is no news."""
    assert load_snapshot(tmp_path / "f", "users") == ()
    assert caplog.text == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"format":2,"service":"users","members":{}}',
        b'{"format":1,"service":"other","members":{}}',
        b'{"format":1,"service":"users","members":[]}',
    ],
)
def test_a_useless_file_is_nobody_with_a_word(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Torn, foreign and hostile files are reported and otherwise absent."""
    path = tmp_path / "f"
    path.write_bytes(content)
    assert load_snapshot(path, "users") == ()
    assert "of no use" in caplog.text


def test_a_file_over_the_limit_or_no_file_at_all_is_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a huge file nor a pipe or directory in its place is read."""
    os.mkfifo(tmp_path / "pipe")
    assert load_snapshot(tmp_path / "pipe", "users") == load_snapshot(tmp_path, "users") == ()
    save_snapshot(tmp_path / "f", SNAPSHOT)
    monkeypatch.setattr(snapshot_file, "_MAX_FILE", 50)
    assert load_snapshot(tmp_path / "f", "users") == ()
    assert "not a regular file" in caplog.text and "over 50" in caplog.text


def test_one_bad_member_costs_only_itself(tmp_path: Path) -> None:
    """The others are still a start."""
    save_snapshot(tmp_path / "f", SNAPSHOT)
    document = json.loads((tmp_path / "f").read_bytes())
    document["members"].update(bad=7, gone={"serviceEndpoint": {}, "status": "DEAD"})
    (tmp_path / "f").write_text(json.dumps(document))
    assert load_snapshot(tmp_path / "f", "users") == MEMBERS


@pytest.mark.parametrize(
    ("file", "folder", "complaint"),
    [
        (0o600, 0o700, ""),
        (0o644, 0o755, ""),
        (0o600, 0o775, ""),
        (0o600, 0o1777, ""),
        (0o666, 0o700, "others may write to {file}; say chmod go-w {file}"),
        (0o602, 0o700, "others may write to {file}"),
        (0o660, 0o700, "others may write to {file}"),
        (0o600, 0o777, "others may write to {folder}; say chmod go-w {folder}"),
    ],
)
def test_saved_members_are_believed_only_if_nobody_else_can_have_written_them(
    file: int, folder: int, complaint: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who writes the list gets all calls. The log says what to do; a sticky folder, and one of our group's, will do."""
    path = tmp_path / "cache" / "users.json"
    save_snapshot(path, SNAPSHOT)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(file)
    path.parent.chmod(folder)
    assert load_snapshot(path, "users") == (() if complaint else MEMBERS)
    assert complaint.format(file=path, folder=path.parent) in caplog.text and bool(caplog.text) == bool(complaint)


def test_saving_where_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """What would not be believed is not written; nothing is left behind."""
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError, match=f"others may write to {tmp_path}; say chmod go-w {tmp_path}"):
        save_snapshot(tmp_path / "users.json", SNAPSHOT)
    assert os.listdir(tmp_path) == []


def test_saved_members_of_another_user_are_not_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody may have put them into a folder for everybody before we did. Root's are."""
    path = tmp_path / "users.json"
    save_snapshot(path, SNAPSHOT)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    believed = load_snapshot(path, "users") == MEMBERS
    assert believed == (owner == 0) and (believed or f"belongs to user {owner}, not to {owner + 1}" in caplog.text)
    if owner == 0:
        os.chown(path, 4711, -1)
        assert load_snapshot(path, "users") == () and "belongs to user 4711" in caplog.text
