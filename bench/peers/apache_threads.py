"""The same on real threads: faster than greenlets while they are few, and slower when they are many."""

from __future__ import annotations

from bench.load import Threads
from bench.peers import apache
from bench.peers.apache import serve

__all__ = ["make_client", "serve"]


class Client(apache.Client):
    """A connection for each caller."""

    tasks = Threads()


make_client = Client
