"""Rounds of turns, and what they come to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from bench.children import ROOT
from bench.codecs.values import TITLES

WAYS = ("encode", "decode")


@dataclasses.dataclass(frozen=True, slots=True)
class Contestant:
    """A codec: the function of a module here that gives it, and what its process has in the environment."""

    name: str
    module: str
    function: str
    environment: tuple[tuple[str, str], ...] = ()


ZKRPC = Contestant("zkrpc", "ours", "zkrpc", (("ZKRPC_PURE", "0"),))
PURE = Contestant("zkrpc, pure", "ours", "zkrpc", (("ZKRPC_PURE", "1"),))
FASTBINARY = Contestant("fastbinary", "apache", "fastbinary_codec")
CYBIN = Contestant("cybin", "others", "cybin")
UPB = Contestant("protobuf", "others", "upb")
UPB_READ = Contestant("protobuf, read", "others", "upb_read")
MSGSPEC = Contestant("msgspec", "others", "msgspec")
CONTESTANTS = (ZKRPC, PURE, FASTBINARY, CYBIN, UPB, UPB_READ, MSGSPEC)


class Times:
    """Microseconds for a call, of each turn."""

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}
        """Contestants that could not be had, and why."""
        self._turns: dict[tuple[str, str, str], list[float]] = {}

    def add(self, contestant: Contestant, value: str, way: str, took: float) -> None:
        """One turn."""
        self._turns.setdefault((contestant.name, value, way), []).append(took)

    def least(self, contestant: Contestant, value: str, way: str) -> float | None:
        """The fastest turn; None if there was none."""
        return min(self._turns.get((contestant.name, value, way), ()), default=None)

    def median(self, contestant: Contestant, value: str, way: str) -> float | None:
        """The median turn; None if there was none."""
        turns = self._turns.get((contestant.name, value, way))
        return statistics.median(turns) if turns else None

    def ratio(self, contestant: Contestant, rival: Contestant, value: str, way: str) -> float | None:
        """How many times as fast one is as the other, by their fastest turns; None if one was not measured."""
        mine, theirs = self.least(contestant, value, way), self.least(rival, value, way)
        return None if mine is None or theirs is None else theirs / mine

    def as_object(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {
            "us": [
                {
                    "codec": name,
                    "value": value,
                    "way": way,
                    "least": round(min(turns), 3),
                    "median": round(statistics.median(turns), 3),
                }
                for (name, value, way), turns in self._turns.items()
            ],
            "left out": self.left_out,
        }


def run(
    contestants: Sequence[Contestant],
    rng: random.Random,
    *,
    rounds: int,
    seconds: float = 0.004,
    values: Sequence[str] = tuple(TITLES),
    tell: Callable[[str], object] = lambda text: None,
) -> Times:
    """Measures each contestant that can be had. RuntimeError if a process ends before its time."""
    times = Times()
    with contextlib.ExitStack() as stack:
        ready: dict[Contestant, _Process] = {}
        for contestant in contestants:
            process = stack.enter_context(_process(contestant))
            if why := process.answer():
                times.left_out[contestant.name] = str(why)
            else:
                ready[contestant] = process
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for value in values:
                for way in WAYS:
                    for contestant in rng.sample(list(ready), len(ready)):
                        ready[contestant].order([value, way, seconds])
                        times.add(contestant, value, way, ready[contestant].answer())
    return times


class _Process:
    """One contestant's."""

    def __init__(self, name: str, told: IO[str], tells: IO[str]) -> None:
        self._name, self._told, self._tells = name, told, tells

    def order(self, what: Sequence[Any]) -> None:
        """Asks for a turn."""
        self._told.write(json.dumps(what) + "\n")
        self._told.flush()

    def answer(self) -> Any:
        """The next line."""
        line = self._tells.readline()
        if not line:
            raise RuntimeError(f"the process of {self._name} has ended; what it said stands above")
        return json.loads(line)


@contextlib.contextmanager
def _process(contestant: Contestant) -> Iterator[_Process]:
    command = [sys.executable, "-m", "bench.codecs.contestant", contestant.module, contestant.function]
    environment = {**os.environ, **dict(contestant.environment)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        yield _Process(contestant.name, child.stdin, child.stdout)
        child.stdin.close()
