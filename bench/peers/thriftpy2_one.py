"""The same with one connection for all callers, who take turns."""

from __future__ import annotations

from bench.load import sharing_one
from bench.peers import thriftpy2_peer
from bench.peers.thriftpy2_peer import serve

__all__ = ["make_client", "serve"]

make_client = sharing_one(thriftpy2_peer.Client)
