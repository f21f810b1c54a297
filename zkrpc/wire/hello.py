"""The introduction of peers on a new connection: how large a message, and its headers, each side accepts; who calls.

Each side sends one ``hello`` with its limits as headers, the client first. A side that knows the other's limits refuses
a message that is too large before a byte of it is sent. Peers of earlier versions send none, and then the limits are
unknown; impossible numbers are ignored.

A client's hello also has the name and version of its program. A THeader server that is sent no hello gets them with
the first call instead.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NoReturn

from zkrpc.caller import NOBODY, Caller
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError, TooLarge
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.headers import CALLER, CALLER_VERSION, MAX_ENTRIES, MAX_FRAME, MAX_HEADER, TRACES
from zkrpc.wire.message import EMPTY_STRUCT, HELLO, Dialect, write_head
from zkrpc.wire.theader import write_block

UNHEARD_FRAME = 128 * 1024
"""The most bytes in one frame to a server whose hello has not come; larger messages wait for it."""

_LEAST = {"max_frame": 1024, "max_header": 256, "max_header_entries": 8}
"""Smaller limits than these are ignored as impossible."""
_KEYS = {"max_frame": MAX_FRAME, "max_header": MAX_HEADER, "max_header_entries": MAX_ENTRIES}
_LONGEST_NUMBER = 10


class NotIntroduced(LocalProtocolError):
    """The server has not said yet whether it accepts a message this large: send a ping first."""


@functools.lru_cache(maxsize=64)
def hello_frame(limits: WireLimits, caller: Caller = NOBODY, *, traces: bool = False) -> bytes:
    """A whole ``hello`` with these limits; a client's says who it is, and whether it traces."""
    said = {key: str(getattr(limits, name)) for name, key in _KEYS.items()} | ({TRACES: "1"} if traces else {})
    said |= caller_headers(caller)
    block = write_block(Dialect.HEADER_BINARY.payload, said)
    return (
        write_head(Dialect.HEADER_BINARY, MessageKind.ONEWAY, HELLO, 0, len(EMPTY_STRUCT), block=block) + EMPTY_STRUCT
    )


def caller_headers(caller: Caller) -> dict[str, str]:
    """The headers that say who calls; those that would be empty are left out."""
    return {key: value for key, value in ((CALLER, caller.name), (CALLER_VERSION, caller.version)) if value}


def caller_of(headers: Mapping[str, str]) -> Caller:
    """Who calls, according to the headers of a hello or of a first call; nothing is checked."""
    return Caller(headers.get(CALLER, ""), headers.get(CALLER_VERSION, ""))


class Introduction:
    """The limits of one server; before they are known, nothing large is sent to it.

    A server of an earlier version sends no hello, which is known once it answers a ping without one. ``awaited`` is
    False for a peer that is no zkrpc server.
    """

    __slots__ = ("_is_over", "_limits", "max_frame", "takes")

    def __init__(self, limits: WireLimits, *, awaited: bool) -> None:
        self._limits = limits
        self._is_over = not awaited
        self.takes = limits
        """The limits on what may be sent, as far as they are known."""
        self.max_frame = min(limits.max_frame, UNHEARD_FRAME) if awaited else limits.max_frame
        """Bytes that may be sent in one frame now."""

    def __repr__(self) -> str:
        """Whether the hello has come, and what may be sent."""
        return f"<Introduction {'over' if self._is_over else 'awaited'} max_frame={self.max_frame}>"

    def receive(self, headers: Mapping[str, str]) -> None:
        """Takes in the server's ``hello``, or its answer to a ping. Only the first one counts."""
        if not self._is_over:
            self._is_over = True
            self.takes = narrowed(self._limits, headers)
            self.max_frame = self.takes.max_frame

    def refuse(self, size: int) -> NoReturn:
        """Raises the error for a frame of more than ``max_frame`` bytes."""
        if size > self._limits.max_frame:
            raise TooLarge(f"call of {size} bytes is over this client's max_frame {self._limits.max_frame}")
        if not self._is_over:
            raise NotIntroduced(f"nobody knows yet whether the server takes a call of {size} bytes")
        raise TooLarge(f"call of {size} bytes is over the server's max_frame {self.max_frame}")


def narrowed(limits: WireLimits, headers: Mapping[str, str]) -> WireLimits:
    """The limits on what may be sent to a peer whose ``hello`` had these headers: what both sides accept."""
    less: dict[str, Any] = {}  # so that peers of the same limits share one object
    for name, key in _KEYS.items():
        text, ours = headers.get(key, ""), getattr(limits, name)
        if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
            theirs = max(int(text), _LEAST[name])
            if theirs < ours:
                less[name] = theirs
    return dataclasses.replace(limits, **less) if less else limits
