"""The same with one connection for all callers, who take turns: such a client does one call at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tests.bench.load import taking_turns
from tests.bench.peers import apache
from tests.bench.peers.apache import serve

__all__ = ["make_client", "serve"]


class Client(apache.Client):
    """One connection."""

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        with super().calls(workload, 1) as (call,):
            yield [taking_turns(call)] * callers


make_client = Client
