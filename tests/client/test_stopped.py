"""A client that was stopped while its servers left: its next calls are made elsewhere, once each, and none is lost.

Clients and servers are processes: a client on gevent, one with threads, and one on asyncio lose the same servers. The
kernel tells when the servers' ends have come to the clients' host.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.processes import Process, python
from tests.support.worlds import WORLDS

IDL = str(Path(__file__).with_name("counter.thrift"))
CALLS = 20
BOUND = 60.0

SERVER = """
import json, sys, gevent, zkrpc
interface = zkrpc.load(sys.argv[1]).Counter

class Handler:
    made = 0

    def add(self):
        self.made += 1
        return self.made

config = zkrpc.ServerConfig(linger=0.1, drain_timeout=0.5, **json.loads(sys.argv[2]))
app = zkrpc.serve(zkrpc.Service(interface, Handler, name="counter", config=config))
print(app.endpoint.port, flush=True)
gevent.get_hub().threadpool.apply(sys.stdin.readline)
app.stop()
"""

MANY = {
    "gevent": """
import gevent
stub = zkrpc.connect(interface, places, dialect=dialect)

def attempt():
    try:
        return stub.add()
    except zkrpc.CallError as error:
        return told(error)

def many():
    callers = [gevent.spawn(attempt) for _ in range(4)]
    gevent.joinall(callers)
    return [attempt() for _ in range(16)] + [caller.value for caller in callers]
""",
    "threads": """
stub = zkrpc.threads.connect(interface, places, dialect=dialect)

def attempt(call):
    try:
        return call()
    except zkrpc.CallError as error:
        return told(error)

def many():
    futures = [stub.submit.add() for _ in range(4)]
    return [attempt(stub.add) for _ in range(16)] + [attempt(future.result) for future in futures]
""",
    "asyncio": """
import asyncio
runner = asyncio.Runner()

async def connect():
    return await zkrpc.aio.connect(interface, places, dialect=dialect)

async def attempt():
    try:
        return await stub.add()
    except zkrpc.CallError as error:
        return told(error)

async def all_of_them():
    tasks = [asyncio.ensure_future(attempt()) for _ in range(4)]
    return [await attempt() for _ in range(16)] + await asyncio.gather(*tasks)

stub = runner.run(connect())
many = lambda: runner.run(all_of_them())
""",
}
CLIENT = """
import json, sys, zkrpc
interface, dialect = zkrpc.load(sys.argv[2]).Counter, sys.argv[3]
places = ["127.0.0.1:" + port for port in sys.argv[4:]]
told = lambda error: f"{type(error).__name__}: {error}"
exec(sys.argv[1])
for _ in range(20):
    many()
print("ready", flush=True)
while sys.stdin.readline():  # which blocks the hub of gevent's: nothing is read from the servers meanwhile
    print(json.dumps(many()), flush=True)
"""


class Pair(NamedTuple):
    """Two servers that clients have called."""

    servers: list[Process]
    ports: list[int]

    def linked(self, port: int) -> bool:
        """Whether the clients' host believes that a connection to this port is whole."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)

    def drain(self) -> None:
        """The first server stops in order."""
        tell(self.servers[0])
        self.servers[0].wait(BOUND)

    def kill(self) -> None:
        """The first server is gone at once."""
        self.servers[0].kill()
        self.servers[0].wait(BOUND)

    def nothing(self) -> None:
        """Both servers find by themselves that nobody calls."""


def tell(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


WAYS: dict[str, tuple[Callable[[Pair], None], dict[str, float], int]] = {
    "drain": (Pair.drain, {}, 1),
    "kill": (Pair.kill, {}, 1),
    "idle": (Pair.nothing, {"max_connection_idle": 0.5, "max_connection_age_grace": 0.1}, 2),
    "age": (Pair.nothing, {"max_connection_age": 0.5, "max_connection_age_grace": 0.1}, 2),
}


@pytest.mark.parametrize("dialect", ["zkrpc", "framed"])
@pytest.mark.parametrize("way", WAYS)
def test_calls_of_a_client_that_was_stopped_are_made_elsewhere(way: str, dialect: str) -> None:
    """The servers hung up on a client that could not see it. No method here may be executed twice."""
    leave, config, gone = WAYS[way]
    with ExitStack() as stack:
        servers = [stack.enter_context(python("-c", SERVER, IDL, json.dumps(config))) for _ in range(2)]
        ports = [int(line(server)) for server in servers]
        clients = [
            stack.enter_context(python("-c", CLIENT, MANY[world], IDL, dialect, *map(str, ports))) for world in WORLDS
        ]
        pair = Pair(servers, ports)
        for client in clients:
            assert line(client) == "ready\n"
        for client in clients:
            client.send_signal(signal.SIGSTOP)
        try:
            leave(pair)
            end = time.monotonic() + BOUND
            while any(pair.linked(port) for port in ports[:gone]):
                assert time.monotonic() < end, "the servers did not hang up"
                time.sleep(0.02)
        finally:
            for client in clients:
                client.send_signal(signal.SIGCONT)
        for client in clients:
            tell(client)
            outcomes = json.loads(line(client))
            assert [one for one in outcomes if not isinstance(one, int)] == []
            assert len(outcomes) == CALLS
