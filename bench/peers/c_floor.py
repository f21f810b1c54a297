"""What the kernel can do with the same bytes on one connection: C and epoll, see ``floor.c``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.load import Job
from bench.peers.plain import REQUEST
from bench.sample import Sample

PROGRAM = str(Path(os.environ["BENCH_BUILD"], "floor"))


def serve(ready: Callable[[int], None]) -> None:
    """Becomes the server, which tells its port itself."""
    sys.stdout.flush()
    os.execv(PROGRAM, [PROGRAM, "serve"])


class Client:
    """Runs the client."""

    def __init__(self, port: int) -> None:
        self.port = port

    def measure(self, job: Job) -> Sample:
        """As many frames on the way as there are callers."""
        numbers = (self.port, job.server_pid, job.callers, len(REQUEST), int(job.warm_up * 1e9), int(job.seconds * 1e9))
        output = subprocess.run([PROGRAM, "call", *map(str, numbers)], check=True, stdout=subprocess.PIPE, text=True)
        return Sample(**json.loads(output.stdout))


make_client = Client
