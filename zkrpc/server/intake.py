"""When a connection's socket is read, and how much at once.

=========  =============================================================  ============================================
it is      because                                                        and goes on
=========  =============================================================  ============================================
reading    nothing speaks against it
waiting    the connection has used the hub for its slice of time, or       with its turn
           what came may take long and others have had much already
stopped    there is no room for answers, or nothing more is wanted        when ``go_on`` is called, or never
=========  =============================================================  ============================================

All bytes of one read are parsed in one go. So the size of a read adapts: small where the bytes take long to parse and
run, large where they do not. A long message is parsed in one go however it is read, so what the wire machine wants
for one counts first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from zkrpc.server.compiled import IS_COMPILED, ReaderCore, acquaint
from zkrpc.server.turns import SLICE, Turns
from zkrpc.wire.frames import LONG
from zkrpc.wire.server import ServerProtocol

_SMALLEST, _FIRST, _LARGEST = 1024, 16 * 1024, 64 * 1024
_NO_TIME = SLICE / 2
"""If a full read is dealt with in fewer seconds, the next one may be larger."""
_LIGHT = 1024
"""Bytes that may be read, parsed and run in any round of the event loop: 0.25 ms of work at worst. The compiled part
knows the same number."""
_PAUSE = 3
"""Long messages after which there is another look for a second one, if there was none: a look in vain takes a tenth of
what is saved where there is one."""


class IntakeOwner(Protocol):
    """The connection for which an Intake reads."""

    protocol: ServerProtocol

    def receive(self, chunk: bytes, now: float, wait: bool) -> None:
        """Takes bytes that were read; none mean the end of the stream. With ``wait``, the requests in them are to be
        run at the next turn."""

    def gather(self, chunk: bytes, now: float) -> None:
        """Takes bytes that were read, and runs nothing yet."""

    def run_gathered(self, now: float) -> None:
        """Has the requests in what was gathered since ``now`` run."""

    def take_turn(self, now: float) -> bool:
        """Goes on with what is left to do; False if there is nothing."""

    def flush(self, *, nothing_came: bool) -> None:
        """Sends what there is. ``nothing_came`` says that the socket was found empty, so that the connection may be
        closed if nothing remains to be done."""

    def clock(self) -> float:
        """Monotonic seconds."""


class Intake(ReaderCore):
    """The reading end of one connection; it reads from the start.

    ``readable`` is a watcher that fires when ``sock`` can be read; ``turns`` are the server's, in which this connection
    counts for ``address``.
    """

    __slots__ = ("_pause", "_readable", "address")

    _owner: IntakeOwner | None
    _recv: Callable[[int], bytes]
    _size: int
    _turns: Turns
    is_reading: bool
    is_waiting: bool
    """True while it waits for a turn."""

    def __init__(self, sock: Any, readable: Any, turns: Turns, address: str, owner: IntakeOwner) -> None:
        self.address = address
        """Whose turns it takes."""
        self.is_reading = True
        self.is_waiting = False
        self._recv = sock.recv
        self._readable = readable
        self._turns = turns
        self._owner = owner
        self._size = _FIRST
        self._pause = 0
        readable.start(self._read)

    def __repr__(self) -> str:
        """Its state."""
        return f"<Intake {'waiting' if self.is_waiting else 'reading' if self.is_reading else 'stopped'}>"

    def stop(self) -> None:
        """Stops reading until ``go_on``."""
        if self.is_reading:
            self.is_reading = False
            self._readable.stop()

    def go_on(self) -> None:
        """Reads again."""
        if not self.is_reading and not self.is_waiting:
            self.is_reading = True
            self._readable.start(self._read)

    def wait_for_turn(self, *, for_long: bool = False) -> None:
        """Stops reading until the connection's next turn; ``for_long`` says that the last read took long to deal
        with."""
        if for_long:
            self._size = max(self._size // 2, _SMALLEST)
        if not self.is_waiting:
            self.is_waiting = True
            self.stop()
            self._turns.wait(self.address, self._take_turn)

    def close(self) -> None:
        """Stops reading for good, and gives up a turn that it waits for."""
        self.stop()
        self._readable.close()
        self._owner = None

    def _read_in_python(self) -> None:
        """In the hub. Reads once, but for long messages: if there is more, the hub looks at other sockets before it
        comes back."""
        owner = self._owner
        assert owner is not None
        wanted = owner.protocol.wanted or self._size
        may_take_long = owner.protocol.inflow.may_take_long
        # In a turn it was waited for already.
        if may_take_long and self.is_reading and self._turns.is_spent():
            self.wait_for_turn()
            return
        now = owner.clock()
        try:
            chunk = self._recv(wanted)
        except OSError as error:
            self._unread(error, now)
            return
        size = len(chunk)
        wait = size > _LIGHT and self.is_reading and self._turns.is_spent()
        if LONG <= size == wanted != self._size and not wait:
            self._read_on(chunk, now)
            return
        owner.receive(chunk, now, wait)
        if size == wanted == self._size:
            self._widen(now)

    if not IS_COMPILED:
        _read = _read_in_python

    def _read_on(self, chunk: bytes, now: float) -> None:
        """What the wire machine wanted, a long message or its end, came whole. Takes another one, if it is there,
        before any is run: so their answers leave together, and the hub goes round once for both."""
        owner = self._owner
        assert owner is not None
        owner.gather(chunk, now)
        wanted = owner.protocol.wanted
        if self._pause:
            self._pause -= 1
        elif wanted >= LONG:
            try:
                chunk = self._recv(wanted)
            except OSError:
                chunk = b""
            if chunk:
                owner.gather(chunk, now)
            else:  # nothing, or the end, which is found again
                self._pause = _PAUSE
        owner.run_gathered(now)

    def _unread(self, error: OSError, now: float) -> None:
        """There was nothing to read, or the connection is broken, which counts as its end."""
        owner = self._owner
        assert owner is not None
        if isinstance(error, (BlockingIOError, InterruptedError)):
            self.go_on()
            owner.flush(nothing_came=True)
        else:
            owner.receive(b"", now, False)

    def _widen(self, began: float) -> None:
        """A read was full; the next one may be larger, if what came was dealt with in no time."""
        owner = self._owner
        if self._size < _LARGEST and owner is not None and owner.clock() - began < _NO_TIME:
            self._size *= 2

    def _take_turn(self) -> None:
        self.is_waiting = False
        owner = self._owner
        if owner is not None and not owner.take_turn(owner.clock()):
            self._read()


acquaint(Intake)
