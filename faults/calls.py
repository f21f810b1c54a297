"""Suite ``calls``: what callers see while replicas, sessions and ZooKeeper itself come and go.

The callers of each world, which are greenlets, threads and tasks of asyncio, call all the time and see the same faults.
The replicas' handlers run on the hub, or as tasks, or in threads.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from faults import probe
from faults.callers import RemoteLoad, call_late
from faults.cluster import Replica, kill_process, members, wait_until
from faults.load import Load, Outcome, Record, failures, longest_gap, percentile
from scripts.report import Report
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.zookeeper.closing import close_session

HANDLERS = {"hub": "faults.probe:service", "tasks": "faults.probe:tasks", "threads": "faults.probe:threads"}
"""What is served, by where its handlers run."""
SESSION_TIMEOUT = 10.0
WORLDS = ("gevent", "threads", "asyncio")
CALLERS = 32
"""Of each world."""
INTERVAL = 0.02
"""Seconds between two calls of a caller, if there is one world; more of them call less often."""
LATE_CALLS = 20


@dataclasses.dataclass(slots=True)
class Scene:
    """What every part of the suite works on."""

    report: Report
    rng: random.Random
    server: DevZooKeeper
    folder: Path
    registry: zkrpc.Registry
    worlds: Sequence[str] = WORLDS
    target: str = HANDLERS["hub"]
    replicas: dict[str, Replica] = dataclasses.field(default_factory=dict)

    @property
    def hosts(self) -> str:
        """The connect string."""
        return self.server.hosts

    def start(self, name: str, **options: object) -> Replica:
        """Starts a replica."""
        replica = self.replicas[name] = Replica(self.target, name, self.hosts, self.folder, **options)
        return replica

    def members(self) -> dict[str, zkrpc.Instance]:
        """Who is registered, as this process's registry sees it."""
        return members(self.registry, "probe")

    def znodes(self) -> list[str]:
        """Who is registered, asked of ZooKeeper itself."""
        return sorted(self.registry.session.znodes.children("/services/probe/members") or [])

    def await_members(self, count: int, timeout: float = 30.0) -> float:
        """Waits for that many members."""
        return wait_until(lambda: len(self.members()) == count, timeout, f"{count} members, have {self.members()}")

    def executions(self) -> collections.Counter[str]:
        """How often each request id was executed, by the replicas' journals."""
        lines: collections.Counter[str] = collections.Counter()
        for journal in self.folder.iterdir():
            if journal.name.isdigit():
                lines.update(journal.read_text().split())
        return lines


def run(seed: int, *, outage: float = 60.0, worlds: Sequence[str] = WORLDS, handlers: str = "hub") -> Report:
    """The whole suite. ``outage`` is how long ZooKeeper stays away, in seconds; ``worlds`` who calls, and ``handlers``
    where those of the replicas run."""
    report = Report("calls", seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, DevZooKeeper() as server:
        with zkrpc.Registry(server.hosts) as registry:
            target = HANDLERS[handlers]
            scene = Scene(report, random.Random(seed), server, Path(folder), registry, worlds, target)
            try:
                for name in ("alpha", "beta", "gamma"):
                    scene.start(name)
                scene.await_members(3)
                for part in (
                    replicas_come_and_go,
                    restart_under_supervisor,
                    identity_conflict,
                    expiry,
                    outage_of(outage),
                ):
                    with report.guard(part.__name__, 0):
                        part(scene)
            finally:
                for replica in scene.replicas.values():
                    replica.close()
    return report


@contextlib.contextmanager
def load(scene: Scene) -> Iterator[dict[str, Record]]:
    """A load of each world, over a client of its own; complete after the block."""
    interval = INTERVAL * len(scene.worlds)
    with contextlib.ExitStack() as stack:
        running: dict[str, Record] = {}
        for world in scene.worlds:
            if world == "gevent":
                running[world] = stack.enter_context(_load_of_greenlets(scene, interval))
            else:
                seed = scene.rng.getrandbits(32)
                one = RemoteLoad(world, scene.hosts, scene.folder, callers=CALLERS, interval=interval, seed=seed)
                stack.callback(one.stop)
                running[world] = one
        yield running


@contextlib.contextmanager
def _load_of_greenlets(scene: Scene, interval: float) -> Iterator[Load]:
    with zkrpc.connect(probe.idl.Probe, "probe", zookeeper=scene.hosts) as stub:
        stub.get("warm-up")
        running = Load(
            lambda: stub.get("calls"),
            lambda request_id: stub.add("calls", 1, request_id),
            callers=CALLERS,
            interval=interval,
            rng=scene.rng,
        )
        try:
            yield running
        finally:
            running.stop()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Moments:
    """What happened when while replicas came and went, in monotonic seconds."""

    victim: zkrpc.Instance
    begin: float
    killed_until: float
    drained_from: float
    end: float


def replicas_come_and_go(scene: Scene) -> None:
    """kill -9 of one replica, drain of another, a third one joins, under load."""
    with load(scene) as calls:
        gevent.sleep(3.0)
        begin = time.monotonic()
        victim = scene.members()["alpha-0"]
        kill_process(int(victim.metadata["pid"]))
        killed_until = time.monotonic() + 3.0
        gevent.sleep(3.0)
        drained_from = time.monotonic()
        scene.replicas["beta"].drain()
        wait_until(lambda: scene.replicas["beta"].process.poll() is not None, 20, "beta drained")
        status = scene.replicas["beta"].close()
        gevent.sleep(1.0)
        scene.start("delta")
        wait_until(lambda: "delta-0" in scene.members(), 20, "delta joined")
        gevent.sleep(2.0)
        end = time.monotonic()
    scene.report.check("exit status of the drained replica", status, 0, comparison="==")
    moments = _Moments(victim=victim, begin=begin, killed_until=killed_until, drained_from=drained_from, end=end)
    for world, record in calls.items():
        _check_world(scene, world, record, moments)


def _check_world(scene: Scene, world: str, calls: Record, at: _Moments) -> None:
    """What the callers of one world saw of that."""

    def check(name: str, *values: Any, **options: Any) -> None:
        scene.report.check(f"{world}: {name}", *values, **options)

    check("calls made", len(calls.outcomes), 1000, comparison=">=")
    check("idempotent failures", len(failures(calls.outcomes, idempotent=True)), 0, comparison="==")
    lost = failures(calls.outcomes, idempotent=False)
    unexplained = [one for one in lost if not _was_in_flight(one, at.victim, at.begin, at.killed_until)]
    check("non-idempotent failures in flight on the killed replica", len(lost), CALLERS // 2)
    check("non-idempotent failures otherwise", len(unexplained), 0, comparison="==", note=_sample(unexplained))
    disturbed = failures(calls.between(at.drained_from, at.end))
    check("failures of any kind during drain and join", len(disturbed), 0, comparison="==", note=_sample(disturbed))
    _check_executions(scene, world, calls.outcomes)
    check("longest gap without a success, ms", longest_gap(calls.outcomes, at.begin, at.end), 250)
    for name, window in (("calm", calls.between(0, at.begin)), ("during faults", calls.between(at.begin, at.end))):
        check(f"p50 {name}, ms", percentile(window, 0.5), 1000)
        check(f"p99 {name}, ms", percentile(window, 0.99), 1000)


def _was_in_flight(outcome: Outcome, victim: zkrpc.Instance, begin: float, until: float) -> bool:
    error = outcome.error
    assert isinstance(error, zkrpc.CallError)
    told = error.executed is zkrpc.Executed.MAYBE and error.endpoint == victim.endpoint
    return told and outcome.started_at <= begin + 0.1 and outcome.ended_at <= until


def _check_executions(scene: Scene, world: str, outcomes: list[Outcome]) -> None:
    done = scene.executions()
    writes = [one for one in outcomes if not one.idempotent]
    wrong = [one for one in writes if not one.error and done[one.request_id] != 1]
    twice = [one for one in writes if done[one.request_id] > 1]
    refused = [one for one in writes if one.executed is zkrpc.Executed.NO and done[one.request_id]]
    scene.report.check(f"{world}: acknowledged writes not done exactly once", len(wrong), 0, comparison="==")
    scene.report.check(f"{world}: writes done twice", len(twice), 0, comparison="==")
    scene.report.check(f"{world}: writes done though told executed=NO", len(refused), 0, comparison="==")


def restart_under_supervisor(scene: Scene) -> None:
    """kill -9 of a worker: its entry goes at once and its successor comes back under the same name."""
    victim = scene.members()["gamma-0"]
    node = "/services/probe/members/member_gamma-0"
    session = scene.registry.session
    owner = _owner(session, node)
    began = time.monotonic()
    kill_process(int(victim.metadata["pid"]))
    wait_until(lambda: _owner(session, node) != owner, 15, "the dead entry is gone")
    scene.report.check("dead entry gone after kill -9 of a worker, ms", round((time.monotonic() - began) * 1000), 300)
    wait_until(lambda: scene.members().get("gamma-0", victim).metadata["pid"] != victim.metadata["pid"], 15, "back")
    scene.report.check("registered again after kill -9 of a worker, s", round(time.monotonic() - began, 2), 10)


def _owner(session: Any, path: str) -> int | None:
    stat = session.znodes.exists(path)
    return stat.owner if stat else None


def identity_conflict(scene: Scene) -> None:
    """Two services with one identity: the second one says so and leaves; the first one is not touched."""
    session, node = scene.registry.session, "/services/probe/members/member_gamma-0"
    owner = _owner(session, node)
    twin = Replica(scene.target, "gamma", scene.hosts, scene.folder)
    twin.log = scene.folder / "gamma.log"
    wait_until(lambda: twin.process.poll() is not None, SESSION_TIMEOUT * 3, "the twin gives up")
    said = [line for line in twin.log.read_text().splitlines() if "zkrpc:" in line and "gamma-0" in line]
    endpoint = str(scene.members()["gamma-0"].endpoint)
    scene.report.check("exit status of a twin identity", twin.close(), 78, comparison="==")
    named = sum(endpoint in line for line in said)
    scene.report.check("error that names both twins", min(named, 1), 1, comparison="==", note=(said or [""])[-1])
    scene.report.check("first owner keeps its node", _owner(session, node), owner, comparison="==")


def expiry(scene: Scene) -> None:
    """Sessions expired by force, the server's and the client's: registered and listening again within 2 s."""
    check = scene.report.check
    with zkrpc.Registry(scene.hosts) as serving, zkrpc.Registry(scene.hosts) as calling:
        with zkrpc.serve(probe_service(), zookeeper=serving, worker_id="inside-0"), zkrpc.connect(
            probe.idl.Probe, "probe", zookeeper=calling
        ) as stub:
            wait_until(lambda: "inside-0" in members(calling, "probe"), 15, "inside-0 registered")
            node = "/services/probe/members/member_inside-0"
            before, count = _owner(scene.registry.session, node), len(scene.znodes())
            for registry in (serving, calling):
                assert registry.session.session_id is not None and registry.session.password is not None
                close_session(scene.hosts, registry.session.session_id, registry.session.password, 2.0)
            began = time.monotonic()
            wait_until(lambda: _owner(scene.registry.session, node) not in (None, before), 15, "registered again")
            check("registered again after a forced expiry, s", round(time.monotonic() - began, 2), 2)
            check("members in ZooKeeper afterwards", len(scene.znodes()), count, comparison="==")
            late = scene.start("late")
            wait_until(lambda: "late-0" in scene.members(), 20, "late-0 registered")
            began = time.monotonic()
            wait_until(lambda: "late-0" in members(calling, "probe"), 15, "the expired client hears of late-0")
            check("change heard after a forced expiry, s", round(time.monotonic() - began, 2), 2)
            stub.get("after")
            late.close()
            del scene.replicas["late"]


def probe_service() -> zkrpc.Service:
    """The probe's interface served from memory, for an instance inside this process."""

    class Counter:
        def get(self, key: str) -> int:
            return 0

        def add(self, key: str, amount: int, request_id: str) -> int:
            return amount

    return zkrpc.Service(probe.idl.Probe, Counter(), name="probe", config=zkrpc.ServerConfig(linger=0.2))


def outage_of(seconds: float) -> Any:
    """The part in which ZooKeeper is away."""

    def zookeeper_outage(scene: Scene) -> None:
        """ZooKeeper stopped under load; a client that starts meanwhile lives from its snapshot file."""
        check, snapshots = scene.report.check, scene.folder / "snapshots"
        with zkrpc.connect(probe.idl.Probe, "probe", zookeeper=scene.hosts, snapshot_dir=snapshots) as stub:
            stub.get("learn the members")
            wait_until(lambda: (snapshots / "probe.json").exists(), 10, "the snapshot file")
        everybody = scene.znodes()
        with load(scene) as calls:
            gevent.sleep(1.0)
            begin = time.monotonic()
            scene.server.stop_all()
            late = {world: _call_late(scene, world, snapshots) for world in scene.worlds}
            gevent.sleep(max(0.0, seconds - (time.monotonic() - begin)))
            scene.server.start_all()
            back = time.monotonic()
            connected = scene.registry.session.wait_connected
            wait_until(lambda: connected(1) and scene.znodes() == everybody, 60, "everybody registered again")
            again = time.monotonic() - back
            gevent.sleep(max(1.0, SESSION_TIMEOUT + 2.0 - again))
        for world, record in calls.items():
            made, failed = len(record.between(begin, back)), failures(record.outcomes)
            check(f"{world}: calls made while ZooKeeper was away", made, 1000, comparison=">=")
            name = f"{world}: failed calls, ZooKeeper away for {seconds:g} s"
            check(name, len(failed), 0, comparison="==", note=_sample(failed))
            check(f"{world}: calls of a client started meanwhile", late[world], LATE_CALLS, comparison="==")
        check("everything registered again, s", round(again, 2), SESSION_TIMEOUT)
        check("members after a further session timeout", scene.znodes() == everybody, True, comparison="==")

    return zookeeper_outage


def _call_late(scene: Scene, world: str, snapshots: Path) -> int:
    """How many calls a client answers that starts now."""
    if world != "gevent":
        return call_late(world, scene.hosts, snapshots, LATE_CALLS)
    with zkrpc.connect(probe.idl.Probe, "probe", zookeeper=scene.hosts, snapshot_dir=snapshots) as stub:
        return len([stub.get("from the snapshot file") for _ in range(LATE_CALLS)])


def _sample(outcomes: list[Outcome]) -> str:
    return repr(str(outcomes[0].error)) if outcomes else ""
