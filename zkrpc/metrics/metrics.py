"""The observer that counts what a process does, and what a scrape of it finds.

One for each process is enough: it is told by everything that is made while it observes, and asks everything that is
there how it stands.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from zkrpc.metrics import table
from zkrpc.metrics.counting import Counting
from zkrpc.metrics.prometheus import PROCESS, FamilyCollector, Registry, Series, write
from zkrpc.metrics.states import Gauges
from zkrpc.metrics.store import Labels, Store
from zkrpc.metrics.table import TABLE, Family, Kind
from zkrpc.telemetry.events import CallFinished, Event, RequestFinished
from zkrpc.telemetry.observer import Observer, observe_everything
from zkrpc.telemetry.recording import Recorder, settle
from zkrpc.telemetry.status import statuses
from zkrpc.telemetry.tracer import find_trace_id


class Metrics(Observer):
    """Counts events, and finds out how the process stands when it is scraped.

    It counts what is handed to it as an observer. After ``observe`` it is an observer of all that is made in the
    process, and in prometheus_client's registry, so that whatever writes that registry out writes these metrics too;
    ``close`` ends both. What was counted stays. ``clock`` gives monotonic seconds.
    """

    recorded = (CallFinished, RequestFinished)

    def __init__(self, *, registry: Registry = PROCESS, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = Store(find_trace_id)
        self._counting = Counting(self._store, clock)
        self.kinds = self._counting.kinds
        self._registry = registry
        self._collector = FamilyCollector(self.families)
        self._ends: Callable[[], object] | None = None

    def __repr__(self) -> str:
        """What was counted."""
        return f"<Metrics {self._store!r}{' observing' if self._ends else ''}>"

    def receive(self, event: Event) -> None:
        """Counts an event."""
        self._counting.receive(event)

    def recorder(self, kind: type[Event], service: str, interface: str, method: str, target: str) -> Recorder:
        """What records the durations of a method's calls or requests that go well."""
        if kind is CallFinished:
            return self._counting.of_calls(service, interface, method, target)
        return self._counting.of_requests(service, interface, method)

    def observe(self) -> None:
        """Observes everything that is made from now on, and joins the registry. Again does no harm."""
        if self._ends is None:
            self._registry.register(self._collector)
            self._ends = observe_everything(self)

    def close(self) -> None:
        """Leaves the registry, and what is made from now on unobserved."""
        if self._ends is not None:
            self._ends()
            self._ends = None
            self._registry.unregister(self._collector)

    def write(self, accept: str = "") -> tuple[str, Iterator[bytes]]:
        """All metrics of the registry: the content type, and a part for each metric."""
        return write(self._registry, accept)

    def families(self) -> Iterator[tuple[Family, Series]]:
        """Every metric with its series at this moment, also those that have none yet."""
        settle()
        gauges = Gauges(self._store.bound)
        gauges.put(table.BUILD, importlib.metadata.version("zkrpc"), value=1.0)
        gauges.receive(statuses())
        for family in TABLE:
            if family.kind is Kind.HISTOGRAM:
                yield family, {labels: one.read() for labels, one in self._store.histograms(family)}
            elif family is table.CLIENT_ATTEMPTS:
                yield family, self._attempts()
            else:
                yield family, {**self._store.values(family), **gauges.series.get(family, {})}

    def _attempts(self) -> dict[Labels, float]:
        """How often calls were sent. It is not counted by itself, as that would cost every call: it is each call that
        has ended, each retry and each second copy, without the calls that were never sent."""
        found: dict[Labels, float] = defaultdict(float, self._store.values(table.CLIENT_ATTEMPTS))
        for (_, method, where, *_rest), durations in self._store.histograms(table.CLIENT_CALLS):
            found[method, where] += durations.read().count
        for family in (table.CLIENT_RETRIES, table.CLIENT_HEDGES):
            for (method, where, *_rest), count in self._store.values(family).items():
                found[method, where] += count
        return found


_shared: Metrics | None = None
_users = 0


def borrow() -> Metrics:
    """The metrics of this process, observing, for whoever shows them; to be given back with ``give_back``."""
    global _shared, _users
    if _shared is None:
        _shared = Metrics()
    _users += 1
    _shared.observe()
    return _shared


def give_back() -> None:
    """Ends what ``borrow`` began; with its last user the metrics cease to observe, and keep what they counted."""
    global _users
    _users -= 1
    if _users == 0 and _shared is not None:
        _shared.close()
