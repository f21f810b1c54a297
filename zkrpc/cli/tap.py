"""``zkrpc tap``: shows a sample of the calls that the instances of a service serve right now."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click
from gevent.pool import Group
from gevent.queue import Empty, Queue

from zkrpc.cli.options import SECONDS, json_option, timeout_option, tls_options, zookeeper_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import connected, require_service
from zkrpc.client.inquiry import open_introspection
from zkrpc.coordination import Registry
from zkrpc.endpoint import Instance
from zkrpc.errors import CoordinationError, RpcError, UnknownMethod
from zkrpc.jsonform import parse
from zkrpc.legible import legible
from zkrpc.registry.schema import Paths

_FETCH = 2.0
"""Seconds that a question for more calls waits."""
_LONGEST_CALL = 10.0
"""Seconds after which an instance that does not answer is given up."""
_HELD = 1000
"""Calls that wait to be written; beyond it instances are not asked for more, and count what they drop."""


@dataclasses.dataclass
class _Counts:
    """What one instance has said of its tap so far."""

    seen: int = 0
    dropped: int = 0


@tls_options
@click.command(short_help="Show a sample of the calls that are served right now.")
@click.argument("name", metavar="SERVICE[.METHOD]")
@click.option("--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Share of the calls to show.")
@click.option("--for", "seconds", type=SECONDS, help="Seconds after which to end.")
@click.option("--limit", type=click.IntRange(1), help="Calls after which to end.")
@click.option("--bodies", is_flag=True, help="Also what was asked and answered, as far as the service allows it.")
@zookeeper_option
@timeout_option
@json_option
def tap(
    name: str,
    sample: float,
    seconds: float | None,
    limit: int | None,
    bodies: bool,
    zookeeper: str,
    timeout: float,
    as_json: bool,
) -> None:
    """Show who calls SERVICE, or one METHOD of it, and how each call ends, until Ctrl-C, --for or --limit.

    Of each call: when it ended, who made it from where, the method, how long it ran and waited, what it ended with, and
    the epoch of the primary that served it. With --bodies also the beginning of what was asked and answered, if the
    service allows that for the method. With --json each call is one object on a line of its own. At the end the number
    of calls seen, shown and dropped is written to standard error.

    Exit status: 0; 1 if no instance lets itself be tapped, or ZooKeeper is away.
    """
    with connected(zookeeper, timeout) as registry:
        service, method = _split(registry, name)
        instances = registry.resolver(service).wait_ready(timeout).instances
    if not instances:
        raise CoordinationError(f"{service} has no instances to be tapped")
    _Watch(instances, method, sample, bodies).show(seconds, limit, as_json)


def _split(registry: Registry, name: str) -> tuple[str, str]:
    """Service and method; the names of services may have dots, too."""
    service, dot, method = name.rpartition(".")
    whole = registry.session.znodes.exists(Paths(name).root) is not None
    if dot and not whole:
        require_service(registry, service)
        return service, method
    require_service(registry, name)
    return name, ""


class _Watch:
    """Taps on all instances, and what comes out of them."""

    def __init__(self, instances: Sequence[Instance], method: str, sample: float, bodies: bool) -> None:
        self._instances = instances
        self._method = method
        self._sample = sample
        self._bodies = bodies
        self._calls: Queue[tuple[str, Any]] = Queue(_HELD)
        self._counts: dict[str, _Counts] = {}
        self._failures: dict[str, str] = {}

    def show(self, seconds: float | None, limit: int | None, as_json: bool) -> None:
        """Writes calls until the time or the number is reached. Raises CoordinationError if nobody can be tapped."""
        group, shown = Group(), 0
        for instance in self._instances:
            group.spawn(self._follow, instance)
        try:
            for name, call in self._until(None if seconds is None else time.monotonic() + seconds, group):
                shown += 1
                if as_json:
                    tell_json({"instance": name, **_plain(call), **(_plain_body(call) if self._bodies else {})})
                else:
                    tell(_line(name, call))
                    for line in _body_lines(call):
                        tell(line)
                if limit is not None and shown >= limit:
                    break
        finally:
            group.kill()
        for name, reason in self._failures.items():
            tell(f"{name} is not tapped: {reason}", err=True)
        if not self._counts:
            reason = next(iter(self._failures.values()), "none has answered in time")
            raise CoordinationError(f"no instance lets itself be tapped: {reason}")
        seen = sum(one.seen for one in self._counts.values())
        dropped = sum(one.dropped for one in self._counts.values())
        tell(f"{shown} calls shown of {seen} seen, {dropped} dropped", err=True)

    def _until(self, ends: float | None, group: Group) -> Iterator[tuple[str, Any]]:
        """The calls as they come, until the time is over or no instance is tapped any more."""
        while ends is None or time.monotonic() < ends:
            left = _FETCH if ends is None else min(_FETCH, max(0.0, ends - time.monotonic()))
            try:
                yield self._calls.get(timeout=left)
            except Empty:
                if not len(group):
                    return

    def _follow(self, instance: Instance) -> None:
        """In a greenlet of its own: asks one instance again and again."""
        if "zkrpc" not in instance.protocols:
            self._failures[instance.id] = "it is not zkrpc's"
            return
        try:
            with open_introspection(instance, _LONGEST_CALL) as stub:
                name = ""
                while True:
                    batch = stub.tap(name, self._method, self._sample, int(_FETCH * 1000), self._bodies)
                    name = batch.tap
                    self._counts[instance.id] = _Counts(batch.seen, batch.dropped)
                    for call in batch.calls:
                        self._calls.put((instance.id, call))
        except UnknownMethod:
            self._failures[instance.id] = "of an earlier version, or ServerConfig.introspection is off"
        except RpcError as error:
            self._failures[instance.id] = legible(error, 200)
        except Exception as error:
            # What the IDL declares: it refuses.
            self._failures[instance.id] = legible(getattr(error, "message", error), 200)


def _plain(call: Any) -> dict[str, Any]:
    """The fields of a tapped call."""
    names = ("at", "caller", "peer", "method", "queued", "seconds", "error", "declared", "executed", "epoch")
    return {name: getattr(call, name) for name in names}


_BODY = {"arguments": "arguments", "result": "result", "exception": "exception_value"}
"""What ``--bodies`` adds, and the fields that have it."""


def _plain_body(call: Any) -> dict[str, Any]:
    """What was asked and answered, as JSON values; null for what is not shown."""
    texts = {name: getattr(call, field) for name, field in _BODY.items()}
    return {**{name: None if text is None else parse(text) for name, text in texts.items()}, "cut": bool(call.cut)}


def _body_lines(call: Any) -> Iterator[str]:
    """The same for people."""
    for word, field in (("asked", "arguments"), ("answered", "result"), ("raised", "exception_value")):
        if (text := getattr(call, field)) is not None:
            yield f"  {word:8} {text}"


def _line(instance: str, call: Any) -> str:
    moment = time.strftime("%H:%M:%S", time.localtime(call.at)) + f".{int(call.at * 1000) % 1000:03}"
    took = "not run" if call.seconds is None else f"{call.seconds * 1000:.1f} ms"
    queued = f" after {call.queued * 1000:.1f} ms" if call.queued >= 0.001 else ""
    ended = call.error or "ok"
    if call.error and not call.declared:
        ended += f" (executed: {call.executed})"
    epoch = "" if call.epoch is None else f" epoch {call.epoch}"
    return f"{moment} {instance} {call.caller} {call.peer} {call.method} {took}{queued} {ended}{epoch}"
