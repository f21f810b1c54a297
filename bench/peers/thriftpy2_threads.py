"""The same on real threads, which are what thriftpy2 has where nobody patches."""

from __future__ import annotations

from bench.load import Threads
from bench.peers import thriftpy2_peer
from bench.peers.thriftpy2_peer import serve

__all__ = ["make_client", "serve"]


class Client(thriftpy2_peer.Client):
    """A connection for each caller."""

    tasks = Threads()


make_client = Client
