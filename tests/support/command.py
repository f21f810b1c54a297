"""The command line as its user types it, and what can be seen of its effects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import zkrpc
from tests.support.programs import ROOT, Program, Programs
from tests.support.waiting import eventually
from zkrpc.registry.formats import parse_record

MEMBERS = "/services/users/members"
SERVICE = "examples.users:service"


class Command:
    """Starts ``python -m zkrpc`` with the examples at hand."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        self._programs = programs
        self._folder = folder

    def python(self, *arguments: str, **environment: str) -> Program:
        """Starts this Python with other arguments."""
        return self._programs.python(*arguments, **environment)

    def program(self, *arguments: str, folder: Path, **environment: str) -> Program:
        """Starts another program."""
        return self._programs.start(*arguments, folder=folder, **environment)

    def start(self, *arguments: str, folder: Path = ROOT, **environment: str) -> Program:
        """Starts a command and returns at once."""
        environment.setdefault("USERS_DATABASE", str(self._folder / "users.sqlite"))
        return self._programs.python("-m", "zkrpc", *arguments, folder=folder, **environment)

    def serve(self, zookeeper: str, *options: str) -> Program:
        """Starts ``zkrpc serve`` of the users example; it does not linger unless told to."""
        return self.start("serve", SERVICE, "--zookeeper", zookeeper, "--linger=0", *options)

    def run(self, *arguments: str, folder: Path = ROOT, **environment: str) -> tuple[int, str]:
        """Runs a command to its end: its exit status and what it wrote."""
        program = self.start(*arguments, folder=folder, **environment)
        return program.wait(), program.output

    def list(self, zookeeper: str, *arguments: str) -> dict[str, list[dict[str, Any]]]:
        """The instances that ``zkrpc ls --json`` shows, by service."""
        status, output = self.run("ls", "--json", "--zookeeper", zookeeper, *arguments)
        assert status == 0, output
        listed: dict[str, dict[str, Any]] = json.loads(output)
        return {name: seen["instances"] for name, seen in listed.items()}


def registered(registry: zkrpc.Registry) -> dict[str, zkrpc.Instance]:
    """The users service's members, read from ZooKeeper itself and at once."""
    found = {}
    for name in registry.session.znodes.children(MEMBERS) or ():
        node = registry.session.znodes.get(f"{MEMBERS}/{name}")
        instance = parse_record(name, node[0]) if node else None
        if instance is not None:
            found[instance.id] = instance
    return found


def await_registered(registry: zkrpc.Registry, count: int, bound: float = 60.0) -> dict[str, zkrpc.Instance]:
    """Waits until so many are."""
    eventually(lambda: len(registered(registry)) == count, bound)
    return registered(registry)
