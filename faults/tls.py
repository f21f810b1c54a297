"""Suite ``tls``: what callers notice while certificates are replaced, and while peers begin handshakes and end none.

One worker serves with TLS and takes clients with certificates only. It asks each connection to end after a second or
two, so that new ones are opened all the time.

* ``replaced``: the certificates and keys of both sides are replaced a hundred times under load, and now and then a file
  is broken for some seconds. No call fails, new connections get the new certificate, and each broken file is counted as
  an alarm on either side.
* ``silent``, ``half``: a thousand connections say nothing, or begin a handshake and say no more, while 32 honest
  callers work (:mod:`faults.crowding`).
"""

from __future__ import annotations

import contextlib
import random
import re
import ssl
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import gevent
from gevent import socket

import zkrpc
from faults import hostile_target
from faults.cluster import Replica, members, wait_until
from faults.crowding import WARM_UP, crowd, note_of
from faults.hostile_honest import Honest
from faults.load import Outcome, failures
from scripts.report import Report
from tests.support.certificates import SERVER_NAMES, Files, serial_of
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import ConfigError
from zkrpc.telemetry.events import CertificateRejected, CertificateReloaded, Event
from zkrpc.telemetry.observer import Observer

STUBS, CALLERS = 8, 4
CONNECTIONS = 10_000
"""As many as there may be by default."""
AGE = 1.5
"""Seconds after which the server asks a connection to end."""
BETWEEN, BROKEN = 1.2, 5.0
"""Seconds from one replacement to the next, and for which a broken file stays."""
PATIENCE = 5.0
"""Seconds that a handshake may take."""
SCENARIOS = ("replaced", "silent", "half")


def run(seed: int, *, times: int, only: Sequence[str] = ()) -> Report:
    """The suite, or the scenarios named. Raises ConfigError for a name that is none."""
    unknown = set(only) - set(SCENARIOS)
    if unknown:
        raise ConfigError(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    report, rng = Report("tls", seed), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, DevZooKeeper() as server:
        for name in SCENARIOS:
            if not only or name in only:
                with report.guard(name, "runs"), _Scene(Path(folder), server.hosts, name, rng) as scene:
                    if name == "replaced":
                        _replace(report, scene, times)
                    else:
                        crowd(report, name, name, scene.instance, scene.callers, cut_after=PATIENCE)
    return report


class _Certificates(Observer):
    """Counts what clients tell of their certificates."""

    kinds = (CertificateReloaded, CertificateRejected)

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def receive(self, event: Event) -> None:
        """One more of them."""
        self.counts[type(event).__name__] += 1


class _Scene:
    """A worker with TLS, and callers with certificates."""

    def __init__(self, folder: Path, hosts: str, name: str, rng: random.Random) -> None:
        (folder / name).mkdir()
        self.files = Files(folder / name)
        self.server = self.files.server(clients="required")
        self.client = self.files.client("web.internal")
        self.told = _Certificates()
        self._ends = contextlib.ExitStack()
        self._registry = self._ends.enter_context(zkrpc.Registry(hosts))
        tls = {"tls_cert": self.server.certificate, "tls_key": self.server.key, "tls_ca": self.server.ca}
        limit = f"max_connection_age={AGE}" if name == "replaced" else f"max_connections={CONNECTIONS}"
        replica = Replica(
            "faults.hostile_target:service", "target", hosts, folder / name, drain_timeout=2, limit=limit, **tls
        )
        self._ends.callback(replica.close)
        wait_until(lambda: members(self._registry, "target"), 60, "the target registered")
        (self.instance,) = members(self._registry, "target").values()
        self.callers = [self._call(rng) for _ in range(STUBS)]

    def _call(self, rng: random.Random) -> Honest:
        stub = zkrpc.connect(
            hostile_target.idl.Target, "target", zookeeper=self._registry, tls=self.client, observers=[self.told]
        )
        self._ends.callback(stub.close)
        return Honest(stub, rng, callers=CALLERS, leads=False)

    def __enter__(self) -> _Scene:
        """Itself, once calls are answered."""
        gevent.sleep(WARM_UP)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends everything."""
        self._ends.close()

    def stop(self) -> list[Outcome]:
        """Lets all callers finish; their calls after the first moments."""
        for one in self.callers:
            one.stop()
        return [outcome for one in self.callers for outcome in one.outcomes]

    def metric(self, name: str) -> float:
        """The sum of a metric of the worker."""
        assert self.instance.admin is not None
        place = self.instance.admin.host, self.instance.admin.port
        with contextlib.closing(socket.create_connection(place, 10)) as sock:
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE))

    def serial(self) -> int:
        """The serial number of the certificate that a new connection gets."""
        context = ssl.create_default_context(cafile=self.client.ca)
        context.load_cert_chain(self.client.certificate, self.client.key)
        place = self.instance.endpoint.host, self.instance.endpoint.port

        def look() -> int:
            with socket.create_connection(place, 10) as plain, context.wrap_socket(
                plain, server_hostname=place[0]
            ) as sock:
                return serial_of(sock.getpeercert(True) or b"")

        return int(zkrpc.offload(look))


def _replace(report: Report, scene: _Scene, times: int) -> None:
    """Both certificates, again and again; now and then a broken file."""
    breaks = 0
    for number in range(times):
        scene.files.issue("server", *SERVER_NAMES)
        scene.files.issue("client", "web.internal")
        gevent.sleep(BETWEEN)
        if number % 10 == 5:
            breaks += 1
            for path in map(Path, (scene.server.certificate, scene.client.certificate)):
                whole = path.read_bytes()
                path.write_bytes(whole[: len(whole) // 2])
            gevent.sleep(BROKEN)
    certificate, _ = scene.files.issue("server", *SERVER_NAMES)
    scene.files.issue("client", "web.internal")
    gevent.sleep(4 * BETWEEN)
    calls = scene.stop()
    counts = scene.told.counts
    check = report.check
    check("replaced: failed calls", len(failures(calls)), 0, comparison="==", note=note_of(calls))
    reloads = scene.metric("zkrpc_tls_certificates_reloaded_total")
    check("replaced: changes that the server took in", reloads, 0.9 * times, comparison=">=")
    alarms = scene.metric("zkrpc_tls_certificates_rejected_total")
    check("replaced: alarms of the server", alarms, breaks, comparison="==")
    check("replaced: changes that clients took in", counts["CertificateReloaded"], times, comparison=">=")
    check("replaced: alarms of clients", counts["CertificateRejected"], breaks, comparison=">=")
    wanted = serial_of(ssl.PEM_cert_to_DER_cert(Path(certificate).read_text()))
    check("replaced: new connections get the last certificate", scene.serial() == wanted, True, comparison="==")
    refused = scene.metric("zkrpc_server_handshakes_failed_total")
    check("replaced: handshakes that failed", refused, 0, comparison="==")
