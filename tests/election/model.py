"""A model of ZooKeeper, of the clients in between and of the processes, in simulated time.

What it keeps of the real thing is what could make two primaries: sessions that the leader ends by what it has *heard*,
which a server passes on only every half tick; servers that lag behind, and servers cut off from the leader that go on
answering pings and reads; requests and replies that take their time or never come; clients that learn late, or never,
that their session is over; processes that freeze; clocks that run at different speeds; and people who write and delete
nodes.

The ensemble's clock is the true one. Everything random comes from one ``random.Random``, so a seed is a run.
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from zkrpc.election import effects as do
from zkrpc.election import history
from zkrpc.election import lease as beat
from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import Node, RequestFailure
from zkrpc.election.lease import HeartbeatMachine, Lease
from zkrpc.election.machine import ElectionMachine
from zkrpc.election.tree import ElectionPaths, EpochRecord, heartbeat_path
from zkrpc.endpoint import Endpoint

PATHS = ElectionPaths("ledger")
SERVERS = 3
SYNC_LIMIT = 5
"""Ticks after which a server that is cut off from the leader notices and closes its clients' connections."""
REQUEST_TIMEOUT = 5.0


class Violation(AssertionError):
    """A promise was broken."""


@dataclasses.dataclass(slots=True)
class ServerSession:
    """What the leader knows of a session."""

    touched_at: float
    expires_at: float
    connection: Connection | None = None
    """The newest connection: writes of earlier ones are refused (SessionMoved)."""


class Server:
    """One ZooKeeper server."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive = True
        self.linked = True
        self.applied = 0
        self.apply_at = 0.0
        self.lag = 0.01
        self.heard: set[int] = set()
        self.watches: dict[str, list[Connection]] = {}
        self.connections: list[Connection] = []

    @property
    def follows(self) -> bool:
        """True if what it is told reaches the leader."""
        return self.alive and self.linked


class Connection:
    """One TCP connection between a client and a server: both directions keep their order."""

    def __init__(self, client: Client, server: Server) -> None:
        self.client = client
        self.server = server
        self.open = True
        self.inbound_at = 0.0
        self.outbound_at = 0.0
        self.deaf = False
        """Replies are lost from now on."""


Tree = dict[str, Node]
Write = Callable[[Tree], RequestFailure | None]


class World:
    """The ensemble, the network and the processes."""

    punctual = True
    """Whether to check that nobody wants to be woken in the past."""

    def __init__(
        self, rng: random.Random, *, processes: int = 3, timeout: float = 6.0, ticks: float = 3.0, steady: bool = False
    ) -> None:
        """``ticks`` is how many of them the session timeout has. ``steady``: messages take 2 ms, clocks agree, and
        the application takes 10 ms to start and to stop."""
        self.rng = rng
        self.steady = steady
        self.guarded = True
        """Whether to check leases and acts."""
        self.log: list[str] = []
        """What was ordered, as ``p0 Serve 1``; see :meth:`story`."""
        self.timeout = timeout
        self.tick = timeout / ticks
        self.now = 0.0
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._session_ids = itertools.count(1)
        self._sequence = itertools.count()
        self.servers = [Server(number) for number in range(SERVERS)]
        self.leader: Server | None = self.servers[0]
        self._electing = False
        self.trees: list[Tree] = [{"/": Node(owner=0)}]
        self.changes: list[frozenset[str]] = [frozenset()]
        self.sessions: dict[int, ServerSession] = {}
        self.epochs: list[tuple[int, int]] = []
        """(epoch, session) of every claim that ZooKeeper committed."""
        self.born_at = 0 if steady else 1_700_000_000_000
        """Milliseconds since 1970 at the beginning, by ZooKeeper's clock; 0 if steady, so that epochs begin at 1."""
        self.acts: list[tuple[int, Process]] = []
        """What primaries did, with the epoch they did it in."""
        self.processes = [Process(self, f"p{number}") for number in range(processes)]
        for server in self.servers:
            self.after(rng.random() * self.tick / 2, lambda server=server: self._forward(server))
        self.after(self.tick, self._tick)
        for process in self.processes:
            process.start()

    # Time

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Has something happen later."""
        heapq.heappush(self._queue, (self.now + seconds, next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Lets time pass, and checks the promises after everything that happens."""
        until = self.now + seconds
        while self._queue and self._queue[0][0] <= until:
            self.now, _, action = heapq.heappop(self._queue)
            action()
            self.steps += 1
            self.check()
        self.now = until
        self.check()

    def latency(self) -> float:
        """Most messages are quick, a few are slow."""
        if self.steady:
            return 0.002
        return self.rng.choice((0.001, 0.002, 0.005, 0.02)) if self.rng.random() < 0.98 else self.rng.random() * 0.4

    def story(self) -> list[str]:
        """What was ordered since the last time somebody asked."""
        log = self.log[:]
        self.log.clear()
        return log

    def primary(self) -> Process | None:
        """The process that serves."""
        serving = [process for process in self.processes if process.serving_epoch() is not None]
        return serving[0] if serving else None

    def wait(self, condition: Callable[[], bool], limit: float) -> float:
        """Lets time pass until the condition holds; the seconds it took. Fails after ``limit`` of them."""
        begin = self.now
        while not condition():
            assert self.now - begin < limit, f"not within {limit} s: {self.processes}"
            self.advance(0.005)
        return self.now - begin

    def made_at(self) -> int:
        """What ZooKeeper's clock says."""
        return self.born_at and self.born_at + int(1000 * self.now)

    # The ensemble

    @property
    def tree(self) -> Tree:
        """The committed state."""
        return self.trees[-1]

    def has_quorum(self) -> bool:
        """True if the leader can commit."""
        leader = self.leader
        return leader is not None and leader.follows and sum(server.follows for server in self.servers) > SERVERS // 2

    def touch(self, session_id: int) -> None:
        """The leader hears of a session."""
        session = self.sessions.get(session_id)
        if session is not None:
            session.touched_at = self.now
            session.expires_at = (int((self.now + self.timeout) / self.tick) + 1) * self.tick

    def hear(self, server: Server, session_id: int) -> None:
        """A server hears of a session; the leader does when the server answers its next ping."""
        if server is self.leader:
            self.touch(session_id)
        else:
            server.heard.add(session_id)

    def _forward(self, server: Server) -> None:
        if server.follows and self.has_quorum():
            for session_id in server.heard:
                self.touch(session_id)
            server.heard.clear()
        self.after(self.tick / 2 * (1 + 0.01 * self.rng.random()), lambda: self._forward(server))

    def _tick(self) -> None:
        if self.has_quorum():
            for session_id in [key for key, session in self.sessions.items() if session.expires_at <= self.now]:
                self.end_session(session_id)
        elif not self._electing:
            self._begin_election()
        self.after(self.tick, self._tick)

    def end_session(self, session_id: int) -> None:
        """Expiry, or a close; servers that learn of it close the session's connections."""
        session = self.sessions.pop(session_id, None)
        if session is None:
            return

        def remove(tree: Tree) -> None:
            for path in [path for path, node in tree.items() if node.owner == session_id]:
                del tree[path]

        self.commit(remove)
        connection = session.connection
        if connection is not None and connection.server.follows and connection in connection.server.connections:
            connection.server.connections.remove(connection)
            wait = max(0.0, connection.server.apply_at - self.now)
            self.after(wait, lambda: self.to_client(connection, lambda: connection.client.drop(connection)))

    def commit(self, write: Write) -> RequestFailure | None:
        """All of the write or nothing; then every server that follows learns of it, in order, in its own time."""
        tree = dict(self.tree)
        failure = write(tree)
        if failure is None:
            old = self.tree
            changed = {path for path in old.keys() | tree.keys() if old.get(path) is not tree.get(path)}
            self.trees.append(tree)
            self.changes.append(frozenset(changed))
            self._spread()
        return failure

    def _spread(self) -> None:
        for server in self.servers:
            if not server.follows:
                continue
            lag = 0.0 if server is self.leader else server.lag * self.rng.random()
            server.apply_at = max(server.apply_at, self.now + lag)
            self.after(
                server.apply_at - self.now,
                lambda server=server, zxid=len(self.trees) - 1: self._apply(server, zxid),
            )

    def _apply(self, server: Server, zxid: int) -> None:
        if not server.follows:
            return
        while server.applied < zxid:
            server.applied += 1
            for path in self.changes[server.applied]:
                for connection in server.watches.pop(path, []):
                    self.to_client(connection, lambda connection=connection: connection.client.hear_watch())

    def _begin_election(self) -> None:
        """Everybody's connection breaks, and a while later a majority has another leader, if there is one."""
        self._electing = True
        self.leader = None
        for server in self.servers:
            if server.follows:
                self.disconnect_all(server)
        self.after(0.2 + 0.8 * self.rng.random(), self._elect)

    def _elect(self) -> None:
        fit = [server for server in self.servers if server.follows]
        if len(fit) <= SERVERS // 2:
            self.after(0.2, self._elect)
            return
        self._electing = False
        self.leader = max(fit, key=lambda server: server.applied)
        for server in fit:
            self._apply(server, len(self.trees) - 1)
            server.heard.clear()
        for session_id in self.sessions:
            self.touch(session_id)

    def disconnect_all(self, server: Server) -> None:
        """The server closes its clients' connections."""
        for connection in server.connections[:]:
            self.to_client(connection, lambda connection=connection: connection.client.drop(connection))
        server.connections.clear()
        server.watches.clear()
        server.heard.clear()

    # The network between clients and servers

    def to_server(self, connection: Connection, action: Callable[[], None]) -> None:
        """Something that a client sent arrives, if the network lets it."""
        process = connection.client.process
        at = max(self.now + self.latency() + process.delay, connection.inbound_at)
        connection.inbound_at = at

        def arrive() -> None:
            if not process.holed and connection.server.alive:
                action()

        if not process.holed:
            self.after(at - self.now, arrive)

    def to_client(self, connection: Connection, action: Callable[[], None]) -> None:
        """Something that a server sent arrives, if the network lets it, and is handled when the process runs."""
        process = connection.client.process
        at = max(self.now + self.latency() + process.delay, connection.outbound_at)
        connection.outbound_at = at
        life = process.life

        def arrive() -> None:
            if not process.holed and not connection.deaf and connection.open:
                process.run(action, life)

        self.after(at - self.now, arrive)

    # Faults

    def kill_server(self, number: int) -> None:
        """kill -9 of a server; its clients see their connections break."""
        server = self.servers[number]
        if server.alive:
            self.disconnect_all(server)
            server.alive = False
            self._unfollow(server)

    def start_server(self, number: int) -> None:
        """It comes back, and catches up."""
        server = self.servers[number]
        if not server.alive:
            server.alive = True
            self._follow(server)

    def cut_server(self, number: int) -> None:
        """The link to the rest breaks: it answers pings and reads, and nothing else, until it notices."""
        server = self.servers[number]
        if server.follows:
            server.linked = False
            self._unfollow(server)
            self.after(SYNC_LIMIT * self.tick, lambda: None if server.linked else self.disconnect_all(server))

    def link_server(self, number: int) -> None:
        """The link is back."""
        server = self.servers[number]
        if not server.linked:
            self.disconnect_all(server)
            server.linked = True
            self._follow(server)

    def _unfollow(self, server: Server) -> None:
        if (server is self.leader or not self.has_quorum()) and not self._electing:
            self._begin_election()

    def _follow(self, server: Server) -> None:
        if self.leader is not None:
            server.apply_at = max(server.apply_at, self.now)
            self._apply(server, len(self.trees) - 1)

    # What must hold

    def check(self) -> None:
        """At most one process believes that it may serve, and each epoch was granted once, above all before it."""
        serving = [process for process in self.processes if process.serving_epoch() is not None]
        if len(serving) > 1 and self.guarded:
            raise Violation(f"{self.now:.3f}: two valid leases: {serving}")

    # What people do

    def write_epoch(self, value: bytes | None) -> None:
        """Somebody writes the epoch's node, whatever is there; None deletes it. What is already there: touches it."""

        def write(tree: Tree) -> RequestFailure | None:
            if value is None:
                return _delete(tree, PATHS.epoch)
            return _set(tree, PATHS.epoch, value) if PATHS.epoch in tree else _create(tree, PATHS.epoch, value, 0)

        if self.has_quorum():
            self.commit(write)

    def delete_tree(self, *, with_primary: bool = False) -> None:
        """Somebody deletes all that the election has, but for the primary's node, unless that is wanted too."""

        def delete(tree: Tree) -> None:
            for path in [path for path in tree if path.startswith(PATHS.root)]:
                if with_primary or path != PATHS.primary:
                    del tree[path]

        if self.has_quorum():
            self.commit(delete)

    def granted(self, epoch: int, session_id: int) -> None:
        """A claim was committed."""
        if self.epochs and epoch <= self.epochs[-1][0]:
            raise Violation(f"{self.now:.3f}: epoch {epoch} was granted after {self.epochs[-1][0]}")
        self.epochs.append((epoch, session_id))

    def act(self, epoch: int, process: Process) -> None:
        """A primary does something. Zab's order: never after something of a later epoch, and knowing all before it."""
        if not self.guarded:
            return
        if self.acts and epoch < self.acts[-1][0]:
            raise Violation(f"{self.now:.3f}: {process} acted after epoch {self.acts[-1][0]}")
        if process.synchronised != epoch:
            raise Violation(f"{self.now:.3f}: {process} serves epoch {epoch} without having synchronised")
        foreign = [index for index, (other, _) in enumerate(self.acts) if other != epoch][-1:]
        if foreign and foreign[0] >= process.loaded:
            raise Violation(f"{self.now:.3f}: {process} serves without knowing act {foreign[0]}")
        self.acts.append((epoch, process))


class Client:
    """One ZooKeeper client, as kazoo behaves: pings after T/3 of silence, a watchdog at 2/3 T, reconnects for ever."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.world = process.world
        self.session_id = 0
        self.last_zxid = 0
        self.connection: Connection | None = None
        self.connected_at = 0.0
        self.sent_at = 0.0
        self.acknowledged_at = 0.0
        """Send time of the newest message that was answered, on the process's clock."""
        self._attempt = 0
        self._unanswered: dict[int, Callable[[do.ElectionAnswer | RequestFailure], None]] = {}
        self._numbers = itertools.count()

    def connect(self) -> None:
        """One attempt, at a server taken at random; another follows."""
        process, world = self.process, self.world
        if self.connection is not None:
            return
        self._attempt += 1
        attempt = self._attempt
        server = world.rng.choice(world.servers)
        asked_at = process.clock()
        life = process.life
        if not process.holed and server.follows and world.has_quorum() and server.applied >= self.last_zxid:
            connection = Connection(self, server)
            known = self.session_id
            session_id = known or next(world._session_ids)
            if not known:
                world.sessions[session_id] = ServerSession(world.now, 0.0)
            if session_id in world.sessions:
                world.touch(session_id)
                world.sessions[session_id].connection = connection
                server.connections.append(connection)
                world.to_client(connection, lambda: self._connected(connection, session_id, asked_at))
            else:
                world.to_client(connection, self._lost)
        # Over a slow link the answer is waited for: another attempt would only take the session away from this one.
        pause = 0.05 + world.rng.random() * 0.45
        again = max(pause, 3 * process.delay)
        world.after(again, lambda: process.run(self.connect, life) if attempt == self._attempt else None)

    def _connected(self, connection: Connection, session_id: int, asked_at: float) -> None:
        if self.connection is not None or self.session_id not in (0, session_id):
            return
        self.connection = connection
        self.session_id = session_id
        self.connected_at = self.sent_at = self.acknowledged_at = asked_at
        self.process.connected(session_id, asked_at)
        self._ping()

    def _lost(self) -> None:
        if self.connection is None:
            self.forget()
            self.process.disconnected(lost=True)

    def forget(self) -> None:
        """The session is no longer this client's."""
        self.session_id = self.last_zxid = 0

    def drop(self, connection: Connection | None = None) -> None:
        """The connection is gone; what was unanswered stays so."""
        if self.connection is None or (connection is not None and connection is not self.connection):
            return
        self.connection.open = False
        self.connection = None
        self.process.disconnected(lost=False)
        unanswered, self._unanswered = self._unanswered, {}
        for callback in unanswered.values():
            callback(RequestFailure.UNKNOWN)
        self.process.hear_change()
        life = self.process.life
        self.world.after(self.world.rng.random() * 0.3, lambda: self.process.run(self.connect, life))

    def _ping(self) -> None:
        """Looks after the connection four times per T/3, on the process's clock."""
        connection, process = self.connection, self.process
        timeout = self.world.timeout
        if connection is None:
            return
        now = process.clock()
        if now - self.acknowledged_at > timeout * 2 / 3:
            self.drop()
            return
        if now - self.sent_at >= timeout / 3:
            self._send(lambda: self._reply(connection, 0, lambda: None, now), connection)
        life = process.life
        self.world.after(timeout / 12, lambda: process.run(self._ping, life) if self.connection is connection else None)

    def _send(self, action: Callable[[], None], connection: Connection) -> None:
        self.sent_at = self.process.clock()
        session_id = self.session_id

        def arrive() -> None:
            if connection in connection.server.connections:
                self.world.hear(connection.server, session_id)
                action()

        self.world.to_server(connection, arrive)

    def _reply(self, connection: Connection, zxid: int, action: Callable[[], None], sent_at: float) -> None:
        def arrive() -> None:
            self.acknowledged_at = max(self.acknowledged_at, sent_at)
            self.last_zxid = max(self.last_zxid, zxid)
            action()

        self.world.to_client(connection, arrive)

    def read(
        self,
        look: Callable[[Tree], Any],
        watch: str | None,
        done: Callable[[Any], None],
        *,
        only_if_there: bool = False,
    ) -> None:
        """A read, answered by the server alone, from what it has applied."""

        def serve(connection: Connection, answer: Callable[[int, Any], None]) -> None:
            server = connection.server
            if watch is not None and (not only_if_there or watch in self.world.trees[server.applied]):
                server.watches.setdefault(watch, []).append(connection)
            answer(server.applied, look(self.world.trees[server.applied]))

        self._request(serve, done)

    def write(self, write: Write, done: Callable[[Any], None]) -> None:
        """A write, committed by a quorum, answered once the client's own server has applied it."""

        def serve(connection: Connection, answer: Callable[[int, Any], None]) -> None:
            world, server = self.world, connection.server
            if not server.follows or not world.has_quorum():
                return
            session = world.sessions.get(session_id)
            if session is None:
                answer(server.applied, RequestFailure.SESSION_ENDED)
                return
            if session.connection is not connection:
                return
            failure = world.commit(write)
            zxid = len(world.trees) - 1
            wait = max(0.0, server.apply_at - world.now)
            world.after(wait, lambda: answer(zxid, failure) if server.applied >= zxid else None)

        session_id = self.session_id
        self._request(serve, done)

    def _request(
        self, serve: Callable[[Connection, Callable[[int, Any], None]], None], done: Callable[[Any], None]
    ) -> None:
        connection = self.connection
        if connection is None:
            done(RequestFailure.NOT_SENT)
            return
        number = next(self._numbers)
        self._unanswered[number] = done
        sent_at = self.process.clock()

        def finish(value: Any) -> None:
            callback = self._unanswered.pop(number, None)
            if callback is not None:
                callback(value)

        def answer(zxid: int, value: Any) -> None:
            self._reply(connection, zxid, lambda: finish(value), sent_at)

        self._send(lambda: serve(connection, answer), connection)
        life = self.process.life
        self.world.after(REQUEST_TIMEOUT, lambda: self.process.run(lambda: finish(RequestFailure.UNKNOWN), life))

    def hear_watch(self) -> None:
        """A watch fired."""
        self.process.hear_change()


class Process:
    """One process: its clock, its client, both machines, and the shell that obeys them."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.life = 0
        self.alive = False
        self.frozen = False
        self.holed = False
        self.delay = 0.0
        """Seconds that its link to ZooKeeper takes, each way, beside the usual."""
        self.failing = False
        """Whether ``on_elected`` raises."""
        self.rate = 1.0 if world.steady else 1 + 0.014 * (2 * world.rng.random() - 1)
        self.offset = world.rng.random() * 1000
        self._held_back: list[tuple[Callable[[], None], int]] = []
        self.loaded = 0
        self.synchronised = 0
        self.elected: int | None = None
        self.deposed_hangs = False
        self._timer: float | None = None
        self._proved = 0.0

    def __repr__(self) -> str:
        """What a violation should show of it."""
        return f"<{self.name} frozen={self.frozen} {self.machine!r} {self.heartbeat!r} clock={self.clock():.3f}>"

    def clock(self) -> float:
        """Its monotonic clock, which runs at its own speed."""
        return self.offset + self.world.now * self.rate

    def serving_epoch(self) -> int | None:
        """What it would answer a call with, were it running right now."""
        return self.machine.serving_epoch(self.clock()) if self.alive else None

    # Life

    def start(self) -> None:
        """A new process of the same name."""
        self.alive = True
        self.life += 1
        rng = self.world.rng
        self.machine = ElectionMachine(
            Participant(paths=PATHS, instance=self.name, endpoint=Endpoint("127.0.0.1", 1), unique=f"u{self.life}"),
            elected_timeout=5.0,
            deposed_timeout=2.0,
            audit_interval=5.0,
            rng=rng.random,
        )
        self.heartbeat = HeartbeatMachine(heartbeat_path(self.name))
        self.client = Client(self)
        self.elected = None
        self.synchronised = 0
        self.machine.campaign(self.clock())
        self.client.connect()
        self._act(self.life)

    def kill(self, *, supervised: bool) -> None:
        """kill -9; a supervisor then closes its session."""
        if not self.alive:
            return
        self.alive = self.frozen = False
        self._held_back.clear()
        session_id = self.client.session_id
        if self.client.connection is not None:
            self.client.connection.open = False
        if supervised:
            self.world.after(0.02, lambda: self.world.end_session(session_id) if self.world.has_quorum() else None)

    def run(self, action: Callable[[], None], life: int) -> None:
        """Does something inside the process: now, when it is thawed, or never if it has died."""
        if not self.alive or life != self.life:
            return
        if self.frozen:
            self._held_back.append((action, life))
            return
        action()
        self.pump()

    def freeze(self) -> None:
        """SIGSTOP, or a hub that does not turn."""
        self.frozen = self.alive

    def thaw(self) -> None:
        """SIGCONT: everything that was held back happens at once, in order or not."""
        if self.frozen:
            self.frozen = False
            held, self._held_back = self._held_back, []
            if self.world.rng.random() < 0.5:
                self.world.rng.shuffle(held)
            for action, life in held:
                self.run(action, life)
            self._timer = None
            self.run(lambda: None, self.life)

    # What the client says

    def connected(self, session_id: int, asked_at: float) -> None:
        """A (re)connect."""
        now = self.clock()
        self.heartbeat.receive_connected(session_id, self.world.timeout, asked_at, now)
        self.machine.receive_connected(session_id, now, timeout=self.world.timeout)

    def disconnected(self, *, lost: bool) -> None:
        """The connection is gone, and perhaps the session."""
        self.heartbeat.receive_disconnected(self.clock())
        self.machine.receive_disconnected(self.clock(), lost=lost)

    def hear_change(self) -> None:
        """Some watch fired."""
        self.machine.receive_change(self.clock())

    # The shell

    def pump(self) -> None:
        """Executes what the machines want, and arms the timer."""
        for _ in range(100):
            wanted = [*self.heartbeat.effects(), *self.machine.effects()]
            if not wanted:
                break
            for effect in wanted:
                if self.alive:
                    self._execute(effect)
        else:
            raise Violation(f"{self} never comes to rest")
        times = [time for time in (self.machine.next_timer(), self.heartbeat.next_timer()) if time is not None]
        due = min(times, default=None)
        if self.alive and due is not None and due != self._timer:
            self._timer = due
            life = self.life
            self.world.after(
                max(0.001, (due - self.clock()) / self.rate + 1e-6), lambda: self.run(lambda: self._handle(due), life)
            )

    def _handle(self, due: float) -> None:
        if self._timer == due:
            self._timer = None
        now = self.clock()
        if self.client.connection is not None:
            self.heartbeat.receive_acknowledged(self.client.acknowledged_at, now)
        self.heartbeat.handle_timer(now)
        self.machine.handle_timer(now)
        timer = self.machine.next_timer()
        if self.world.punctual and timer is not None and timer <= now:
            raise Violation(f"{self} wants to be woken at {timer:.3f}, which it has been")

    def _execute(self, effect: Any) -> None:
        now = self.clock()
        if isinstance(effect, (do.Elect, do.Serve, do.Depose, do.ExitProcess, beat.DropSocket)):
            values = [getattr(effect, "epoch", None), getattr(effect, "reason", None)]
            words = [str(getattr(value, "value", value)) for value in values if value is not None]
            self.world.log.append(" ".join([self.name, type(effect).__name__, *words]))
        match effect:
            case do.StartHeartbeats():
                self.heartbeat.lead(PATHS.group, now)
            case do.StopHeartbeats():
                self.heartbeat.rest(PATHS.group, now)
            case beat.RenewLease(lease=lease):
                self._check_lease(lease)
                self.machine.receive_lease(lease, now)
            case beat.DropSocket():
                self.client.drop()
            case do.Elect(epoch=epoch):
                self.elected = epoch
                self.loaded = len(self.world.acts)
                succeeds = not self.failing and (self.world.steady or self.world.rng.random() < 0.95)
                self._later(self._effort(), lambda: self._synchronise(epoch, succeeds))
            case do.Depose(epoch=epoch):
                self.elected = None
                if not self.deposed_hangs:
                    self._later(self._effort(), lambda: self.machine.receive_deposed(epoch, self.clock()))
            case do.ExitProcess():
                self.kill(supervised=True)
            case do.Serve() | do.ReportPrimary() | do.ReportCandidacyEnded():
                pass
            case beat.WriteHeartbeat(path=path) | beat.CreateHeartbeat(path=path):
                self._beat(path, create=isinstance(effect, beat.CreateHeartbeat), session_id=effect.session_id)
            case _:
                self._talk(effect)

    def _effort(self) -> float:
        """How long the application takes to start or to stop."""
        return 0.01 if self.world.steady else self.world.rng.random() * 0.3

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        life = self.life
        self.world.after(seconds, lambda: self.run(action, life))

    def _synchronise(self, epoch: int, succeeded: bool) -> None:
        if self.elected == epoch:
            if succeeded:
                self.synchronised = epoch
            self.machine.receive_synchronised(epoch, self.clock(), succeeded=succeeded)

    def _act(self, life: int) -> None:
        def act() -> None:
            epoch = self.machine.serving_epoch(self.clock())
            if epoch is not None:
                self.world.act(epoch, self)
            self._act(life)

        self.world.after(0.1, lambda: self.run(act, life))

    def _beat(self, path: str, *, create: bool, session_id: int) -> None:
        def write(tree: Tree) -> RequestFailure | None:
            self._proved = self.world.sessions[session_id].touched_at + self.world.timeout
            if create:
                return _create(tree, path, b"", session_id)
            return _set(tree, path, b"")

        def done(answer: Any) -> None:
            if answer is None and self.client.session_id == session_id:
                self.heartbeat.receive_written(self.clock())
            else:
                self.heartbeat.receive_failure(answer or RequestFailure.UNKNOWN, self.clock())

        if self.client.session_id != session_id:
            done(RequestFailure.NOT_SENT)
        else:
            self.client.write(write, done)

    def _check_lease(self, lease: Lease) -> None:
        """However things go on from the commit: the session lives longer than the lease. Rounding up is not counted."""
        until = (lease.until - self.offset) / self.rate
        if until > self._proved:
            raise Violation(f"{self.world.now:.3f}: {self} has a lease until {until:.3f}, proved is {self._proved:.3f}")

    def _talk(self, request: do.ElectionRequest) -> None:
        session_id = self.client.session_id

        def done(answer: Any) -> None:
            if self.client.session_id != session_id:
                answer = RequestFailure.UNKNOWN
            self.machine.receive_answer(answer, self.clock())

        match request:
            case do.Together(reads=reads):
                self._read_together(reads, done)
            case (
                do.ListCandidates() | do.InspectCandidate() | do.WatchPredecessor() | do.ReadPrimary() | do.ReadEpoch()
            ):
                self._read(request, done)
            case _:
                self.client.write(lambda tree: self._write(tree, request, session_id), done)

    def _read(self, request: do.Read, done: Callable[[Any], None]) -> None:
        match request:
            case do.ListCandidates(path=path):
                self.client.read(lambda tree: _children(tree, path), None, done)
            case do.InspectCandidate(path=path) | do.WatchPredecessor(path=path) | do.ReadPrimary(path=path):
                self.client.read(lambda tree: tree.get(path), path, done)
            case do.ReadEpoch(path=path):
                self.client.read(lambda tree: tree.get(path), path, done, only_if_there=True)

    def _read_together(self, reads: tuple[do.Read, ...], done: Callable[[Any], None]) -> None:
        answers: dict[int, Any] = {}

        def collect(place: int, answer: Any) -> None:
            answers[place] = answer
            if len(answers) == len(reads):
                failures = [one for one in answers.values() if isinstance(one, RequestFailure)]
                done(failures[0] if failures else tuple(answers[place] for place in range(len(reads))))

        for place, read in enumerate(reads):
            self._read(read, functools.partial(collect, place))

    def _write(self, tree: Tree, request: do.ElectionRequest, session_id: int) -> RequestFailure | None:
        match request:
            case do.MakeParents(root=root, candidates=candidates):
                tree.setdefault(root, Node(owner=0))
                tree.setdefault(candidates, Node(owner=0))
                return None
            case do.CreateCandidate(prefix=prefix, value=value):
                if PATHS.candidates not in tree:
                    return RequestFailure.MISSING
                path = f"{prefix}{next(self.world._sequence):010}"
                return _create(tree, path, value, session_id, self.world.made_at())
            case do.DeleteCandidate(path=path):
                return _delete(tree, path)
            case do.CreateEpoch(path=path, value=value):
                return _create(tree, path, value, 0)
            case do.ClaimEpoch():
                return self._claim(tree, request, session_id)
            case do.ReleaseEpoch():
                failure = _set(tree, request.epoch, request.epoch_value, request.version)
                failure = failure or _delete(tree, request.primary)
                return failure or (_delete(tree, request.candidate) if request.candidate else None)
            case do.RaiseEpoch(epoch=path, epoch_value=value, version=version):
                return _set(tree, path, value, version)
            case do.RecordTrouble(path=path, value=value):
                tree.pop(path, None)
                return None if value is None else _create(tree, path, value, session_id)
            case do.RecordHistory(path=path, record=record, reason=reason):
                value = tree[path].value if path in tree else b""
                at = self.world.now
                if reason is None:
                    value = history.record_began(value, record, at)
                else:
                    value = history.record_ended(value, record, reason.value, at)
                tree[path] = Node(owner=0, value=value)
                return None
        raise AssertionError(request)

    def _claim(self, tree: Tree, request: do.ClaimEpoch, session_id: int) -> RequestFailure | None:
        if request.candidate not in tree:
            return RequestFailure.MISSING
        failure = _create(tree, request.primary, request.primary_value, session_id)
        failure = failure or _set(tree, request.epoch, request.epoch_value, request.version)
        if failure is None:
            self.world.granted(EpochRecord.parse(request.epoch_value).epoch, session_id)
        return failure


def _children(tree: Tree, path: str) -> tuple[str, ...] | None:
    if path not in tree:
        return None
    return tuple(name[len(path) + 1 :] for name in tree if name.startswith(f"{path}/"))


def _create(tree: Tree, path: str, value: bytes, owner: int, made_at: int = 0) -> RequestFailure | None:
    if path in tree:
        return RequestFailure.EXISTS
    tree[path] = Node(owner=owner, value=value, made_at=made_at)
    return None


def _delete(tree: Tree, path: str) -> RequestFailure | None:
    return None if tree.pop(path, None) is not None else RequestFailure.MISSING


def _set(tree: Tree, path: str, value: bytes, version: int = -1) -> RequestFailure | None:
    node = tree.get(path)
    if node is None:
        return RequestFailure.MISSING
    if version not in (-1, node.version):
        return RequestFailure.CONFLICT
    tree[path] = dataclasses.replace(node, version=node.version + 1, value=value)
    return None
