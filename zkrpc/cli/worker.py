"""``zkrpc worker``: one worker process of ``zkrpc serve``, which starts it; not a command for people."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click
import gevent

from zkrpc.admin.door import Admin
from zkrpc.admin.guard import names_of_host
from zkrpc.app import App
from zkrpc.app import serve as serve_here
from zkrpc.belonging import in_child
from zkrpc.caller import go_by
from zkrpc.cli.logs import name_records, revive_loggers, settle_repeats
from zkrpc.cli.options import server_tls, with_limits
from zkrpc.cli.serve import shared_options
from zkrpc.config import RegistryConfig
from zkrpc.coordination import Registry
from zkrpc.errors import ConfigError, CoordinationError, IdentityConflict, IdlError, RpcError
from zkrpc.server.resources import occupied_memory, provide_descriptors
from zkrpc.server.startup import StartFailure, describe_failure
from zkrpc.server.supervision import EXIT_CONFIG
from zkrpc.server.supervisor_channel import SupervisorChannel
from zkrpc.server.watchdog import Watchdog
from zkrpc.server.wear import CallCounter, Wear, WearLimits
from zkrpc.service import Service
from zkrpc.telemetry.call_log import CallLog
from zkrpc.telemetry.events import EnsembleChanged, Event
from zkrpc.telemetry.log_records import PERIOD
from zkrpc.telemetry.observer import Observer, observe_everything
from zkrpc.tls.settings import ServerTls, ask_with
from zkrpc.tracing.channel import Descriptors
from zkrpc.tracing.start import Tracing, start_tracing

log = logging.getLogger(__name__)

_WEAR_INTERVAL = 0.5
"""Seconds between looks at whether this worker has served long enough."""
_REGISTRATION_PATIENCE = 15.0
"""Seconds between lines that say that a worker is not registered yet."""


@click.command(hidden=True)
@click.argument("target")
@click.option("--bind", required=True)
@click.option("--id", "worker_id", required=True)
@click.option("--launch", "launch_id", required=True)
@click.option("--channel", "descriptor", type=int, required=True)
@click.option("--listener", type=int, help="A bound socket's descriptor.")
@click.option("--accepted", help="The digest of the IDL that an earlier worker of this launch was let in with.")
@click.option("--beat", type=float, help="Seconds between signs of life.")
@click.option("--spans", help="The descriptors of the way to the process that exports traces.")
@click.option("--admin", default="127.0.0.1:0", help="Where its admin door is to listen, or off.")
@click.option("--admin-token-file")
@shared_options
def worker(
    target: str,
    descriptor: int,
    listener: int | None,
    accepted: str | None,
    spans: str | None,
    admin: str,
    admin_token_file: str | None,
    zookeeper: str | None,
    allow_breaking: bool,
    session_timeout: float | None,
    linger: float | None,
    drain_timeout: float | None,
    slow_call: float | None,
    limits: tuple[str, ...],
    tls_cert: str | None,
    tls_key: str | None,
    tls_ca: str | None,
    tls_client: str | None,
    tls_crl: str | None,
    joined: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve until a signal, the supervisor's death, or a conflict of identity ends it."""
    channel = SupervisorChannel(descriptor)
    in_child(channel.abandon)
    if listener is not None:
        os.set_inheritable(listener, False)  # it was for us to inherit, not for what the handlers start
    endings = _Endings()
    doing = f"importing {target.partition(':')[0]}"
    try:
        # Before the service is imported, which may make clients then.
        tracing = None if spans is None else _start_tracing(spans, options["worker_id"])
        if slow_call is not None:
            observe_everything(CallLog(slow_call, time.monotonic))
        # Before the service's module is imported, so that all that this makes is measured.
        door = _open_door(admin, admin_token_file, options["advertise"], channel)
        service = load_service(target)
        name_records(service.name, options["worker_id"])
        revive_loggers()
        if tracing is not None:
            tracing.name_service(service.name)
        go_by(service.name, service.version)
        service.config = with_limits(service.config, limits)
        tls = server_tls(tls_cert, tls_key, tls_ca, tls_client, tls_crl)
        override_config(service, linger=linger, drain_timeout=drain_timeout, tls=tls)
        doing = f"starting {service.name}"
        config = RegistryConfig() if session_timeout is None else RegistryConfig(session_timeout=session_timeout)
        given = {name: value for name, value in options.items() if value is not None}
        # The callers of what was let in are those of its successor as well, whoever has come since.
        given["allow_breaking"] = allow_breaking or accepted == service.served.digest
        _serve(
            service, zookeeper, config, channel, endings, {"listener": listener, "admin": door, "join": joined, **given}
        )
    except RpcError as error:
        final = isinstance(error, (ConfigError, IdlError, IdentityConflict))
        _end(channel, endings, StartFailure(str(error), final=final))
    except Exception as error:
        _end(channel, endings, describe_failure(doing, error))


def _start_tracing(spans: str, instance: str) -> Tracing:
    return start_tracing(instance=instance, descriptors=Descriptors.parse(spans))


def _open_door(bind: str, token_file: str | None, advertise: str | None, channel: SupervisorChannel) -> Admin | None:
    """Opens the admin door, which answers for as long as the process lives, and says where it is."""
    if bind == "off":
        return None
    door = Admin(bind, token_file=token_file, hosts=names_of_host(advertise), serves=True)
    channel.tell_admin(door.endpoint)
    return door


def _serve(
    service: Service,
    zookeeper: str | None,
    config: RegistryConfig,
    channel: SupervisorChannel,
    endings: _Endings,
    options: dict[str, Any],
) -> None:
    """Serves until something ends it."""
    beat = options.pop("beat", None)
    worn = {name: options.pop(name, None) for name in ("max_memory", "max_calls", "max_age")}
    wear, counter = Wear(WearLimits(**worn), time.monotonic(), random.random), CallCounter()
    if (warning := provide_descriptors(service.config.max_connections)) is not None:
        log.warning("%s", warning)
    bound = service.config.linger + service.config.drain_timeout
    channel.tell_bound(bound)
    registry: Registry | None = None
    if zookeeper:
        registry = Registry(
            zookeeper,
            config=config,
            on_new_session=channel.tell_session,
            observers=[*service.observers, _ServersReport(channel)],
        )
    watchdog = Watchdog(service.observers)
    settling = gevent.spawn(_settle_repeats)
    gc.collect()
    try:
        observers = [counter] if wear.limits.max_calls else []
        app = serve_here(service, zookeeper=registry, observers=observers, **options)
        channel.tell_accepted(service.served.digest)
        # What is there now stays: a full collection that looks at all of it stops the hub for some 20 ms.
        gc.freeze()
        endings.watch(app, channel)
        if beat is not None:
            gevent.spawn(_give_signs, channel, beat)
        if wear.limits:
            gevent.spawn(_follow_wear, app, channel, wear, counter)
        watchdog.start(registry.session if registry else None)
        app.server.health.require(watchdog.doubt)
        app.server.health.require(watchdog.despair, to_live=True)
        if app.elections.methods:
            channel.tell_bound(bound + service.election.hand_over_timeout)
        revive_loggers()
        log.info("%s serves at %s as %s", service.name, app.endpoint, options["worker_id"])
        app.wait_stopped()
    finally:
        settling.kill(block=False)
        watchdog.stop()
        if registry is not None:
            registry.close()
        channel.tell_done()
    if endings.conflict is not None:
        raise endings.conflict


class _ServersReport(Observer):
    """Tells the supervisor which servers ZooKeeper has now, as they may have nothing in common with those that it was
    given: it ends our session there if we die, and a successor begins with them."""

    kinds = (EnsembleChanged,)

    def __init__(self, channel: SupervisorChannel) -> None:
        self._channel = channel

    def receive(self, event: Event) -> None:
        assert isinstance(event, EnsembleChanged)
        self._channel.tell_servers(event.servers)


def _settle_repeats() -> None:
    """Says in time what was not said, also if nothing else is said."""
    while True:
        gevent.sleep(PERIOD)
        settle_repeats(time.time())


def _give_signs(channel: SupervisorChannel, interval: float) -> None:
    """Tells the supervisor again and again that the event loop runs."""
    while True:
        channel.tell_beat()
        gevent.sleep(interval)


def _follow_wear(app: App, channel: SupervisorChannel, wear: Wear, counter: CallCounter) -> None:
    """Tells the supervisor when this worker has served long enough."""
    while app.is_serving:
        reason = wear.look(time.monotonic(), memory=occupied_memory(), calls=counter.count)
        if reason is not None:
            channel.tell_worn(reason)
        gevent.sleep(_WEAR_INTERVAL)


def _end(channel: SupervisorChannel, endings: _Endings, failure: StartFailure) -> NoReturn:
    """Exits with a status that says whether trying again can help. The supervisor logs the failure, as all workers
    share its log; without a supervisor it is logged here."""
    endings.is_over = True
    if not channel.tell_failure(failure):
        click.echo(f"zkrpc: {failure.summary}\n{failure.detail}".rstrip(), err=True)
    sys.exit(EXIT_CONFIG if failure.final else 1)


class _Endings:
    """What may end a worker. Signals are taken from the start, so that one during start-up is not lost.

    Each of them begins a drain and none ends one, as a signal may come twice: from the operator who signals every
    process, and from the supervisor that passes on its own. The supervisor kills a worker that does not end in time.
    """

    def __init__(self) -> None:
        self.conflict: IdentityConflict | None = None
        self.is_over = False
        """True once the worker ends anyway: a signal that comes while the interpreter shuts down changes nothing."""
        self._app: App | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._signalled, number.name)
        # Meant for the supervisor, which replaces us; by itself it would end us in the middle of our calls.
        gevent.signal_handler(signal.SIGHUP, log.debug, "SIGHUP: left to the supervisor")
        in_child(_take_signals_as_usual)

    def watch(self, app: App, channel: SupervisorChannel) -> None:
        """From now on each of them stops this app."""
        self._app = app
        gevent.spawn(self._follow_supervisor, channel)
        gevent.spawn(self._follow_registration, app, channel)

    def _signalled(self, name: str) -> None:
        if self.is_over:
            return
        if self._app is None:
            self.is_over = True
            log.info("%s: stopping before having served", name)
            sys.exit(0)
        self._begin_stop(self._app, name)

    def _begin_stop(self, app: App, reason: str) -> None:
        if app.is_serving:
            log.info("%s: draining", reason)
            app.begin_stop()
        else:
            log.debug("%s: draining already", reason)

    def _follow_supervisor(self, channel: SupervisorChannel) -> None:
        channel.wait_for_end()
        if self._app is not None:
            self._begin_stop(self._app, "the supervisor is gone")

    def _follow_registration(self, app: App, channel: SupervisorChannel) -> None:
        """Ends the worker if its name belongs to another process for longer than a dead session can last."""
        registrar, registry = app.registrar, app.registry
        # A stop ends the waiting early, and has its own end.
        while app.is_serving:
            try:
                if registrar is not None and registry is not None:
                    registrar.wait_registered(_REGISTRATION_PATIENCE)
                channel.tell_ready()
                return
            except IdentityConflict as conflict:
                if app.is_serving and registrar is not None and registrar.twin_lives:
                    self.conflict = conflict
                    self._begin_stop(app, "the name is somebody else's")
            except CoordinationError as error:
                if app.is_serving and registrar is not None and registrar.held is not None:
                    # Out of service on purpose, it is as ready as it can be: a replacement of workers goes on.
                    channel.tell_ready()
                    return
                if app.is_serving:
                    log.warning("serving, but not registered yet: %s", error)


def _take_signals_as_usual() -> None:
    """Restores the default signal handling in a forked child of a worker, which has nothing to drain."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def load_service(target: str) -> Service:
    """Imports MODULE:SERVICE with the current folder on the path. Raises a ConfigError that says what is missing.

    Exceptions of the module itself are not changed, as its author needs the traceback.
    """
    module_name, _, name = target.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ConfigError(f"cannot import {module_name!r} from {Path.cwd()}: {error}") from error
    service = getattr(module, name, None)
    if not isinstance(service, Service):
        there = [f"{module_name}:{word}" for word, value in vars(module).items() if isinstance(value, Service)]
        remedy = f"there is {', '.join(there)}" if there else f"write {name} = zkrpc.Service(...)"
        what = f"is {service!r}, not a zkrpc.Service" if hasattr(module, name) else "does not exist"
        raise ConfigError(f"{target} {what}; {remedy}")
    return service


def override_config(
    service: Service, *, linger: float | None, drain_timeout: float | None, tls: ServerTls | None = None
) -> None:
    """The service's config, with the command line's values taking precedence."""
    config = service.config
    service.config = dataclasses.replace(
        config,
        linger=config.linger if linger is None else linger,
        drain_timeout=config.drain_timeout if drain_timeout is None else drain_timeout,
        tls=config.tls if tls is None else tls,
    )
    if (own := service.config.tls) is not None:  # to ask the service's other instances who calls them
        # They have the same certificate, or one of the same authority, which need not be that of our clients.
        ask_with(ca=own.ca, pinned=own.certificate, certificate=own.certificate, key=own.key)
