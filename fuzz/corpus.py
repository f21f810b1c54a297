"""The seeds: messages, records and files as honest peers and programs make them."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from faults.hostile_frames import METHODS, call, cancel, deflated, hello, idl, ping, unknown_map, unknown_structs
from tests.support.wire_frames import message, theader
from zkrpc.election.tree import EpochRecord, StepDownRequest
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.config_history import ConfigVersion
from zkrpc.registry.formats import PrimaryRecord, dump_curator, dump_serverset
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import DRAINING, HELLO, PONG, Dialect, control_frame

ROOT = Path(__file__).resolve().parent.parent
BOOM = "boom"
"""The text for which the handler under test fails."""
NAMES = (
    b"Target:echo",
    b"target:echo",
    b"Audit:log",
    b"Audit:echo",
    b"Nobody:echo",
    b"Target:Target:echo",
    b":echo",
    b"Target:",
    b":" * 256,
    b"Target:" + b"e" * 300,
    b"Target:ec\0ho",
    b"Target:\xff\xfe",
)
"""Multiplexed names: of both services that the dispatcher serves, of none, and such as nobody gives."""
_PAIRS = [idl.Pair(name="a", numbers={1: 2, -3: 4}), idl.Pair(name="b")]


@functools.cache
def calls() -> tuple[bytes, ...]:
    """What clients send: every method in every dialect, headers, control messages, deflated bodies, strangers."""
    found = []
    for dialect in Dialect:
        for name, *args in (("echo", "honest"), ("echo", BOOM), ("count", _PAIRS), ("blob", 100), ("slow", 1)):
            found.append(call(name, *args, seqid=7, dialect=dialect))
        found += [call("note", "x", dialect=dialect), call("lead", dialect=dialect)]
        found.append(message(b"Target:lead", 3, b"\0", dialect=dialect))
        found.append(message(b"zkrpc.Health:check", 4, b"\0", dialect=dialect))
        found.append(message(b"zkrpc.Introspection:describe", 5, b"\0", dialect=dialect))
        found.append(message(b"nothing", 6, b"\0", dialect=dialect))
    argument = METHODS["echo"].encode_arguments(METHODS["echo"].bind(("x",), {}))
    found += [message(name, 9, argument) for name in NAMES]
    headers = {"tenant": "blue", "Deadline-Budget": "250", "zkrpc-attempt": "1"}
    body = METHODS["echo"].encode_arguments(METHODS["echo"].bind(("x",), {}))
    found.append(message(b"echo", 8, body, headers=headers))
    found += [hello(), ping(), cancel(7), control_frame(DRAINING), deflated(unknown_map(3))]
    found += [deflated(unknown_structs(3), times=2), theader(b"\x00\x00\x01\x01\x01a\x01b", body)]
    found.append(hello() + call("echo", "after hello", seqid=1) + cancel(1))
    found += [zlib.compress(found[0]), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"PROXY TCP4 1"]
    return tuple(found)


@functools.cache
def answers() -> tuple[bytes, ...]:
    """What servers send, to calls 1 to 3, as ``wire_targets`` makes them: replies, exceptions, control messages."""
    found = []
    values = {"echo": "honest", "count": 2, "blob": b"bytes"}
    failure = b"\x0b\x00\x01\x00\x00\x00\x02no\x08\x00\x02\x00\x00\x00\x06\x00"
    for dialect in Dialect:
        for number, (name, value) in enumerate(values.items(), 1):
            body = METHODS[name].encode_result(value, dialect.payload)
            found.append(message(name.encode(), number, body, kind=MessageKind.REPLY, dialect=dialect))
            told = failure if dialect.payload.name == "BINARY" else b"\x18\x02no\x15\x0c\x00"
            found.append(message(name.encode(), number, told, kind=MessageKind.EXCEPTION, dialect=dialect))
    found += [control_frame(HELLO), control_frame(PONG), control_frame(DRAINING), ping()]
    found += [b"HTTP/1.1 400 Bad Request\r\n\r\n", control_frame(HELLO) + found[0] + found[2] + found[4]]
    return tuple(found)


@functools.cache
def records() -> tuple[bytes, ...]:
    """What stands in the nodes of members, primaries, epochs, requests and versions."""
    full = Instance(
        id="w1",
        endpoint=Endpoint("10.0.0.3", 9090),
        weight=2.5,
        zone="eu-1",
        protocols=("zkrpc", "framed"),
        started_at=1621155920.25,
        version="1.4.0",
        shard=3,
        idl_digest="ab" * 4,
        interface="Users",
        primary_only=("put", "drop"),
        metadata=MappingProxyType({"owner": "Zoë"}),
    )
    plain = Instance(id="w1", endpoint=Endpoint("::1", 9090))
    found = [dump_serverset(one) for one in (plain, full)] + [dump_curator(one, "users") for one in (plain, full)]
    found.append(PrimaryRecord(epoch=7, instance="w1", endpoint=plain.endpoint).dump())
    found.append(EpochRecord(epoch=7, instance="w1", handed_over=True, heir="w2").dump())
    found.append(StepDownRequest(epoch=7, heir="w2").dump())
    found.append(ConfigVersion(number=3, text='{"timeoutMs": 100}', by="ada@host", reason="why", at=1.0).dump())
    found.append(b'{"interface":"Users","digest":"' + b"ab" * 32 + b'"}')
    found.append(b'{"serviceEndpoint":{"host":"h","port":1},"additionalEndpoints":{},"status":"ALIVE","shard":0}')
    found.append(b'{"format":1,"service":"users","members":{"w1":' + found[0] + b"}}")
    return tuple(found)


@functools.cache
def configs() -> tuple[bytes, ...]:
    """What operators write for a service: the example of the tests, and each of its parts."""
    example = json.loads((ROOT / "tests" / "support" / "service_config.json").read_text())
    more = [
        {"timeout_ms": 500, "balancing": "p2c", "retry": {"ratio": 0.1, "reserve_per_s": 5}, "subset_size": 5},
        {"methods": {"get": {"timeout_ms": 100, "hedge_ms": "p95", "idempotent": True, "max_attempts": 3}}},
        {"callers": {"web": {"max_rate": 100}}, "allow": {"get": ["dns:*.example.org"]}},
        {"balancing": "consistent_hash", "hash_key": "tenant", "tap": {"masked": ["password"]}},
    ]
    return tuple(json.dumps(one).encode() for one in (example, *more))


@functools.cache
def idls() -> tuple[bytes, ...]:
    """Some IDL files of the repository, and small ones with everything in them."""
    files: Sequence[str] = (
        "idl/users.thrift",
        "idl/counter.thrift",
        "faults/hostile.thrift",
        "interop/matrix.thrift",
        "zkrpc/idl/health.thrift",
    )
    small = (
        b'namespace py a\nconst i32 N = 3\nconst map<string, list<i32>> M = {"a": [1, N]}\nenum E { A = 1, B }\n'
        b'struct S { 1: required E e = E.A, 2: optional list<set<string>> l, -1: binary b } (a.b = "c")\n',
        b"typedef list<string> L\nunion U { 1: L l, 2: double d }\nexception X { 1: string s }\n"
        b"service P { void p() }\n"
        b'service Q extends P { oneway void o(1: U u), L f(1: i8 n) throws (1: X x) (z.y = "w") }',
    )
    return (*((ROOT / file).read_bytes() for file in files), *small, *small)
