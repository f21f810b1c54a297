"""All targets: what each is fed with, and how often."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from fuzz import corpus, text_targets, wire_targets
from fuzz.server_target import Dispatcher
from fuzz.tls_target import Between


class Target(NamedTuple):
    """Something that reads what others wrote."""

    run: Callable[[bytes, random.Random], None]
    """Takes one input; raises for what must not be."""
    seeds: Callable[[], Sequence[bytes]]
    share: int
    """Of a hundred inputs, how many it gets."""


@contextlib.contextmanager
def targets() -> Iterator[Mapping[str, Target]]:
    """A fresh set of them, by name; what they started ends with the block."""
    dispatcher, snapshot, between = Dispatcher(), text_targets.Snapshot(), Between()
    with contextlib.closing(dispatcher), contextlib.closing(snapshot), contextlib.closing(between):
        yield {
            "detection": Target(wire_targets.detection, corpus.calls, 12),
            "frames": Target(wire_targets.frames, corpus.calls, 14),
            "header": Target(wire_targets.header, corpus.calls, 14),
            "server": Target(wire_targets.server, corpus.calls, 18),
            "client": Target(wire_targets.client, corpus.answers, 16),
            "dispatcher": Target(dispatcher, corpus.calls, 12),
            "znodes": Target(text_targets.znodes, corpus.records, 6),
            "config": Target(text_targets.config, corpus.configs, 4),
            "snapshot": Target(snapshot, corpus.records, 1),
            "tls": Target(between, between.seeds, 2),
            "idl": Target(text_targets.idl, corpus.idls, 1),
        }
