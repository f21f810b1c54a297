"""What zkrpc peers say of themselves when they meet: how large a message, and its headers, may be that they take.

Each side sends one ``hello`` with its limits as headers, the client first. Who knows them refuses a message that is too
large by itself, before a byte of it is sent. Peers of earlier versions say nothing, and then nothing is known; numbers
that no honest peer has are not believed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NoReturn

from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError, TooLarge
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.headers import MAX_ENTRIES, MAX_FRAME, MAX_HEADER
from zkrpc.wire.message import EMPTY_STRUCT, HELLO, Dialect, write_head
from zkrpc.wire.theader import write_block

UNHEARD_FRAME = 128 * 1024
"""Bytes that a server which has not said hello yet is sent at most in one frame; for more its word is awaited."""

_LEAST = {"max_frame": 1024, "max_header": 256, "max_header_entries": 8}
"""Who says less would be of no use to anybody."""
_KEYS = {"max_frame": MAX_FRAME, "max_header": MAX_HEADER, "max_header_entries": MAX_ENTRIES}
_LONGEST_NUMBER = 10


class NotIntroduced(LocalProtocolError):
    """The server has not said yet whether it takes a message this large: ask it for a sign of life first."""


@functools.lru_cache(maxsize=64)
def hello_frame(limits: WireLimits) -> bytes:
    """A whole ``hello`` with these limits."""
    said = {key: str(getattr(limits, name)) for name, key in _KEYS.items()}
    block = write_block(Dialect.HEADER_BINARY.payload, said)
    return (
        write_head(Dialect.HEADER_BINARY, MessageKind.ONEWAY, HELLO, 0, len(EMPTY_STRUCT), block=block) + EMPTY_STRUCT
    )


class Introduction:
    """What one server says of itself; before it does, it is sent nothing large.

    A server of an earlier version says nothing, and lets us know by answering a ping first. ``awaited`` is False for a
    peer that has no word for any of this.
    """

    __slots__ = ("_is_over", "_limits", "max_frame", "takes")

    def __init__(self, limits: WireLimits, *, awaited: bool) -> None:
        self._limits = limits
        self._is_over = not awaited
        self.takes = limits
        """What may be sent, as far as is known."""
        self.max_frame = min(limits.max_frame, UNHEARD_FRAME) if awaited else limits.max_frame
        """Bytes that may be sent in one frame now."""

    def __repr__(self) -> str:
        """Whether it is over, and what may be sent."""
        return f"<Introduction {'over' if self._is_over else 'awaited'} max_frame={self.max_frame}>"

    def receive(self, headers: Mapping[str, str]) -> None:
        """Its ``hello`` came, or an answer to a ping. What it says later does not count."""
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
    """What may be sent to a peer whose ``hello`` had these headers: what both sides take."""
    less: dict[str, Any] = {}
    for name, key in _KEYS.items():
        text, ours = headers.get(key, ""), getattr(limits, name)
        if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
            less[name] = min(ours, max(int(text), _LEAST[name]))
    return dataclasses.replace(limits, **less) if less else limits
