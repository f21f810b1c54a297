"""Asks a service's ``is_healthy`` again and again, and tells of it when the answers have changed its readiness.

Each question has a greenlet of its own, so that a hook that hangs, or does not let itself be ended, holds up nothing
but the next question: it counts as a bad answer for as long as it hangs. What blocks the hub is for the watchdog.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent

from zkrpc.config import ServerConfig
from zkrpc.errors import ConfigError
from zkrpc.server.health import Readiness

log = logging.getLogger(__name__)

Hook = Callable[[], object]
"""True if all is well. Anything else, or an exception, means that it is not."""

_READY_INTERVAL = 0.1
"""Seconds between two looks at whether a service that starts is ready."""


class HealthCheck:
    """One service's.

    Args:
        service: its name, for the log.
        hook: ``is_healthy``.
        interval, timeout: seconds between two questions, and for the answer.
        on_change: called with the reason when it is not ready any more, and with "" when it is again. Must not wait.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        service: str,
        hook: Hook,
        *,
        interval: float,
        timeout: float,
        on_change: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._service = service
        self._hook = hook
        self._interval = interval
        self._timeout = timeout
        self._on_change = on_change
        self._clock = clock
        self._machine = Readiness(interval)
        self._question: gevent.Greenlet[..., str] | None = None
        self._asking: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """The machine."""
        return f"<HealthCheck {self._service!r} {self._machine!r}>"

    @property
    def reason(self) -> str:
        """Why the service is not ready; empty while it is."""
        return self._machine.reason

    def start(self) -> None:
        """Asks from now on, until ``stop``."""
        self._asking = gevent.spawn(self._go_on)

    def stop(self) -> None:
        """Asks no more."""
        for greenlet in (self._asking, self._question):
            if greenlet is not None:
                greenlet.kill(block=False)

    def ask(self) -> str:
        """Asks once. Why the service is not healthy; empty if it is."""
        if self._question is None or self._question.ready():
            self._question = gevent.spawn(self._answer)
        self._question.join(self._timeout)
        if not self._question.ready():
            self._question.kill(block=False)
            return f"is_healthy gave no answer within {self._timeout:g} s"
        answer = self._question.value
        return answer if isinstance(answer, str) else "is_healthy was ended"

    def _answer(self) -> str:
        try:
            answer = self._hook()
        except gevent.GreenletExit:
            raise
        except BaseException as error:  # also a gevent.Timeout of the hook's own
            # Only its class: whoever can reach the port reads this.
            log.debug("%s: is_healthy failed", self._service, exc_info=error)
            return f"is_healthy raised {type(error).__name__}"
        return "" if answer is True else f"is_healthy returned {answer!r:.80}"

    def _go_on(self) -> None:
        while True:
            answer = self.ask()
            if self._machine.receive(answer, self._clock()):
                if answer:
                    log.warning(
                        "%s is not ready any more, and asks callers to prefer others: %s", self._service, answer
                    )
                else:
                    log.info("%s is ready again", self._service)
                self._on_change(answer)
            gevent.sleep(self._interval)


def make_check(
    service: str,
    hook: Hook | None,
    config: ServerConfig,
    on_change: Callable[[str], None],
    clock: Callable[[], float],
) -> HealthCheck | None:
    """The check of a service whose ``is_healthy`` is ``hook``, with the times of its config; None if it has none."""
    if hook is None:
        return None
    interval, timeout = config.health_interval, config.health_timeout
    return HealthCheck(service, hook, interval=interval, timeout=timeout, on_change=on_change, clock=clock)


def await_readiness(
    service: str,
    is_ready: Callable[[], bool] | None,
    check: HealthCheck | None,
    timeout: float,
    clock: Callable[[], float],
) -> None:
    """Returns once a service may be listed: ``is_ready`` has returned True, and the check's answer is good.

    Raises ConfigError if that is not so after ``timeout`` seconds.
    """
    give_up_at = clock() + timeout
    while reason := _unready(is_ready, check):
        if clock() >= give_up_at:
            raise ConfigError(f"{service} was not ready within {timeout} s: {reason}")
        gevent.sleep(_READY_INTERVAL)


def _unready(is_ready: Callable[[], bool] | None, check: HealthCheck | None) -> str:
    """Why a service cannot be listed yet; empty if it can."""
    if is_ready is not None and not is_ready():
        return "is_ready did not return True"
    return "" if check is None else check.ask()
