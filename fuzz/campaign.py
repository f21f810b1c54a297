"""Feeds the targets with so many inputs, and notes crashes, hangs, leaks and memory.

Everything that chance decides comes from the seed, so the same seed feeds the same inputs. An input that took longer
than ``HANG`` seconds of the processor is a hang, and is broken off. Each input that went wrong is kept in a file, which
``scripts/fuzz --replay`` feeds again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import random
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from faults import memory
from fuzz.corpus import ROOT
from fuzz.mutation import mutate
from fuzz.server_target import Leak
from fuzz.targets import Target, targets

HANG = 2.0
"""Seconds of the processor's time; what is bounded takes some milliseconds."""
MEMORY = 128.0
"""Mebibytes that the process may grow by over what it holds when every seed has been fed once: buffers of the
documented budget, caches of shapes, and what Python does not give back."""
KEPT = ROOT / ".cache" / "fuzz"
_WARM_UP = 200
"""Inputs for each target before memory counts."""
_LOOK_EVERY = 500
_MOST_KEPT = 10
"""Inputs kept for each target: more of them mostly show the same."""


class Hang(BaseException):
    """An input took too long; no ``except Exception`` takes it away."""


@dataclasses.dataclass(kw_only=True)
class Tally:
    """What came of one target's inputs."""

    inputs: int = 0
    seconds: float = 0.0
    crashes: int = 0
    hangs: int = 0
    leaks: int = 0
    files: list[str] = dataclasses.field(default_factory=list)
    """The inputs that went wrong."""
    errors: list[str] = dataclasses.field(default_factory=list)
    """What each of them raised, and where."""


@dataclasses.dataclass(kw_only=True)
class Result:
    """What came of a campaign."""

    tallies: dict[str, Tally] = dataclasses.field(default_factory=dict)
    start: float = 0.0
    """Mebibytes in memory when every target had been warmed up."""
    most: float = 0.0
    end: float = 0.0


def run(inputs: int, seed: int, only: Sequence[str] = ()) -> Result:
    """So many inputs, shared out among the targets, or among those named."""
    result = Result()
    with targets() as found, watched() as watch:
        chosen = {name: target for name, target in found.items() if not only or name in only}
        rngs = {name: random.Random(f"{seed} {name}") for name in chosen}
        for name, target in chosen.items():
            result.tallies[name] = Tally()
            for data in target.seeds():
                _feed(name, target, data, random.Random(0), result.tallies[name], watch)
            _feed_many(name, target, min(_WARM_UP, inputs // len(chosen)), rngs[name], result, watch)
        result.start = result.most = memory.now(os.getpid())
        whole = sum(target.share for target in chosen.values())
        for name, target in chosen.items():
            due = max(1, inputs * target.share // whole)
            _feed_many(name, target, due - result.tallies[name].inputs, rngs[name], result, watch)
    result.end = memory.now(os.getpid())
    return result


def _feed_many(name: str, target: Target, count: int, rng: random.Random, result: Result, watch: Watch) -> None:
    seeds, tally = target.seeds(), result.tallies[name]
    for number in range(count):
        _feed(name, target, mutate(seeds, rng), rng, tally, watch)
        if number % _LOOK_EVERY == 0:
            result.most = max(result.most, memory.now(os.getpid()))


class Watch:
    """The clock of the processor's time that ends an input."""

    def __init__(self) -> None:
        self.has_rung = False

    def ring(self, number: int, frame: FrameType | None) -> None:
        """Time is over. Where it is raised it may be caught, by an event loop for instance; so it is noted too."""
        self.has_rung = True
        raise Hang(f"{HANG:g} s of the processor's time")


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """A watch for the main thread; the one before is put back."""
    watch = Watch()
    before = signal.signal(signal.SIGVTALRM, watch.ring)
    try:
        yield watch
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def _feed(name: str, target: Target, data: bytes, rng: random.Random, tally: Tally, watch: Watch) -> None:
    """One input."""
    began = time.monotonic()
    error: BaseException | None = None
    watch.has_rung = False
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG)
    try:
        target.run(data, rng)
    except (Exception, Hang) as raised:
        error = raised
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        tally.inputs += 1
        tally.seconds += time.monotonic() - began
    if watch.has_rung:
        tally.hangs += 1
    elif isinstance(error, Leak):
        tally.leaks += 1
    elif error is not None:
        tally.crashes += 1
    if (watch.has_rung or error is not None) and len(tally.files) < _MOST_KEPT:
        tally.errors.append(_told(error))
        tally.files.append(keep(name, data))


def _told(error: BaseException | None) -> str:
    """Class, text and place in one line."""
    if error is None:
        return "a hang that something caught"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:300]} ({place.filename}:{place.lineno})"


def keep(name: str, data: bytes, folder: Path = KEPT) -> str:
    """Writes the input into a file whose name says for which target it is; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return str(path)


def replay(path: Path) -> Tally:
    """Feeds one kept input again, a hundred times: how it is cut into pieces is chance's."""
    name, tally = path.name.partition("-")[0], Tally()
    with targets() as found, watched() as watch:
        for number in range(100):
            _feed(name, found[name], path.read_bytes(), random.Random(number), tally, watch)
    return tally
