"""A peer that speaks to a server over a real socket, with the client machine and nothing else of the client."""

from __future__ import annotations

import time
from typing import Any

import gevent
from gevent import socket

from zkrpc.caller import NOBODY, Caller
from zkrpc.codec import decode_failure
from zkrpc.config import WireLimits
from zkrpc.endpoint import Endpoint
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.message import Dialect, MessageKind, Reply


class Peer:
    """One connection; ``zkrpc`` says whether it introduces itself."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        dialect: Dialect = Dialect.HEADER_BINARY,
        zkrpc: bool = True,
        limits: Any = None,
        caller: Caller = NOBODY,
    ) -> None:
        self.protocol = ClientProtocol(dialect, limits or WireLimits(), time.monotonic(), zkrpc=zkrpc, caller=caller)
        self.socket = socket.create_connection((endpoint.host, endpoint.port), timeout=60)
        self.replies: dict[Any, Reply] = {}

    def send(self, method: Any, *args: Any, token: Any = None, timeout: float = 60.0, **options: Any) -> None:
        """Sends one call; its reply will be filed under ``token``."""
        body = method.encode_arguments(method.bind(args, {}), self.protocol.dialect.payload)
        now = time.monotonic()
        deadline_at = now + timeout
        self.protocol.send_call(
            method.wire_name, body, token, deadline_at=deadline_at, now=now, oneway=method.oneway, **options
        )
        self.socket.sendall(self.protocol.data_to_send())

    def read(self, count: int = 1, timeout: float = 60.0) -> list[Any]:
        """Reads until that many more replies came; their tokens in the order of arrival. Raises on end of file."""
        tokens: list[Any] = []
        with gevent.Timeout(timeout):
            while len(tokens) < count:
                chunk = self.socket.recv(65536)
                if not chunk:
                    raise EOFError(self.protocol.failure or "end of file")
                for token, reply in self.protocol.receive_data(chunk, time.monotonic()):
                    self.replies[token] = reply
                    tokens.append(token)
                answer = self.protocol.data_to_send()
                if answer:
                    self.socket.sendall(answer)
        return tokens

    def call(self, method: Any, *args: Any, **options: Any) -> Any:
        """One call and its result; an EXCEPTION reply is returned as (kind, message, headers)."""
        self.send(method, *args, token="call", **options)
        self.read()
        return self.result("call", method)

    def result(self, token: Any, method: Any) -> Any:
        """What a filed reply says."""
        reply = self.replies.pop(token)
        if reply.kind is MessageKind.EXCEPTION:
            message, kind = decode_failure(reply.frame, reply.offset, reply.dialect.payload)
            return kind, message, dict(reply.headers)
        return method.read_result(reply.frame, reply.offset, reply.dialect.payload)

    def wait_closed(self, timeout: float = 60.0) -> None:
        """Returns when the server has closed."""
        with gevent.Timeout(timeout):
            try:
                while chunk := self.socket.recv(65536):
                    self.protocol.receive_data(chunk, time.monotonic())
            except ConnectionError:
                return

    def close(self) -> None:
        """Frees the socket."""
        self.socket.close()
