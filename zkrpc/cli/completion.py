"""``zkrpc completion``: the script by which a shell completes ``zkrpc``, and the live names that it offers.

click makes the script, which runs ``zkrpc`` once for each press of TAB. Names of services and instances come from the
ZooKeeper that the command line or the environment names. Whoever presses TAB waits for them, so it takes at most about
a second and a half, and whatever goes wrong means that there are no names: a shell has no place to show an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from zkrpc.cli.registry import connected, services_of
from zkrpc.config import RegistryConfig
from zkrpc.coordination import Registry
from zkrpc.errors import ConfigError, RpcError
from zkrpc.registry.schema import Paths, check_name, worker_id_of

_SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "zkrpc"
_VARIABLE = f"_{_PROGRAM}_COMPLETE".upper()
"""By which click is asked, as it names it."""
_CONNECT_TIMEOUT = 1.0
_CONFIG = RegistryConfig(request_timeout=0.5)


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print what completes zkrpc's commands, options, services and instances in SHELL.

    \b
    bash: eval "$(zkrpc completion bash)"       in ~/.bashrc
    zsh:  eval "$(zkrpc completion zsh)"        in ~/.zshrc
    fish: zkrpc completion fish | source        in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(click.Group(), {}, _PROGRAM, _VARIABLE)
    # click asks the bash that is installed for its version, which says nothing of the one that will read this.
    source = ShellComplete.source(script)
    click.echo(source.rstrip("\n"))


def service_argument(*, required: bool = True) -> Callable[[Any], Any]:
    """The argument SERVICE of a command, completed with the services that there are."""
    return click.argument("service", required=required, shell_complete=complete_services)


def complete_services(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The services whose names begin so."""
    return offer(context, begun, lambda registry: services_of(registry)[0])


def complete_instances(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The instances whose names begin so: those of the service on the command line, or of all."""
    service = context.params.get("service")

    def find(registry: Registry) -> Iterable[str]:
        for name in [service] if service else services_of(registry)[0]:
            paths = Paths(name)
            for parent in (paths.members, paths.offline):
                yield from map(worker_id_of, registry.session.znodes.children(parent) or ())

    return offer(context, begun, find)


def offer(context: click.Context, begun: str, find: Callable[[Registry], Iterable[str]]) -> list[CompletionItem]:
    """The names that begin so, in order; none if they cannot be had."""
    zookeeper = context.params.get("zookeeper")
    if not zookeeper:
        return []
    logging.disable(logging.CRITICAL)
    try:
        with connected(zookeeper, _CONNECT_TIMEOUT, _CONFIG) as registry:
            names = sorted({name for name in find(registry) if name.startswith(begun)})
    except RpcError:
        return []
    finally:
        logging.disable(logging.NOTSET)
    return [CompletionItem(name) for name in names if _is_plain(name)]


def _is_plain(name: str) -> bool:
    """Whether a shell takes the name as it is: anybody may have written it, and it must not run there."""
    try:
        for part in name.split("/"):
            check_name("name", part)
    except ConfigError:
        return False
    return True
