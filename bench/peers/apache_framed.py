"""Apache Thrift's server on real threads once more, for clients that send frames."""

from __future__ import annotations

from collections.abc import Callable

from thrift.transport.TTransport import TFramedTransportFactory

from bench.peers import apache


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    apache.serve(ready, TFramedTransportFactory)
