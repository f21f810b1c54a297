"""A worker's end of the pair."""

from __future__ import annotations

import json
import socket

import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.server.startup import StartFailure
from zkrpc.server.supervisor_channel import (
    Accepted,
    AdminDoor,
    Bound,
    Milestone,
    Moved,
    OpenedSession,
    SupervisorChannel,
    Worn,
    read_report,
)


def test_channel_outlives_its_supervisor() -> None:
    """Telling somebody who is gone is no error, and the end is noticed at once."""
    ours, theirs = socket.socketpair()
    channel = SupervisorChannel(theirs.detach())
    channel.tell_session(7, b"\x01")
    channel.tell_servers("zk4:2181,[::1]:2182")
    channel.tell_bound(11)
    channel.tell_worn("it is old enough")
    channel.tell_beat()
    channel.tell_admin(Endpoint("::1", 9464))
    channel.tell_ready()
    channel.tell_accepted("ab12")
    channel.tell_done()
    assert channel.tell_failure(StartFailure("it failed", "here", final=True))
    lines = ours.recv(1000).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"session": [7, "01"]},
        {"servers": "zk4:2181,[::1]:2182"},
        {"bound": 11.0},
        {"worn": "it is old enough"},
        {"beat": True},
        {"admin": "[::1]:9464"},
        {"ready": True},
        {"accepted": "ab12"},
        {"done": True},
        {"failed": ["it failed", "here"]},
    ]
    assert [read_report(line) for line in lines] == [
        OpenedSession(7, b"\x01"),
        Moved((Endpoint("zk4", 2181), Endpoint("::1", 2182))),
        Bound(11.0),
        Worn("it is old enough"),
        Milestone.BEAT,
        AdminDoor(Endpoint("::1", 9464)),
        Milestone.READY,
        Accepted("ab12"),
        Milestone.DONE,
        StartFailure("it failed", "here"),
    ]
    ours.close()
    channel.wait_for_end()
    assert not channel.tell_failure(StartFailure("nobody hears it"))
    channel.tell_session(8, b"\x02")
    channel._socket.close()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"7",
        b"{}",
        b'{"session": [7]}',
        b'{"session": [7, "zz"]}',
        b'{"servers": ""}',
        b'{"servers": "zk4:2181,/chroot"}',
        b'{"servers": ["zk4:2181"]}',
        b'{"bound": -1.0}',
        b'{"ready": false}',
        b'{"accepted": "--bind=0"}',
        b"\xff",
    ],
)
def test_line_that_is_no_report_is_refused(line: bytes) -> None:
    """Whoever reads it can log it and go on."""
    with pytest.raises(ValueError):
        read_report(line)
