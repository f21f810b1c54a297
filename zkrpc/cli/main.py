"""The ``zkrpc`` command and how its errors are shown."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import sys

import click

from zkrpc import __version__, compiled
from zkrpc.cli.logs import Verbosity, format_option, level_option, set_up_logs, verbose_option
from zkrpc.cli.output import forget_output, tell, tell_error
from zkrpc.errors import ConfigError, IdentityConflict, IdlError, RpcError

_COMMANDS = {
    "serve": "zkrpc.cli.serve",
    "worker": "zkrpc.cli.worker",
    "dev": "zkrpc.cli.dev",
    "new": "zkrpc.cli.new",
    "completion": "zkrpc.cli.completion",
    "ls": "zkrpc.cli.ls",
    "watch": "zkrpc.cli.watch",
    "describe": "zkrpc.cli.describe",
    "tap": "zkrpc.cli.tap",
    "doctor": "zkrpc.cli.doctor",
    "acl": "zkrpc.cli.acl",
    "primary": "zkrpc.cli.primary",
    "config": "zkrpc.cli.config",
    "explain": "zkrpc.cli.explain",
    "rm": "zkrpc.cli.rm",
    "call": "zkrpc.cli.call",
    "stubs": "zkrpc.cli.stubs",
    "health": "zkrpc.cli.health",
    "bench": "zkrpc.cli.bench",
    "idl": "zkrpc.cli.idl",
    "offline": "zkrpc.cli.offline",
    "online": "zkrpc.cli.offline",
    "dashboard": "zkrpc.cli.dashboard",
}

_LONG_RUNNING = ("serve", "worker", "dashboard")
"""Commands that log what they do. The others print a result, and log nothing unless something is wrong."""


_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What writing to a full disk brings."""


class _LazyGroup(click.Group):
    """Imports a command's module when the command is used, so that the supervisor does not load gevent or a ZooKeeper
    client because other commands need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command object of that name; None if there is none."""
        home = _COMMANDS.get(cmd_name)
        if home is None:
            return None
        command = getattr(importlib.import_module(home), cmd_name)
        assert isinstance(command, click.Command)
        return command


def _tell_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        tell(f"zkrpc, version {__version__}, {compiled.in_words()}")
        context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version, and whether the compiled parts are in use.",
)
@verbose_option
@level_option
@format_option
@click.pass_context
def cli(context: click.Context, /, verbose: int, log_level: str | None, log_format: str | None) -> None:
    """Highly available RPC, coordinated by ZooKeeper."""
    context.obj = Verbosity(verbose, log_level, log_format)
    set_up_logs(context.obj, logging.INFO if context.invoked_subcommand in _LONG_RUNNING else logging.WARNING)


def main() -> None:
    """Runs the command line; an expected error becomes one line, or an object, and an exit status."""
    as_json = "--json" in sys.argv[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter gets its number; that is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    stdout = sys.stdout
    try:
        cli(prog_name="zkrpc", standalone_mode=False)
    except (click.ClickException, RpcError) as error:
        status = _status_of(error)
        tell_error(error, status, as_json=as_json)
        sys.exit(status)
    except click.Abort:
        sys.exit(130)
    except OSError as error:
        if error.errno not in _UNWRITTEN:
            raise
        forget_output()
        click.echo(
            f"zkrpc: the output cannot be written: {error.strerror}; make room for it, or send it elsewhere", err=True
        )
        sys.exit(1)
    except SystemExit:
        if sys.stdout is stdout:
            raise
        # click ends with 1 and another stdout when the reader of the output has gone. It has seen enough, as with
        # ``| head``, and nothing went wrong.
        forget_output()
        sys.exit(0)


def _status_of(error: click.ClickException | RpcError) -> int:
    if isinstance(error, click.ClickException):
        return error.exit_code
    return os.EX_CONFIG if isinstance(error, (ConfigError, IdlError, IdentityConflict)) else 1
