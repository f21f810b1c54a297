"""The door of a supervisor, with doors of workers behind it."""

from __future__ import annotations

import selectors
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from zkrpc.admin import thread_door as module
from zkrpc.admin.guard import Guard
from zkrpc.admin.http import Request, RequestReader, Response, write_answer
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
                found = RequestReader().receive(sock.recv(4096))
                assert found is not None
                sock.sendall(write_answer(found, self._note))

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
    monkeypatch.setattr(module, "_ASK_TIMEOUT", 1.5)
    well = Worker()
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        door = open_door({"0": Endpoint("127.0.0.1", hanging.getsockname()[1]), "1": well.endpoint})
        status, text = get(door, "/metrics")
    assert status == 200 and 'zkrpc_worker_up{worker="0"} 0' in text and 'calls_total{worker="1"} 3.0' in text
    well.close()


def test_request_that_does_not_come_is_given_up(open_door: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """And told so, also one of which a part has come."""
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.3)
    door = open_door({})
    idle = [socket.create_connection((door.endpoint.host, door.endpoint.port)) for _ in range(module.THREADS + 2)]
    idle[0].sendall(b"GET /livez HTTP/1.1\r\n")
    for sock in idle:
        sock.settimeout(60)
        assert sock.recv(100).startswith(b"HTTP/1.1 408 ")
        sock.close()


def test_idle_connections_keep_nobody_away(open_door: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: the oldest are closed, and whoever asks is answered at once and not after their time."""
    monkeypatch.setattr(module, "READ_TIMEOUT", 3600.0)
    door = open_door({})
    idle = [socket.create_connection((door.endpoint.host, door.endpoint.port)) for _ in range(module.MOST_WAITING + 9)]
    for sock in idle[::2]:
        sock.sendall(b"GET /livez")
    assert get(door, "/livez") == (200, "ok\n")
    idle[0].settimeout(60)
    assert idle[0].recv(100).startswith(b"HTTP/1.1 408 ")
    for sock in idle:
        sock.close()


def test_connection_that_ends_before_its_request_is_forgotten(open_door: Open) -> None:
    """As of a scanner, or of a probe of TCP; and a request in many pieces is one request."""
    door = open_door({})
    socket.create_connection((door.endpoint.host, door.endpoint.port)).close()
    with socket.create_connection((door.endpoint.host, door.endpoint.port)) as sock:
        for byte in b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n":
            sock.sendall(bytes([byte]))
        sock.settimeout(60)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n")


def test_requests_beyond_the_queue_are_refused(open_door: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, while those before wait for workers that hang."""
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    monkeypatch.setattr(module, "THREADS", 1)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        door = open_door({"0": Endpoint("127.0.0.1", hanging.getsockname()[1])})
        asking = []
        refused = False
        while not refused and len(asking) < 50:
            sock = socket.create_connection((door.endpoint.host, door.endpoint.port))
            asking.append(sock)
            sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.settimeout(0.2)
            try:
                refused = sock.recv(100).startswith(b"HTTP/1.1 503 Service Unavailable")
            except TimeoutError:
                continue
        assert refused and len(asking) >= 3
    for sock in asking:
        sock.close()


def await_end_of_threads() -> None:
    """Waits until no door has any."""
    deadline = time.monotonic() + 60
    while any(thread.name == "zkrpc-admin" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_door_that_is_closed_before_its_threads_begin_has_none_left(
    open_door: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the machine has no time for the one that reads: nor does that one complain."""
    closed, selector = threading.Event(), selectors.DefaultSelector

    def late() -> selectors.BaseSelector:
        assert closed.wait(60)
        return selector()

    monkeypatch.setattr(selectors, "DefaultSelector", late)
    open_door({}).close()
    closed.set()
    await_end_of_threads()


def test_door_that_is_closed_has_no_threads_left(open_door: Open) -> None:
    """And no port."""
    door = open_door({})
    assert get(door, "/nowhere")[0] == 404
    door.close()
    await_end_of_threads()
    with pytest.raises(OSError):
        socket.create_connection((door.endpoint.host, door.endpoint.port)).close()
    assert "closed" in repr(door)


def test_address_that_is_taken_is_told(open_door: Open) -> None:
    """In one line, with what to do."""
    door = open_door({})
    with pytest.raises(ConfigError, match="cannot listen on .*; choose another --admin"):
        ThreadDoor(door.endpoint, Guard(), dict)
