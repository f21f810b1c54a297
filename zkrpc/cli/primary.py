"""``zkrpc primary``: shows the primaries of a service with epoch, lease and history, and has one step down."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from click.shell_completion import CompletionItem

from zkrpc.cli.completion import complete_instances, complete_services, service_argument
from zkrpc.cli.options import CONNECT_TIMEOUT, SECONDS, timeout_option, zookeeper_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import connected, missing, require_service
from zkrpc.coordination import Registry
from zkrpc.election.history import Term
from zkrpc.election.inspection import GroupReport, ask_to_step_down, look
from zkrpc.election.lease import lease_end
from zkrpc.election.tree import ElectionPaths
from zkrpc.endpoint import DEFAULT_GROUP
from zkrpc.errors import CoordinationError
from zkrpc.inspection.overview import plain_primary
from zkrpc.legible import lasting, moment
from zkrpc.registry.formats import SESSION_TIMEOUT, read_session_timeout
from zkrpc.zookeeper.operations import granted_to
from zkrpc.zookeeper.session import Session

_HISTORY_SHOWN = 5


class _Shorthand(click.Group):
    """``zkrpc primary SERVICE`` is short for ``zkrpc primary show SERVICE``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand named first, or ``show`` with all of the words."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The subcommands, and the services that may stand in their place."""
        show = self.commands["show"]
        with show.make_context("show", [], parent=ctx, resilient_parsing=True) as inner:
            names = complete_services(inner, show.params[0], incomplete)
        return [*super().shell_complete(ctx, incomplete), *names]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Lets options come before the service's name, too."""
        help_wanted = bool(args) and args[0] in ctx.help_option_names
        if args and args[0].startswith("-") and not help_wanted:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Shorthand, subcommand_metavar="[show] SERVICE | step-down SERVICE")
def primary() -> None:
    """Show the primaries of SERVICE, or have one step down."""


@primary.command()
@service_argument()
@zookeeper_option
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text, with the whole history.")
def show(service: str, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Primary, epoch, lease and history of each group of SERVICE."""
    with connected(zookeeper, timeout) as registry:
        require_service(registry, service)
        reports = look(registry.session, service)
        if not reports:
            raise CoordinationError(f"{service} has never elected a primary at {zookeeper}")
        leases = {report.group: _lease_left(registry, service, report, timeout) for report in reports}
    if as_json:
        tell_json({report.group: _plain(report, leases[report.group]) for report in reports})
        return
    for report in reports:
        _print(report, leases[report.group])


@primary.command("step-down")
@service_argument()
@click.option("--group", default=DEFAULT_GROUP, show_default=True, help="Whose primary.")
@click.option(
    "--to",
    "heir",
    default="",
    metavar="INSTANCE",
    shell_complete=complete_instances,
    help="Who is to lead instead; else who waits longest.",
)
@zookeeper_option
@click.option(
    "--timeout",
    type=SECONDS,
    default=10.0,
    show_default=True,
    help="Seconds to wait for ZooKeeper and the next primary.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def step_down(service: str, group: str, heir: str, zookeeper: str, timeout: float, as_json: bool) -> None:
    """Have the primary of SERVICE finish its calls and hand over."""
    paths = ElectionPaths(service, group)
    with connected(zookeeper, min(timeout, CONNECT_TIMEOUT)) as registry:
        require_service(registry, service)
        _check_names(registry.session, paths, heir)
        new = ask_to_step_down(registry.session, paths, heir=heir, timeout=timeout)
    if as_json:
        tell_json(plain_primary(new))
    else:
        tell(f"{service}/{group}: {new.instance} at {new.endpoint} leads since epoch {new.epoch}")


def _check_names(session: Session, paths: ElectionPaths, heir: str) -> None:
    standing = {report.group: report.candidates for report in look(session, paths.service)}
    if paths.group not in standing:
        raise missing(
            "group", paths.group, standing, where=f"of {paths.service}", nothing="it has elected nobody so far"
        )
    if heir and heir not in standing[paths.group]:
        raise missing(
            "candidate", heir, standing[paths.group], where=f"for {paths.group}", nothing="nobody stands for it"
        )


def _lease_left(registry: Registry, service: str, report: GroupReport, timeout: float) -> float | None:
    """About how many seconds the primary's lease still holds, judged by its last heartbeat."""
    if report.primary is None or report.heartbeat_age is None:
        return None
    instances = registry.resolver(service).wait_ready(timeout).instances
    said = [one.metadata.get(SESSION_TIMEOUT, "") for one in instances if one.id == report.primary.instance]
    asked = read_session_timeout(said[0]) if said else None
    if asked is None:
        return None
    ours = registry.config.session_timeout
    granted = granted_to(asked, ours, registry.session.timeout or ours)
    return max(0.0, lease_end(0.0, 0.0, granted) - report.heartbeat_age)


def _print(report: GroupReport, lease_left: float | None) -> None:
    leader = report.primary
    if leader is None:
        tell(f"{report.group}: nobody leads since epoch {report.epoch}")
    else:
        left = "" if lease_left is None else f", lease about {lease_left:.1f} s"
        ready = ", gets ready and does not serve yet" if report.getting_ready else ""
        tell(f"{report.group}: {leader.instance} at {leader.endpoint}, epoch {leader.epoch}{left}{ready}")
    waiting = [name for name in report.candidates if leader is None or name != leader.instance]
    tell(f"  waiting: {', '.join(waiting) or 'nobody'}")
    if report.problem:
        tell(f"  {report.problem}")
    for one in report.complaints:
        tell(f"  {one.instance} could not lead, {one.times} times in a row, last {lasting(one.age)} ago: {one.why}")
    for term in reversed(report.history[-_HISTORY_SHOWN:]):
        tell(f"  {_describe(term)}")


def _describe(term: Term) -> str:
    until = "now" if term.ended_at is None else moment(term.ended_at)
    why = f"  {term.reason}" if term.reason else ""
    return f"epoch {term.epoch:<6} {moment(term.began_at)} to {until:19}  {term.instance}{why}"


def _plain(report: GroupReport, lease_left: float | None) -> dict[str, Any]:
    fields = {**dataclasses.asdict(report), "primary": plain_primary(report.primary)}
    return {**fields, "lease_left": lease_left}
