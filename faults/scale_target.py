"""The server of suite ``scale``: one process, which needs no registry. ``python -m faults.scale_target``.

It serves until its standard input ends, on as many ports as it is told, each with a gate of its own.
"""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path

import gevent
from gevent.fileobject import FileObject

import zkrpc

CONNECTIONS = 15_000
CONCURRENT = 200
"""Calls that run at once on one port; one more is refused, for nobody waits in a queue."""

idl = zkrpc.load(Path(__file__).with_name("scale.thrift"))


class ScaleHandler:
    """Does what the IDL says."""

    def echo(self, text: str) -> str:
        """The text."""
        return text

    def wait(self, text: str, milliseconds: int) -> str:
        """The text, later."""
        gevent.sleep(milliseconds / 1000)
        return text

    def decline(self, why: str) -> None:
        """Always."""
        raise idl.Declined(why=why)

    def objects(self) -> int:
        """What is left after a collection."""
        gc.collect()
        return len(gc.get_objects())


def main(ports: int) -> None:
    """Prints the endpoints, and serves."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    config = zkrpc.ServerConfig(
        max_connections=CONNECTIONS, max_concurrent=CONCURRENT, max_queue=0, backlog=4096, linger=0, drain_timeout=0
    )
    service = zkrpc.Service(idl.Scale, ScaleHandler, config=config)
    apps = [zkrpc.serve(service) for _ in range(ports)]
    print(*(app.endpoint for app in apps), flush=True)
    FileObject(sys.stdin.buffer).read()
    for app in apps:
        app.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]))
