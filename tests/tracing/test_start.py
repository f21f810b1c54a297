"""Tracing is turned on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.programs import ROOT
from tests.support.tracing import Collector
from tests.support.waiting import eventually
from zkrpc.errors import ConfigError
from zkrpc.tracing import channel
from zkrpc.tracing.start import start_tracing

PROGRAM = """
{before}
import os, sys, zkrpc
from tests.support.echo import idl, EchoHandler
from zkrpc.testing.loopback import Loopback
from zkrpc.tracing.start import start_tracing
{setup}
tracing = start_tracing({arguments})
with Loopback(zkrpc.Service(idl.Echo, EchoHandler, name="echo")) as stub:
    stub.echo("x")
    {during}
{after}
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector, ended at the end."""
    made = Collector()
    yield made
    made.close()


def run(before: str = "", setup: str = "", arguments: str = "", during: str = "pass", after: str = "") -> str:
    """Runs a program; what it printed."""
    program = PROGRAM.format(before=before, setup=setup, arguments=arguments, during=during, after=after)
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("before", ["", "from gevent import monkey; monkey.patch_all()"])
def test_one_line_turns_it_on(collector: Collector, before: str) -> None:
    """In a program that has patched the standard library and in one that has not; its end loses no span, nor does it
    wait for the collector."""
    collector.hold.clear()
    out = run(before, arguments=f"{collector.url!r}, service='shop'", after="print(tracing.status())")
    assert "spans=3, dropped=0" in out
    collector.hold.set()
    eventually(lambda: len(collector.spans) == 3, 60)
    assert collector.resources[0]["service.name"] == "shop"
    assert len({span.trace_id for span in collector.spans}) == 1


def test_the_program_s_own_spans_go_the_same_way(collector: Collector) -> None:
    """And those of forked children, through the same process."""
    during = (
        "from opentelemetry import trace; t = trace.get_tracer('mine'); t.start_span('parent').end()\n"
        "    pid = os.fork()\n"
        "    if not pid: t.start_span('child').end(); os._exit(0)\n"
        "    os.waitpid(pid, 0)"
    )
    run(arguments=repr(collector.url), during=during)
    eventually(lambda: {"parent", "child", "Echo/echo"} <= {span.name for span in collector.spans}, 60)


def test_a_provider_of_the_program_s_is_used(collector: Collector) -> None:
    """Then no process is started, and the spans are where that provider puts them."""
    setup = (
        "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "kept = InMemorySpanExporter(); provider = TracerProvider(shutdown_on_exit=False)\n"
        "provider.add_span_processor(SimpleSpanProcessor(kept)); trace.set_tracer_provider(provider)"
    )
    out = run(
        setup=setup, arguments=repr(collector.url), after="print(len(kept.get_finished_spans()), tracing.status())"
    )
    assert out.startswith("3 TracingStatus(exporting=False, spans=0")
    assert collector.requests == 0


def test_twice_is_once_too_often(collector: Collector) -> None:
    """Two of them would make two spans of each call."""
    after = (
        "try: start_tracing()\nexcept zkrpc.ConfigError as error: print(error)\n"
        "tracing.stop(); tracing.stop()\n"
        "try: start_tracing()\nexcept zkrpc.ConfigError as error: print(error)"
    )
    out = run(arguments=repr(collector.url), after=after).splitlines()
    assert out == ["this process is traced already, or was; start_tracing() is called once"] * 2


def test_a_stop_can_wait_for_the_last_span(collector: Collector) -> None:
    """As the last process of a container must; it takes no longer than it is told to, whatever the collector does."""
    run(arguments=repr(collector.url), after="tracing.stop(timeout=60)")
    assert len(collector.spans) == 3
    collector.hold.clear()
    out = run(arguments=repr(collector.url), after="tracing.stop(timeout=0.1); print(tracing.status())")
    assert "spans=3" in out


def test_spans_of_a_patched_program_are_exported_while_it_runs(collector: Collector) -> None:
    """Not only at its end: gevent's sockets do not block, and the exporting process has to wait for the next span."""
    during = "import gevent; gevent.sleep(0); print('called', flush=True); sys.stdin.readline()"
    program = PROGRAM.format(
        before="from gevent import monkey; monkey.patch_all()",
        setup="",
        arguments=repr(collector.url),
        during=f"{during}\n    stub.echo('y'); sys.stdin.readline()",
        after="",
    )
    command = [sys.executable, "-W", "error", "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        eventually(lambda: len(collector.spans) == 3, 60)
        process.stdin.write("\n")
        process.stdin.flush()
        eventually(lambda: len(collector.spans) == 6, 60)
        process.stdin.write("\n")


def test_it_can_be_disabled_from_outside(collector: Collector) -> None:
    """By the variable that disables OpenTelemetry's SDK, whatever the program says."""
    before = "import os; os.environ['OTEL_SDK_DISABLED'] = 'true'"
    assert "exporting=False" in run(before, arguments=repr(collector.url), after="print(tracing.status())")
    assert collector.requests == 0


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(channel, "_PACKAGES", ("opentelemetry.trace", "opentelemetry_missing.sdk"))
    with pytest.raises(ConfigError, match=r"pip install 'zkrpc\[otel\]'"):
        start_tracing()
