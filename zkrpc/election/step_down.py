"""How an operator asks a primary to step down: a node beside it, which it watches while it leads.

The step_down names the epoch that is to end, so that one which comes late can never end a later term; it is ephemeral,
so that none outlives the one who asked; and to write it takes what it takes to write the election's other nodes. The
primary obeys as it would obey its own wish: it finishes its calls, stops, and hands over.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable

from gevent.event import Event

from zkrpc.election.fencing import Epoch
from zkrpc.election.tree import ElectionPaths
from zkrpc.errors import CoordinationError
from zkrpc.zookeeper.session import Session

log = logging.getLogger(__name__)

_MAX_PETITION = 4096
_LOOK_INTERVAL = 10.0
"""Seconds between looks without a reason: a watch that was lost costs an operator no more than this."""
_RETRY = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepDownRequest:
    """The wish that the primary of ``epoch`` step down, in favour of the instance ``heir`` if one is named."""

    epoch: Epoch
    heir: str = ""

    def dump(self) -> bytes:
        """The node's value."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":")).encode()

    @classmethod
    def parse(cls, value: bytes) -> StepDownRequest | None:
        """What ``dump`` wrote; None for anything else."""
        try:
            fields = json.loads(value) if len(value) <= _MAX_PETITION else None
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict):
            return None
        epoch, heir = fields.get("epoch"), fields.get("heir", "")
        return cls(epoch=epoch, heir=heir) if type(epoch) is int and isinstance(heir, str) else None


def step_down_path(paths: ElectionPaths) -> str:
    """Where a group's step_down lies."""
    return f"{paths.root}/step-down"


def await_step_down_request(session: Session, paths: ElectionPaths, epoch: Epoch, obey: Callable[[str], None]) -> None:
    """Waits for a step_down against ``epoch`` and then calls ``obey`` with the heir. Runs in a greenlet of its owner's,
    who ends it with the term."""
    changed = Event()
    while True:
        changed.clear()
        try:
            step_down, pause = _look(session, step_down_path(paths), changed), _LOOK_INTERVAL
        except CoordinationError as error:
            log.debug("cannot look for petitions: %s", error)
            step_down, pause = None, _RETRY
            # Set by the loss of the connection; looking again at once would only fail again.
            changed.clear()
        if step_down is not None and step_down.epoch == epoch:
            log.info("an operator asks the primary of %s, epoch %d, to step down", paths.group, epoch)
            obey(step_down.heir)
            return
        changed.wait(pause)


def _look(session: Session, path: str, changed: Event) -> StepDownRequest | None:
    if session.exists(path, changed) is None:
        return None
    found = session.get(path)
    return None if found is None else StepDownRequest.parse(found[0])
