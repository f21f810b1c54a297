"""A server that does not know AddWatch: a real one, to which the request arrives as one of a type that no version
knows. Its answer is then what an older server gives: that it does not know the request, and a closed connection. Or it
arrives with a mode that no version knows; then the answer is an error, and the connection stays."""

from __future__ import annotations

import struct

from zkrpc.testing.proxy import Proxy

_ADD_WATCH, _UNKNOWN = 106, 9999
_HEADER = struct.Struct("!iii")
_MODE = struct.Struct("!i")


class OlderServer(Proxy):
    """A proxy to the server at ``target`` that hides AddWatch from it while ``older`` is set."""

    def __init__(self, target: tuple[str, int]) -> None:
        """Older from the start."""
        self.older = True
        self.asked = 0
        """How often AddWatch was asked for."""
        self.hangs_up = True
        """Whether the request is of an unknown type, and not of an unknown mode."""
        super().__init__(target, rewrite=self._hide)

    def _hide(self, chunk: bytes) -> bytes:
        frames, offset = bytearray(chunk), 0
        # kazoo sends one frame at a time, so that each begins where a chunk or another frame does.
        while offset + _HEADER.size <= len(frames):
            length, xid, kind = _HEADER.unpack_from(frames, offset)
            if kind == _ADD_WATCH and xid > 0:
                self.asked += 1
                if self.older and self.hangs_up:
                    _HEADER.pack_into(frames, offset, length, xid, _UNKNOWN)
                elif self.older:
                    _MODE.pack_into(frames, offset + length, _UNKNOWN)  # the last four bytes
            offset += 4 + length
        return bytes(frames)
