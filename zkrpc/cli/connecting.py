"""The options of all commands that ask ZooKeeper, and how they connect or fail."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import click

from zkrpc.cli.seconds import SECONDS
from zkrpc.coordination import Registry
from zkrpc.errors import CoordinationError

zookeeper_option = click.option(
    "--zookeeper", envvar="ZKRPC_ZOOKEEPER", required=True, metavar="HOSTS", help="host:port,…[/chroot]."
)
timeout_option = click.option(
    "--timeout", type=SECONDS, default=5.0, show_default=True, help="Seconds to wait for ZooKeeper."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


@contextlib.contextmanager
def connected(zookeeper: str, timeout: float) -> Iterator[Registry]:
    """Gives a registry that is connected and whose chroot exists. Raises CoordinationError, which says what to try, if
    that is not so within ``timeout`` seconds."""
    with _in_one_line(), Registry(zookeeper) as registry:
        if not registry.session.wait_connected(timeout):
            reason = registry.session.explain()
            raise CoordinationError(f"no ZooKeeper at {zookeeper} within {timeout:g} s: {reason}")
        if missing := registry.session.explain_missing_chroot(timeout=timeout):
            raise CoordinationError(missing)
        yield registry


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """Silences the session's log while it connects, as the error says the same; ``--verbose`` shows both."""
    log = logging.getLogger("zkrpc.zookeeper.session")
    before = log.level
    if log.getEffectiveLevel() > logging.DEBUG:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
