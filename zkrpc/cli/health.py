"""``zkrpc health``: asks ports, or all instances of a service, whether they are ready or live."""

from __future__ import annotations

import sys

import click
import gevent.pool

from zkrpc.cli.options import CONNECT_TIMEOUT, SECONDS, json_option, security_option, tls_options
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.probe import Answer, ask, lines_of, plain, status_of
from zkrpc.cli.registry import connected, require_members
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CoordinationError
from zkrpc.registry.foreign import is_tree

_AT_ONCE = 32


@tls_options
@click.command()
@click.argument("service", required=False)
@click.option("--address", "addresses", multiple=True, metavar="HOST:PORT", help="A port to ask; may be repeated.")
@click.option("--zookeeper", envvar="ZKRPC_ZOOKEEPER", metavar="HOSTS", help="host:port,…[/chroot], for SERVICE.")
@security_option
@click.option("--group", metavar="GROUP", help="Whether it serves as this group's primary; with --address.")
@click.option("--readiness", "what", flag_value="readiness", default="readiness", help="The default.")
@click.option(
    "--liveness", "what", flag_value="liveness", help="Whether it shall go on, instead of whether it is ready."
)
@click.option("--timeout", type=SECONDS, help="Seconds for each port, 1 if not given; for ZooKeeper 3.")
@json_option
def health(
    service: str | None,
    addresses: tuple[str, ...],
    zookeeper: str | None,
    group: str | None,
    what: str,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Ask the ports at each --address, or all instances of SERVICE.

    Exits with 0 if all of them are ready, with 1 if one says that it is not, with 3 if one does not answer.
    """
    if bool(service) is bool(addresses):
        raise click.UsageError("give either a SERVICE or --address HOST:PORT")
    if group is not None and service is not None:
        raise click.UsageError(f"--group asks a port: give --address HOST:PORT; zkrpc primary {service} says who leads")
    if service is not None:
        if not zookeeper:
            raise click.UsageError("a SERVICE is found in ZooKeeper: give --zookeeper HOSTS")
        addresses = _instances_of(service, zookeeper, timeout or CONNECT_TIMEOUT)
    else:
        for address in addresses:
            Endpoint.parse(f"127.0.0.1{address}" if address.startswith(":") else address)
    patience = timeout or 1.0
    # What an instance of a tree is called by its own server is not known: it is asked for all that it serves.
    named = None if service is not None and is_tree(service) else service
    asked = named or ("" if group is None else f"/{group}")
    answers: list[Answer] = gevent.pool.Pool(_AT_ONCE).map(lambda address: ask(address, asked, patience), addresses)
    liveness = what == "liveness"
    if as_json:
        tell_json(plain(answers, liveness=liveness))
    else:
        for line in lines_of(answers, liveness=liveness):
            tell(line)
    sys.exit(status_of(answers, liveness=liveness))


def _instances_of(service: str, zookeeper: str, timeout: float) -> tuple[str, ...]:
    """The endpoints of all instances. Raises CoordinationError if there are none."""
    with connected(zookeeper, timeout) as registry:
        require_members(registry, service)
        found = registry.resolver(service).wait_ready(timeout).instances
    if not found:
        raise CoordinationError(f"no instance of {service!r} is registered; is it running?")
    return tuple(str(one.endpoint) for one in found)
