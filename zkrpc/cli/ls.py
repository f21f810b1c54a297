"""``zkrpc ls``: who is registered."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from zkrpc.cli.connecting import connected, timeout_option, zookeeper_option
from zkrpc.endpoint import Instance
from zkrpc.registry.schema import SERVICES


@click.command()
@click.argument("service", required=False)
@zookeeper_option
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def ls(service: str | None, zookeeper: str, timeout: float, as_json: bool) -> None:
    """List the services, or the instances of SERVICE."""
    with connected(zookeeper, timeout) as registry:
        names = [service] if service else sorted(registry.session.children(SERVICES) or ())
        members = {name: registry.resolver(name).wait_ready(timeout).instances for name in names}
    if as_json:
        click.echo(json.dumps({name: [_plain(one) for one in found] for name, found in members.items()}))
        return
    for name, found in members.items():
        click.echo(f"{name}: {len(found)} instance{'s' if len(found) != 1 else ''}")
        for one in found:
            click.echo(f"  {str(one.endpoint):24} {one.id:32} {' '.join(one.protocols)}")


def _plain(instance: Instance) -> dict[str, Any]:
    fields = {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}
    return {**fields, "endpoint": str(instance.endpoint), "metadata": dict(instance.metadata)}
