"""The ``zkrpc`` command and how its errors are shown."""

from __future__ import annotations

import importlib
import logging
import sys

import click

from zkrpc import __version__
from zkrpc.errors import ConfigError, IdentityConflict, IdlError, RpcError
from zkrpc.server.supervision import EXIT_CONFIG

_COMMANDS = {
    "serve": "zkrpc.cli.serve",
    "worker": "zkrpc.cli.worker",
    "dev": "zkrpc.cli.dev",
    "ls": "zkrpc.cli.ls",
    "primary": "zkrpc.cli.primary",
    "config": "zkrpc.cli.config",
    "explain": "zkrpc.cli.explain",
}

_LONG_RUNNING = ("serve", "worker")
"""What writes a log of what it does; the others have an answer, and say nothing else unless something is wrong."""


class _LazyGroup(click.Group):
    """Imports a command's module when it is asked for, so that the supervisor never loads gevent or a ZooKeeper
    client only because other commands need them."""

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


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zkrpc")
@click.option("-v", "--verbose", is_flag=True, help="Log everything.")
@click.pass_context
def cli(context: click.Context, /, verbose: bool) -> None:
    """Highly available RPC, coordinated by ZooKeeper."""
    usual = logging.INFO if context.invoked_subcommand in _LONG_RUNNING else logging.WARNING
    logging.basicConfig(
        level=logging.DEBUG if verbose else usual,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s",
    )
    if not verbose:
        logging.getLogger("kazoo").setLevel(logging.WARNING)


def main() -> None:
    """Runs the command line; an expected error becomes one line and an exit status."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except RpcError as error:
        click.echo(f"zkrpc: {error}", err=True)
        sys.exit(EXIT_CONFIG if isinstance(error, (ConfigError, IdlError, IdentityConflict)) else 1)
