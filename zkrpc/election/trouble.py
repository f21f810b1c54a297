"""Why an instance cannot lead, as it says so itself, for people: a small record in an ephemeral node of its own.

Nothing is decided by it. It goes with the instance's session, or when the instance leads again.
"""

from __future__ import annotations

import dataclasses
import json

from zkrpc.errors import RemoteProtocolError
from zkrpc.legible import legible
from zkrpc.registry.formats import load_object

_MAX_RECORD = 4096
_MAX_TEXT = 300
_MOST_TIMES = 10**9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong the last time this instance was elected."""

    why: str
    times: int = 1
    """How often in a row."""

    def dump(self) -> bytes:
        """The node's value."""
        return json.dumps({"why": _plain(self.why), "times": self.times}, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, value: bytes) -> Trouble | None:
        """What ``dump`` wrote; None for anything else."""
        try:
            fields = load_object(value, _MAX_RECORD)
        except RemoteProtocolError:
            return None
        why, times = fields.get("why"), fields.get("times")
        if not isinstance(why, str) or type(times) is not int or not 0 < times <= _MOST_TIMES:
            return None
        return cls(why=_plain(why), times=times)


def _plain(text: str) -> str:
    """One line that no terminal takes for a command."""
    return legible(" ".join(text[: 2 * _MAX_TEXT].split()), _MAX_TEXT)
