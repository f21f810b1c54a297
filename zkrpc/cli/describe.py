"""``zkrpc describe``: all that is to be known of a service, on one page."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from zkrpc.cli.allowed import lists_in_code, who_may_call
from zkrpc.cli.completion import complete_services
from zkrpc.cli.explain import config_of, interface_of, methods_of, published, shown
from zkrpc.cli.ls import INSTANCE_COLUMNS, headline, instance_rows
from zkrpc.cli.options import json_option, timeout_option, tls_options, zookeeper_option
from zkrpc.cli.output import counted, several, tell, tell_json, tell_table
from zkrpc.cli.registry import connected, require_members, require_service
from zkrpc.cli.target import built_in_interface, built_in_names
from zkrpc.client.policy import Described, PolicyTable, Setting
from zkrpc.config import ClientConfig, ServiceConfig
from zkrpc.election.inspection import GroupReport, look
from zkrpc.idl import Interface, Method
from zkrpc.idl.served import parts_of
from zkrpc.inspection.overview import ServiceOverview, plain_overview
from zkrpc.inspection.survey import Survey
from zkrpc.jsonform import command_line
from zkrpc.legible import ago, lasting
from zkrpc.registry.foreign import is_tree
from zkrpc.registry.service_config import dump_service_config

_TOLD = ("timeout", "idempotent", "primary", "hedge", "max_attempts")
"""What is said of each method; ``zkrpc explain`` has the rest, and where it comes from."""

_PATIENCE = 1.0
"""Seconds for all instances to tell who may call by their code."""
_LONGEST_CALL = 200
"""Characters of a command that is shown beside a method."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """One service, as ``describe`` tells it."""

    seen: ServiceOverview
    interface: Interface | None
    """What its methods are; None if that is not known."""
    policies: Mapping[str, list[Setting]]
    """The settings of each method that is known of."""
    elections: tuple[GroupReport, ...]
    config: ServiceConfig
    configured_at: float | None
    """When the config was last changed: wall-clock seconds since 1970; None without one."""
    notes: tuple[str, ...]
    wall_now: float


@tls_options
@click.command()
@click.argument("service", metavar="SERVICE[/zkrpc.BUILT_IN]", shell_complete=complete_services)
@click.option("--idl", metavar="FILE[:SERVICE]", help="What the methods are; else what the service publishes.")
@zookeeper_option
@timeout_option
@json_option
def describe(service: str, idl: str | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Show SERVICE on one page: its methods, instances, primaries and config.

    With a slash, as in users/zkrpc.Health: the methods of a service that each port of users answers beside its own.
    """
    if "/" in service and not is_tree(service):
        service, _, built_in_name = service.partition("/")
        _describe_built_in(service, built_in_name, idl, zookeeper, timeout, as_json)
        return
    interface = interface_of(idl, None) if idl else None
    with connected(zookeeper, timeout) as registry:
        paths = require_members(registry, service)
        seen = Survey(registry).look([service], timeout)[service]
        config, notes = config_of(registry, paths)
        stat = None if paths is None else registry.session.znodes.exists(paths.config)
        elections = () if paths is None else tuple(look(registry.session, service))
        if interface is None and paths is not None:
            interface = published(registry, service)
    code = lists_in_code(seen.serving, min(timeout, _PATIENCE))
    policies = PolicyTable(ClientConfig())
    policies.receive_service_config(config)
    known = methods_of(interface, config, None).items()
    told = Description(
        seen=seen,
        interface=interface,
        policies={name: [*_told(policies, one), *who_may_call(one, config, code, name)] for name, one in known},
        elections=elections,
        config=config,
        configured_at=None if stat is None else stat.modified_at,
        notes=(*(notes if stat is not None else ()), *code.notes),
        wall_now=time.time(),
    )
    if as_json:
        tell_json(plain(told))
        return
    tell(headline(seen))
    for line in _methods(told):
        tell(line)
    tell("instances")
    tell_table(INSTANCE_COLUMNS, instance_rows(seen, told.wall_now), indent="  ")
    for line in (*_elections(told), *_config(told)):
        tell(line)
    for note in told.notes:
        tell(f"note: {note}")


def _describe_built_in(service: str, name: str, idl: str | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Tells of a built-in service, whose methods are the same everywhere, for a service that exists."""
    interface = built_in_interface(name)
    if idl is not None:
        raise click.UsageError(f"{name} is a built-in service, whose interface is known: leave --idl out")
    with connected(zookeeper, timeout) as registry:
        require_service(registry, service)
        seen = Survey(registry).look([service], timeout)[service]
    policies, scope = PolicyTable(ClientConfig()), f"{service}/{name}"
    told = {one.name: _told(policies, one) for one in interface.methods.values()}
    if as_json:
        methods = {each: _plain_method(scope, interface, each, settings) for each, settings in told.items()}
        tell_json({"service": service, "built_in": name, **_plain_interface(interface), "methods": methods})
        return
    tell(f"{name}, which each of the {counted(len(seen.serving), 'instance')} of {service} answers beside its own")
    for line in _method_lines(scope, interface, told):
        tell(line)


def _told(policies: PolicyTable, method: Described) -> list[Setting]:
    return [one for one in policies.explain(method) if one.name in _TOLD]


def _plain_interface(interface: Interface | None) -> dict[str, Any]:
    parts = [] if interface is None else [{"name": one.name, "digest": one.digest} for one in parts_of(interface)]
    return {"interface": parts[0] if parts else None, "beside": parts[1:]}


def plain(told: Description) -> dict[str, Any]:
    """The description as JSON values."""
    interface = told.interface
    return {
        "service": told.seen.service,
        **plain_overview(told.seen),
        **_plain_interface(interface),
        "built_in": _built_ins_of(told.seen),
        "methods": {
            name: _plain_method(told.seen.service, interface, name, settings)
            for name, settings in told.policies.items()
        },
        "candidates": {report.group: list(report.candidates) for report in told.elections},
        "config": json.loads(dump_service_config(told.config)),
        "configured_at": told.configured_at,
        "notes": list(told.notes),
    }


def signature(method: Method) -> str:
    """A method as an IDL writes it, without ids."""
    parameters = ", ".join(f"{one.type} {one.name}" for one in method.parameters)
    throws = f" throws ({', '.join(kind.__name__ for kind in method.throws)})" if method.throws else ""
    return f"{'oneway ' if method.oneway else ''}{method.returns} {method.name}({parameters}){throws}"


def call_line(service: str, method: Method, name: str = "") -> str | None:
    """The command that calls a method, by this name if it is not its own, to be filled in; if that is long, the one
    that prints what to fill in. None for a method that Python cannot call."""
    if method.refusal is not None:
        return None
    line = command_line(service, method, name=name)
    return line if len(line) <= _LONGEST_CALL else f"zkrpc call {service}.{name or method.name} --template"


def _plain_method(service: str, interface: Interface | None, name: str, settings: list[Setting]) -> dict[str, Any]:
    method = None if interface is None else interface.methods.get(name)
    said = {one.name: {"value": one.value, "source": one.source} for one in settings}
    if method is None:
        return {"signature": None, "settings": said}
    return {
        "signature": signature(method),
        "parameters": [{"name": one.name, "type": one.type, "required": one.required} for one in method.parameters],
        "returns": method.returns,
        "throws": [kind.__name__ for kind in method.throws],
        "oneway": method.oneway,
        "call": call_line(service, method, name),
        "settings": said,
    }


def _methods(told: Description) -> Iterator[str]:
    interface = told.interface
    if interface is None:
        led = sorted({name for one in told.seen.instances for name in one.primary_only})
        yield "methods: not known, as no IDL is published; give it with --idl FILE"
        if led:
            yield f"  served by a primary only: {', '.join(led)}"
    else:
        yield from _method_lines(told.seen.service, interface, told.policies)
    if names := _built_ins_of(told.seen):
        yield f"beside them: {', '.join(names)}; zkrpc describe {told.seen.service}/{names[0]}"


def _built_ins_of(seen: ServiceOverview) -> list[str]:
    """The built-in services that its instances answer, unless that is switched off there."""
    return built_in_names() if any("zkrpc" in one.protocols for one in seen.instances) else []


def _method_lines(scope: str, interface: Interface, policies: Mapping[str, list[Setting]]) -> Iterator[str]:
    for part in parts_of(interface):
        yield f"methods of {part.name}, IDL {part.digest[:12]}"
        for name, settings in policies.items():
            method = interface.methods[name]
            if part.methods.get(method.name) is not method:
                continue
            yield f"  {signature(method)}"
            yield f"      {', '.join(f'{one.name} {shown(one)} ({one.source})' for one in settings)}"
            if line := call_line(scope, method, name):
                yield f"      {line}"


def _elections(told: Description) -> Iterator[str]:
    if told.elections:
        yield "primaries"
    for report in told.elections:
        leader = report.primary
        waiting = [name for name in report.candidates if leader is None or name != leader.instance]
        line = f"  {report.group}: "
        if leader is None:
            line += f"nobody leads since epoch {report.epoch}"
        else:
            line += f"{leader.instance} at {leader.endpoint}, epoch {leader.epoch}"
            since = [term.began_at for term in report.history if term.epoch == leader.epoch]
            line += f", for {lasting(told.wall_now - since[0])}" if since else ", gets ready"
        yield line + (f"; waiting: {several(waiting)}" if waiting else "; nobody else waits")
        if report.problem:
            yield f"    {report.problem}"


def _config(told: Description) -> Iterator[str]:
    if told.configured_at is None:
        yield "config: none; clients do what the IDL and their own code say"
        return
    version = counted(told.seen.config_version or 0, "change")
    yield f"config: {version}, the last {ago(told.configured_at, told.wall_now)}"
    for line in json.dumps(json.loads(dump_service_config(told.config)), indent=2).split("\n"):
        yield f"  {line}"
