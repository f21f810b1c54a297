"""thriftpy2's server on gevent once more, for clients that send frames."""

from __future__ import annotations

from collections.abc import Callable

from thriftpy2.transport import TCyFramedTransportFactory

from bench.peers import thriftpy2_peer


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    thriftpy2_peer.serve(ready, TCyFramedTransportFactory)
