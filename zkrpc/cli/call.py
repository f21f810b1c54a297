"""``zkrpc call``: calls a method from the shell, with JSON for arguments and answer.

How a call ends is an :class:`Outcome`, a value that text, object and exit status are made of. Exceptions that the IDL
declares are answers, and are told on standard output as values are; other errors say whether the call was executed.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import sys
import time
from typing import Any

import click
from gevent import sleep

from zkrpc.call import Call, Proceed
from zkrpc.cli.options import json_option
from zkrpc.cli.output import tell, tell_json
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
from zkrpc.idl import Method
from zkrpc.jsonform import dump, template, write, write_exception

DECLARED = 3
NOT_EXECUTED = {Executed.NO: 4, Executed.MAYBE: 5, Executed.YES: 6}
"""The exit status of a call that ended without an answer: whether it was executed decides whether to try again."""
_MOST_REPEATS = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one call ended: with a result, a declared exception, or an error."""

    result: Any = None
    """The plain value; None also for void."""
    exception: dict[str, Any] | None = None
    """The declared exception, as ``{"type": …, "value": …}``."""
    error: CallError | None = None
    seconds: float
    endpoint: str = ""
    """The instance that was asked last; empty if none was."""
    instance: str = ""
    """What the registry calls it."""
    attempts: int = 1
    epoch: int | None = None
    """The epoch of the primary that answered; None if any instance may serve the method."""

    @property
    def kind(self) -> str:
        """``ok``, or the name of the exception or error."""
        if self.exception is not None:
            return str(self.exception["type"])
        return "ok" if self.error is None else type(self.error).__name__

    @property
    def status(self) -> int:
        """The exit status."""
        if self.error is not None:
            return NOT_EXECUTED[self.error.executed]
        return 0 if self.exception is None else DECLARED

    def plain(self) -> dict[str, Any]:
        """The object for programs."""
        told: dict[str, Any] = {"result": self.result}
        if self.exception is not None:
            told = {"exception": self.exception}
        elif self.error is not None:
            told = {
                "error": {
                    "kind": self.kind,
                    "message": str(self.error),
                    "exit_status": self.status,
                    "executed": self.error.executed.value,
                }
            }
        facts = {"seconds": self.seconds, "endpoint": self.endpoint, "instance": self.instance}
        return {**told, **facts, "attempts": self.attempts, "epoch": self.epoch}

    def facts(self) -> str:
        """Who answered, when and how often it was asked, for people."""
        place = f"{self.instance} at {self.endpoint}" if self.instance else self.endpoint or "nobody"
        epoch = f", epoch {self.epoch}" if self.epoch is not None else ""
        return f"{self.kind} from {place} in {self.seconds * 1000:.1f} ms, {_times(self.attempts, 'attempt')}{epoch}"


@click.command(short_help="Call a method, with JSON for arguments and answer.")
@target_options
@data_options
@click.option("--template", "wants_template", is_flag=True, help="Print JSON to fill in, and call nothing.")
@click.option("--emit-defaults", is_flag=True, help="Print fields that are not set, too, as null.")
@click.option(
    "--int64",
    type=click.Choice(["number", "text"]),
    default="number",
    show_default=True,
    help="How each i64 of the answer is written; text is for readers such as JavaScript's, which make doubles of all.",
)
@click.option("--repeat", type=click.IntRange(1, _MOST_REPEATS), default=1, help="Call so often, one after another.")
@click.option("--rate", type=click.FloatRange(0, 1000, min_open=True), help="Calls per second of --repeat, at most.")
@click.option("-v", "--verbose", is_flag=True, help="Tell who answered, how fast, and the primary's epoch.")
@json_option
def call(
    name: str,
    json_text: str | None,
    data: str | None,
    headers: tuple[str, ...],
    timeout: float | None,
    allow_unknown_fields: bool,
    wants_template: bool,
    emit_defaults: bool,
    int64: str,
    repeat: int,
    rate: float | None,
    verbose: bool,
    as_json: bool,
    **place: Any,
) -> None:
    """Call METHOD of SERVICE with JSON arguments, by name or in order, and print the answer as JSON.

    \b
    zkrpc call users.get '{"id": 42}'
    zkrpc call users.get '[42]'
    zkrpc call users.create -d @user.json
    zkrpc call users.create --template
    zkrpc call users/zkrpc.Health.check

    Behind a slash stands a service that every port answers: zkrpc.Health or zkrpc.Introspection.

    Exit status: 0 answered; 3 answered with an exception that the IDL declares; without an answer: 4 not executed, 5
    perhaps, 6 executed. 1 if the service, the method or ZooKeeper is not there, 2 for wrong arguments, 78 for a wrong
    IDL.
    """
    asked = Asked(name=name, **place)
    with find_target(asked, to_call=not wants_template) as target:
        if wants_template:
            _tell_template(target.method, as_json)
            return
        arguments = arguments_for(target, name, json_text, data, allow_unknown=allow_unknown_fields)
        options = CallOptions(timeout=timeout, headers=headers_of(headers) or None)
        with Caller(target, options, emit_defaults, int64_as_text=int64 == "text") as caller, interruptible():
            if repeat == 1:
                status = _once(caller, arguments, verbose, as_json)
            else:
                status = _often(caller, arguments, repeat, rate, verbose, as_json)
    sys.exit(status)


def _tell_template(method: Method, as_json: bool) -> None:
    if as_json:
        tell_json(template(method))
    else:
        click.echo(dump(template(method), indent=2))


def _once(caller: Caller, arguments: dict[str, Any], verbose: bool, as_json: bool) -> int:
    outcome = caller.call(arguments)
    if as_json:
        tell_json(outcome.plain())
        return outcome.status
    caller.tell(outcome, indent=2)
    if verbose:
        tell(outcome.facts(), err=True)
    return outcome.status


def _often(
    caller: Caller, arguments: dict[str, Any], repeat: int, rate: float | None, verbose: bool, as_json: bool
) -> int:
    """Calls one after another, and sums up; the exit status is that of the first call that was not answered well."""
    kinds: collections.Counter[str] = collections.Counter()
    status, worst, total, first = 0, 0.0, 0.0, None
    next_at = time.monotonic()
    try:
        for _ in range(repeat):
            if rate is not None:
                sleep(max(0.0, next_at - time.monotonic()))
                next_at = max(next_at + 1 / rate, time.monotonic())
            outcome = caller.call(arguments)
            kinds[outcome.kind] += 1
            worst, total = max(worst, outcome.seconds), total + outcome.seconds
            if outcome.status and first is None:
                first, status = outcome, outcome.status
            if not as_json:
                caller.tell(outcome)
                if verbose:
                    tell(outcome.facts(), err=True)
    except KeyboardInterrupt:
        status = 130
    done = sum(kinds.values())
    if as_json:
        failed = None if first is None else first.plain()
        seconds = {"mean": total / done if done else math.nan, "max": worst}
        tell_json({"calls": done, "outcomes": dict(kinds), "seconds": seconds, "first_failure": failed})
    elif done:
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        tell(
            f"{_times(done, 'call')}: {counts}; mean {total / done * 1000:.1f} ms, at most {worst * 1000:.1f} ms",
            err=True,
        )
    return status


class Caller:
    """Makes calls of one target, and notes how each went."""

    def __init__(self, target: Target, options: CallOptions, emit_unset: bool, *, int64_as_text: bool = False) -> None:
        self._target = target
        self._options = options
        self._form = {"unset": emit_unset, "int64_as_text": int64_as_text}
        self._last: Call | None = None
        self._client: Client = target.client(interceptors=[self._note])

    def __enter__(self) -> Caller:
        """The caller itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self._client.close()

    def call(self, arguments: dict[str, Any]) -> Outcome:
        """Makes one call. Raises BadArguments for a value that cannot be sent."""
        method, self._last = self._target.method, None
        began = time.monotonic()
        try:
            value = self._client.invoke(method, (), arguments, self._options)
        except CallError as error:
            return self._outcome(began, error=error)
        except TypeError as error:
            raise BadArguments(str(error)) from None
        except method.throws as error:  # type: ignore[misc]  # the classes are made at run time
            return self._outcome(began, exception=write_exception(error, **self._form))
        result = None if value is None or method.result is None else write(method.result, value, **self._form)
        return self._outcome(began, result=result)

    def tell(self, outcome: Outcome, indent: int | None = None) -> None:
        """Prints an outcome for people: the answer alone on standard output."""
        if outcome.error is not None:
            tell(f"zkrpc: {type(outcome.error).__name__}: {outcome.error}", err=True)
        elif outcome.exception is not None:
            click.echo(dump({"exception": outcome.exception}, indent=indent))
        elif self._target.method.result is not None:
            click.echo(dump(outcome.result, indent=indent))

    def _note(self, call: Call, proceed: Proceed[Call]) -> Any:
        self._last = call
        return proceed(call)

    def _outcome(self, began: float, **how: Any) -> Outcome:
        error, made = how.get("error"), self._last
        endpoint = error.endpoint if error is not None else made and made.endpoint
        place = "" if endpoint is None else str(endpoint)
        return Outcome(
            **how,
            seconds=time.monotonic() - began,
            endpoint=place,
            instance=self._target.id_of(place) if place else "",
            attempts=made.attempt if made is not None else 0,
            epoch=made.epoch if made is not None else None,
        )


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
