"""A ZooKeeper ensemble that is replaced server by server, as an operator does it: ``reconfig`` adds one, then removes
one, whose process is then ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from types import TracebackType

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, ReconfigInProcessError, SessionExpiredError

from zkrpc.dev.folder import Folder
from zkrpc.dev.jars import find_jars
from zkrpc.dev.java import find_java
from zkrpc.dev.node import ServerNode
from zkrpc.dev.zookeeper import free_ports
from zkrpc.errors import CoordinationError

_TIMEOUT = 60.0
_POLL = 0.05
_SETTINGS = """tickTime=500
initLimit=20
syncLimit=8
maxSessionTimeout=120000
maxClientCnxns=0
admin.enableServer=false
standaloneEnabled=false
reconfigEnabled=true
skipACL=yes
"""


class MovingEnsemble:
    """Servers on loopback, numbered from 1 in the order in which they were added; a context manager."""

    def __init__(self, count: int = 3) -> None:
        self._folder = Folder()
        self._java, self._jars = find_java(), find_jars()
        self._lines: dict[int, str] = {}
        """The voting members, as the configuration lists them."""
        self._nodes: dict[int, ServerNode] = {}
        self._laid_out = 0
        self._first = [self._lay_out() for _ in range(count)]

    @property
    def hosts(self) -> str:
        """The connect string of the servers that are members now."""
        return ",".join(f"127.0.0.1:{line.rpartition(':')[2]}" for line in self._lines.values())

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the members of now."""
        return tuple(self._lines)

    def number_of(self, endpoint: str) -> int:
        """The number of the member that clients find at an endpoint."""
        return next(number for number, line in self._lines.items() if line.endswith(f";{endpoint}"))

    def __enter__(self) -> MovingEnsemble:
        """Starts the first servers; returns when they serve."""
        try:
            for number, line in self._first:
                self._lines[number] = line
            for number, _ in self._first:
                self._start(number, self._lines)
            for number, _ in self._first:
                self._await_serving(number)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends every server."""
        self.close()

    def close(self) -> None:
        """Ends every server and removes the files."""
        for node in self._nodes.values():
            node.kill()
        self._folder.close()

    def add(self, *, votes: bool = True) -> int:
        """Starts one more server and makes it a member, which votes or observes; returns its number."""
        number, line = self._lay_out()
        # Until the members know it, it may only listen.
        listening = line.replace("participant", "observer")
        self._start(number, {**self._lines, number: listening})
        line = line if votes else listening
        self._await_serving(number)
        self._lines[number] = line
        self._reconfigure(joining=line)
        return number

    def take_out(self, number: int) -> None:
        """Makes a server no member any more; its process goes on."""
        del self._lines[number]
        self._reconfigure(leaving=str(number))

    def remove(self, number: int) -> None:
        """Makes a server no member any more, and ends its process."""
        self.take_out(number)
        self._nodes[number].kill()

    def _lay_out(self) -> tuple[int, str]:
        """The number and the line of one more server."""
        self._laid_out += 1
        client, quorum, election = free_ports(3)
        line = f"127.0.0.1:{quorum}:{election}:participant;127.0.0.1:{client}"
        return self._laid_out, f"server.{self._laid_out}={line}"

    def _start(self, number: int, lines: Mapping[int, str]) -> None:
        self._nodes[number] = node = ServerNode(
            self._folder.path / str(number),
            int(lines[number].rpartition(":")[2]),
            _SETTINGS + "".join(f"{line}\n" for line in lines.values()),
            number=number,
            java=self._java,
            jars=self._jars,
        )
        node.start()

    def _await_serving(self, number: int) -> None:
        node, give_up_at = self._nodes[number], time.monotonic() + _TIMEOUT
        while node.mode() is None:
            if not node.running or time.monotonic() > give_up_at:
                raise CoordinationError(f"ZooKeeper server {number} does not serve:\n{node.last_words()}")
            time.sleep(_POLL)

    def _reconfigure(self, *, joining: str | None = None, leaving: str | None = None) -> None:
        """Repeats the change until it is in effect: removing the leader ends the connection that asked for it."""
        give_up_at = time.monotonic() + _TIMEOUT
        client = KazooClient(self.hosts, timeout=10.0)
        client.start(_TIMEOUT)
        try:
            while not self._in_effect(client):
                if time.monotonic() > give_up_at:
                    raise CoordinationError(f"the ensemble did not become {self.hosts}")
                with contextlib.suppress(ConnectionLoss, SessionExpiredError, ReconfigInProcessError):
                    client.reconfig(joining=joining, leaving=leaving, new_members=None)
        finally:
            client.stop()
            client.close()

    def _in_effect(self, client: KazooClient) -> bool:
        try:
            value, _ = client.get("/zookeeper/config")
        except (ConnectionLoss, SessionExpiredError):
            return False
        numbers = {line.partition("=")[0] for line in value.decode().splitlines() if line.startswith("server.")}
        return numbers == {f"server.{number}" for number in self._lines}
