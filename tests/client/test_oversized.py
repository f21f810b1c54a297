"""One call's fault is its own: what is too large, or cannot be encoded, costs no neighbour anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.config import ClientConfig, ServerConfig, WireLimits
from zkrpc.errors import Executed, Rejected, RemoteError, TooLarge

IDL = zkrpc.load(Path(__file__).with_name("blob.thrift"))
SMALL, LARGE = WireLimits(max_frame=200_000), WireLimits(max_frame=16 << 20)


class Handler:
    """Notes what it was given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.slow_ones = 0
        self.go_on = gevent.event.Event()

    def size(self, data: bytes) -> int:
        self.sizes.append(len(data))
        return len(data)

    def make(self, size: int) -> bytes:
        self.sizes.append(size)
        return bytes(size)

    def slow(self, text: str) -> str:
        self.slow_ones += 1
        self.go_on.wait(30)
        return text

    def count(self, parts: Any) -> int:
        return len(parts)

    def drop(self, data: bytes) -> None:
        self.sizes.append(len(data))


@contextmanager
def served(limits: WireLimits = SMALL) -> Iterator[tuple[Handler, str]]:
    """A server on loopback, and where it is."""
    handler = Handler()
    app = zkrpc.serve(zkrpc.Service(IDL.Blob, handler, "blob", config=ServerConfig(wire=limits, linger=0.0)))
    try:
        yield handler, str(app.endpoint)
    finally:
        app.kill()


@pytest.fixture
def connected(world: World) -> Callable[..., Any]:
    """Makes stubs."""

    def make(*places: str, dialect: str = "zkrpc", limits: WireLimits = LARGE) -> Any:
        config = ClientConfig(wire=limits, plain_connections=8)
        return world.connect(IDL.Blob, list(places), dialect=dialect, config=config)

    return make


FAULTS: dict[str, tuple[Callable[[Any], Any], type[Exception], str, Executed | None]] = {
    "request": (lambda stub: stub.size(bytes(300_000)), TooLarge, r"3000.. bytes .* max_frame 200000", Executed.NO),
    "oneway": (lambda stub: stub.drop(bytes(300_000)), TooLarge, r"3000.. bytes .* max_frame 200000", Executed.NO),
    "own limit": (lambda stub: stub.size(bytes(17 << 20)), TooLarge, r"client's max_frame 16777216", Executed.NO),
    "reply": (lambda stub: stub.make(300_000), RemoteError, r"3000.. bytes is over max_frame 200000", Executed.YES),
    "headers": (
        lambda stub: stub.options(headers={"k": "v" * 9000}).size(b""),
        TooLarge,
        "headers of 90.. bytes are over max_header 8192",
        Executed.NO,
    ),
    "entries": (
        lambda stub: stub.options(headers={str(number): "" for number in range(70)}).size(b""),
        TooLarge,
        "71 headers are over max_header_entries 64",
        Executed.NO,
    ),
    "wrong type": (lambda stub: stub.size(3), TypeError, r"Blob.size\(\) argument 'data'", None),
    "no text": (lambda stub: stub.slow("\ud800"), TypeError, "Blob.slow.text must be text", None),
    "too large a number": (lambda stub: stub.make(1 << 40), TypeError, r"Blob.make\(\) argument 'size'", None),
    "number inside": (
        lambda stub: stub.count([IDL.Part(name="a", size=1 << 40)]),
        TypeError,
        r"Blob.count\(\): Part.size must be an i32",
        None,
    ),
    "required field": (
        lambda stub: stub.count([IDL.Part(size=1)]),
        TypeError,
        r"Blob.count\(\): Part.name is required",
        None,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_one_call_costs_its_neighbours_nothing(fault: str, connected: Callable[..., Any]) -> None:
    """It alone fails, in words, and says that it did not run; those in flight on the same connection go on."""
    act, kind, words, executed = FAULTS[fault]
    with served() as (handler, place), connected(place) as stub:
        neighbours = [gevent.spawn(stub.slow, str(number)) for number in range(5)]
        eventually(lambda: handler.slow_ones == 5)
        with pytest.raises(kind, match=words) as caught:
            act(stub)
        assert getattr(caught.value, "executed", None) is executed
        assert handler.sizes == ([300_000] if executed is Executed.YES else [])
        handler.go_on.set()
        gevent.joinall(neighbours, timeout=60)
        assert [one.value for one in neighbours] == list("01234")
        assert stub.size(b"still here") == 10


@pytest.mark.parametrize("size", [130_000, 300_000])
def test_first_call_of_a_connection_may_be_too_large(size: int, connected: Callable[..., Any]) -> None:
    """What the server takes is not known yet; nobody need have called before."""
    with served(WireLimits(max_frame=100_000)) as (handler, place), connected(place) as stub:
        with pytest.raises(TooLarge, match="max_frame 100000") as caught:
            stub.size(bytes(size))
        assert (caught.value.executed, handler.sizes) == (Executed.NO, [])


@pytest.mark.parametrize("dialect", ["theader", "framed"])
def test_server_refuses_what_a_foreign_client_sends_too_large(dialect: str, connected: Callable[..., Any]) -> None:
    """Such a client cannot know; the server reads who calls, answers that call, and lets the rest of it go."""
    with served() as (handler, place), connected(place, dialect=dialect) as stub:
        for _ in range(3):
            with pytest.raises(Rejected if dialect == "theader" else RemoteError, match="over this server's max_frame"):
                stub.size(bytes(3_000_000))
            assert stub.size(b"next") == 4
        assert handler.sizes == [4, 4, 4]


@pytest.mark.parametrize("dialect", ["zkrpc", "theader", "framed"])
def test_reply_over_the_clients_own_limit_is_an_error_of_that_call(dialect: str, connected: Callable[..., Any]) -> None:
    """A zkrpc server knows the limit and does not send it; of others it is let go."""
    with served(LARGE) as (handler, place), connected(place, dialect=dialect, limits=SMALL) as stub:
        neighbours = [gevent.spawn(stub.slow, str(number)) for number in range(5)]
        eventually(lambda: handler.slow_ones == 5)
        with pytest.raises(RemoteError, match="over .*max_frame 200000") as caught:
            stub.make(3_000_000)
        assert caught.value.executed is Executed.YES
        handler.go_on.set()
        gevent.joinall(neighbours, timeout=60)
        assert [one.value for one in neighbours] == list("01234")


def test_large_call_goes_to_an_instance_that_takes_it(connected: Callable[..., Any]) -> None:
    """Limits may differ while they are being changed; the one that takes less is no worse for other calls."""
    with served(SMALL) as (_, small), served(LARGE) as (handler, large), connected(small, large) as stub:
        for _ in range(20):
            assert stub.size(bytes(300_000)) == 300_000
        assert handler.sizes == [300_000] * 20
