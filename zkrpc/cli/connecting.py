"""What the commands that ask ZooKeeper have in common: being told where it is, and failing if nobody is there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from zkrpc.app import Registry
from zkrpc.errors import CoordinationError

zookeeper_option = click.option(
    "--zookeeper", envvar="ZKRPC_ZOOKEEPER", required=True, metavar="HOSTS", help="host:port,…[/chroot]."
)
timeout_option = click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for ZooKeeper.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


@contextlib.contextmanager
def connected(zookeeper: str, timeout: float) -> Iterator[Registry]:
    """A registry whose session and chroot are there. Raises CoordinationError, with what to try, if one is not within
    ``timeout`` seconds."""
    with Registry(zookeeper) as registry:
        if not registry.session.wait_connected(timeout):
            raise CoordinationError(f"no ZooKeeper at {zookeeper} within {timeout} s; is it running? try: zkrpc dev")
        if missing := registry.session.explain_missing_chroot(timeout=timeout):
            raise CoordinationError(missing)
        yield registry
