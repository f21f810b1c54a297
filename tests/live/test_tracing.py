"""One call through three services in processes of their own, retried and hedged on its way, is one tree of spans.

Its callers are programs on gevent, with threads, and on asyncio; they call the same services at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import ROOT, Programs
from tests.support.tracing import CLIENT, Collector, attributes_of
from tests.support.waiting import eventually
from tests.support.worlds import WORLDS

pytestmark = pytest.mark.zookeeper

_CHAIN = """
import os, sys
from pathlib import Path
import gevent, zkrpc
from zkrpc.idl import load_text
idl = load_text('''
service Link {
  string work(1: string text) (zkrpc.timeout_ms = "60000")
}
service First {
  string work(1: string text) (zkrpc.idempotent = "true", zkrpc.hedge_ms = "3000", zkrpc.timeout_ms = "60000")
}
''')
FOLDER = Path(__file__).parent

def is_first(name):
    try:
        (FOLDER / name).touch(exist_ok=False)
        return True
    except FileExistsError:
        return False

def refuse_first(call, proceed):
    if is_first(f"refused-{call.arguments[0]}"):
        raise zkrpc.Draining("not here")
    return proceed(call)

class Link:
    def __init__(self, following=None):
        self.next = following and zkrpc.connect(idl.Link, following, zookeeper=os.environ["CHAIN_ZOOKEEPER"])

    def work(self, text):
        return self.next.work(text) if self.next else text

class First(Link):
    def work(self, text):
        if is_first(f"held-{text}"):
            gevent.sleep(60)
        return super().work(text)

front = zkrpc.Service(idl.First, lambda: First("middle"), name="front")
middle = zkrpc.Service(idl.Link, lambda: Link("back"), name="middle", interceptors=[refuse_first])
back = zkrpc.Service(idl.Link, Link, name="back")
"""
_CALL = """
import asyncio, sys, zkrpc, chain
from zkrpc.tracing.start import start_tracing
_, world, url, hosts = sys.argv
start_tracing(url, service=f"{world} caller")

def wait(connect):
    with connect(chain.idl.First, "front", zookeeper=hosts) as stub:
        return stub.work(world)

async def await_it():
    async with zkrpc.aio.connect(chain.idl.First, "front", zookeeper=hosts) as stub:
        return await stub.work(world)

if world == "asyncio":
    assert asyncio.run(await_it()) == world
else:
    assert wait(zkrpc.threads.connect if world == "threads" else zkrpc.connect) == world
"""


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts programs and ends them."""
    started = Programs(tmp_path)
    yield started
    started.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector, ended at the end."""
    made = Collector()
    yield made
    made.close()


def test_a_call_through_three_services_is_one_tree(
    programs: Programs, collector: Collector, zookeeper: str, tmp_path: Path
) -> None:
    """For whoever calls: the hedge at the first hop and the retry at the second are spans beside the attempts before
    them; every span's parent is in the tree, and each service's process has its own name."""
    (tmp_path / "chain.py").write_text(_CHAIN)
    variables = {"CHAIN_ZOOKEEPER": zookeeper, "PYTHONPATH": str(ROOT)}
    for name, workers in (("back", 1), ("middle", 2), ("front", 2)):
        options = ("--zookeeper", zookeeper, "--workers", str(workers), "--traces", collector.url)
        program = programs.python("-m", "zkrpc", "serve", f"chain:{name}", *options, folder=tmp_path, **variables)
        eventually(lambda: program.output.count("serves at") == workers, 90)
    callers = [
        programs.python("-c", _CALL, world, collector.url, zookeeper, folder=tmp_path, **variables) for world in WORLDS
    ]
    for caller in callers:
        assert caller.wait(90) == 0, caller.output

    # The copies that lost are ended by cancellations, whose spans come when they come.
    eventually(lambda: len(collector.spans) >= 13 * len(WORLDS), 60)
    traces: dict[bytes, dict[bytes, Any]] = {}
    for span in collector.spans:
        traces.setdefault(span.trace_id, {})[span.span_id] = span
    assert len(traces) == len(WORLDS)
    for spans in traces.values():
        expect_one_tree(spans, zookeeper)
    names = {resource["service.name"] for resource in collector.resources}
    assert names == {*(f"{world} caller" for world in WORLDS), "front", "middle", "back"}


def expect_one_tree(spans: dict[bytes, Any], zookeeper: str) -> None:
    """What one call leaves."""
    (root,) = [span for span in spans.values() if not span.parent_span_id]

    def tree(span: Any) -> Any:
        below = sorted(
            (one for one in spans.values() if one.parent_span_id == span.span_id),
            key=lambda one: one.start_time_unix_nano,
        )
        told = attributes_of(span)
        return (told["rpc.status_code"], told.get("zkrpc.attempt"), [tree(one) for one in below])

    back = ("OK", None, [("OK", 1, [("OK", None, [])])])
    middle = ("OK", None, [("Draining", 1, [("Draining", None, [])]), ("OK", 2, [("OK", None, [back])])])
    held, copy = ("Cancelled", 1, [("GreenletExit", None, [])]), ("OK", 2, [("OK", None, [middle])])
    assert tree(root) == ("OK", None, [held, copy])
    (hedge,) = [span for span in spans.values() if "zkrpc.hedge" in attributes_of(span)]
    assert hedge.parent_span_id == root.span_id

    assert CLIENT == 2
    targets = [attributes_of(span)["server.address"] for span in spans.values() if span.kind == 3]
    assert sorted(targets) == sorted(f"zookeeper://{zookeeper}/{name}" for name in ("front", "middle", "back"))
