"""The cores of the two machines, in C and in Python: the same bytes and calls give the same, and leave the same behind.
That it is right is told by the tests of the machines; here it is told that the cores do what is as usual by themselves.
"""

from __future__ import annotations

import functools
import gc
import json
import math
import random
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.mutation import chunks, mutate
from tests.support.wire_frames import BODIES, message, split_frames
from tests.wire.both import machines
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError
from zkrpc.wire.calls import templates
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.hello import hello_frame
from zkrpc.wire.message import Dialect, ProtocolState, Reply, Request, control_frame, shapes_of

LIMITS = WireLimits(accept_zlib=True, max_frame=2048, max_in_flight=6, max_elements=512)
BOTH = pytest.mark.parametrize("pure", [True, False])
HEADER, PLAIN = Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY
USUAL = pytest.mark.parametrize("dialect", [HEADER, PLAIN])
CONTROLS = (
    hello_frame(LIMITS),
    control_frame(b"zkrpc:ping", 3),
    control_frame(b"zkrpc:cancel", 1),
    control_frame(b"zkrpc:cancel", 2),
    control_frame(b"zkrpc:draining"),
)


def plainly(messages: list[Any]) -> list[Any]:
    return [(type(one).__name__, tuple(one)) for one in messages]


def outcome(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a call gives or raises."""
    try:
        return call(*args, **options)
    except LocalProtocolError as error:
        return type(error), str(error)


def forget() -> None:
    """All that was learnt, so that two runs begin alike."""
    templates.clear()
    for table in shapes_of(LIMITS.max_header, LIMITS.max_header_entries):
        table.clear()


# Servers


@functools.cache
def hostile() -> list[bytes]:
    """Bodies that lie about what is in them, as calls in every dialect."""
    bodies = json.loads((Path(__file__).parent.parent / "vectors/hostile_frames.json").read_text())["binary"]
    raw = [bytes.fromhex(one["hex"]) for one in bodies if "hex" in one]
    return [len(one).to_bytes(4, "big") + one for one in raw] + [
        message(b"f", 7, one[-1500:], dialect=dialect) for one in raw for dialect in (HEADER, PLAIN)
    ]


def stream_for_server(rng: random.Random) -> bytes:
    dialect = rng.choice((HEADER, HEADER, PLAIN, PLAIN, *Dialect))
    frames = []
    for _ in range(rng.randrange(1, 12)):
        if rng.random() < 0.15 and dialect.has_header:
            frames.append(rng.choice(CONTROLS))
            continue
        frames.append(
            message(
                rng.choice((b"echo", b"echo", b"S:get", b"zkrpc.Health:check")),
                rng.choice((1, 2, 3, -4, 5)),
                BODIES[dialect.payload] * (1 if rng.random() < 0.9 or not dialect.is_framed else 300),
                kind=MessageKind.CALL if rng.random() < 0.9 else MessageKind.ONEWAY,
                dialect=dialect,
                headers={"k": "v"} if dialect.has_header and rng.random() < 0.1 else None,
                flags=int(dialect.has_header and rng.random() < 0.05),
            )
        )
    if rng.random() < 0.15:
        frames.append(rng.choice(hostile()))
    data = b"".join(frames)
    return mutate([data], rng) if rng.random() < 0.3 else data


def server_state(server: Any) -> dict[str, Any]:
    names = "failure in_flight partial_since wants_close held_bytes last_heard_at has_news peer_is_zkrpc"
    names += " _is_whole _is_simple _room _max_frame wanted"
    return {name: getattr(server, name) for name in names.split()} | {
        "said": repr(server),
        "timer": server.next_timer(),
        "active": list(server._active),
        "ready": plainly(list(server.ready)),
        "aside": plainly(server.aside),
    }


def run_server(pure: bool, seed: int) -> list[Any]:
    """What one does with a random stream and random answers, step by step."""
    rng = random.Random(seed)
    forget()
    server = machines(pure).server.ServerProtocol(LIMITS, 0.0)
    running: list[Request] = []
    log: list[Any] = []
    for now, piece in enumerate(chunks(stream_for_server(rng), rng)):
        server.receive_data(piece, float(now))
        log.append(server_state(server))
        running += server.aside
        server.aside.clear()
        while rng.random() < 0.8 and (request := server.next_request()) is not None:
            log.append(plainly([request]))
            running.append(request)
        while running and rng.random() < 0.6:
            log.append(answer(server, running, rng))
        cancelled = server.take_cancelled() if rng.random() < 0.5 else []
        for request in cancelled:
            server.finish(request)
        log.append(plainly(cancelled))
        if rng.random() < 0.8:
            log.append(server.data_to_send())
        if rng.random() < 0.05:
            rng.choice((server.send_draining, server.send_ping, lambda: server.handle_timer(90.0), server.abandon))()
        log.append(server_state(server))
    server.receive_eof(99.0)
    return [*log, server.data_to_send(), plainly(list(iter(server.next_request, None))), server_state(server)]


def answer(server: Any, running: list[Request], rng: random.Random) -> Any:
    """One of those that run is answered, or answered again, in any way."""
    at = rng.randrange(len(running))
    request = running[at] if rng.random() < 0.1 else running.pop(at)
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        options["headers"] = rng.choice((None, {}, {"a": "b"}))
    if rng.random() < 0.5:
        options["kind"] = rng.choice((MessageKind.REPLY, MessageKind.REPLY, MessageKind.EXCEPTION))
    body = rng.choice((b"\0", b"\0", bytes(3000), BODIES[request.dialect.payload]))
    return outcome(server.send_reply, request, body, **options)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 32))
def test_servers_do_the_same_whatever_comes(seed: int) -> None:
    """Streams in all dialects, spoilt and in pieces, with any answers: step by step the same requests, bytes, refusals
    and state."""
    for one, other in zip(run_server(True, seed), run_server(False, seed), strict=True):
        assert one == other


@BOTH
@USUAL
def test_server_goes_through_its_core_alone_as_long_as_all_is_as_usual(
    pure: bool, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second request of a kind on, whole reads: nothing is asked of the machine around it, and the answers are
    those that it would have written."""
    module = machines(pure).server
    server = module.ServerProtocol(LIMITS, 0.0)
    server.receive_data(message(b"echo", 1, dialect=dialect), 1.0)
    first = server.next_request()
    assert first is not None
    server.send_reply(first, b"\0")
    expected = server.data_to_send()
    assert expected == message(b"echo", 1, b"\0", kind=MessageKind.REPLY, dialect=dialect)
    for name in ("_receive", "_send_reply", "_data_to_send"):
        monkeypatch.delattr(module.ServerProtocol, name)
    server.receive_data(message(b"echo", 1, dialect=dialect) + message(b"echo", -2, dialect=dialect), 2.0)
    assert server.last_heard_at == 2.0 and server.in_flight == 2 and not server.data_to_send()
    for _ in range(2):
        request = server.next_request()
        assert request is not None
        server.send_reply(request, b"\0", kind=MessageKind.REPLY, headers=None)
    assert server.next_request() is None and not server.in_flight
    other = message(b"echo", -2, b"\0", kind=MessageKind.REPLY, dialect=dialect)
    assert server.data_to_send() == expected + other and server.data_to_send() == b""


# Clients


def stream_for_client(ids: list[int], dialect: Dialect, rng: random.Random) -> bytes:
    frames = []
    for call_id in ids:
        if rng.random() < 0.1 and dialect.has_header:
            frames.append(rng.choice((*CONTROLS[:2], CONTROLS[4])))
        if rng.random() < 0.8:
            kind = MessageKind.REPLY if rng.random() < 0.9 else MessageKind.EXCEPTION
            body = BODIES[dialect.payload] * (1 if rng.random() < 0.9 or not dialect.is_framed else 300)
            name = b"echo" if rng.random() < 0.9 else b"get"
            frames.append(message(name, call_id, body, kind=kind, dialect=dialect))
    data = b"".join(frames)
    return mutate([data], rng) if data and rng.random() < 0.1 else data


def client_state(client: Any) -> dict[str, Any]:
    names = "failure pending is_heard draining accepts is_zkrpc last_heard_at _serial _flushed _before _latest"
    names += " _backlog _given_up _max_frame _is_whole _has_templates _pong_waits _pending wanted"
    return {name: getattr(client, name) for name in names.split()} | {
        "said": repr(client),
        "timer": client.next_timer(),
        "waiting": client.waiting(),
        "out": list(client._out),
    }


def run_client(pure: bool, seed: int) -> list[Any]:
    """What one does with random calls and answers, step by step."""
    rng = random.Random(seed)
    forget()
    dialect = rng.choice((HEADER, HEADER, HEADER, *Dialect))
    client = machines(pure).client.ClientProtocol(dialect, LIMITS, 0.0, zkrpc=rng.random() < 0.5)
    if rng.random() < 0.1:
        client._serial = client._flushed = rng.choice((2**31 - 2, 2**31 - 1, 2**31))
    log: list[Any] = []
    for step in range(rng.randrange(1, 8)):
        now, ids = float(step), []
        for _ in range(rng.randrange(5)):
            called = random_call(client, now, rng)
            ids += [called] if isinstance(called, int) else []
            log.append(called)
        if rng.random() < 0.9:
            sent = client.data_to_send()
            log.append(sent)
            if sent and rng.random() < 0.2:
                client.keep_backlog(sent)
        if rng.random() < 0.1 and ids:
            log.append(client.cancel_call(rng.choice(ids)))
        log.append(client_state(client))
        rng.shuffle(ids)
        for piece in chunks(stream_for_client(ids, dialect, rng), rng):
            log.append([(token, plainly([reply])) for token, reply in client.receive_data(piece, now)])
        if rng.random() < 0.1:
            log.append(client.handle_timer(now + rng.choice((0.0, 2.0))))
        if rng.random() < 0.1:
            log.append(client.take_back())
        log.append(client_state(client))
    return [*log, client.close(rng.choice((0, 0, 5, math.inf))), client.data_to_send(), client_state(client)]


def random_call(client: Any, now: float, rng: random.Random) -> Any:
    options: dict[str, Any] = {}
    if rng.random() < 0.2:
        options["headers"] = rng.choice((None, {}, {"a": "b"}))
    if rng.random() < 0.2:
        options["oneway"] = rng.random() < 0.3
    deadline_at = rng.choice((now + 5, now + 5.0004, now + 1, math.inf, 7, now, now - 1))
    name, body = rng.choice((b"echo", b"echo", b"S:echo", b"get")), rng.choice((b"\0", b"\0", bytes(2100)))
    at: Any = now if rng.random() < 0.9 else int(now)
    return outcome(client.send_call, name, body, f"{now} {rng.random()}", deadline_at=deadline_at, now=at, **options)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 32))
def test_clients_do_the_same_whatever_is_called_and_answered(seed: int) -> None:
    """In all dialects, with answers in any order, spoilt and in pieces, and at every end: step by step the same bytes,
    replies, refusals and state."""
    for one, other in zip(run_client(True, seed), run_client(False, seed), strict=True):
        assert one == other


@BOTH
def test_client_goes_through_its_core_alone_as_long_as_all_is_as_usual(
    pure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second call and reply of a kind on, whole reads: nothing is asked of the machine around it, and the
    bytes are those that it would have written."""
    module = machines(pure).client
    client = module.ClientProtocol(HEADER, LIMITS, 0.0, zkrpc=True)
    once = functools.partial(client.send_call, b"echo", b"\0", deadline_at=5.0, now=1.0)
    first = once("first")
    [_, sent] = split_frames(client.data_to_send())
    client.receive_data(message(b"echo", first, kind=MessageKind.REPLY), 1.0)
    for name in ("_receive", "_send_call"):
        monkeypatch.delattr(module.ClientProtocol, name)
    ids = [once("second"), once("third", headers={}, oneway=False), once("fourth", headers=None)]
    assert split_frames(client.data_to_send()) == [at_id(sent, first, one) for one in ids]
    answers = b"".join(message(b"echo", one, b"\0", kind=MessageKind.REPLY) for one in reversed(ids))
    replies = client.receive_data(answers, 2.0)
    assert [token for token, _ in replies] == ["fourth", "third", "second"] and not client.pending
    assert {type(reply) for _, reply in replies} == {Reply} and client.last_heard_at == 2.0
    assert client.data_to_send() == b""


def at_id(frame: bytes, before: int, after: int) -> bytes:
    """A call's frame with another id."""
    return frame.replace(before.to_bytes(4, "big"), after.to_bytes(4, "big"))


def test_call_that_cannot_come_before_its_answer_is_not_taken_for_sent() -> None:
    """However it was written: as long as it has not left, a reply to it breaks the connection, and it was not run."""
    for pure in (True, False):
        client = machines(pure).client.ClientProtocol(HEADER, LIMITS, 0.0, zkrpc=False)
        for _ in range(2):
            call_id = client.send_call(b"echo", b"\0", "token", deadline_at=5.0, now=1.0)
        assert client.receive_data(message(b"echo", call_id, kind=MessageKind.REPLY), 1.0) == []
        assert client.state is ProtocolState.CLOSED and "has not been sent yet" in str(client.failure)
        assert client.close() == [("token", False), ("token", False)] and client.data_to_send() == b""


# Both


def read_as_wanted(machine: Any, data: bytes, read: Callable[[bytes], Any], most: int = 80 * 1024) -> list[int]:
    """Gives the machine the bytes in reads of as many as it wants, or else at most so many; returns how many these
    were."""
    sizes: list[int] = []
    while data:
        size = machine.wanted or most
        read(data[:size])
        sizes.append(len(data[:size]))
        data = data[size:]
    return sizes


@BOTH
@USUAL
def test_long_requests_begin_where_reads_do(pure: bool, dialect: Dialect) -> None:
    """After the first that did not, each comes in a read of its own, whose bytes it keeps as they are; and when there
    are no more of them, nothing particular is wanted."""
    server = machines(pure).server.ServerProtocol(WireLimits(), 0.0)
    frames = [message(b"blob", one, bytes(65_000), dialect=dialect) for one in range(8)]
    length, given = len(frames[0]), []

    def read(data: bytes) -> None:
        server.receive_data(data, 1.0)
        while (request := server.next_request()) is not None:
            given.append((request.seqid, request.frame is data))

    sizes = read_as_wanted(server, b"".join(frames), read)
    assert sizes == [80 * 1024, 2 * length - 80 * 1024] + 6 * [length]
    assert given == [(0, False), (1, False)] + [(one, True) for one in range(2, 8)]
    assert server.wanted == length
    read(message(b"blob", 8, dialect=dialect))
    assert (server.wanted, len(given)) == (0, 9)


@BOTH
def test_long_replies_begin_where_reads_do(pure: bool) -> None:
    """At a client it is the same."""
    client = machines(pure).client.ClientProtocol(HEADER, WireLimits(), 0.0, zkrpc=True)
    ids = [client.send_call(b"blob", b"\0", one, deadline_at=5.0, now=1.0) for one in range(8)]
    client.data_to_send()
    frames = [message(b"blob", one, bytes(65_000), kind=MessageKind.REPLY) for one in ids[:7]]
    length, given = len(frames[0]), []

    def read(data: bytes) -> None:
        given.extend((token, reply.frame is data) for token, reply in client.receive_data(data, 1.0))

    sizes = read_as_wanted(client, b"".join(frames), read)
    assert sizes == [80 * 1024, 2 * length - 80 * 1024] + 5 * [length]
    assert given == [(0, False), (1, False)] + [(one, True) for one in range(2, 7)]
    assert client.wanted == length
    read(message(b"blob", ids[7], kind=MessageKind.REPLY))
    assert (client.wanted, len(given)) == (0, 8)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([10, 3000, 17_000, 40_000, 65_000, 130_000, 300_000]), max_size=12), st.data())
def test_whatever_is_read_at_once_the_same_messages_come(sizes: list[int], data: st.DataObject) -> None:
    """Long and short ones in turn: reads of what is wanted, or of less, as a socket gives, lose and change nothing, and
    no read is of more than a bound."""
    frames = [message(b"blob", one, bytes([one]) * size) for one, size in enumerate(sizes)]
    stream, short = b"".join(frames), data.draw(st.lists(st.integers(1, 100_000), max_size=8))
    for pure in (True, False):
        server = machines(pure).server.ServerProtocol(WireLimits(), 0.0)
        left, cuts, given = stream, list(short), []
        while left:
            assert 0 <= server.wanted <= 120 * 1024
            size = min(server.wanted or 64 * 1024, cuts.pop() if cuts else 1 << 20)
            server.receive_data(left[:size], 1.0)
            left = left[size:]
            while (request := server.next_request()) is not None:
                given.append(request.frame[request.offset :])
                server.finish(request)
        assert given == [bytes([one]) * size for one, size in enumerate(sizes)] and server.partial_since is None


def test_cores_that_nobody_derives_from_leave_everything() -> None:
    """They do nothing by themselves before they are told that all is as usual."""
    pure, compiled = machines(True).cores, machines(False).cores
    request = Request(b"n", 1, MessageKind.CALL, {}, b"\0", 0, HEADER, 0.0, 0, 0, None)
    for cores, error in ((pure, NotImplementedError), (compiled, AttributeError)):
        server, client = cores.ServerCore(), cores.ClientCore()
        server._out, client._out = [b"x"], [b"x"]
        for call in (
            lambda server=server: server.receive_data(b"x", 0.0),
            lambda server=server: server.send_reply(request, b"x"),
            lambda server=server: server.data_to_send(),
            lambda client=client: client.receive_data(b"x", 0.0),
            lambda client=client: client.send_call(b"n", b"x", None, deadline_at=1.0, now=0.0),
        ):
            with pytest.raises(error):
                call()
        assert client.data_to_send() == b"x"


def test_compiled_cores_refuse_what_would_harm_them() -> None:
    """Wrong numbers of arguments, wrong types, and attributes that are not there; nothing of it ends the process."""
    compiled = machines(False)
    server = compiled.server.ServerProtocol(LIMITS, 0.0)
    client = compiled.client.ClientProtocol(HEADER, LIMITS, 0.0, zkrpc=False)
    client.send_call(b"n", b"\0", None, deadline_at=5.0, now=1.0)
    for call, args in (
        (server.receive_data, (b"x",)),
        (server.send_reply, (1,) * 20),
        (server.send_reply, ()),
        (client.receive_data, ()),
        (client.send_call, (b"n", b"x")),
        (compiled.cores.ServerCore, (1,)),
        (compiled.cores.ClientCore, (1,)),
    ):
        with pytest.raises(TypeError):
            call(*args)
    server._is_simple = True
    for machine in (server, client):
        machine._out.append("text")
        with pytest.raises(TypeError):
            machine.data_to_send()
        del machine._out
        with pytest.raises(AttributeError):
            machine.data_to_send()
    raw = compiled.server.ServerProtocol.__new__(compiled.server.ServerProtocol)
    raw._is_whole = raw._is_simple = True
    assert raw.next_request() is None
    for call, args in ((raw.receive_data, (b"x", 0.0)), (raw.data_to_send, ())):
        with pytest.raises(AttributeError):
            call(*args)


@BOTH
def test_nothing_is_kept_of_calls(pure: bool) -> None:
    """Ten thousand calls later as much is held as before."""
    both = machines(pure)
    limits = WireLimits()
    server, client = both.server.ServerProtocol(limits, 0.0), both.client.ClientProtocol(
        HEADER, limits, 0.0, zkrpc=True
    )
    token, name, body = object(), bytes(b"echo" * 2), bytes(100)

    def work() -> None:
        for _ in range(120):
            for _ in range(20):
                client.send_call(name, body, token, deadline_at=5.0, now=1.0, headers=None)
            server.receive_data(client.data_to_send(), 1.0)
            while (request := server.next_request()) is not None:
                server.send_reply(request, body, kind=MessageKind.REPLY, headers=None)
            assert client.receive_data(server.data_to_send(), 1.0)[0][0] is token
            client.data_to_send()

    def held() -> tuple[int, int]:
        gc.collect()
        things = (Request, Reply, token, name, body, MessageKind.REPLY, HEADER, client._known, server._known)
        return tracemalloc.get_traced_memory()[0], sum(map(sys.getrefcount, things))

    tracemalloc.start()
    try:
        work()
        before = held()
        for _ in range(5):
            work()
        after = held()
    finally:
        tracemalloc.stop()
    assert not client.pending and not server.in_flight
    assert after[0] - before[0] < 10_000 and abs(after[1] - before[1]) < 10


def test_pure_and_compiled_cores_have_the_same_attributes() -> None:
    """Which of them is in use shows nowhere but in the time that it takes; and a machine that is gone is gone."""
    pure, compiled = machines(True).cores, machines(False).cores
    for name in ("ServerCore", "ClientCore"):
        one, other = getattr(pure, name), getattr(compiled, name)
        assert one.__module__ == "zkrpc.wire.cores" and other.__module__ == "zkrpc.wire._compiled"
        left = {"_receive", "_send_reply", "_send_call", "_data_to_send"}
        assert {it for it in dir(one) if it[:2] != "__"} - left == {it for it in dir(other) if it[:2] != "__"}
