"""Keeps the board up to date: from ZooKeeper whenever a watch fires, from instances while somebody looks at them."""

from __future__ import annotations

import collections
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import gevent
from gevent.event import Event

from zkrpc.client.explanation import InstanceView, view_of
from zkrpc.client.inquiry import ask_all, ask_callers
from zkrpc.client.probe import probe_all
from zkrpc.coordination import Registry
from zkrpc.dashboard.board import MOST_HAPPENINGS, Board, Happening, ServiceBoard, worst_first
from zkrpc.dashboard.pages import ROWS, Config
from zkrpc.election.inspection import GroupReport, look
from zkrpc.endpoint import Instance
from zkrpc.errors import RpcError
from zkrpc.idl import Interface
from zkrpc.inspection.changes import changes_between
from zkrpc.inspection.checks import Verdict, judge
from zkrpc.inspection.gathering import gather
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.inspection.survey import Survey
from zkrpc.registry.config_store import look_at_config, read_versions
from zkrpc.registry.published import published_interface
from zkrpc.registry.schema import Paths
from zkrpc.telemetry.callers import CallersReport

_log = logging.getLogger(__name__)

_DEBOUNCE = 0.1
"""Seconds in which further changes are waited for: an election changes several nodes."""
_REFRESH = 10.0
"""Seconds after which everything is looked at again, also what no watch has fired for: elections have more nodes than
are watched."""
_RETRY = 1.0
_LOOK_TIMEOUT = 5.0
_PROBE_INTERVAL = 2.0
_JUDGE_INTERVAL = 15.0
_VERSIONS = 12
"""Versions of a config that a page shows."""
_PROBE_TIMEOUT = 1.0
_ATTENTION = 10.0
"""Seconds for which a service is probed after somebody has looked at it last."""


class Watcher:
    """The board of one registry. Start it once; closing it leaves the registry open."""

    def __init__(
        self,
        registry: Registry,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.board = Board(zookeeper=registry.hosts, trouble="nothing is known yet")
        """The newest board."""
        self._registry = registry
        self._clock = clock
        self._wall_clock = wall_clock
        self._changed = Event()
        self._survey = Survey(registry, self._changed)
        self._followers: set[Event] = set()
        self._attended: dict[str, float] = {}
        self._views: dict[str, dict[str, InstanceView]] = {}
        self._counts: dict[str, tuple[float, dict[str, int]]] = {}
        """Service -> when its instances were asked last, and how many calls each had served."""
        self._rates: dict[str, dict[str, float]] = {}
        self._verdicts: tuple[float, list[Verdict]] = (0.0, [])
        """What was found wrong, and when."""
        self._callers: dict[str, tuple[float, CallersReport]] = {}
        self._all_read_at = -_REFRESH
        self._happenings: collections.deque[Happening] = collections.deque(maxlen=MOST_HAPPENINGS)
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def __repr__(self) -> str:
        """How many services there are, and how many streams follow."""
        return f"<Watcher services={len(self.board.services)} followers={len(self._followers)}>"

    def start(self) -> None:
        """Starts looking; returns at once."""
        self._registry.session.watch_state(self._changed)
        self._greenlets = [gevent.spawn(self._look_on), gevent.spawn(self._probe_on)]
        self._changed.set()

    def close(self) -> None:
        """Ends the looking."""
        self._registry.session.unwatch_state(self._changed)
        gevent.killall(self._greenlets)
        for event in tuple(self._followers):
            event.set()

    @contextlib.contextmanager
    def following(self) -> Iterator[Event]:
        """Gives an event that is set whenever there is a new board."""
        event = Event()
        self._followers.add(event)
        try:
            yield event
        finally:
            self._followers.discard(event)

    def attend(self, service: str) -> None:
        """Somebody looks at a service: it is probed for a while, the first time before this returns."""
        self._attended[service] = self._clock()
        if service in self.board.services and service not in self._views:
            with contextlib.suppress(KeyError):
                self._probe(service)

    # -- what pages ask for beside the board

    def interface(self, service: str) -> Interface:
        """As :class:`~zkrpc.dashboard.pages.Sources` has it."""
        return published_interface(self._registry.session, service)

    def config(self, service: str) -> Config | None:
        """As :class:`~zkrpc.dashboard.pages.Sources` has it."""
        session, paths = self._registry.session, Paths(service)
        present, node = look_at_config(session, paths), session.znodes.exists(paths.config)
        if present.text is None or node is None:
            return None
        versions = read_versions(session, paths, present, _VERSIONS)
        return Config(text=present.text, modified_at=node.modified_at, versions=tuple(versions))

    def verdicts(self) -> Sequence[Verdict]:
        """As :class:`~zkrpc.dashboard.pages.Sources` has it."""
        judged_at, verdicts = self._verdicts
        if not verdicts or self._clock() >= judged_at + _JUDGE_INTERVAL:
            verdicts = judge(gather(self._registry, list(self.board.services), _LOOK_TIMEOUT))
            self._verdicts = self._clock(), verdicts
        return verdicts

    def callers(self, service: str) -> CallersReport:
        """As :class:`~zkrpc.dashboard.pages.Sources` has it."""
        asked_at, report = self._callers.get(service, (-_PROBE_INTERVAL, None))
        if report is None or self._clock() >= asked_at + _PROBE_INTERVAL:
            instances = self.board.services[service].overview.instances[:ROWS]
            report = ask_callers(service, instances, timeout=_PROBE_TIMEOUT)
            self._callers[service] = (self._clock(), report)
        return report

    # -- looking

    def _look_on(self) -> None:
        pause = _REFRESH
        while True:
            self._changed.wait(pause)
            gevent.sleep(_DEBOUNCE)
            self._changed.clear()
            try:
                self._look()
                pause = _REFRESH
            except RpcError as error:
                self._put(trouble=str(error))
                pause = _RETRY
            except Exception:
                _log.exception("the dashboard could not look at the services; trying again")
                self._put(trouble="the dashboard failed; its log says why")
                pause = _RETRY

    def _look(self) -> None:
        names, strange = self._survey.services()
        now, known = self._clock(), self.board.services
        again = now >= self._all_read_at + _REFRESH
        seen = self._survey.look(names, _LOOK_TIMEOUT, again=again)
        self._all_read_at = now if again else self._all_read_at
        elections = {
            name: known[name].elections if name in known and known[name].overview is one else self._elections(one)
            for name, one in seen.items()
        }
        if not self.board.trouble or self.board.services:
            before = {name: one.overview for name, one in self.board.services.items()}
            at = self._wall_clock()
            self._happenings.extend(Happening(at=at, change=one) for one in changes_between(before, seen))
        self._put(seen=seen, elections=elections, strange=tuple(strange))

    def _elections(self, seen: ServiceOverview) -> tuple[GroupReport, ...]:
        if not seen.primaries:
            return ()
        return tuple(look(self._registry.session, seen.service, wall_clock=self._wall_clock))

    def _put(
        self,
        *,
        seen: Mapping[str, ServiceOverview] | None = None,
        elections: Mapping[str, Sequence[GroupReport]] | None = None,
        strange: tuple[str, ...] = (),
        trouble: str = "",
    ) -> None:
        """Makes the next board; what is not given stays as it is."""
        old = self.board
        if seen is None:
            seen = {name: one.overview for name, one in old.services.items()}
            elections = {name: one.elections for name, one in old.services.items()}
            strange = old.strange
        assert elections is not None
        self.board = Board(
            zookeeper=old.zookeeper,
            trouble=trouble,
            services={
                name: ServiceBoard(
                    overview=one,
                    elections=tuple(elections.get(name, ())),
                    views=self._views.get(name, {}),
                    rates=self._rates.get(name, {}),
                )
                for name, one in seen.items()
            },
            strange=strange,
            happenings=tuple(self._happenings),
        )
        for event in tuple(self._followers):
            event.set()

    # -- probing

    def _probe_on(self) -> None:
        while True:
            gevent.sleep(_PROBE_INTERVAL)
            now = self._clock()
            self._attended = {name: at for name, at in self._attended.items() if now < at + _ATTENTION}
            for kept in (self._views, self._counts, self._rates, self._callers):
                for name in [name for name in kept if name not in self._attended]:
                    del kept[name]
            for name in tuple(self._attended):
                with contextlib.suppress(KeyError):
                    self._probe(name)
            if self._attended:
                self._put(trouble=self.board.trouble)

    def _probe(self, service: str) -> None:
        board = self.board.services[service]
        asked = [one for one, _ in worst_first(board) if one.id not in board.overview.orders][:ROWS]
        found = probe_all(asked, _PROBE_TIMEOUT)
        now = self._wall_clock()
        self._views[service] = {one.id: view_of(one, found[one.endpoint], wall_now=now) for one in asked}
        self._count(service, asked)

    def _count(self, service: str, asked: Sequence[Instance]) -> None:
        """Asks how many calls each instance has served, and compares that with the time before."""
        answers, _ = ask_all(asked, lambda stub: stub.callers(), timeout=_PROBE_TIMEOUT)
        counts = {
            name: sum(some.calls for one in told.callers for some in one.methods) for name, told in answers.items()
        }
        at = self._clock()
        before_at, before = self._counts.get(service, (at, {}))
        self._counts[service] = (at, counts)
        if at > before_at:
            self._rates[service] = {
                name: max(0, count - before[name]) / (at - before_at)
                for name, count in counts.items()
                if name in before
            }
