"""The same with one connection for all callers, who take turns: such a client does one call at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tests.bench.load import taking_turns
from tests.bench.peers import thriftpy2_peer
from tests.bench.peers.thriftpy2_peer import serve

__all__ = ["make_client", "serve"]


class Client(thriftpy2_peer.Client):
    """One connection."""

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        with super().calls(workload, 1) as (call,):
            yield [taking_turns(call)] * callers


make_client = Client
