"""Every command of ``zkrpc``, found as a shell finds it, so that tests hold new ones to the rules by themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from zkrpc.cli.main import cli

LONG_RUNNING = {"serve", "worker"}
"""They need no ZooKeeper to go on, and register as soon as there is one."""


def all_commands(group: click.Group = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """The words of each command behind ``zkrpc``, and the command; a group is what its subcommands are."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def takes(command: click.Command, option: str) -> bool:
    """Whether the command has this option."""
    return any(option in parameter.opts for parameter in command.params)
