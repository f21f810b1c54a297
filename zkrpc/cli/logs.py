"""Where the log of a command goes, and how much of it there is.

The log is written by Python's handler of last resort: what is logged is shown, on standard error, unless a handler of
somebody else's shows it. So a service that sets up ``logging``, when it is imported, when its handler is made, or
later, for everything or for some loggers, has it as it wants, and no line appears twice.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import click

from zkrpc.cli.output import LegibleFormatter

_FORMAT = "%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s"
_OURS = ("zkrpc", "kazoo")
_LEVELS = ("debug", "info", "warning", "error")

verbose_option = click.option("-v", "--verbose", count=True, help="Log more; -vv: also what ZooKeeper's client does.")
level_option = click.option(
    "--log-level", type=click.Choice(_LEVELS, case_sensitive=False), help="The least that is logged."
)


class Verbosity(NamedTuple):
    """How much the command line wants logged: how many ``-v``, and ``--log-level``."""

    verbose: int = 0
    level: str | None = None

    def joined(self, other: Verbosity) -> Verbosity:
        """With what was said elsewhere on the line, which counts for more."""
        return Verbosity(self.verbose + other.verbose, other.level or self.level)

    def arguments(self) -> list[str]:
        """To be handed on."""
        return ["--verbose"] * self.verbose + ([f"--log-level={self.level}"] if self.level else [])


def set_up_logs(verbosity: Verbosity, usual: int) -> None:
    """Shows what is logged at ``usual`` and above, or at what was asked for. May be called again."""
    handler = logging.StreamHandler()
    handler.setFormatter(LegibleFormatter(_FORMAT))
    logging.lastResort = handler
    level = usual
    if verbosity.verbose:
        level = logging.DEBUG
    if verbosity.level is not None:
        level = logging.getLevelNamesMapping()[verbosity.level.upper()]
    logging.getLogger().setLevel(level)
    # Said on the command line, it holds for us whatever the service says of all others.
    logging.getLogger("zkrpc").setLevel(level if verbosity != Verbosity() else logging.NOTSET)
    least = {0: logging.WARNING, 1: logging.INFO}.get(verbosity.verbose, logging.DEBUG)
    logging.getLogger("kazoo").setLevel(max(level, least))


def revive_loggers() -> None:
    """Undoes what ``dictConfig`` does to loggers that it does not name unless it is told not to: silencing them."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] in _OURS and isinstance(logger, logging.Logger):
            logger.disabled = False
