"""What comes on an accepted connection, up to its messages: what it speaks, the message that is incomplete, and how
long the peer may take for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import Stream
from zkrpc.wire.fast_path import KnownRequests
from zkrpc.wire.inflation import Inflation
from zkrpc.wire.message import UNFRAMED, Dialect, Opening, open_frame
from zkrpc.wire.prelude import Prelude
from zkrpc.wire.theader import NO_HEADERS
from zkrpc.wire.unframed import buffer_of


class Inflow:
    """The inward half of one connection, accepted at ``now``."""

    __slots__ = (
        "_limits",
        "_persistent",
        "buffer",
        "dialect",
        "first_message_by",
        "inflation",
        "partial_since",
        "prelude",
    )

    def __init__(self, limits: WireLimits, now: float) -> None:
        self._limits = limits
        self.inflation = Inflation(limits)
        """What deflated bytes may become."""
        self.prelude: Prelude | None = Prelude(limits, self.inflation)
        """None once the messages come as they are."""
        self.dialect: Dialect | None = None
        """The dialect of all messages, if they come without frames."""
        self.buffer = buffer_of(None, limits)
        """The message that is incomplete."""
        self.first_message_by: float | None = now + limits.first_frame_timeout
        """When the first message must have come; None once it has."""
        self.partial_since: float | None = None
        """When the incomplete message's first bytes came; None if none is incomplete."""
        self._persistent: Mapping[str, str] = NO_HEADERS

    @property
    def may_take_long(self) -> bool:
        """Whether what comes next may take long for its size: the end of a large message, or what is deflated."""
        return self.partial_since is not None or self.inflation.used

    def __repr__(self) -> str:
        """What it speaks, and since when something is incomplete."""
        return f"<Inflow {self.dialect} prelude={self.prelude} partial_since={self.partial_since}>"

    def unwrap(self, prelude: Prelude, data: bytes, now: float) -> bytes:
        """The bytes of messages in ``data``. Raises RemoteProtocolError for what is not spoken."""
        was_known = prelude.stream is not None
        data = prelude.take(data, now)
        stream = prelude.stream
        if stream is None:
            self.partial_since = now if self.partial_since is None else self.partial_since
        elif not was_known:
            self.prelude = prelude if prelude.is_deflated else None
            if stream is not Stream.FRAMED:
                self.dialect = UNFRAMED[stream]
                self.buffer = buffer_of(self.dialect, self._limits)
        return data

    def open(self, message: bytes, known: KnownRequests, now: float) -> Opening:
        """A message up to its envelope, without the length in front of it, with the headers that earlier ones said were
        persistent. Raises RemoteProtocolError."""
        if self.dialect is not None:
            return Opening(self.dialect, message, 0)
        opening = open_frame(message, self._limits, self.inflation, now)
        if not opening.persistent and not self._persistent:
            return opening
        known.forgo()
        return self._persist(opening)

    def _persist(self, opening: Opening) -> Opening:
        kept = {**self._persistent, **opening.persistent}
        most, size = self._limits.max_header_entries, sum(len(key) + len(value) for key, value in kept.items())
        if len(kept) > most:
            raise RemoteProtocolError(f"{len(kept)} persistent headers are over max_header_entries {most}")
        if size > self._limits.max_header:
            raise RemoteProtocolError(
                f"persistent headers of {size} bytes are over max_header {self._limits.max_header}"
            )
        self._persistent = kept
        if not opening.dialect.has_header:
            return opening
        return opening._replace(headers=MappingProxyType({**kept, **opening.headers}), persistent=kept)

    def outward(self, data: bytes) -> bytes:
        """What to send for ``data``: deflated, if the peer's bytes are."""
        return data if self.prelude is None else self.prelude.deflated(data)

    def next_timer(self) -> float | None:
        """When ``overdue`` may say something, or None."""
        partial = None if self.partial_since is None else self.partial_since + self._limits.partial_frame_timeout
        if partial is None or (self.first_message_by is not None and self.first_message_by < partial):
            return self.first_message_by
        return partial

    def overdue(self, now: float) -> str | None:
        """Why the peer is too slow; None if it is not."""
        limits = self._limits
        if self.first_message_by is not None and now >= self.first_message_by:
            return f"no complete frame within {limits.first_frame_timeout:g} s of connecting"
        if self.partial_since is not None and now >= self.partial_since + limits.partial_frame_timeout:
            return f"a frame stayed incomplete for {limits.partial_frame_timeout:g} s"
        return None

    def clear(self) -> None:
        """Drops what is incomplete."""
        self.buffer.clear()
        self.partial_since = None
