"""The same with one connection for all callers, who take turns."""

from __future__ import annotations

from bench.load import sharing_one
from bench.peers import apache
from bench.peers.apache import serve

__all__ = ["make_client", "serve"]

make_client = sharing_one(apache.Client)
