"""What an election tells the application, and what it makes of the answer; and what it tells people who read logs.

It knows hooks and words; it refuses to know when they are called for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import gevent

from zkrpc.election.effects import Failure
from zkrpc.election.fencing import Epoch
from zkrpc.election.leadership import Leadership
from zkrpc.errors import StaleEpoch

log = logging.getLogger(__name__)

_LOST_CONNECTION = tuple(one.value for one in (Failure.NOT_SENT, Failure.UNKNOWN, Failure.SESSION_ENDED))


class Application(Protocol):
    """What is told of being primary. Both may wait; what they raise is logged."""

    def on_elected(self, leadership: Leadership) -> None:
        """Make ready to serve; raising, or taking too long, gives the term up."""

    def on_deposed(self, leadership: Leadership) -> None:
        """Stop; must return soon, because the process is ended if it does not."""


def run_hook(
    name: str,
    hook: Callable[[Leadership], None],
    leadership: Leadership,
    of: str,
    believe: Callable[[Epoch], None],
) -> str | None:
    """Calls one of the application's hooks and says why it failed; None if it did not. ``of`` is the group, for people.

    ``believe`` is told of a later epoch, if that is why: a store then knows of a later primary than ZooKeeper does.
    """
    try:
        hook(leadership)
    except gevent.GreenletExit:
        raise
    except BaseException as error:  # also a gevent.Timeout of the hook's own
        log.exception("%s failed for %s, epoch %d", name, of, leadership.epoch)
        if isinstance(error, StaleEpoch) and error.current == leadership.epoch:
            believe(error.seen)
        return f"{type(error).__name__}: {error}"
    return None


class Announcer:
    """Tells people once what keeps an election from going on, and once that it does."""

    def __init__(self, of: str) -> None:
        """``of`` is the group, for people."""
        self.trouble: str | None = None
        """What was told last; None if all is well."""
        self._of = of

    def __repr__(self) -> str:
        """The trouble."""
        return f"<Announcer {self._of} trouble={self.trouble}>"

    def hear(self, trouble: str | None) -> None:
        """That is how things are now. Of lost connections the session tells."""
        if trouble == self.trouble or trouble in _LOST_CONNECTION:
            return
        if trouble is None:
            log.info("the election of %s goes on", self._of)
        else:
            log.error("the election of %s has to wait: %s", self._of, trouble)
        self.trouble = trouble
