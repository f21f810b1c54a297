"""Our side of the matrix: a server for each dialect that writes down what reached it, and our client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import zkrpc
from interop.cases import IDL, Failed, Handler, ask, calls, excerpt
from interop.table import Peer
from zkrpc.config import ServerConfig, WireLimits
from zkrpc.errors import CallError, ConnectionLost, RemoteError, UnknownMethod

TIMEOUT = 10.0
idl = zkrpc.load(IDL)
_HOST = "127.0.0.1"


class OurServers:
    """One server for each dialect, so that what each handler was told can be looked at by itself."""

    def __init__(self, dialects: Sequence[str]) -> None:
        self._handlers = {dialect: Handler(idl) for dialect in dialects}
        self._apps: dict[str, Any] = {}

    def start(self) -> dict[str, int]:
        """The port of each."""
        config = ServerConfig(wire=WireLimits(accept_zlib=True))
        for dialect, handler in self._handlers.items():
            self._apps[dialect] = zkrpc.serve(zkrpc.Service(idl.Matrix, handler, name="matrix", config=config))
        return {dialect: app.endpoint.port for dialect, app in self._apps.items()}

    def close(self) -> None:
        """Ends them."""
        for app in self._apps.values():
            app.kill()

    def wrong(self, dialect: str) -> str:
        """The first difference between what the handler was told and what the cases say; empty if there is none."""
        seen = self._handlers[dialect].seen
        due = [(call.method, *call.arguments) for call in calls(idl) if call.outcome != Failed(1)]
        for came, expected in zip(seen, due):
            if came != expected:
                return f"the handler saw {excerpt(came)} in place of {excerpt(expected)}"
        return "" if len(seen) == len(due) else f"the handler saw {len(seen)} of {len(due)} calls"


def call_all(peer: Peer, dialect: str, port: int) -> Iterator[tuple[str, str]]:
    """Our client makes all calls to a server of theirs."""
    multiplexed = dialect.endswith("multiplexed")
    spoken = {"multiplexed": "binary", "framed-multiplexed": "framed"}.get(dialect, dialect)
    name = idl.Matrix.name if multiplexed else False
    with contextlib.closing(zkrpc.connect(idl.Later, [f"{_HOST}:{port}"], dialect=spoken, multiplexed=name)) as stub:
        undeclared = ConnectionLost if peer.hangs_up else RemoteError

        def kind_of(error: Exception) -> int:
            if isinstance(error, UnknownMethod):
                return 1
            if isinstance(error, undeclared):
                return 6
            raise error  # the next call will fare no better, and a run is bounded

        try:
            yield from ask(zkrpc.options(stub, timeout=TIMEOUT), idl, CallError, kind_of)
        except Exception as error:
            yield "connection", f"{type(error).__name__}: {error}"
