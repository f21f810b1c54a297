"""When the hub thread lives: one for each process, from the first use until the last client is closed.

========  ==============================================  ==============================================================
state     is                                              leaves by
========  ==============================================  ==============================================================
ABSENT    there is no hub thread; maybe there are         ``require``: the caller starts the thread, RUNNING
          clients, as in a forked child
RUNNING   there is one                                    ``receive_closed`` of the last client: the caller ends it, and
                                                          ``receive_forked``, in a child: the thread is the parent's,
                                                          ABSENT
OVER      the program ends                                nothing
========  ==============================================  ==============================================================

Its shell calls it under one lock, and carries out what it answers before that is free again.
"""

from __future__ import annotations

import enum

from zkrpc.errors import Executed, Unavailable


class LifeState(enum.Enum):
    """Whether there is a hub thread."""

    ABSENT = "absent"
    RUNNING = "running"
    OVER = "over"


class HubLife:
    """The machine."""

    __slots__ = ("clients", "state")

    def __init__(self) -> None:
        self.state = LifeState.ABSENT
        self.clients = 0
        """Clients that are connected or about to be, and not closed."""

    def __repr__(self) -> str:
        """State and clients."""
        return f"<HubLife {self.state.value} clients={self.clients}>"

    def require(self) -> bool:
        """Somebody wants to use the thread. True if it has to be started. Raises Unavailable at the end of the
        program."""
        if self.state is LifeState.OVER:
            raise Unavailable("the program ends, and with it all clients; call earlier", executed=Executed.NO)
        if self.state is LifeState.RUNNING:
            return False
        self._become_running()
        return True

    def receive_failed(self) -> None:
        """The thread could not be started."""
        self._become_absent()

    def receive_connecting(self) -> None:
        """A client is about to be made."""
        self.clients += 1

    def receive_closed(self) -> bool:
        """A client was closed, or could not be made. True if the thread has to be ended."""
        self.clients -= 1
        if self.clients or self.state is not LifeState.RUNNING:
            return False
        self._become_absent()
        return True

    def receive_forked(self) -> None:
        """This is a forked child: the clients are here, the thread is not."""
        if self.state is LifeState.RUNNING:
            self._become_absent()

    def receive_exit(self) -> None:
        """The program ends. If there is a thread, the caller halts it."""
        self._become_over()

    def _become_absent(self) -> None:
        self.state = LifeState.ABSENT

    def _become_running(self) -> None:
        self.state = LifeState.RUNNING

    def _become_over(self) -> None:
        self.state = LifeState.OVER
