"""The door of a supervisor, with doors of workers behind it."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from zkrpc.admin import thread_door as module
from zkrpc.admin.guard import Guard
from zkrpc.admin.http import Request, Response, converse
from zkrpc.admin.thread_door import ThreadDoor
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError

LOOPBACK = Endpoint("127.0.0.1", 0)
TOKEN = "0123456789abcdef"


class Worker:
    """A worker's door that says the same of every path, and remembers what it was asked."""

    def __init__(self, text: str = "calls_total 3.0\n", status: int = 200) -> None:
        self.asked: list[tuple[str, str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint("127.0.0.1", self._listener.getsockname()[1])
        self._answer = Response(status=status, body=text.encode())
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                sock.sendall(converse(lambda: sock.recv(4096), self._note))

    def _note(self, request: Request) -> Response:
        self.asked.append((request.path, request.headers.get("authorization", "")))
        return self._answer

    def close(self) -> None:
        """Answers no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


Open = Callable[..., ThreadDoor]


@pytest.fixture
def open_door() -> Iterator[Open]:
    """Opens doors that are closed with the test."""
    doors: list[ThreadDoor] = []

    def make(places: dict[str, Endpoint | None], guard: Guard = Guard()) -> ThreadDoor:
        doors.append(ThreadDoor(LOOPBACK, guard, lambda: places))
        doors[-1].start()
        return doors[-1]

    yield make
    for door in doors:
        door.close()
        door.close()


def get(door: ThreadDoor, path: str, **headers: str) -> tuple[int, str]:
    """Status and body of a page."""
    request = urllib.request.Request(f"http://{door.endpoint}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_door_asks_every_worker(open_door: Open) -> None:
    """With the token that it was asked with; one that has none yet, or does not answer, is told of."""
    well, gone = Worker(), Worker()
    gone.close()
    door = open_door({"0": well.endpoint, "1": None, "2": gone.endpoint}, Guard(token=TOKEN))
    assert get(door, "/metrics")[0] == 401 and well.asked == []
    status, text = get(door, "/metrics", Authorization=f"Bearer {TOKEN}")
    assert status == 200 and 'calls_total{worker="0"} 3.0\n' in text and 'zkrpc_worker_up{worker="1"} 0' in text
    assert well.asked == [("/metrics", f"Bearer {TOKEN}")]
    status, text = get(door, "/readyz", Authorization=f"Bearer {TOKEN}")
    assert status == 503 and text.startswith("worker 1: it has not started\nworker 2: it does not answer: ")
    assert get(door, "/readyz") == (503, "no\n") and get(door, "/livez") == (200, "ok\n")
    well.close()


def test_worker_that_hangs_takes_nothing_from_the_others(open_door: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its time, and the page comes without it."""
    monkeypatch.setattr(module, "_ASK_TIMEOUT", 0.2)
    well = Worker()
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        door = open_door({"0": Endpoint("127.0.0.1", hanging.getsockname()[1]), "1": well.endpoint})
        status, text = get(door, "/metrics")
    assert status == 200 and 'zkrpc_worker_up{worker="0"} 0' in text and 'calls_total{worker="1"} 3.0' in text
    well.close()


def test_request_that_does_not_come_is_given_up(open_door: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the door's threads may wait for such, and the door goes on."""
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.3)
    door = open_door({})
    idle = [socket.create_connection((door.endpoint.host, door.endpoint.port)) for _ in range(module.THREADS + 2)]
    assert get(door, "/livez") == (200, "ok\n")
    for sock in idle:
        sock.settimeout(60)
        assert sock.recv(100).startswith(b"HTTP/1.1 408 ")
        sock.close()


def test_door_that_is_closed_has_no_threads_left(open_door: Open) -> None:
    """And no port."""
    door = open_door({})
    assert get(door, "/nowhere")[0] == 404
    door.close()
    deadline = time.monotonic() + 60
    while any(thread.name == "zkrpc-admin" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(OSError):
        socket.create_connection((door.endpoint.host, door.endpoint.port)).close()
    assert "closed" in repr(door)


def test_address_that_is_taken_is_told(open_door: Open) -> None:
    """In one line, with what to do."""
    door = open_door({})
    with pytest.raises(ConfigError, match="cannot listen on .*; choose another --admin"):
        ThreadDoor(door.endpoint, Guard(), dict)
