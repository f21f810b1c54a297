"""Plain thriftpy2 clients on many connections, as any server of framed Thrift sees them.

What they send is canned and what they are sent is only measured, by one epoll loop without gevent: so light that the
server is what limits the rate.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time

from bench import values
from bench.load import Job
from bench.sample import Mark, Sample

_ARGUMENTS = b"\x0b\0\x01" + struct.pack("!i", len(values.TEXT)) + values.TEXT.encode() + b"\0"
_MESSAGE = struct.pack("!Ii4si", 0x80010001, 4, b"echo", 0) + _ARGUMENTS
REQUEST = struct.pack("!i", len(_MESSAGE)) + _MESSAGE
"""What TFramedTransport and TBinaryProtocol make of a call of ``echo``."""
_READ_SIZE = 64 * 1024


class Client:
    """All connections in one loop, each with one call at a time."""

    def __init__(self, port: int) -> None:
        self.port = port

    def measure(self, job: Job) -> Sample:
        """Runs a closed loop of ``echo``."""
        with contextlib.ExitStack() as stack:
            connect, address = socket.create_connection, ("127.0.0.1", self.port)
            return _drive([stack.enter_context(connect(address)) for _ in range(job.callers)], job)


def _drive(connections: list[socket.socket], job: Job) -> Sample:
    poll, waiting, latencies = select.epoll(), {}, []
    reply_size = len(_reply(connections[0]))
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(connection.fileno(), select.EPOLLIN)
        waiting[connection.fileno()] = (connection.recv, connection.send)
    clock, began = time.perf_counter, dict.fromkeys(waiting, time.perf_counter())
    for connection in connections:
        connection.send(REQUEST)
    marks: list[Mark] = []
    starts_at = clock() + job.warm_up
    moments = [starts_at, starts_at + job.seconds]
    while len(marks) < 2:
        for number, _ in poll.poll(1):
            receive, send = waiting[number]
            # A reply of this size comes in one piece.
            if len(receive(_READ_SIZE)) != reply_size:
                raise ConnectionError("a reply of another size")
            now = clock()
            latencies.append(now - began[number])
            began[number] = now
            send(REQUEST)
        if clock() >= moments[len(marks)]:
            marks.append(Mark.take(len(latencies), job.server_pid))
    # A connection closed with something unread is a broken one to its server.
    for connection in connections:
        connection.recv(_READ_SIZE)
    return marks[0].until(marks[1], latencies)


def _reply(connection: socket.socket) -> bytes:
    connection.sendall(REQUEST)
    reply = connection.recv(_READ_SIZE)
    if values.TEXT.encode() not in reply:
        raise ValueError(f"not an answer: {reply!r:.200}")
    return reply


make_client = Client
