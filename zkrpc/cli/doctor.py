"""``zkrpc doctor``: looks for what is wrong with ZooKeeper and the services in it, and says what to do."""

from __future__ import annotations

from typing import Any

import click

from zkrpc import __version__, compiled
from zkrpc.cli.completion import service_argument
from zkrpc.cli.options import json_option, timeout_option, tls_options, zookeeper_option
from zkrpc.cli.output import counted, ending_with, tell, tell_json
from zkrpc.cli.registry import connected, require_service, services_of
from zkrpc.inspection.certificates import LASTS
from zkrpc.inspection.checks import Verdict, judge
from zkrpc.inspection.gathering import gather


@tls_options
@click.command()
@service_argument(required=False)
@click.option("--all", "every", is_flag=True, help="Name the checks that found nothing, too.")
@click.option(
    "--certificate-days",
    type=click.FloatRange(min=0, max=3650),
    default=LASTS,
    show_default=True,
    help="Days that instances' certificates must last.",
)
@zookeeper_option
@timeout_option
@json_option
def doctor(
    service: str | None, every: bool, certificate_days: float, zookeeper: str, timeout: float, as_json: bool
) -> None:
    """Say what is wrong with ZooKeeper and the services, or with SERVICE, and what to do about it.

    Exit status: 0 if nothing is wrong, 1 if something is. It reads only.
    """
    with connected(zookeeper, timeout) as registry:
        if service is not None:
            require_service(registry, service)
        names = services_of(registry)[0] if service is None else [service]
        verdicts = judge(gather(registry, names, timeout, certificate_days=certificate_days))
    wrong = sum(len(verdict.findings) for verdict in verdicts)
    with ending_with(1 if wrong else 0):
        if as_json:
            ours = {"version": __version__, "compiled": compiled.in_use()}
            checks = [_plain(verdict) for verdict in verdicts]
            tell_json({"zkrpc": ours, "service": service, "wrong": wrong, "checks": checks})
            return
        tell(f"zkrpc {__version__}, {compiled.in_words()}")
        for verdict in verdicts:
            _tell(verdict, every)
        tell(f"{counted(len(verdicts), 'check')} of {counted(len(names), 'service')}: {counted(wrong, 'finding')}")


def _tell(verdict: Verdict, every: bool) -> None:
    check = verdict.check
    for finding in verdict.findings:
        tell(f"WRONG    {check.name}: {finding}")
    if verdict.findings:
        tell(f"         remedy: {check.remedy}")
    elif verdict.unknown:
        tell(f"unknown  {check.name}: {verdict.unknown}")
    elif every:
        tell(f"good     {check.name}: {check.looks_at}")


def _plain(verdict: Verdict) -> dict[str, Any]:
    check = verdict.check
    status = "wrong" if verdict.findings else "unknown" if verdict.unknown else "good"
    return {
        "name": check.name,
        "status": status,
        "looks_at": check.looks_at,
        "findings": list(verdict.findings),
        "unknown": verdict.unknown,
        "remedy": check.remedy,
    }
