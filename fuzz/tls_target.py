"""Both ends of a TLS connection while somebody between them changes what they say to each other.

The keys are fresh each time, so the seed repeats what is done to the bytes, but not the bytes.
"""

from __future__ import annotations

import random
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fuzz.mutation import chunks, spoil
from tests.support.certificates import Files
from zkrpc.tls.contexts import client_context, server_context
from zkrpc.tls.layer import LARGEST_RECORD, MOST_UNSENT, TlsLayer, TlsState

SAID = b"what an honest caller says, again and again. " * 40
_FLIGHTS = 8
"""Times that each end may speak: more than a handshake and what is said take."""
_RAW = 0.4
"""How often a server gets the input as it is, in place of a client."""
SEEDS = (
    b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x80\x01",
)


class Between:
    """Makes the certificates once, and a connection for each input."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None

    def __call__(self, data: bytes, rng: random.Random) -> None:
        """Neither end raises, holds more than it may, or reads anything that the other has not said."""
        server, client = self._ends()
        if rng.random() < _RAW:
            for piece in chunks(data, rng):
                _receive(server, piece)
            _receive(server, b"")
            assert server.state is TlsState.CLOSED, f"open to {data[:40]!r}"
            return
        client.handshake()
        victim, read = rng.randrange(_FLIGHTS), b""
        for flight in range(_FLIGHTS):
            source, target = (client, server) if flight % 2 == 0 else (server, client)
            if source.state is TlsState.OPEN:
                source.write(SAID)
            said = bytearray(source.data_to_send())
            source.sent(len(said))
            if flight == victim:
                spoil(said, rng)
            for piece in chunks(bytes(said), rng) if said else ():
                read += _receive(target, piece) if target is server else _receive(target, piece)[:0]
        assert (SAID * _FLIGHTS).startswith(read), f"{read[:100]!r} was never said"

    def seeds(self) -> Sequence[bytes]:
        """What a real client begins with, and what is no beginning."""
        _, client = self._ends()
        client.handshake()
        return (*SEEDS, client.data_to_send())

    def close(self) -> None:
        """Removes the certificates."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = self._contexts = None

    def _ends(self) -> tuple[TlsLayer, TlsLayer]:
        if self._contexts is None:
            self._folder = tempfile.TemporaryDirectory(prefix="zkrpc-fuzz-")
            files = Files(Path(self._folder.name))
            self._contexts = server_context(files.server()), client_context(files.client())
        return TlsLayer(self._contexts[0]), TlsLayer(self._contexts[1], "localhost")


def _receive(layer: TlsLayer, piece: bytes) -> bytes:
    """Hands the bytes over, and reads what there is."""
    layer.receive_data(piece)
    layer.handshake()
    read = b""
    while layer.state is TlsState.OPEN and (chunk := layer.read(1 << 16)):
        read += chunk
    if not piece and layer.state is TlsState.OPEN:
        layer.read(1)
    assert len(layer.data_to_send()) <= LARGEST_RECORD + MOST_UNSENT + (1 << 16), "more waits than may"
    return read
