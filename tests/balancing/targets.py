"""Candidates for the tests of every algorithm."""

from __future__ import annotations

from zkrpc.balancing.load import Load


class Target:
    """A candidate with a name."""

    def __init__(self, name: str, weight: float = 1.0, zone: str = "") -> None:
        self.name = self.id = name
        self.weight = weight
        self.zone = zone
        self.load = Load()

    def __repr__(self) -> str:
        return self.name


def targets(*weights: float) -> list[Target]:
    """Candidates t0, t1, … of these weights."""
    return [Target(f"t{index}", weight) for index, weight in enumerate(weights)]
