"""``zkrpc ls``: lists services, or the registered instances of one."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from zkrpc.cli.options import json_option, timeout_option, zookeeper_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import connected, require_service, services_of
from zkrpc.endpoint import Instance


@click.command()
@click.argument("service", required=False)
@zookeeper_option
@timeout_option
@json_option
def ls(service: str | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """List the services, or the instances of SERVICE."""
    with connected(zookeeper, timeout) as registry:
        names, strange = services_of(registry)
        if service is not None:
            require_service(registry, service)
            names, strange = [service], []
        members = {name: registry.resolver(name).wait_ready(timeout).instances for name in names}
    for name in strange:
        tell(f"left out, since it is no service's name: {name!r}", err=True)
    if as_json:
        tell_json({name: [_plain(one) for one in found] for name, found in members.items()})
        return
    for name, found in members.items():
        tell(f"{name}: {len(found)} instance{'s' if len(found) != 1 else ''}")
        for one in found:
            tell(f"  {str(one.endpoint):24} {one.id:32} {' '.join(one.protocols)}")


def _plain(instance: Instance) -> dict[str, Any]:
    fields = {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}
    return {**fields, "endpoint": str(instance.endpoint), "metadata": dict(instance.metadata)}
