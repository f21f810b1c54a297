"""Where a command writes its log, and how much of it.

The log is written by Python's handler of last resort: a record is written to standard error unless some other handler
takes it. So a service may set up ``logging`` when it is imported, when its handler is made, or later, for all loggers
or for some; its set-up applies, and no line appears twice.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import click

from zkrpc.cli.output import LegibleFormatter
from zkrpc.telemetry.log_records import JsonFormatter, RepeatFilter

_FORMAT = "%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s"
_OURS = ("zkrpc", "kazoo")
_FORMATS = ("text", "json")
_LEVELS = ("debug", "info", "warning", "error")

verbose_option = click.option("-v", "--verbose", count=True, help="Log more; -vv: also what ZooKeeper's client does.")
format_option = click.option(
    "--log-format",
    type=click.Choice(_FORMATS),
    envvar="ZKRPC_LOG_FORMAT",
    help="Lines for people, or one JSON object each.",
)
level_option = click.option(
    "--log-level", type=click.Choice(_LEVELS, case_sensitive=False), help="The least that is logged."
)


_json = JsonFormatter()


class Verbosity(NamedTuple):
    """How much is to be logged and how, according to the command line: the number of ``-v``, ``--log-level`` and
    ``--log-format``."""

    verbose: int = 0
    level: str | None = None
    format: str | None = None

    def joined(self, other: Verbosity) -> Verbosity:
        """Combined with the options given behind the subcommand, which take precedence."""
        return Verbosity(self.verbose + other.verbose, other.level or self.level, other.format or self.format)

    def arguments(self) -> list[str]:
        """The same options as arguments, for a worker's command line."""
        level = [f"--log-level={self.level}"] if self.level else []
        return ["--verbose"] * self.verbose + level + ([f"--log-format={self.format}"] if self.format else [])


def set_up_logs(verbosity: Verbosity, usual: int) -> None:
    """Writes records of level ``usual`` and above, or of the level that the command line asks for. May be called
    again."""
    handler = logging.StreamHandler()
    handler.setFormatter(_json if verbosity.format == "json" else LegibleFormatter(_FORMAT))
    handler.addFilter(RepeatFilter(handler.emit))
    logging.lastResort = handler
    level = usual
    if verbosity.verbose:
        level = logging.DEBUG
    if verbosity.level is not None:
        level = logging.getLevelNamesMapping()[verbosity.level.upper()]
    logging.getLogger().setLevel(level)
    # Said on the command line, it holds for us whatever the service says of all others.
    logging.getLogger("zkrpc").setLevel(level if verbosity.verbose or verbosity.level else logging.NOTSET)
    least = {0: logging.WARNING, 1: logging.INFO}.get(verbosity.verbose, logging.DEBUG)
    logging.getLogger("kazoo").setLevel(max(level, least))


def name_records(service: str, instance: str) -> None:
    """What every record for machines says from now on."""
    _json.facts = {"service": service, "instance": instance}


def settle_repeats(now: float) -> None:
    """Writes how many lines were not written, as far as that is due. ``now`` is the Unix time."""
    for one in logging.lastResort.filters if logging.lastResort else ():
        if isinstance(one, RepeatFilter):
            one.settle(now)


def revive_loggers() -> None:
    """Enables zkrpc's loggers again: ``dictConfig`` disables all loggers that it does not name, unless it is told not
    to."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] in _OURS and isinstance(logger, logging.Logger):
            logger.disabled = False
