"""Suite ``primary``: which faults come together."""

from __future__ import annotations

import collections
import random

from faults.breakages import ENSEMBLE
from faults.primary import KINDS, Plan


def test_each_kind_comes_as_often_as_the_others() -> None:
    """One at a time, every kind comes once before any comes again."""
    plan = Plan(random.Random(1), KINDS)
    seen = collections.Counter(fault for _ in range(3 * len(KINDS)) for fault in plan.take(1))
    assert set(seen.values()) == {3} and len(seen) == len(KINDS)


def test_faults_at_once_differ_and_leave_a_quorum() -> None:
    """Faults that overlap are of different kinds, and at most one of them is of ZooKeeper's servers."""
    plan = Plan(random.Random(2), KINDS)
    for _ in range(100):
        faults = plan.take(3)
        assert len(set(faults)) == 3
        assert sum(fault in ENSEMBLE for fault in faults) <= 1


def test_no_kind_is_left_out_of_an_overlap() -> None:
    """What had to step back for another comes in a later round."""
    plan = Plan(random.Random(3), KINDS)
    seen = {fault for _ in range(40) for fault in plan.take(2)}
    assert seen == set(KINDS)
