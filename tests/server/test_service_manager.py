"""What systemd is told, over a socket of the kind that it makes."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from zkrpc.server.service_manager import ServiceManager


class Moments:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["path", "abstract"])
def notified(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address, and what listens there; an abstract one is no file."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@zkrpc-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.setblocking(False)
        yield address, listener


def told(listener: socket.socket) -> list[str]:
    """What came since the last time."""
    messages = []
    with contextlib.suppress(BlockingIOError):
        while True:
            messages.append(listener.recv(4096).decode())
    return messages


def test_service_manager_hears_of_a_life(notified: tuple[str, socket.socket]) -> None:
    """Ready once all workers are, again after a reload, and not again for a worker that came back; then the stop."""
    address, listener = notified
    clock = Moments()
    manager = ServiceManager(address, clock=clock)
    manager.show("0 of 2 workers ready", settled=False, stopping=False)
    manager.show("0 of 2 workers ready", settled=False, stopping=False)
    manager.show("2 of 2 workers ready", settled=True, stopping=False)
    assert told(listener) == ["STATUS=0 of 2 workers ready", "READY=1\nSTATUS=2 of 2 workers ready"]
    manager.show("1 of 2 workers ready", settled=False, stopping=False)
    manager.show("2 of 2 workers ready", settled=True, stopping=False)
    assert told(listener) == ["STATUS=1 of 2 workers ready", "STATUS=2 of 2 workers ready"]
    clock.now = 1234.5
    manager.begin_reload()
    manager.show("2 of 2 workers ready", settled=False, stopping=False)
    manager.show("2 of 2 workers ready", settled=True, stopping=False)
    assert told(listener) == ["RELOADING=1\nMONOTONIC_USEC=1234500000", "READY=1"]
    manager.show("2 workers draining", settled=True, stopping=True)
    manager.show("0 workers draining", settled=False, stopping=True)
    assert told(listener) == ["STOPPING=1\nSTATUS=2 workers draining", "STATUS=0 workers draining"]
    assert manager.next_feed() is None and "stopping=True" in repr(manager)


def test_service_manager_is_fed_twice_in_its_time(notified: tuple[str, socket.socket]) -> None:
    """From the first look on, and as often as it is looked at then."""
    address, listener = notified
    clock = Moments()
    manager = ServiceManager(address, 10.0, clock)
    fed = []
    for _ in range(40):
        assert manager.next_feed() is not None
        manager.show("", settled=False, stopping=False)
        fed += [clock.now] * told(listener).count("WATCHDOG=1")
        clock.now += 0.5
    assert fed == [1000.0, 1005.0, 1010.0, 1015.0] and manager.next_feed() == 1020.0


@pytest.mark.parametrize(
    ("environment", "watch"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": "/run/notify"}, None),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "30000000"}, 30.0),
        ({"NOTIFY_SOCKET": "@notify", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "17"}, 30.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "16"}, None),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "1"}, 1.0),
        ({"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "vsock:2:1", "WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000"}, None),
    ],
)
def test_service_manager_is_known_by_the_environment(environment: dict[str, str], watch: float | None) -> None:
    """Which is taken: the workers are not the process that it is meant for."""
    left = {**environment, "HOME": "/root"}
    manager = ServiceManager.of(left, 17)
    assert manager.watch == watch and left == {"HOME": "/root"}
    manager = ServiceManager.of({**os.environ}, os.getpid())
    manager.show("nobody is told", settled=True, stopping=False)


def test_service_manager_that_is_gone_costs_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And the service goes on."""
    manager = ServiceManager(str(tmp_path / "nobody"))
    for number in range(3):
        manager.show(str(number), settled=True, stopping=False)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot tell the service manager how things stand: No such file or directory"
    ]
