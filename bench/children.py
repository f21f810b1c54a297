"""The processes that are measured, from outside: a server on one core, a client on the other."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import trustme

from bench.load import Job
from bench.machine import busy
from bench.sample import Sample, cpu_of

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".cache" / "bench"
"""What is made from ``bench.proto`` and ``floor.c``, and certificates."""
AUTHORITY, CERTIFICATE, KEY = BUILD / "authority.pem", BUILD / "server.pem", BUILD / "server.key"
_END_TIMEOUT = 5.0
_START_TIMEOUT = 60.0


def build() -> None:
    """Compiles what has to be, as the users of those peers do."""
    here = Path(__file__).parent
    BUILD.mkdir(parents=True, exist_ok=True)
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{here}", f"--python_out={BUILD}"]
    subprocess.run([*protoc, f"--grpc_python_out={BUILD}", str(here / "bench.proto")], check=True)
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(AUTHORITY)
    made.cert_chain_pems[0].write_to_path(CERTIFICATE)
    made.private_key_pem.write_to_path(KEY)
    with contextlib.suppress(FileNotFoundError):  # there is no C compiler: the floor in C is left out
        subprocess.run(["cc", "-O2", "-o", str(BUILD / "floor"), str(here / "floor.c")], check=True)


class _Child:
    """One process, which is ended by its handle."""

    def __init__(self, *arguments: str, pure: bool) -> None:
        self.name = " ".join(arguments)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.process", *arguments],
            cwd=ROOT,
            env={**os.environ, "BENCH_BUILD": str(BUILD), **({"ZKRPC_PURE": "1"} if pure else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        return cpu_of(self.pid)

    def _await_start(self) -> str:
        """Its first line; one that does not start is ended here, for nobody has its handle yet."""
        try:
            return self._read_line(_START_TIMEOUT)
        except BaseException:
            self.close()
            raise

    def _read_line(self, bound: float) -> str:
        stdout = self._process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], bound)
        line = stdout.readline() if readable else ""
        if not readable:
            raise RuntimeError(f"bench process {self.name!r} has said nothing for {bound:.0f} s")
        if not line:
            # It has closed its output, which a busy machine may do well before it has ended.
            status = self._process.wait(_START_TIMEOUT)
            raise RuntimeError(f"bench process {self.name!r} has ended with status {status}")
        return line

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in filter(None, (self._process.stdin, self._process.stdout)):
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def __enter__(self: Any) -> Any:
        """Itself."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | types.TracebackType | None) -> None:
        """Ends it."""
        self.close()


class ServerProcess(_Child):
    """A peer's server; ``pure`` keeps it from what is compiled of zkrpc."""

    def __init__(self, peer: str, core: int = 0, *, pure: bool = False) -> None:
        super().__init__("serve", str(core), peer, pure=pure)
        self.port = int(self._await_start())


class ClientProcess(_Child):
    """A peer's client of one server."""

    def __init__(self, peer: str, server: ServerProcess, core: int = 1, *, pure: bool = False) -> None:
        self._server = server
        super().__init__("call", str(core), peer, str(server.port), pure=pure)
        self._await_start()

    def measure(
        self, workload: str, callers: int, *, warm_up: float, seconds: float, rate: float | None = None
    ) -> Sample:
        """Runs one cell once. Raises RuntimeError if the process does not bring it to an end."""
        job = Job(
            workload=workload,
            callers=callers,
            warm_up=warm_up,
            seconds=seconds,
            server_pid=self._server.pid,
            rate=rate,
        )
        began, busy_before, ours_before = time.monotonic(), busy(), self.cpu + self._server.cpu
        order = {name: getattr(job, name) for name in Job.__dataclass_fields__}
        sample = Sample(**self._ask(order, 30 + 5 * (warm_up + seconds)))
        others = busy() - busy_before - (self.cpu + self._server.cpu - ours_before)
        return dataclasses.replace(sample, disturbance=max(0.0, others / (time.monotonic() - began)))

    def weigh(self, connections: int) -> tuple[float, float]:
        """Bytes that an idle connection takes in the server and in the client."""
        on_server, on_client = self._ask({"weigh": connections, "server_pid": self._server.pid}, 120)
        return on_server, on_client

    def _ask(self, order: dict[str, Any], bound: float) -> Any:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        return json.loads(self._read_line(bound))
