"""The bytes in which failures travel, recorded: what a server sends stays as it was, and what a client makes of it.

``tests/vectors/failure_frames.json`` holds whole frames by the dialect and the case, as hexadecimal digits. One that
differs is a change of the wire format, and has to be one that older peers understand.
"""

from __future__ import annotations

import json
import pathlib
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.echo import idl
from tests.support.wire_frames import message
from zkrpc.client.replies import failure_of
from zkrpc.config import WireLimits
from zkrpc.endpoint import Endpoint
from zkrpc.errors import (
    CallError,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    Rejected,
    RemoteError,
    StaleEpoch,
    TooLarge,
    UnknownMethod,
)
from zkrpc.server.admission import Admission
from zkrpc.server.dispatch import Answer, Dispatcher
from zkrpc.wire.envelope import MessageKind, read_envelope
from zkrpc.wire.message import Dialect, Reply, Request, open_frame
from zkrpc.wire.server import ServerProtocol

FRAMES: dict[str, dict[str, str]] = json.loads(
    (pathlib.Path(__file__).parent.parent / "vectors" / "failure_frames.json").read_text()
)
RECORDED = [dialect for dialect in Dialect if not dialect.is_deflated]
ECHO = idl.Echo.methods["echo"]
METHOD: Any = SimpleNamespace(interface="Echo", name="echo")
PLACE = Endpoint("::1", 90)


class Handler:
    """Does what was put into ``outcome``."""

    outcome: Any = "hi"

    def _run(self, *_: Any) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    echo = slow = pair = fail = note = large = _run


def dispatched(request: Request, outcome: Any = "hi", *, refused: Any = None, revoked: Any = None) -> Answer | None:
    """What the dispatcher answers where the handler, or an interceptor before or after it, does this."""

    def interceptor(call: Any, proceed: Any) -> Any:
        if refused is not None:
            raise refused
        call.revoked = revoked
        return proceed(call)

    handler = Handler()
    handler.outcome = outcome
    dispatcher = Dispatcher(idl.Echo, handler, interceptors=[interceptor], on_failure=lambda failure: None)
    return dispatcher.dispatch(request, "10.0.0.1:5", request.received_at + 1.0)


def turned_away(request: Request, accepts_calls: bool) -> Answer | None:
    """What the admission answers that has no place."""
    return Admission(0, SimpleNamespace(accepts_calls=accepts_calls)).refusal(request)


CASES: dict[str, Any] = {
    "handler failed": lambda request: dispatched(request, ValueError("a secret")),
    "handler returned nonsense": lambda request: dispatched(request, 7),
    "refused": lambda request: dispatched(request, refused=Rejected("not today")),
    "refused as overloaded": lambda request: dispatched(request, refused=Overloaded("full", retry_after=0.25)),
    "refused as draining": lambda request: dispatched(request, refused=Draining("leaving")),
    "not the primary, and knows who is": lambda request: dispatched(
        request, refused=NotPrimary("elsewhere", primary=PLACE, epoch=7, group="g")
    ),
    "not the primary, and knows nothing": lambda request: dispatched(request, refused=NotPrimary("elsewhere")),
    "epoch is over": lambda request: dispatched(request, refused=StaleEpoch("over", seen=8, current=7)),
    "epoch ended meanwhile": lambda request: dispatched(
        request, revoked=NotPrimary("lapsed", epoch=7, executed=Executed.MAYBE)
    ),
    "stopped meanwhile": lambda request: dispatched(request, revoked=Draining("stop", executed=Executed.MAYBE)),
    "no place": lambda request: turned_away(request, True),
    "stopping": lambda request: turned_away(request, False),
    "unknown method": lambda request: dispatched(request._replace(name=b"nope")),
    "unreadable arguments": lambda request: dispatched(request._replace(frame=b"?", offset=0)),
    "too late": lambda request: dispatched(request._replace(headers={"Deadline-Budget": "10"})),
}
MEANINGS: dict[str, CallError] = {
    "handler failed": RemoteError("", executed=Executed.YES),
    "handler returned nonsense": RemoteError("", executed=Executed.YES),
    "refused": Rejected(""),
    "refused as overloaded": Overloaded("", retry_after=0.25),
    "refused as draining": Draining(""),
    "not the primary, and knows who is": NotPrimary("", primary=PLACE, epoch=7, group="g"),
    "not the primary, and knows nothing": NotPrimary(""),
    "epoch is over": StaleEpoch("", seen=8, current=7),
    "epoch ended meanwhile": NotPrimary("", epoch=7, executed=Executed.MAYBE),
    "stopped meanwhile": Draining("", executed=Executed.MAYBE),
    "no place": Overloaded(""),
    "stopping": Draining(""),
    "unknown method": UnknownMethod(""),
    "unreadable arguments": Rejected(""),
    "too late": DeadlineExceeded("", executed=Executed.NO),
    "too many at once": Overloaded(""),
    "request too large": TooLarge(""),
    "no call": RemoteError(""),
    "name too long": RemoteError(""),
}


def answered(server: ServerProtocol, dialect: Dialect, case: Any) -> bytes:
    """The frame that goes out for a call of ``echo``."""
    server.receive_data(message(body=_arguments(dialect), dialect=dialect, seqid=9), 0.0)
    request = server.next_request()
    assert request is not None
    answer = case(request)
    server.send_reply(request, answer.body, kind=answer.kind, headers=answer.headers)
    return server.data_to_send()


def _arguments(dialect: Dialect) -> bytes:
    encoded: bytes = ECHO.encode_arguments(ECHO.bind(("x",), {}), dialect.payload)
    return encoded


def _too_large(dialect: Dialect) -> bytes:
    """Over a limit of 1024 bytes; without frames it has to be a struct, as its end is looked for."""
    if dialect.is_framed:
        return bytes(2000)
    encoded: bytes = ECHO.encode_arguments(ECHO.bind(("x" * 2000,), {}), dialect.payload)
    return encoded


def refused_by_the_machine(dialect: Dialect) -> dict[str, bytes]:
    """What never becomes a request."""
    sent = {
        "too many at once": (
            WireLimits(max_in_flight=1),
            [message(seqid=8, dialect=dialect), message(dialect=dialect)],
        ),
        "request too large": (
            WireLimits(max_frame=1024),
            [message(body=_too_large(dialect), seqid=9, dialect=dialect)],
        ),
        "no call": (WireLimits(), [message(kind=MessageKind.REPLY, seqid=9, dialect=dialect)]),
        "name too long": (WireLimits(), [message(b"x" * 300, seqid=9, dialect=dialect)]),
    }
    frames = {}
    for case, (limits, calls) in sent.items():
        server = ServerProtocol(limits, 0.0)
        for call in calls:
            server.receive_data(call, 0.0)
        frames[case] = server.data_to_send()
    return frames


def frames_of(dialect: Dialect) -> dict[str, str]:
    """All cases, as they go out now."""
    frames = {case: answered(ServerProtocol(WireLimits(), 0.0), dialect, make) for case, make in CASES.items()}
    return {case: frame.hex() for case, frame in (frames | refused_by_the_machine(dialect)).items()}


@pytest.mark.parametrize("dialect", RECORDED)
def test_failures_leave_a_server_as_they_were_recorded(dialect: Dialect) -> None:
    """Byte by byte, as peers of an earlier version read them."""
    assert frames_of(dialect) == FRAMES[dialect.name]


@pytest.mark.parametrize("case", MEANINGS)
def test_recorded_failures_mean_to_a_client_what_they_meant(case: str) -> None:
    """The class, whether it was executed, and what comes with it."""
    frame = bytes.fromhex(FRAMES["HEADER_BINARY"][case])
    opening = open_frame(frame[4:], WireLimits())
    kind, _, _, offset = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
    assert kind == MessageKind.EXCEPTION
    found = failure_of(METHOD, Reply(MessageKind(kind), opening.headers, opening.frame, offset, opening.dialect))
    expected = MEANINGS[case]
    assert type(found) is type(expected)
    assert vars(found) == vars(expected)


def test_every_recorded_case_has_a_meaning() -> None:
    """In each dialect the same cases."""
    assert all(set(frames) == set(MEANINGS) for frames in FRAMES.values())
    assert set(FRAMES) == {dialect.name for dialect in RECORDED}
