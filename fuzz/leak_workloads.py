"""What is done again and again in search of leaks: by each workload exactly the same each time, good and bad.

Work for a new compiled part is added here, with the part's package; a test sees to it that each has some.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import gevent

import zkrpc
from fuzz import corpus, wire_targets
from fuzz.mutation import mutate
from fuzz.server_target import Dispatcher
from tests.codec.both import schema, struct
from zkrpc import Service
from zkrpc.caller import NOBODY
from zkrpc.codec import Payload, StructCodec
from zkrpc.errors import CallError, RemoteProtocolError
from zkrpc.idl import load_text
from zkrpc.testing.loopback import Loopback
from zkrpc.tracing.choosing import choose_calls, choose_requests
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Request

_MUTATED = 40
_CALLERS = 8
_IDL = load_text("""
struct Point { 1: required i32 x, 2: string name, 3: list<i64> numbers, 4: map<string, Point> near }
exception Oops { 1: required string why, 2: Point where }
service Ends {
  Point echo(1: Point point) throws (1: Oops oops) (zkrpc.idempotent = "true"),
  void declared(1: string why) throws (1: Oops oops),
  string undeclared(1: string why),
  string wrong(),
  string slow(1: i32 milliseconds) (zkrpc.timeout_ms = "20000"),
  oneway void note(1: string text),
}
""")


class Workload(NamedTuple):
    """Something that is done again and again."""

    packages: tuple[str, ...]
    """Whose compiled part it is for."""
    work: Callable[[], object]


@contextlib.contextmanager
def workloads() -> Iterator[Mapping[str, Workload]]:
    """All, by name; what they started ends with the block."""
    dispatcher = Dispatcher()
    with contextlib.closing(dispatcher), Loopback(Service(_IDL.Ends, Handler)) as stub:
        yield {
            "codec": Workload(("codec",), structs()),
            "headers": Workload(("wire",), fed(wire_targets.header, corpus.calls())),
            "frames": Workload(("wire",), fed(wire_targets.frames, corpus.calls())),
            "wire of a server": Workload(("wire",), fed(wire_targets.server, corpus.calls())),
            "wire of a client": Workload(("wire", "client"), fed(wire_targets.client, corpus.answers())),
            "server": Workload(("server", "wire"), fed(dispatcher, corpus.calls())),
            "calls": Workload(("client", "server"), lambda: calls(stub)),
            "connections": Workload(("client", "server"), connections),
            "traces": Workload(("tracing",), choices),
        }


def structs() -> Callable[[], None]:
    """Values and mutated bodies of random structs, to bytes and back, and objects of other classes."""
    rng = random.Random(3)
    classes = [load_text(schema(rng)).T0 for _ in range(6)] + [_IDL.Point, _IDL.Oops]
    work = []
    for cls in classes:
        codec, values = StructCodec(cls), [struct(cls, rng) for _ in range(3)]
        for payload in Payload:
            seeds = [codec.encode(value, payload) for value in values]
            bodies = [*seeds, b"\0", *(mutate(seeds, rng) for _ in range(_MUTATED))]
            work.append((codec, payload, [*values, _IDL.Point(), _IDL.Point("x"), None], bodies))

    def do() -> None:
        for codec, payload, values, bodies in work:
            for value in values:
                with contextlib.suppress(TypeError):
                    codec.encode(value, payload)
            for body in bodies:
                with contextlib.suppress(RemoteProtocolError):
                    codec.decode(body, 0, payload)

    return do


def fed(target: Callable[[bytes, random.Random], None], seeds: Sequence[bytes]) -> Callable[[], None]:
    """A target of the fuzzer with its seeds and some mutations, the same each time."""
    rng = random.Random(5)
    inputs = [*seeds, *(mutate(seeds, rng) for _ in range(_MUTATED))]

    def do() -> None:
        for number, data in enumerate(inputs):
            target(data, random.Random(number))

    return do


class Handler:
    """Ends calls in every way in which a handler can."""

    def echo(self, point: Any) -> Any:
        """The same."""
        return point

    def declared(self, why: str) -> None:
        """An exception of the IDL."""
        raise _IDL.Oops(why, _IDL.Point(1, why))

    def undeclared(self, why: str) -> str:
        """One of nobody's."""
        raise ValueError(why)

    def wrong(self) -> Any:
        """What is no string."""
        return 5

    def slow(self, milliseconds: int) -> str:
        """Waits."""
        gevent.sleep(milliseconds / 1000)
        return "late"

    def note(self, text: str) -> None:
        """Nothing."""


def calls(stub: Any) -> None:
    """Every end of a call, from one caller and from many: answers, errors, values that do not fit, time that is over,
    a caller who is killed."""
    point = _IDL.Point(1, "a" * 300, list(range(50)), {"b": _IDL.Point(2)})
    for call, error in (
        (functools.partial(stub.echo, point), ()),
        (functools.partial(stub.echo, None), CallError),
        (functools.partial(stub.echo, "no point"), TypeError),
        (functools.partial(stub.echo, _IDL.Point("no number")), TypeError),
        (functools.partial(stub.echo, point, point), TypeError),
        (functools.partial(stub.declared, "why"), _IDL.Oops),
        (functools.partial(stub.undeclared, "why"), CallError),
        (stub.wrong, CallError),
        (functools.partial(stub.note, "text"), ()),
        (functools.partial(stub.options(timeout=0.001).slow, 20), CallError),
        (lambda: stub.options(timeout=-1.0), zkrpc.ConfigError),
    ):
        with contextlib.suppress(error):
            call()
    callers = [gevent.spawn(stub.echo, point) for _ in range(_CALLERS)]
    abandoned = [gevent.spawn(stub.slow, 1000) for _ in range(_CALLERS)]
    gevent.joinall(callers, raise_error=True)
    for one in abandoned:
        one.kill()  # gevent.killall takes a reference to one of its classes each time and keeps it


def connections() -> None:
    """A client and a server that are made, answer, and are closed while a call is under way."""
    with Loopback(Service(_IDL.Ends, Handler)) as stub:
        stub.echo(_IDL.Point(1))
        waiting = gevent.spawn(_expect_no_answer, stub)
        gevent.sleep(0)
    waiting.get()


def choices() -> None:
    """Calls and requests that begin a trace, may be of one, or are of none, and dice that fail."""
    casts = [0.9, 0.1] * 4

    def way(*given: Any) -> Any:
        return given

    make_call: Any = choose_calls(way, way, casts.pop, 0.5, list)
    run_request = choose_requests(way, way, casts.pop, 0.5, ("traceparent",))
    while casts:
        make_call("call")
        headers = {"traceparent": ""} if len(casts) < 4 else {}
        request = Request(b"echo", 1, MessageKind.CALL, headers, b"", 0, Dialect.HEADER_BINARY, 0.0, 1, 0, None)
        run_request(request, "peer", 1.0, NOBODY)
    with contextlib.suppress(IndexError):
        make_call("call")


def _expect_no_answer(stub: Any) -> None:
    with contextlib.suppress(CallError):
        stub.slow(1000)
