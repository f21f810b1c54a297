"""A worker's end of the pair."""

from __future__ import annotations

import json
import socket

from zkrpc.server.startup import StartFailure
from zkrpc.server.supervisor_channel import SupervisorChannel


def test_channel_outlives_its_supervisor() -> None:
    """Telling somebody who is gone is no error, and the end is noticed at once."""
    ours, theirs = socket.socketpair()
    channel = SupervisorChannel(theirs.detach())
    channel.tell_session(7, b"\x01")
    channel.tell_bound(11)
    channel.tell_ready()
    channel.tell_done()
    assert channel.tell_failure(StartFailure("it failed", "here", final=True))
    reports = [json.loads(line) for line in ours.recv(1000).splitlines()]
    assert reports == [
        {"session": [7, "01"]},
        {"bound": 11.0},
        {"ready": True},
        {"done": True},
        {"failed": ["it failed", "here"]},
    ]
    ours.close()
    channel.wait_for_end()
    assert not channel.tell_failure(StartFailure("nobody hears it"))
    channel.tell_session(8, b"\x02")
    channel._socket.close()
