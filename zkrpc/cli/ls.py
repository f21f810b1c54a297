"""``zkrpc ls``: lists services, or the instances of one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import click

from zkrpc.cli.completion import service_argument
from zkrpc.cli.options import json_option, timeout_option, zookeeper_option
from zkrpc.cli.output import counted, several, spoken, tell, tell_json, tell_table
from zkrpc.cli.registry import connected, require_members
from zkrpc.endpoint import Instance
from zkrpc.inspection.overview import ServiceOverview, plain_overview
from zkrpc.inspection.survey import Survey
from zkrpc.legible import lasting
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.offline import OfflineOrder

SERVICE_COLUMNS = ("SERVICE", "INSTANCES", "PRIMARIES", "VERSIONS", "IDL", "SERVES", "PROTOCOLS")
INSTANCE_COLUMNS = (
    "INSTANCE",
    "ENDPOINT",
    "STATE",
    "PRIMARY OF",
    "VERSION",
    "IDL",
    "ZONE",
    "UP",
    "SERVES",
    "PROTOCOLS",
)
_DIGEST_SHOWN = 8


@click.command()
@service_argument(required=False)
@zookeeper_option
@timeout_option
@click.option("--callers", is_flag=True, help="Ask the instances of SERVICE who calls it, and what.")
@json_option
def ls(service: str | None, zookeeper: str, timeout: float, callers: bool, as_json: bool) -> None:
    """List the services, or the instances of SERVICE."""
    if callers and service is None:
        raise click.UsageError("--callers wants a SERVICE")
    with connected(zookeeper, timeout) as registry:
        survey = Survey(registry)
        names, strange = survey.services()
        if service is not None:
            require_members(registry, service)
            names, strange = [service], []
        seen = survey.look(names, timeout)
    if callers and service is not None:
        from zkrpc.cli.callers import tell_callers  # only this needs a client

        tell_callers(service, seen[service].serving, timeout, as_json)
        return
    for name in strange:
        tell(f"left out, since it is no service's name: {name!r}", err=True)
    if as_json:
        tell_json({name: plain_overview(one) for name, one in seen.items()})
    elif service is not None:
        tell(headline(seen[service]))
        tell_table(INSTANCE_COLUMNS, instance_rows(seen[service], time.time()), indent="  ")
    elif seen:
        tell_table(SERVICE_COLUMNS, [service_row(one) for one in seen.values()])


def headline(seen: ServiceOverview) -> str:
    """How many instances serve, how many are out of service, and what is odd about them."""
    return f"{seen.service}: {', '.join(_remarks(seen))}"


def service_row(seen: ServiceOverview) -> tuple[str, ...]:
    """One service in the table of all."""
    instances = str(len(seen.serving))
    if offline := len(seen.out_of_service):
        instances += f" + {offline} offline"
    primaries = [_primary(group, record) for group, record in seen.primaries.items()]
    return (
        seen.service,
        instances,
        several(primaries),
        _frequencies(seen.versions),
        _frequencies(seen.idl_digests, _DIGEST_SHOWN) + (" differ" if len(seen.idl_digests) > 1 else ""),
        " ".join(seen.services) or "-",
        " ".join(spoken(seen.protocols)) or "-",
    )


def instance_rows(seen: ServiceOverview, wall_now: float) -> list[tuple[str, ...]]:
    """The table of one service's instances: those that serve, then those that are out of service."""
    rows = [_row(one, _state(one), seen.led_by(one.id), wall_now) for one in seen.serving]
    for name, order, running in seen.out_of_service:
        state = _offline_state(order, running, wall_now)
        if running is None:
            rows.append((name, "-", state, *("-" for _ in INSTANCE_COLUMNS[3:])))
        else:
            rows.append(_row(running, state, seen.led_by(name), wall_now))
    return rows


def _remarks(seen: ServiceOverview) -> Iterator[str]:
    yield counted(len(seen.serving), "instance")
    if offline := len(seen.out_of_service):
        yield f"{offline} offline"
    if len(seen.idl_digests) > 1:
        yield f"{len(seen.idl_digests)} different IDLs"
    if seen.leaderless:
        yield f"nobody leads {several(seen.leaderless)}"
    if seen.skipped:
        yield f"{counted(seen.skipped, 'record')} cannot be read"


def _row(one: Instance, state: str, led: Sequence[str], wall_now: float) -> tuple[str, ...]:
    return (
        one.id,
        str(one.endpoint),
        state,
        several(led),
        one.version or "-",
        one.idl_digest[:_DIGEST_SHOWN] or "-",
        one.zone or "-",
        lasting(wall_now - one.started_at) if one.started_at else "-",
        " ".join(one.services) or "-",
        " ".join((*spoken(one.protocols), "tls") if one.tls else spoken(one.protocols)) or "-",
    )


def _state(one: Instance) -> str:
    if one.unready:
        return f"not ready: {one.unready}"
    if not one.weight > 0:
        return "gets no calls, its weight is 0"
    return "serves" if one.weight == 1.0 else f"serves, weight {one.weight:g}"


def _offline_state(order: OfflineOrder | None, running: Instance | None, wall_now: float) -> str:
    if order is None:
        return "comes back"
    since = f" for {lasting(wall_now - order.since)}" if order.since else ""
    alive = "" if running is not None else ", does not run"
    return f"offline{since}{alive}: {order}"


def _primary(group: str, record: PrimaryRecord | None) -> str:
    if record is None:
        return f"{group}: nobody"
    return f"{group}: {record.instance or record.endpoint} (epoch {record.epoch})"


def _frequencies(found: dict[str, int], length: int | None = None) -> str:
    """The values, with how often each occurs if there are several."""
    if len(found) == 1:
        return next(iter(found))[:length]
    return several([f"{text[:length]} x{count}" for text, count in found.items()])
