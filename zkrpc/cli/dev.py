"""``zkrpc dev``: a throw-away ZooKeeper until Ctrl-C.

The connect string is all that is printed on standard output, so that a script can read it; everything else goes to
standard error. :mod:`zkrpc.dev` does the work.
"""

from __future__ import annotations

import signal
import time

import click

from zkrpc.dev.zookeeper import DevZooKeeper

_LOOK_INTERVAL = 0.5


@click.command()
@click.option(
    "--ensemble",
    type=click.Choice(["1", "3"]),
    default="1",
    show_default=True,
    help="Servers to run: 3 survive the loss of one.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65533),
    help="Where clients find it; further servers take the next ports. By default any free ones.",
)
@click.option("--secure", is_flag=True, help="Speak TLS, and serve only who has the credentials that it makes.")
def dev(ensemble: str, port: int | None, secure: bool) -> None:
    """Run a throw-away ZooKeeper on this machine until Ctrl-C; nothing stays behind.

    What one that was killed has left is removed by the next.
    """
    # One way out for both signals, so that the context manager removes everything either way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with DevZooKeeper(int(ensemble), port=port, secured=secure) as servers:
            click.echo(servers.hosts)
            if servers.security is not None:
                click.echo(f"export ZKRPC_ZOOKEEPER_SECURITY={servers.security.file}", err=True)
            click.echo("a throw-away ZooKeeper is running there; Ctrl-C ends and removes it", err=True)
            while True:
                servers.check()
                time.sleep(_LOOK_INTERVAL)
    except KeyboardInterrupt:
        click.echo("ended and removed", err=True)
