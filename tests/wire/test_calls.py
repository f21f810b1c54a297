"""The bytes before a call: the same whether remembered or written anew."""

from __future__ import annotations

import math

import pytest

from tests.support.wire_frames import BODIES, BODY, split_messages
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError
from zkrpc.wire.calls import MAX_BUDGETS, learn_template, templates, write_call_head
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import PLAIN_MAGIC, Dialect, write_head
from zkrpc.wire.theader import write_block

LIMITS = WireLimits()


def head(dialect: Dialect = Dialect.HEADER_BINARY, *, deadline_at: float = 5.0, **options: object) -> bytes:
    """The head of a call with id 7 and a body of ``BODIES``."""
    wanted = {"now": 0.0, "headers": None, "oneway": False, **options}
    size = len(BODIES[dialect.payload])
    return write_call_head(dialect, LIMITS, b"once", 7, size, deadline_at=deadline_at, **wanted)  # type: ignore


def test_template_writes_what_the_slow_way_writes() -> None:
    """Also for a call without an end, whose template is not worth remembering."""
    for deadline_at in (5.0, math.inf):
        pack, shape, base = learn_template(b"once", deadline_at, 0.0)
        assert pack(base + len(BODY), PLAIN_MAGIC, 7, shape, 7) == head(deadline_at=deadline_at)
    assert list(templates[b"once"]) == [5000.0]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("oneway", [False, True])
def test_head_says_kind_name_id_and_metadata(dialect: Dialect, oneway: bool) -> None:
    """Metadata only where there is a header for it."""
    written = head(dialect, headers={"k": "v"}, oneway=oneway)
    [opening] = split_messages(written + BODIES[dialect.payload], dialect)
    kind, name, seqid, _ = opening.envelope()
    assert (kind, name, seqid) == (MessageKind.ONEWAY if oneway else MessageKind.CALL, b"once", 7)
    assert opening.headers == ({"k": "v", "Deadline-Budget": "5000"} if dialect.has_header else {})


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("text", [PARENT, PARENT.replace("f", "e"), PARENT + "-more", "ä" * 55, "ä" * 27 + "x", ""])
@pytest.mark.parametrize("deadline_at", [5.0, 5.0005, 0.25, math.inf])
def test_call_with_a_trace_is_written_as_any_other_with_headers(text: str, deadline_at: float) -> None:
    """Whether its head is made of parts that are known, or is another one than tracers write."""
    written = head(headers={"traceparent": text}, deadline_at=deadline_at)
    budget = {} if deadline_at == math.inf else {"Deadline-Budget": str(int(deadline_at * 1000))}
    assert written == write_head(
        Dialect.HEADER_BINARY,
        MessageKind.CALL,
        b"once",
        7,
        len(BODY),
        block=write_block(Dialect.HEADER_BINARY.payload, {"traceparent": text, **budget}),
    )


def test_call_with_a_trace_is_held_to_the_limits_of_the_server() -> None:
    """Also when its head is known."""
    head(headers={"traceparent": PARENT})
    for limits in (WireLimits(max_header=64), WireLimits(max_header_entries=1)):
        with pytest.raises(LocalProtocolError):
            write_call_head(Dialect.HEADER_BINARY, limits, b"once", 7, 1, 5.0, 0.0, {"traceparent": PARENT}, False)


def test_headers_over_a_limit_are_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(LocalProtocolError):
        head(headers={"k": "v" * 20_000})


def test_only_so_many_budgets_are_remembered() -> None:
    """Every method's table starts anew when it is full."""
    client = ClientProtocol(Dialect.HEADER_BINARY, LIMITS, 0.0, zkrpc=False)
    for budget in range(1, 600):
        client.send_call(b"bounded", BODY, None, deadline_at=budget / 1000, now=0.0)
    assert len(templates[b"bounded"]) <= MAX_BUDGETS
