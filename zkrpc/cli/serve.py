"""``zkrpc serve``: runs a supervisor and its worker processes. The supervisor loads neither gevent nor a ZooKeeper
client."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import platform
import secrets
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from zkrpc import __version__, compiled
from zkrpc.admin.guard import make_guard, names_of_host, read_token
from zkrpc.admin.thread_door import ThreadDoor
from zkrpc.cli.logs import Verbosity, format_option, level_option, set_up_logs, verbose_option
from zkrpc.cli.options import SECONDS, SECONDS_OR_NONE, SIZE, expand_address, security_option, server_tls, with_limits
from zkrpc.cli.settings import settings_options
from zkrpc.config import ServerConfig
from zkrpc.credentials import read_security
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.registry.foreign import trees_to_join
from zkrpc.server.service_manager import ServiceManager
from zkrpc.server.supervisor import Supervisor
from zkrpc.tls.contexts import server_context
from zkrpc.tls.settings import TLS_CLIENTS
from zkrpc.tracing.channel import Descriptors, finish_export, launch_exporter, require_packages
from zkrpc.tracing.settings import ENDPOINT, is_disabled, read_settings, wants_traces

log = logging.getLogger(__name__)

_EXPORT_TIMEOUT = 6.0
"""Seconds for the last traces: a little more than the exporting process takes at most."""

_ADMIN = Endpoint("127.0.0.1", 0)
"""Where doors are by default, those of workers, too."""

_SHARED = (
    click.option(
        "--zookeeper", envvar="ZKRPC_ZOOKEEPER", metavar="HOSTS", help="host:port,…[/chroot]; else no registry."
    ),
    security_option,
    click.option(
        "--advertise",
        metavar="HOST[:PORT]",
        help="What clients shall connect to; env:NAME[:PORT] takes the host from a variable.",
    ),
    click.option("--zone", help="Published for zone-aware clients."),
    click.option("--weight", type=float, help="Share of calls relative to other instances; 1 if not given."),
    click.option("--session-timeout", type=SECONDS, help="Seconds of silence after which ZooKeeper delists a worker."),
    click.option("--linger", type=SECONDS_OR_NONE, help="Seconds to keep serving after leaving the registry."),
    click.option("--drain-timeout", type=SECONDS_OR_NONE, help="Seconds that calls in flight may take while stopping."),
    click.option(
        "--slow-call", type=SECONDS, help="Log calls and requests that fail, or take so long; ten lines a second."
    ),
    click.option("--allow-breaking", is_flag=True, help="Also with an IDL that breaks callers of what is served now."),
    click.option("--tls-cert", metavar="FILE", help="Serve with TLS: the certificate and what is above it, as PEM."),
    click.option("--tls-key", metavar="FILE", help="Its key, if the file of the certificate has none."),
    click.option("--tls-ca", metavar="FILE", help="The authorities of clients' certificates, as PEM."),
    click.option("--tls-crl", metavar="FILE", help="The lists of revoked certificates of these authorities, as PEM."),
    click.option(
        "--tls-client", type=click.Choice(TLS_CLIENTS), help="Whether clients need one; required if there is --tls-ca."
    ),
    click.option("--max-memory", type=SIZE, metavar="SIZE", help="Replace a worker that occupies more, as in 512M."),
    click.option("--max-calls", type=click.IntRange(1), help="Replace a worker that has run so many calls."),
    click.option("--max-age", type=SECONDS, help="Replace a worker that is so many seconds old."),
    click.option(
        "--join",
        "joined",
        multiple=True,
        metavar="TREE",
        help="Be found there as well: serverset:/PATH or curator:/BASE/NAME; may be repeated. See docs/registries.md.",
    ),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="NAME=VALUE",
        help="What peers may cost, as ServerConfig and WireLimits name it; may be repeated. See docs/limits.md.",
    ),
)


def shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that ``serve`` passes on to its workers."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


@settings_options
@click.command()
@click.argument("target", metavar="MODULE:SERVICE")
@click.option(
    "--bind", default="127.0.0.1:0", show_default=True, help="host:port; further workers take the next ports."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes to run.")
@click.option("--id", "identity", help="Name of these workers in the registry; unique in the service.")
@click.option(
    "--traces", metavar="URL", help="Send traces to otlp://HOST:PORT; else OTEL_EXPORTER_OTLP_ENDPOINT, if it is set."
)
@click.option(
    "--admin",
    default=str(_ADMIN),
    show_default=True,
    metavar="HOST:PORT|off",
    help="Where to answer probes and Prometheus; each worker has a door of its own on that host.",
)
@click.option(
    "--admin-token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Holds the token that the admin door wants; needed for any address but loopback.",
)
@click.option("--reload", is_flag=True, help="Replace the workers when files below the current folder change.")
@shared_options
@verbose_option
@level_option
@format_option
@click.pass_obj
def serve(
    verbosity: Verbosity,
    /,
    target: str,
    bind: str,
    workers: int,
    identity: str | None,
    traces: str | None,
    admin: str,
    admin_token_file: Path | None,
    reload: bool,
    verbose: int,
    log_level: str | None,
    log_format: str | None,
    **shared: Any,
) -> None:
    """Serve MODULE:SERVICE in worker processes, and keep them alive.

    SIGTERM and Ctrl-C drain, however often they come: the workers leave the registry, finish their calls and exit.
    SIGQUIT (Ctrl-\\) ends everything at once. SIGHUP replaces the workers, one after another, each by one that is
    ready.
    """
    endpoint = Endpoint.parse(bind)
    if not target.partition(":")[2]:
        raise ConfigError(f"{target!r} names no service; write MODULE:SERVICE, as in examples.users:service")
    identity = identity or f"{socket.gethostname()}-{secrets.token_hex(3)}"
    launch = secrets.token_hex(8)
    verbosity = verbosity.joined(Verbosity(verbose, log_level, log_format))
    set_up_logs(verbosity, logging.INFO)
    if verbosity.format is not None:
        os.environ["ZKRPC_LOG_FORMAT"] = verbosity.format  # for the process that exports traces
    shared["advertise"] = expand_address(shared["advertise"], os.environ)
    limits, joined, allow_breaking = shared.pop("limits"), shared.pop("joined"), shared.pop("allow_breaking")
    _check(limits, *(shared[f"tls_{name}"] for name in ("cert", "key", "ca", "client")))
    trees_to_join(joined, registered=bool(shared["zookeeper"]))
    handed_on = [f"--{name.replace('_', '-')}={value}" for name, value in shared.items() if value is not None]
    handed_on += [f"--limit={text}" for text in limits] + [f"--join={text}" for text in joined]
    handed_on += ["--allow-breaking"] if allow_breaking else []

    doors = _Doors(admin, admin_token_file, shared["advertise"])
    handed_on += doors.handed_on
    spans = _launch_exporter(traces)
    if spans is not None:
        handed_on.append(f"--spans={spans}")

    manager = ServiceManager.of(os.environ, os.getpid())
    if manager.watch is not None:
        handed_on.append(f"--beat={manager.watch / 4:g}")

    places = [Endpoint(endpoint.host, endpoint.port + slot if endpoint.port else 0) for slot in range(workers)]

    def command(slot: int) -> list[str]:
        names = [f"--bind={places[slot]}", f"--id={identity}-{slot}", f"--launch={launch}"]
        return [sys.executable, "-m", "zkrpc", *verbosity.arguments(), "worker", target, *names, *handed_on]

    log.info("%s", _describe(target, workers, shared["zookeeper"]))
    watched = [Path.cwd()] if reload else []
    binds = places if endpoint.port else []
    supervisor = Supervisor(
        command,
        workers,
        zookeeper=shared["zookeeper"],
        security=read_security(os.environ),
        watched=watched,
        binds=binds,
        inherited=spans or (),
        manager=manager,
    )
    with doors.open(supervisor), _exporting(spans):
        status = supervisor.run()
    sys.exit(status)


def _check(limits: tuple[str, ...], *tls: str | None) -> None:
    """Raises ConfigError for what no worker could use: a mistake is told here, and once."""
    with_limits(ServerConfig(), limits)
    if (given := server_tls(*tls)) is not None:
        server_context(given)


class _Doors:
    """Where the supervisor and its workers answer probes and Prometheus, or nowhere. Raises ConfigError if the address
    needs a token and there is none."""

    def __init__(self, admin: str, token_file: Path | None, advertise: str | None) -> None:
        self._bind = None if admin == "off" else Endpoint.parse(admin)
        self.handed_on: list[str] = []
        """The options of the workers, which have doors unless they are told otherwise."""
        if self._bind is None:
            self.handed_on.append("--admin=off")
            return
        token = "" if token_file is None else read_token(token_file)
        self._guard = make_guard(self._bind, token, names_of_host(advertise))
        if self._bind.host != _ADMIN.host:
            self.handed_on.append(f"--admin={Endpoint(self._bind.host, 0)}")
        if token_file is not None:
            self.handed_on.append(f"--admin-token-file={token_file.absolute()}")

    @contextlib.contextmanager
    def open(self, supervisor: Supervisor) -> Iterator[None]:
        """Opens the supervisor's own."""
        if self._bind is None:
            yield
            return
        with contextlib.closing(ThreadDoor(self._bind, self._guard, lambda: supervisor.admin_doors())) as door:
            door.start()
            log.info("probes and metrics of all workers at http://%s", door.endpoint)
            yield


@contextlib.contextmanager
def _exporting(spans: Descriptors | None) -> Iterator[None]:
    """Waits a little for the last traces in the end: the container may end with us, and they with it."""
    try:
        yield
    finally:
        if spans is not None and not finish_export(spans, _EXPORT_TIMEOUT):
            log.warning("the last traces were not delivered in time")


def _launch_exporter(endpoint: str | None) -> Descriptors | None:
    """Starts the process that exports the workers' traces; None if nobody wants them."""
    if is_disabled(os.environ) or (endpoint is None and not wants_traces(os.environ)):
        return None
    settings = read_settings(os.environ, endpoint)
    try:
        require_packages()
    except ConfigError as error:
        if endpoint is not None:
            raise
        log.warning("no traces, although the environment asks for them: %s", error)
        return None
    if settings.endpoint is not None:
        os.environ[ENDPOINT] = settings.endpoint  # for workers that have to start another one
    return launch_exporter(settings.endpoint, os.environ)


def _describe(target: str, workers: int, zookeeper: str | None) -> str:
    """The first line of the log: what is served, and how."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in ("gevent", "kazoo")]
    versions.append(compiled.in_words())
    processes = f"{workers} worker{'s' if workers > 1 else ''}, supervised by pid {os.getpid()}"
    registry = f"ZooKeeper at {zookeeper}" if zookeeper else "no registry"
    return f"zkrpc {__version__} ({', '.join(versions)}) serves {target} with {processes}; {registry}"
