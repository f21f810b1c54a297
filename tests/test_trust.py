"""Who can have written a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from zkrpc.trust import distrust

PLACE = Path("/place")
US = (os.geteuid(), os.getegid())
OTHER = (os.geteuid() + 1, os.getegid() + 1)


def status(kind: int, mode: int, user: int, group: int) -> os.stat_result:
    """What ``stat`` says of something."""
    return os.stat_result((kind | mode, 0, 0, 1, user, group, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("kind", "mode", "user", "group", "unsafe"),
    [
        (stat.S_IFREG, 0o600, *US, False),
        (stat.S_IFREG, 0o644, 0, 0, False),
        (stat.S_IFREG, 0o620, *US, True),
        (stat.S_IFREG, 0o602, 0, 0, True),
        (stat.S_IFDIR, 0o755, *US, False),
        (stat.S_IFDIR, 0o775, *US, False),
        (stat.S_IFDIR, 0o775, US[0], OTHER[1], True),
        (stat.S_IFDIR, 0o777, *US, True),
        (stat.S_IFDIR, 0o1777, 0, 0, False),
    ],
)
def test_what_others_may_write_to_is_not_trusted(kind: int, mode: int, user: int, group: int, unsafe: bool) -> None:
    """The text names the place and the command that helps."""
    wanted = "others may write to /place; say chmod go-w /place" if unsafe else ""
    assert distrust(status(kind, mode, user, group), PLACE) == wanted


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR])
def test_what_belongs_to_another_user_is_not_trusted(kind: int) -> None:
    """Whatever its mode; only root's is as good as ours."""
    text = distrust(status(kind, 0o600, *OTHER), PLACE)
    assert text == f"/place belongs to user {OTHER[0]}, not to {US[0]}; chown it, or use another place"
