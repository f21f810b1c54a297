"""One connection: every waiter is answered exactly once, whatever happens to it, to its neighbours, or to the peer."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from tests.support.scripted_servers import Link, Peer, closed_port, echo, silent
from tests.support.waiting import eventually
from tests.support.wire_frames import TAKEN
from zkrpc.client.connection import Connection
from zkrpc.config import WireLimits
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConnectionLost, DeadlineExceeded, Executed, LocalProtocolError
from zkrpc.wire.keepalive import KeepalivePolicy
from zkrpc.wire.message import Dialect, Request

pytestmark = pytest.mark.usefixtures("clean")

BODY = b"\x0b\x00\x01\x00\x00\x00\x02hi\x00"


class Owner:
    """Notes what it is told."""

    def __init__(self, keepalive: KeepalivePolicy | None = None) -> None:
        self.events: list[str] = []
        self.keepalive = keepalive

    def connection_silent(self, connection: Connection) -> None:
        self.events.append("silent")

    def connection_heard(self, connection: Connection) -> None:
        self.events.append("heard")

    def connection_draining(self, connection: Connection) -> None:
        self.events.append("draining")
        connection.close_when_idle()

    def connection_closed(self, connection: Connection) -> None:
        self.events.append("closed")


@contextmanager
def connected(
    peer: Peer, dialect: Dialect = Dialect.HEADER_BINARY, *, zkrpc: bool = True, limits: WireLimits = WireLimits()
) -> Iterator[tuple[Connection, Owner]]:
    """A connection to a peer, closed at the end."""
    owner = Owner()
    connection = Connection.dial(peer.endpoint, dialect, limits, 1.0, owner, zkrpc=zkrpc)
    try:
        yield connection, owner
    finally:
        connection.close()


def ask(connection: Connection, body: bytes = BODY, *, seconds: float = 60.0, **options: Any) -> bytes:
    """One call; the reply's body."""
    reply = connection.call(b"echo", body, time.monotonic() + seconds, **options)
    assert reply is not None
    return reply.frame[reply.offset :]


@pytest.mark.parametrize("dialect", TAKEN)
def test_call_is_answered_in_every_dialect(dialect: Dialect) -> None:
    """The reply comes back to who asked."""
    with Peer() as peer, connected(peer, dialect, zkrpc=dialect.has_header) as (connection, _):
        assert ask(connection, b"\x00") == b"\x00"
        assert repr(connection) == f"<Connection {peer.endpoint} {dialect.name} open pending=0>"


def test_replies_out_of_order_reach_the_right_callers() -> None:
    """Matching is by id, not by order."""

    def answer_last_first(link: Link, request: Request) -> None:
        link.held.append(request)
        if len(link.held) == 8:
            for held in reversed(link.held):
                echo(link, held)

    with Peer(answer_last_first) as peer, connected(peer) as (connection, _):
        bodies = [bytes([8, 0, 1, 0, 0, 0, number, 0]) for number in range(8)]
        callers = [gevent.spawn(ask, connection, body) for body in bodies]
        gevent.joinall(callers, timeout=60)
        assert [caller.value for caller in callers] == bodies


def test_woken_greenlet_may_call_again_at_once() -> None:
    """A call made while replies are being handed out neither disturbs them nor waits for the next turn."""

    def chain(connection: Connection) -> int:
        return sum(len(ask(connection)) for _ in range(50))

    with Peer() as peer, connected(peer) as (connection, _):
        callers = [gevent.spawn(chain, connection) for _ in range(20)]
        gevent.joinall(callers, timeout=60)
        assert {caller.value for caller in callers} == {50 * len(BODY)}


def test_reply_in_many_small_pieces_is_put_together() -> None:
    """The loop may hand over any chunks."""

    def trickle(link: Link, request: Request) -> None:
        echo(link, request)
        for byte in link.protocol.data_to_send():
            link.sock.sendall(bytes([byte]))
            gevent.sleep(0)

    with Peer(trickle) as peer, connected(peer) as (connection, _):
        assert ask(connection) == BODY


LONG = b"\x0b\x00\x01" + (40_000).to_bytes(4, "big") + bytes(40_000) + b"\x00"


def test_long_replies_reach_their_callers_also_with_the_end_right_behind() -> None:
    """However many of them are read before one is handed out."""
    last: list[bool] = []

    def answer_two(link: Link, request: Request) -> None:
        link.held.append(request)
        if len(link.held) == 2:
            for held in link.held:
                echo(link, held)
            link.held.clear()
            if last:
                link.flush()
                link.sock.shutdown(socket.SHUT_RDWR)

    def chain(connection: Connection) -> int:
        return sum(ask(connection, LONG) == LONG for _ in range(10))

    with Peer(answer_two) as peer, connected(peer) as (connection, owner):
        callers = [gevent.spawn(chain, connection) for _ in range(4)]
        gevent.joinall(callers, timeout=60)
        assert [caller.value for caller in callers] == [10] * 4
        last.append(True)
        callers = [gevent.spawn(ask, connection, LONG) for _ in range(2)]
        gevent.joinall(callers, timeout=60)
        assert [caller.value for caller in callers] == [LONG] * 2
        eventually(lambda: owner.events == ["closed"])


def test_second_long_reply_is_looked_for_less_often_where_there_was_none() -> None:
    """A look in vain costs as much as a look: there are none for the next three."""
    reads: list[int] = []
    with Peer(lambda link, request: link.held.append(request)) as peer, connected(peer) as (connection, _):
        recv = connection._recv
        connection._recv = lambda size: reads.append(size) or recv(size)
        callers = [gevent.spawn(ask, connection) for _ in range(2)]
        eventually(lambda: len(peer.requests) == 2)
        connection._readable.stop()
        for request in peer.links[0].held:
            echo(peer.links[0], request)
        peer.links[0].flush()
        replies: list[Any] = []
        looks = []
        reads.clear()
        for _ in range(7):
            connection._read_on(replies)
            looks.append(len(reads))
        assert looks == [1, 2, 2, 2, 2, 3, 3] and len(replies) == 2
        connection._readable.start(connection._on_readable)
        connection._loop.run_callback(connection._hand_out, replies)  # in the hub
        gevent.joinall(callers, timeout=60)
        assert [caller.value for caller in callers] == [BODY] * 2


def test_large_calls_go_out_in_parts() -> None:
    """What the socket does not take at once follows when it is writable, in order."""
    with Peer() as peer, connected(peer) as (connection, _):
        big = b"\x0b\x00\x01" + (3_000_000).to_bytes(4, "big") + b"x" * 3_000_000 + b"\x00"
        callers = [gevent.spawn(ask, connection, body) for body in (big, BODY, big)]
        gevent.joinall(callers, timeout=60)
        assert [caller.value for caller in callers] == [big, BODY, big]


def test_call_over_the_frame_limit_is_refused_and_nothing_is_lost() -> None:
    """A local mistake costs neither the connection nor its neighbours."""
    with Peer() as peer, connected(peer, limits=WireLimits(max_frame=1000)) as (connection, _):
        with pytest.raises(LocalProtocolError, match="max_frame"):
            ask(connection, b"x" * 2000)
        assert ask(connection) == BODY


def test_large_call_waits_for_the_servers_word() -> None:
    """Once, and no longer than its deadline; neighbours do not wait."""
    big = b"\x0b\x00\x01" + (300_000).to_bytes(4, "big") + b"x" * 300_000 + b"\x00"
    with Peer() as peer, connected(peer) as (connection, _):
        peer.freeze()
        callers = [gevent.spawn(ask, connection, big) for _ in range(3)]
        small = gevent.spawn(ask, connection)
        with pytest.raises(DeadlineExceeded, match="whether the server takes a call of 300") as caught:
            ask(connection, big, seconds=0.5)
        assert (caught.value.executed, connection.pending) == (Executed.NO, 1)
        peer.thaw()
        gevent.joinall([*callers, small], timeout=60)
        assert [one.value for one in (*callers, small)] == [big, big, big, BODY]
        peer.freeze()
        with pytest.raises(DeadlineExceeded) as later:
            ask(connection, big, seconds=0.5)
        assert later.value.executed is Executed.MAYBE


def test_large_call_whose_connection_ends_before_the_servers_word_was_not_executed() -> None:
    """It never left."""
    with Peer() as peer, connected(peer) as (connection, _):
        peer.freeze()
        caller = gevent.spawn(ask, connection, b"x" * 300_000)
        gevent.sleep(0.01)
        connection.close()
        caller.join(60)
        assert isinstance(caller.exception, ConnectionLost) and caller.exception.executed is Executed.NO


def test_deadline_ends_the_wait_and_the_late_reply_is_dropped() -> None:
    """A call that expired cannot be answered, nor can its answer reach anyone else."""
    late: list[tuple[Link, Request]] = []

    def first_late(link: Link, request: Request) -> None:
        late.append((link, request)) if not late else echo(link, request)

    with Peer(first_late) as peer, connected(peer) as (connection, _):
        with pytest.raises(DeadlineExceeded) as caught:
            ask(connection, seconds=0.5)
        assert (caught.value.executed, caught.value.endpoint) == (Executed.MAYBE, peer.endpoint)
        link, request = late[0]
        link.reply(request, b"\x0b\x00\x01\x00\x00\x00\x04late\x00")
        link.flush()
        assert ask(connection) == BODY
        assert connection.pending == 0


def test_nearer_deadline_of_a_later_call_is_kept() -> None:
    """The one timer moves forward when it must."""
    with Peer(silent) as peer, connected(peer) as (connection, _):
        slow = gevent.spawn(ask, connection, seconds=2.0)
        gevent.sleep(0)
        with pytest.raises(DeadlineExceeded):
            ask(connection, seconds=0.02)
        assert not slow.ready()
        slow.join(60)
        assert isinstance(slow.exception, DeadlineExceeded)


def test_killed_caller_is_forgotten() -> None:
    """A reply to a greenlet that is gone is dropped."""
    with Peer(lambda link, request: link.held.append(request)) as peer, connected(peer) as (connection, _):
        caller = gevent.spawn(ask, connection)
        eventually(lambda: peer.requests)
        caller.kill()
        assert connection.pending == 0
        [link] = peer.links
        link.reply(link.held[0], BODY)
        link.flush()
        peer.script = echo
        assert ask(connection) == BODY


def test_timeout_of_the_callers_own_is_left_to_the_caller() -> None:
    """A gevent.Timeout around a call is not ours to translate, and the call is forgotten."""
    with Peer(silent) as peer, connected(peer) as (connection, _):
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.02):
            ask(connection)
        assert connection.pending == 0


def test_failing_raw_greenlet_does_not_stop_the_others() -> None:
    """An exception that arrives in the hub is reported there, and the next waiter gets its reply."""
    hub = gevent.get_hub()
    reported: list[Any] = []

    def fail(connection: Connection) -> None:
        ask(connection)
        raise KeyError("mine")

    with Peer() as peer, connected(peer) as (connection, _):
        hub.handle_error = lambda context, kind, value, trace: reported.append(kind)
        try:
            gevent.spawn_raw(fail, connection)
            caller = gevent.spawn(ask, connection)
            assert caller.get(timeout=60) == BODY
        finally:
            del hub.handle_error
    assert reported == [KeyError]


def test_peer_that_closes_ends_every_call_as_maybe_executed() -> None:
    """Bytes left us, no answer came."""
    with Peer(silent) as peer, connected(peer) as (connection, owner):
        callers = [gevent.spawn(ask, connection) for _ in range(5)]
        eventually(lambda: len(peer.requests) == 5)
        peer.cut()
        gevent.joinall(callers, timeout=60)
        errors = [caller.exception for caller in callers]
        assert all(isinstance(error, ConnectionLost) and error.executed is Executed.MAYBE for error in errors)
        assert len({id(error) for error in errors}) == 5
        assert owner.events == ["closed"]
        assert "closed" in repr(connection)


def test_reset_by_the_peer_is_a_lost_connection() -> None:
    """RST and FIN mean the same to a caller."""
    with Peer(lambda link, _: link.reset()) as peer, connected(peer) as (connection, _):
        with pytest.raises(ConnectionLost, match="connection lost"):
            ask(connection)


def test_socket_that_cannot_be_written_is_a_lost_connection() -> None:
    """Whichever way it breaks, and also for one who waits in a greenlet of its own making."""
    hub = gevent.get_hub()
    reported: list[Any] = []
    with Peer(silent) as peer, connected(peer) as (connection, _):
        waiting = gevent.spawn(ask, connection)
        gevent.spawn_raw(ask, connection)
        eventually(lambda: len(peer.requests) == 2)
        hub.handle_error = lambda context, kind, value, trace: reported.append(kind)
        try:
            connection._sock.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionLost, match="writing failed") as refused:
                ask(connection)
            waiting.join(60)
        finally:
            del hub.handle_error
        assert isinstance(waiting.exception, ConnectionLost)
        assert (waiting.exception.executed, refused.value.executed) == (Executed.MAYBE, Executed.NO)
        # gevent reports the one of its own greenlets, we report the raw one.
        assert reported == [ConnectionLost, ConnectionLost]


def test_garbage_from_the_peer_closes_the_connection_with_the_reason() -> None:
    """What cannot be framed ends this connection, and the caller reads why."""
    with Peer(lambda link, _: link.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as peer:
        with connected(peer) as (connection, owner), pytest.raises(ConnectionLost, match="HTTP") as caught:
            ask(connection)
        assert (caught.value.executed, owner.events) == (Executed.MAYBE, ["closed"])


def test_closing_ends_calls_unsent_ones_as_not_executed() -> None:
    """What never left this process certainly did not run."""
    with Peer(silent) as peer, connected(peer) as (connection, _):
        sent = gevent.spawn(ask, connection)
        eventually(lambda: peer.requests)
        # Its first turn ends with the flush still to come; closing in the same turn comes first.
        unsent = gevent.spawn(ask, connection)
        gevent.spawn(connection.close)
        gevent.joinall([sent, unsent], timeout=60)
        assert [caller.exception.executed for caller in (sent, unsent)] == [Executed.MAYBE, Executed.NO]
        with pytest.raises(ConnectionLost) as caught:
            ask(connection)
        assert caught.value.executed is Executed.NO
        connection.close()


def test_draining_peer_is_let_go_when_the_last_call_is_answered() -> None:
    """No new call goes there, those in flight are answered, and then we close."""
    with Peer(lambda link, request: link.held.append(request)) as peer, connected(peer) as (connection, owner):
        caller = gevent.spawn(ask, connection)
        eventually(lambda: peer.requests)
        [link] = peer.links
        link.drain()
        eventually(lambda: owner.events)
        assert connection.draining and not connection.closed and "draining" in repr(connection)
        with pytest.raises(ConnectionLost) as caught:
            ask(connection)
        assert caught.value.executed is Executed.NO
        link.reply(link.held[0], BODY)
        link.flush()
        assert caller.get(timeout=60) == BODY
        eventually(lambda: connection.closed)
        eventually(lambda: not peer.links)
        assert link.protocol.wants_close
        assert owner.events == ["draining", "closed"]


def test_idle_connection_to_retire_closes_at_once() -> None:
    """Nothing in flight, nothing to wait for."""
    with Peer() as peer, connected(peer) as (connection, _):
        assert ask(connection) == BODY
        gevent.sleep(0)
        connection.close_when_idle()
        assert connection.closed


def test_connection_retired_by_the_caller_it_just_woke_closes_too() -> None:
    """The last caller may say so while the replies of one read are still being handed out."""
    with Peer() as peer, connected(peer) as (connection, _):
        assert ask(connection) == BODY
        connection.close_when_idle()
        eventually(lambda: connection.closed)


def test_connection_to_retire_closes_after_its_last_call() -> None:
    """Also when that call ends by its caller leaving."""
    with Peer(silent) as peer, connected(peer) as (connection, _):
        caller = gevent.spawn(ask, connection)
        eventually(lambda: peer.requests)
        connection.close_when_idle()
        assert not connection.closed
        caller.kill()
        assert connection.closed


def test_plain_connection_is_closed_by_a_timeout() -> None:
    """A plain server's late answer could be taken for the next one."""
    with Peer(silent) as peer, connected(peer, Dialect.FRAMED_BINARY, zkrpc=False) as (connection, owner):
        with pytest.raises(DeadlineExceeded):
            ask(connection, seconds=0.5)
        assert (connection.closed, owner.events) == (True, ["closed"])


def test_oneway_call_ends_when_it_has_left() -> None:
    """Nobody waits for an answer that never comes."""
    with Peer(lambda link, request: link.protocol.finish(request)) as peer, connected(peer) as (connection, _):
        assert connection.call(b"seen", BODY, time.monotonic() + 60, oneway=True) is None
        eventually(lambda: peer.requests)
        assert connection.pending == 0


@contextmanager
def stuck_peer() -> Iterator[Endpoint]:
    """A server that accepts and never reads."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        yield Endpoint(*listener.getsockname())


def test_oneway_calls_to_a_stuck_peer_are_held_back() -> None:
    """Without an answer to wait for, the full socket is what slows a caller down."""
    with stuck_peer() as endpoint:
        connection = Connection.dial(endpoint, Dialect.HEADER_BINARY, WireLimits(), 1.0, Owner(), zkrpc=False)
        with pytest.raises(DeadlineExceeded, match="stuck"):
            for _ in range(100):
                connection.call(b"seen", b"x" * 1_000_000, time.monotonic() + 0.05, oneway=True)
        blocked = gevent.spawn(connection.call, b"seen", BODY, time.monotonic() + 60, oneway=True)
        gevent.sleep(0.01)
        connection.close()
        blocked.join(60)
        assert isinstance(blocked.exception, ConnectionLost)


def test_unsent_call_that_expires_is_taken_back_as_not_executed() -> None:
    """What waits behind a full socket never left."""
    with stuck_peer() as endpoint:
        connection = Connection.dial(endpoint, Dialect.HEADER_BINARY, WireLimits(), 1.0, Owner(), zkrpc=False)
        big = gevent.spawn(ask, connection, b"x" * 4_000_000, seconds=1.5)
        more = gevent.spawn(ask, connection, b"x" * 4_000_000, seconds=1.5)
        gevent.sleep(0.02)
        with pytest.raises(DeadlineExceeded) as caught:
            ask(connection, seconds=0.05)
        assert caught.value.executed is Executed.NO
        gevent.joinall([big, more], timeout=60)
        connection.close()


def test_stale_connection_is_noticed_before_the_loop_tells() -> None:
    """A look at the socket is enough, and a live one is not harmed by it."""
    with Peer() as peer, connected(peer, Dialect.FRAMED_BINARY, zkrpc=False) as (connection, _):
        assert ask(connection) == BODY
        assert not connection.is_stale()
        [link] = peer.links
        link.sock.shutdown(socket.SHUT_RDWR)
        assert connection.is_stale()
        assert connection.is_stale()


UNSEEN = {
    "hang-up": lambda link: link.sock.shutdown(socket.SHUT_RDWR),
    "reset": lambda link: link.reset(),
    "drain": lambda link: link.drain(),
    "drain and hang-up": lambda link: (link.drain(), link.sock.shutdown(socket.SHUT_RDWR)),
}


def happens_unseen(how: str, peer: Peer, connection: Connection) -> None:
    """The server does something while the client's hub does not look."""
    gevent.sleep(0)  # the hub may still be about to send, and looks before that
    connection._readable.stop()
    UNSEEN[how](peer.links[0])
    gevent.sleep(0.01)
    assert not connection.closed and not connection.draining
    connection._readable.start(connection._on_readable)


@pytest.mark.parametrize("how", UNSEEN)
@pytest.mark.parametrize("callers", [1, 5])
def test_call_after_an_end_that_nobody_saw_is_not_executed(how: str, callers: int) -> None:
    """The hub was kept from its work while the server said that it leaves, or left: what comes then stays here."""
    with Peer() as peer, connected(peer) as (connection, owner):
        assert ask(connection) == BODY
        served = len(peer.requests)
        happens_unseen(how, peer, connection)
        waiting = [gevent.spawn(ask, connection) for _ in range(callers - 1)]
        with pytest.raises(ConnectionLost) as caught:
            ask(connection)
        gevent.joinall(waiting, timeout=60)
        errors = [caught.value, *(one.exception for one in waiting)]
        assert [error.executed for error in errors] == [Executed.NO] * callers
        eventually(lambda: connection.closed and not peer.links)
        assert len(peer.requests) == served
        assert owner.events == (["draining", "closed"] if "drain" in how else ["closed"])


def test_main_greenlet_that_blocks_between_two_calls_looks_again() -> None:
    """A program without a loop of its own is woken by the reply, sleeps, and calls from there; nothing ran between."""
    with Peer() as peer, connected(peer) as (connection, _):
        for how in ("look", "hang-up"):
            assert ask(connection) == BODY
            if how == "hang-up":
                UNSEEN[how](peer.links[0])
            time.sleep(0.01)  # not gevent's: it blocks the hub
        with pytest.raises(ConnectionLost) as caught:
            ask(connection)
        assert caught.value.executed is Executed.NO


@pytest.mark.parametrize("how", UNSEEN)
def test_oneway_call_after_an_end_that_nobody_saw_is_not_executed(how: str) -> None:
    """Nobody would ever tell that it was lost."""
    with Peer() as peer, connected(peer) as (connection, _):
        assert ask(connection) == BODY
        happens_unseen(how, peer, connection)
        with pytest.raises(ConnectionLost) as caught:
            connection.call(b"seen", BODY, time.monotonic() + 60, oneway=True)
        assert caught.value.executed is Executed.NO


def test_end_behind_the_last_replies_is_seen_before_the_next_call() -> None:
    """Replies that waited with the end behind them are handed out; whoever they wake finds the connection closed."""
    outcomes: list[Any] = []

    def twice(connection: Connection) -> None:
        outcomes.append(ask(connection))
        try:
            ask(connection)
        except ConnectionLost as error:
            outcomes.append(error.executed)

    with Peer(lambda link, request: link.held.append(request)) as peer, connected(peer) as (connection, _):
        callers = [gevent.spawn(twice, connection) for _ in range(3)]
        eventually(lambda: len(peer.requests) == 3)
        [link] = peer.links
        for request in link.held:
            echo(link, request)
        link.flush()
        happens_unseen("hang-up", peer, connection)
        gevent.joinall(callers, timeout=60)
        assert outcomes.count(BODY) == 3 and outcomes.count(Executed.NO) == 3


def test_call_that_had_left_before_the_unseen_end_stays_unknown() -> None:
    """Nobody claims more than is known."""
    with Peer(silent) as peer, connected(peer) as (connection, _):
        sent = gevent.spawn(ask, connection)
        eventually(lambda: peer.requests)
        happens_unseen("drain and hang-up", peer, connection)
        with pytest.raises(ConnectionLost) as caught:
            ask(connection)
        sent.join(60)
        assert (sent.exception.executed, caught.value.executed) == (Executed.MAYBE, Executed.NO)


def test_socket_is_looked_at_once_a_millisecond_at_most() -> None:
    """Calls that follow each other closely cost one read each; after a pause there is one more."""
    reads: list[int] = []
    now = 100.0
    with Peer() as peer:
        connection = Connection.dial(
            peer.endpoint, Dialect.HEADER_BINARY, WireLimits(), 1.0, Owner(), zkrpc=True, clock=lambda: now
        )
        recv = connection._recv
        connection._recv = lambda size: reads.append(size) or recv(size)
        for _ in range(20):
            connection.call(b"echo", BODY, now + 5)
        assert len(reads) == 20
        now += 0.002
        connection.call(b"echo", BODY, now + 5)
        assert len(reads) == 22
        connection.close()


def test_calls_that_the_socket_did_not_take_whole_are_not_executed() -> None:
    """Of those that left together, only the first did: the others lack at least a byte, and nobody runs half a call."""
    with stuck_peer() as endpoint:
        connection = Connection.dial(endpoint, Dialect.HEADER_BINARY, WireLimits(), 1.0, Owner(), zkrpc=False)
        first = gevent.spawn(ask, connection)
        large = [gevent.spawn(ask, connection, b"x" * 4_000_000) for _ in range(3)]
        gevent.sleep(0.02)
        connection.close()
        gevent.joinall([first, *large], timeout=60)
        assert first.exception.executed is Executed.MAYBE
        assert large[-1].exception.executed is large[-2].exception.executed is Executed.NO


def test_refused_connection_says_so() -> None:
    """The reason of the system is kept."""
    with pytest.raises(ConnectionRefusedError):
        Connection.dial(closed_port(), Dialect.HEADER_BINARY, WireLimits(), 1.0, Owner(), zkrpc=True)
