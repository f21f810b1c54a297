"""``zkrpc dashboard``: pages about services for a browser."""

from __future__ import annotations

import secrets
import signal
import webbrowser

import click
import gevent
from gevent.event import Event

from zkrpc.admin.guard import read_token
from zkrpc.cli.options import json_option, timeout_option, tls_options, zookeeper_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import connected, operator
from zkrpc.errors import ConfigError


@tls_options
@click.command(short_help="Pages about services for a browser.")
@click.option("--bind", default="127.0.0.1:8500", show_default=True, metavar="HOST:PORT", help="Where to listen.")
@click.option("--token-file", type=click.Path(), help="A file with the token that visitors have to know.")
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="A name of this host; may be given more than once."
)
@click.option("--allow-actions", is_flag=True, help="Let visitors call, step down, and take instances out of service.")
@click.option("--open", "opens", is_flag=True, help="Open it in this machine's browser.")
@zookeeper_option
@timeout_option
@json_option
def dashboard(
    bind: str,
    token_file: str | None,
    hosts: tuple[str, ...],
    allow_actions: bool,
    opens: bool,
    zookeeper: str,
    timeout: float,
    as_json: bool,
) -> None:
    """Serve pages about all services, live, until it is interrupted.

    On loopback it needs no token, anywhere else it does. With --allow-actions it always does, and makes one if none is
    given. Its address, with the token if it has one, is the only line on standard output.
    """
    try:
        from zkrpc.dashboard.server import Dashboard
    except ModuleNotFoundError as error:
        raise ConfigError(f"the dashboard needs {error.name}: pip install 'zkrpc[dashboard]'") from error

    token = read_token(token_file) if token_file is not None else secrets.token_urlsafe(24) if allow_actions else ""
    with connected(zookeeper, timeout) as registry:
        ended = Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, ended.set)
        who = operator() if allow_actions else None
        with Dashboard(registry, bind, token=token, hosts=hosts, operator=who) as board:
            address = f"http://{board.endpoint}/{f'enter?token={token}' if token else ''}"
            if as_json:
                tell_json({"address": address})
            else:
                tell(address)
            if opens:
                webbrowser.open(address)
            ended.wait()
