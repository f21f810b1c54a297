"""What callers may do together is shared out among the instances that there are, and follows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zkrpc.config import CallerConfig, ServiceConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.registry.quotas import QuotaWatch


def config(**rates: float | None) -> ServiceConfig:
    """A config with these quotas."""
    return ServiceConfig(callers={name: CallerConfig(max_rate=rate) for name, rate in rates.items()})


class Bench:
    """A watch, whom it follows, and what it has told."""

    def __init__(self) -> None:
        self.followers: dict[str, Callable[[Any], None]] = {}
        self.told: list[Mapping[str, float]] = []
        self.watch = QuotaWatch(self._follower("config"), self._follower("members"), self.told.append)

    def _follower(self, kind: str) -> Callable[[Callable[[Any], None]], Callable[[], object]]:
        def follow(callback: Callable[[Any], None]) -> Callable[[], object]:
            self.followers[kind] = callback
            return lambda: self.followers.pop(kind)

        return follow

    def set(self, **rates: float | None) -> None:
        """The config changes."""
        self.followers["config"](config(**rates))

    def members(self, count: int) -> None:
        """The list changes."""
        found = tuple(Instance(id=str(number), endpoint=Endpoint("h", number)) for number in range(1, count + 1))
        self.followers["members"](Snapshot(service="users", instances=found))


def test_quota_is_shared_out_among_the_instances() -> None:
    """All of it before they are known; anew whenever one comes or goes; never less than one instance's."""
    bench = Bench()
    bench.set(billing=100.0)
    bench.members(4)
    bench.members(4)
    bench.members(0)
    assert bench.told == [{"billing": 100.0}, {"billing": 25.0}, {"billing": 100.0}]
    assert repr(bench.watch) == "<QuotaWatch 1 among 1>"


def test_members_are_followed_only_while_there_is_a_quota() -> None:
    """A service without any pays for none; a caller that is named without a rate has none."""
    bench = Bench()
    bench.set(idle=None)
    assert not bench.told and "members" not in bench.followers
    bench.set(billing=10.0)
    bench.members(2)
    bench.set()
    assert bench.told[-1] == {} and "members" not in bench.followers
    bench.set(billing=10.0, _OTHER=1.0)
    assert bench.told[-1] == {"billing": 5.0, "_OTHER": 0.5}


def test_watch_that_is_closed_follows_nobody() -> None:
    """And may be closed without ever having had a quota."""
    bench = Bench()
    bench.set(billing=10.0)
    bench.watch.close()
    assert not bench.followers
    Bench().watch.close()
