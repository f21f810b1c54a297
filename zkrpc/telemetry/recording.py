"""Durations of calls and requests that went well, gathered until somebody wants them. Pure.

To tell of a call takes longer than to note how long it took. So the durations of one method's calls are gathered in a
list, and handed to those who record them many at a time: when the list is long enough, when one of them is so long that
it is to be told at once, and when somebody calls :func:`settle`, because he is about to read what was recorded.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

MOST = 128
"""Durations that are gathered before they are handed over: with these many the rest of the work, done once for all of
them, is small. They take 4 KiB."""

Recorder = Callable[[Sequence[float]], object]
"""Called with the seconds of some calls or requests that went well, one at least. What holds for ``Observer.receive``
holds for it."""


class Recording:
    """The durations of one method that are not handed over yet.

    Where each call comes by, what ``note`` does is written out, for a call of Python takes longer than all of it. What
    is left when nobody has the recording any more is handed over then.

    Args:
        makers: make the recorders, when there is something for them.
        urgent: seconds from which a duration is handed over at once.
        complain: called from an ``except`` clause with the number of a recorder that has failed, or could not be made.
    """

    __slots__ = ("__weakref__", "_complain", "_makers", "_recorders", "seconds", "urgent")

    def __init__(
        self, makers: Sequence[Callable[[], Recorder]], urgent: float, complain: Callable[[int], object]
    ) -> None:
        self.seconds: list[float] = []
        """Always the same list."""
        self.urgent = urgent
        self._makers = makers
        self._recorders: list[Recorder | None] = [None] * len(makers)
        self._complain = complain
        _open[id(self)] = self

    def __repr__(self) -> str:
        """How many there are."""
        return f"<Recording {len(self.seconds)} durations>"

    def note(self, seconds: float) -> None:
        """Adds a duration."""
        self.seconds.append(seconds)
        if seconds >= self.urgent or len(self.seconds) >= MOST:
            self.settle()

    def settle(self) -> None:
        """Hands over what there is."""
        some = self.seconds[:]
        if not some:
            return
        del self.seconds[: len(some)]
        for number, make in enumerate(self._makers):
            try:
                record = self._recorders[number]
                if record is None:
                    record = self._recorders[number] = make()
                record(some)
            except Exception:
                self._complain(number)

    def __del__(self) -> None:
        """Hands over what is left."""
        self.settle()


_open: weakref.WeakValueDictionary[int, Recording] = weakref.WeakValueDictionary()


def settle() -> None:
    """Has everything handed over that was gathered in this process."""
    for reference in _open.valuerefs():
        recording = reference()
        if recording is not None:
            recording.settle()
