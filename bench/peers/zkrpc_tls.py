"""zkrpc over TLS: the same as without it, with a certificate at the server and its authority at the client."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import zkrpc
from bench.children import AUTHORITY, CERTIFICATE, KEY
from bench.peers import zkrpc_stack


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    tls = zkrpc.ServerTls(certificate=str(CERTIFICATE), key=str(KEY))
    config = zkrpc.ServerConfig(tls=tls)
    app = zkrpc.serve(zkrpc.Service(zkrpc_stack.idl.Bench, zkrpc_stack.Handler, config=config))
    ready(app.endpoint.port)
    app.wait_stopped()


class Client(zkrpc_stack.Client):
    """All callers use one stub, and so one connection."""

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        tls = zkrpc.ClientTls(ca=str(AUTHORITY))
        with zkrpc.connect(zkrpc_stack.idl.Bench, [self.address], tls=tls) as stub:
            call = functools.partial(getattr(stub, workload), *self.arguments[workload])
            yield [call] * callers


make_client = Client
