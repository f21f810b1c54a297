"""``zkrpc bench``: calls a method at a fixed rate, and shows how long that takes as it goes on."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import gevent

from zkrpc.cli.options import SECONDS, SECONDS_OR_NONE, json_option
from zkrpc.cli.output import Picture, live, tell, tell_json
from zkrpc.cli.target import (
    Asked,
    BadArguments,
    Target,
    arguments_for,
    data_options,
    find_target,
    headers_of,
    interruptible,
    target_options,
)
from zkrpc.client.client import Client
from zkrpc.client.invoking import CallOptions
from zkrpc.errors import CallError, Executed
from zkrpc.loadtest.generator import Ended, Generator
from zkrpc.loadtest.open_loop import OpenLoop
from zkrpc.loadtest.tally import Tally

_INTERRUPTED = 130
_REDRAW = 0.5
_SOON = 0.1
"""Seconds until the first call is due."""


@click.command(short_help="Call a method at a fixed rate, and measure.")
@target_options
@data_options
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=100.0,
    show_default=True,
    help="Calls per second.",
)
@click.option("--seconds", type=SECONDS, default=10.0, show_default=True, help="How long to measure.")
@click.option("--warm-up", type=SECONDS_OR_NONE, default=1.0, show_default=True, help="Seconds that do not count.")
@click.option(
    "--connections", type=click.IntRange(1, 100), default=1, show_default=True, help="Connections to each instance."
)
@click.option(
    "--in-flight", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Calls under way, at most."
)
@click.option("--allow-writes", is_flag=True, help="Also call a method that is not idempotent.")
@json_option
def bench(
    name: str,
    json_text: str | None,
    data: str | None,
    headers: tuple[str, ...],
    timeout: float | None,
    allow_unknown_fields: bool,
    rate: float,
    seconds: float,
    warm_up: float,
    connections: int,
    in_flight: int,
    allow_writes: bool,
    as_json: bool,
    **place: Any,
) -> None:
    """Call METHOD of SERVICE at a fixed rate with the same JSON arguments, and print latencies and outcomes.

    \b
    zkrpc bench users.get '{"id": 42}' --rate 500 --seconds 30

    Calls are due at fixed moments, whether or not earlier ones were answered, and latency counts from there. Ctrl-C
    prints what was measured so far.

    Exit status: 0 measured; 130 broken off; 1 if no call was answered, or the service, the method or ZooKeeper is not
    there; 2 for wrong arguments; 78 for a wrong IDL.
    """  # fmt: skip
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(find_target(Asked(name=name, **place)))
        arguments = arguments_for(target, name, json_text, data, allow_unknown=allow_unknown_fields)
        options = CallOptions(timeout=timeout, headers=headers_of(headers) or None)
        clients = [stack.enter_context(target.client()) for _ in range(connections)]
        _check(clients[0], target, arguments, options, allow_writes)
        began = time.monotonic() + _SOON
        loop = OpenLoop(rate=rate, seconds=warm_up + seconds, began=began, most_at_once=in_flight)
        tally = Tally(rate=rate, counts_from=began + warm_up)
        generator = Generator([_calling(one, target, arguments, options) for one in clients], loop, tally)
        head = f"{name} for {seconds:g} s by {'one connection' if connections == 1 else f'{connections} connections'}"
        with _shown(tally, head, began + warm_up, seconds, as_json):
            status = _measure(generator)
    if as_json:
        run = {"seconds": seconds, "warm_up": warm_up, "connections": connections, "interrupted": status != 0}
        tell_json({"service": target.service, "method": target.method.name, **run, **tally.plain()})
    else:
        tell(head)
        for line in tally.lines():
            tell(line)
    sys.exit(status or (0 if _answered(tally, target) else 1))


def _measure(generator: Generator) -> int:
    """Runs the loop to its end, or to Ctrl-C; the exit status."""
    try:
        with interruptible():
            generator.run()
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED


def _check(client: Client, target: Target, arguments: Any, options: CallOptions, allow_writes: bool) -> None:
    """Raises BadArguments for a call that cannot be sent, or should not be repeated."""
    method = target.method
    try:
        method.encode_arguments(method.bind((), arguments))
    except TypeError as error:
        raise BadArguments(str(error)) from None
    (settings,) = client.explain([method], options).methods.values()
    idempotent = next(bool(one.value) for one in settings if one.name == "idempotent")
    if not (idempotent or allow_writes):
        raise BadArguments(
            f"{method.interface}.{method.name} is not idempotent: each of these calls would do something of its own; "
            "--allow-writes makes them nevertheless"
        )


def _calling(client: Client, target: Target, arguments: Any, options: CallOptions) -> Callable[[], Ended]:
    """A function that makes one call, and says how it ended."""
    method, declared = target.method, {cls: cls.__name__ for cls in target.method.throws}

    def call() -> Ended:
        try:
            client.invoke(method, (), arguments, options)
            return "ok", Executed.YES.value
        except CallError as error:
            return type(error).__name__, error.executed.value
        except Exception as error:
            if type(error) not in declared:
                raise
            return declared[type(error)], Executed.YES.value

    return call


def _answered(tally: Tally, target: Target) -> bool:
    good = {"ok", *(cls.__name__ for cls in target.method.throws)}
    return any(kind in good for kind, _ in tally.outcomes)


@contextlib.contextmanager
def _shown(tally: Tally, head: str, begins_at: float, seconds: float, as_json: bool) -> Iterator[None]:
    """Draws the tally again and again while the block runs, if a person looks."""
    if as_json or not sys.stdout.isatty():
        yield
        return
    with live() as show:

        def draw() -> None:
            while True:
                gone = time.monotonic() - begins_at
                picture = Picture()
                progress = "warming up" if gone < 0 else f"{min(gone, seconds):.0f} of {seconds:g} s"
                picture.add_line(f"{head}: {progress}")
                for line in tally.lines():
                    picture.add_line(line)
                show(picture)
                gevent.sleep(_REDRAW)

        drawing = gevent.spawn(draw)
        try:
            yield
        finally:
            drawing.kill()
            show(Picture())
