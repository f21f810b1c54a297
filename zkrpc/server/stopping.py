"""Stops a server: executes the steps of its lifecycle, and notices when nothing is left to wait for.

:mod:`~zkrpc.server.lifecycle` decides the order; this module waits, closes what may be closed, and logs one line each
when a stop begins, when it waits for calls, when it ends calls, and when it is over.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import gevent

from zkrpc.config import ServerConfig
from zkrpc.endpoint import Endpoint
from zkrpc.server.admission import Admission
from zkrpc.server.connection import ServerConnection
from zkrpc.server.lifecycle import Lifecycle, LifecycleState, Step, describe_calls
from zkrpc.telemetry.events import DrainStarted, DrainStepTaken, ServerStopped
from zkrpc.telemetry.observer import Observers

log = logging.getLogger(__name__)

_POLL = 0.02
"""Seconds between checks for idleness while finishing a stop."""
_FLUSH_TIME = 0.5
"""Seconds that the last answers of a stop have to be sent."""

StepAction = Callable[[], None]


class StoppingServer(Protocol):
    """The server that is stopped, as this module uses it."""

    name: str
    """The service's."""
    observers: Observers
    config: ServerConfig
    admission: Admission
    endpoint: Endpoint | None
    is_draining: bool

    def clock(self) -> float:
        """Monotonic seconds."""

    @property
    def state(self) -> LifecycleState:
        """The state of its lifecycle."""

    @property
    def connections(self) -> set[ServerConnection]:
        """The open connections."""

    @property
    def busy(self) -> set[ServerConnection]:
        """Connections on which handlers may be running, including connections that are closed already."""

    def stop_accepting(self) -> None:
        """Closes the listening socket."""


def walk_down(server: StoppingServer, lifecycle: Lifecycle, steps: Mapping[Step, StepAction]) -> None:
    """Executes the lifecycle's steps until it is stopped; its timers are the only waits.

    ``steps`` are the actions that are not the server's own; one that fails does not keep the others from being taken.
    """
    began, place = server.clock(), server.endpoint or "the server"
    log.info("%s is draining: %s", place, _describe_calls(server))
    server.observers.tell(DrainStarted(service=server.name, calls=_count_calls(server)))
    while True:
        for step in lifecycle.effects():
            _execute(step, server, steps)
            if step is Step.WITHDRAW:
                lifecycle.receive_withdrawn(server.clock())
        if lifecycle.state is LifecycleState.STOPPED:
            break
        due = lifecycle.next_timer()
        if due is not None:
            gevent.sleep(min(max(0.0, due - server.clock()), _POLL))
        if not lifecycle.accepts_calls:
            _look_for_idleness(server, lifecycle)
        lifecycle.handle_timer(server.clock())
    # Whatever a kill cut short is freed here.
    for step in lifecycle.effects():
        _execute(step, server, steps)
    seconds = server.clock() - began
    log.info("%s stopped after %.1f s: %s", place, seconds, _describe_calls(server))
    server.observers.tell(ServerStopped(service=server.name, seconds=seconds, calls=_count_calls(server)))


def _execute(step: Step, server: StoppingServer, steps: Mapping[Step, StepAction]) -> None:
    began, failure = server.clock(), ""
    action = functools.partial(_OWN_STEPS[step], server) if step in _OWN_STEPS else steps.get(step)
    if action is None:
        return
    try:
        action()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
        log.exception("stopping: could not %s; going on", step.value)
    server.observers.tell(
        DrainStepTaken(service=server.name, step=step.name.lower(), seconds=server.clock() - began, error=failure)
    )


def _look_for_idleness(server: StoppingServer, lifecycle: Lifecycle) -> None:
    """Tells the lifecycle when no handler runs and no peer could still send a call; handlers of closed connections
    count as well."""
    now = server.clock()
    for connection in list(server.connections):
        asked_at = connection.asked_to_end_at
        if asked_at is not None and lifecycle.gives_up(asked_at, now):
            connection.close_if_quiet()
    if not server.connections and not server.admission.running:
        lifecycle.receive_idle(now)


def welcome_peers(server: StoppingServer, welcome: bool) -> None:
    """Asks connected peers, and those that connect later, to send their calls elsewhere while the server goes on; with
    ``welcome`` nobody is asked any more. Does nothing once a stop has begun, which asks them itself."""
    if server.state is not LifecycleState.SERVING:
        return
    if welcome:
        server.is_draining = False
    else:
        _announce_draining(server)


def _announce_draining(server: StoppingServer) -> None:
    server.is_draining = True
    for connection in list(server.connections):
        connection.announce_draining()


def _stop_accepting(server: StoppingServer) -> None:
    server.stop_accepting()


def _finish_connections(server: StoppingServer) -> None:
    for connection in list(server.connections):
        connection.finish()
    if server.admission.running:
        log.info("waiting up to %g s for %s", server.config.drain_timeout, _describe_calls(server))


def _answer_stragglers(server: StoppingServer) -> None:
    if server.admission.running:
        log.warning("ending what outlasted drain_timeout: %s", _describe_calls(server))
    for connection in server.busy:
        connection.answer_stragglers()
    give_up_at = server.clock() + _FLUSH_TIME
    while server.clock() < give_up_at and not all(connection.is_quiet for connection in server.connections):
        gevent.sleep(_POLL)


_OWN_STEPS: Mapping[Step, Callable[[StoppingServer], None]] = {
    Step.ANNOUNCE_DRAINING: _announce_draining,
    Step.STOP_ACCEPTING: _stop_accepting,
    Step.CLOSE_IDLE: _finish_connections,
    Step.ANSWER_STRAGGLERS: _answer_stragglers,
}


def _count_calls(server: StoppingServer) -> int:
    return server.admission.running + server.admission.queued


def _describe_calls(server: StoppingServer) -> str:
    return describe_calls(name for connection in server.busy for name in connection.unfinished())
