"""``zkrpc explain``: shows how the methods of a service are called, which source sets each value, and why an instance
is picked or not.

The command runs outside of any client, so it shows what the IDL, the service's config, the registry and the instances
themselves say. What client code sets, and what a client has learnt by calling, is known in that client only;
:func:`render` shows such rows as well.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click

from zkrpc.cli.allowed import lists_in_code, who_may_call
from zkrpc.cli.completion import service_argument
from zkrpc.cli.options import SECONDS, json_option, timeout_option, tls_options, zookeeper_option
from zkrpc.cli.output import spoken, tell, tell_json
from zkrpc.cli.registry import connected, hint, require_members
from zkrpc.cli.target import label_in, load_interface
from zkrpc.client.explanation import Explanation, InstanceView, Probe, view_of, with_obstacle
from zkrpc.client.naming import Naming
from zkrpc.client.policy import Described, PolicyTable, Setting
from zkrpc.client.probe import probe_all
from zkrpc.config import ClientConfig, ServiceConfig
from zkrpc.coordination import Registry
from zkrpc.endpoint import Instance
from zkrpc.errors import ConfigError, CoordinationError, IdlError, RemoteProtocolError
from zkrpc.idl import Interface, MethodPolicy
from zkrpc.idl.served import names_in_config, parts_of
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.inspection.survey import Survey
from zkrpc.legible import lasting
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.published import published_interface
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import parse_service_config

_log = logging.getLogger(__name__)

_ANY_METHOD = "(any method)"


@tls_options
@click.command()
@service_argument()
@click.argument("method", required=False)
@click.option("--idl", metavar="FILE[:SERVICE]", help="What the methods are; else what the service publishes.")
@click.option("--zone", default="", help="Where the caller is.")
@click.option("--ping-timeout", type=SECONDS, default=1.0, show_default=True, help="Seconds to wait for each instance.")
@zookeeper_option
@timeout_option
@json_option
def explain(
    service: str,
    method: str | None,
    idl: str | None,
    zone: str,
    ping_timeout: float,
    zookeeper: str,
    timeout: float,
    as_json: bool,
) -> None:
    """Each policy value of SERVICE's methods, or of METHOD, and where it comes from; and each of its instances."""
    interface = interface_of(idl, method) if idl else None
    with connected(zookeeper, timeout) as registry:
        paths = require_members(registry, service)
        if interface is None and paths is not None:
            interface = published(registry, service)
        if interface is not None and method is not None:
            method = label_in(interface, method)
        config, notes = config_of(registry, paths)
        methods = methods_of(interface, config, method)
        led_only = [name for name, one in methods.items() if one.policy.primary]
        seen = Survey(registry).look([service], timeout)[service]
        found = seen.serving
        instances = list(_views(found, zone, ping_timeout))
        answering = {one.id for one in instances if one.answered_in is not None}
        code = lists_in_code([one for one in found if one.id in answering], ping_timeout)
        if method in led_only:
            instances = _judge_by_primary(instances, _primaries(registry, paths))
        elif led_only:
            notes.append(f"only a primary serves {', '.join(led_only)}; see who leads: zkrpc primary {service}")
        if interface is not None and method is not None:
            naming = Naming(interface.methods[method].interface)
            others = {one.id: naming.obstacle(one) for one in found if not naming.fits(one)}
            instances = [with_obstacle(one, others[one.id]) if one.id in others else one for one in instances]
        instances = [*instances, *_offline_views(seen, zone)]
    notes += _doubts(interface, config)
    notes += [*_other_idls(interface, found, idl), *code.notes]
    policies = PolicyTable(ClientConfig(zone=zone))
    policies.receive_service_config(config)
    explained = {
        name: [*policies.explain(one), *who_may_call(one, config, code, name)] for name, one in methods.items()
    }
    told = Explanation(service, explained, tuple(instances), tuple(notes), policies.client.settings)
    if as_json:
        tell_json(plain(told))
        return
    for line in render(told):
        tell(line)


def plain(told: Explanation) -> dict[str, Any]:
    """The rows as JSON values, for programs."""
    return {
        "service": told.service,
        "methods": {name: [dataclasses.asdict(one) for one in settings] for name, settings in told.methods.items()},
        "client": [dataclasses.asdict(one) for one in told.client],
        "instances": [{**dataclasses.asdict(one), "picked": not one.obstacles} for one in told.instances],
        "notes": list(told.notes),
    }


def render(told: Explanation) -> Iterator[str]:
    """The rows as lines of text, for people."""
    for name, settings in told.methods.items():
        yield name
        yield from _rows(settings)
    if told.client:
        yield "all calls"
        yield from _rows(told.client)
    picked = sum(not one.obstacles for one in told.instances)
    yield f"instances: {len(told.instances)}, of which {picked} would be picked"
    for view in told.instances:
        yield f"  {view.endpoint:22} {view.id:24} {', '.join(_facts(view))}"
        yield from (f"    not picked: {reason}" for reason in view.obstacles)
        yield from (f"    picked less: {reason}" for reason in view.remarks)
    yield from (f"note: {note}" for note in told.notes)


_NOT_SECONDS = {
    "retry_ratio": " per call",
    "retry_reserve": " per s",
    "collapse_floor": "",
    "breaker.success_rate": "",
}
"""What the numbers with a fraction count that are no seconds."""
_NOTHING = {"hedge": "never", "subset_size": "all", "client_id": "random", "name": "program's", "version": "program's"}


def _rows(settings: Sequence[Setting]) -> Iterator[str]:
    width = max(13, *(len(one.name) for one in settings))
    for one in settings:
        note = f" ({one.note})" if one.note else ""
        yield f"  {one.name:{width}} {shown(one):12} {one.source}{note}".rstrip()


def shown(one: Setting) -> str:
    if one.value in (None, ""):
        return _NOTHING.get(one.name, "none")
    if isinstance(one.value, bool):
        return "yes" if one.value else "no"
    if isinstance(one.value, float):
        return f"{one.value:g}{_NOT_SECONDS.get(one.name, ' s')}"
    return str(one.value)


def _facts(view: InstanceView) -> Iterator[str]:
    yield f"weight {view.weight:g}"
    if view.zone:
        yield f"zone {view.zone}"
    if view.age is not None:
        yield f"age {lasting(view.age)}"
    if view.services:
        yield f"serves {'/'.join(view.services)}"
    yield "/".join(spoken(view.protocols)) or "unknown protocol"
    if view.dialect:
        yield f"called in {view.dialect}"
    if view.connected_in is not None:
        yield f"connected in {view.connected_in * 1000:.1f} ms"
    if view.answered_in is not None:
        yield f"ping answered in {view.answered_in * 1000:.1f} ms"


# What is said of the methods


class _Unread(NamedTuple):
    """A method of which only the name is known, as no IDL was given."""

    name: str
    interface: str = ""
    policy: MethodPolicy = MethodPolicy()


def interface_of(text: str, method: str | None) -> Interface:
    """The interface that the option names. Raises ConfigError if there is none, or if it lacks the method asked for."""
    interface = load_interface(text, method)
    if method is not None and method.removeprefix(f"{interface.name}:") not in interface.methods:
        raise ConfigError(f"{interface.name} has no method {method!r}; {hint(method, [*interface.methods])}")
    return interface


def published(registry: Registry, service: str) -> Interface | None:
    """The interface that the service's instances have published; None if nothing that can be read."""
    try:
        return published_interface(registry.session, service)
    except (CoordinationError, RemoteProtocolError, IdlError) as error:
        _log.info("the methods are not known: %s", error)
        return None


def config_of(registry: Registry, paths: Paths | None) -> tuple[ServiceConfig, list[str]]:
    """The service's config, and warnings about it; without paths it is in a tree of another library's."""
    if paths is None:
        return ServiceConfig(), ["other libraries' trees have no config, and no primaries"]
    found = registry.session.znodes.get(paths.config)
    if found is None:
        return ServiceConfig(), ["the service has no config"]
    try:
        return parse_service_config(found[0], max_size=registry.config.max_record), []
    except ConfigError as error:
        refused = f"clients refuse the service's config, and do what it said before: {error}"
        return ServiceConfig(), [f"{refused}; see: zkrpc config show {paths.service}"]


def methods_of(interface: Interface | None, config: ServiceConfig, method: str | None) -> dict[str, Described]:
    """The methods by their names; those of interfaces beside the default one by their labels."""
    if interface is None:
        return {name: _Unread(name) for name in ([method] if method else [_ANY_METHOD, *config.methods])}
    return {name: one for name, one in interface.methods.items() if method in (None, name)}


def _doubts(interface: Interface | None, config: ServiceConfig) -> Iterator[str]:
    if interface is None:
        yield "what the IDL says is not counted in, as none is published; give it with --idl FILE"
    else:
        methods = interface.methods.values()
        known = {name for one in methods for name in names_in_config(one.interface, one.name)}
        unknown = [name for name in config.methods if name not in known]
        if unknown:
            yield f"the service's config speaks of methods that {interface.name} has not: {', '.join(unknown)}"
    yield "client code may say otherwise, with ClientConfig or with the options of a call"


def _other_idls(interface: Interface | None, found: Sequence[Instance], file: str | None) -> Iterator[str]:
    """A warning for each IDL but the one that is explained, that of the ``file`` or the newest: who serves it may serve
    other methods, with other policies."""
    if interface is None:
        return
    told = f"than {interface.file}" if file else "than the newest, which is explained here"
    explained = parts_of(interface)[0].digest
    others = collections.defaultdict(list)
    for one in found:
        if one.idl_digest and one.idl_digest != explained:
            others[one.idl_digest].append(one.id)
    for digest, names in others.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield (
            f"{', '.join(names[:3])}{more} registered with another IDL {told}: theirs has the digest "
            f"{digest:.12}, this one {explained:.12}"
        )


# What is known of the instances


def _views(found: Sequence[Instance], zone: str, ping_timeout: float) -> Iterable[InstanceView]:
    probes = probe_all(found, ping_timeout)
    wall_now = time.time()
    return [view_of(one, probes[one.endpoint], wall_now=wall_now, zone=zone) for one in found]


def _offline_views(seen: ServiceOverview, zone: str) -> Iterator[InstanceView]:
    """Those that run and were taken out of service. They are not asked for a sign of life, which changes nothing."""
    wall_now = time.time()
    for _, order, running in seen.out_of_service:
        if running is not None:
            word = "it has just been taken back into service" if order is None else f"an operator's order: {order}"
            yield with_obstacle(view_of(running, Probe(), wall_now=wall_now, zone=zone), word)


def _primaries(registry: Registry, paths: Paths | None) -> dict[str, str]:
    """Endpoint of a primary -> its group; the last one, if it leads several."""
    led: dict[str, str] = {}
    if paths is None:
        return led
    for group in sorted(registry.session.znodes.children(f"{paths.root}/election") or ()):
        primary = _primary(registry, paths.primary(group))
        if primary is not None:
            led[str(primary.endpoint)] = group
    return led


def _primary(registry: Registry, path: str) -> PrimaryRecord | None:
    found = registry.session.znodes.get(path)
    return None if found is None else PrimaryRecord.parse(found[0], max_record=registry.config.max_record)


def _judge_by_primary(views: Iterable[InstanceView], led: Mapping[str, str]) -> list[InstanceView]:
    leading = ", ".join(f"{place} leads {group}" for place, group in led.items()) or "nobody leads"
    reason = f"it leads no group, and only a primary serves this method; {leading}"
    return [view if view.endpoint in led else with_obstacle(view, reason) for view in views]
