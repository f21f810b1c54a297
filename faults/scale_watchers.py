"""Clients that follow one service. ``python -m faults.scale_watchers HOSTS SERVICE CLIENTS MEMBERS``.

Each has a session of its own, as if it were a process. They say ``ready`` when all of them know all members, answer
every line with what they have seen, as one JSON object, and end with the standard input.
"""

from __future__ import annotations

import collections
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from gevent.fileobject import FileObject

import zkrpc
from faults.cluster import wait_until
from zkrpc.endpoint import Instance, Snapshot
from zkrpc.registry.resolver import ZooKeeperResolver
from zkrpc.zookeeper.session import Session

_START_WITHIN = 60.0


def digest(instances: Iterable[Instance]) -> str:
    """The same for the same list."""
    lines = sorted(f"{one.id} {one.version} {one.endpoint}" for one in instances)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Watchers:
    """All clients of this process, and what they have seen."""

    def __init__(self, hosts: str) -> None:
        self._hosts = hosts
        self._registries: list[zkrpc.Registry] = []
        self._resolvers: list[ZooKeeperResolver] = []
        self._seen: dict[str, tuple[int, float]] = {}
        self._settled_at = 0.0
        self._requests: collections.Counter[str] = collections.Counter()
        self._count_requests()

    def add(self, service: str, count: int) -> None:
        """One more client; returns when it knows so many members."""
        registry = zkrpc.Registry(self._hosts)
        self._registries.append(registry)
        resolver = registry.resolver(service)
        self._resolvers.append(resolver)
        resolver.subscribe(self._follower())

        def complete() -> bool:
            return resolver.snapshot is not None and len(resolver.snapshot.instances) == count

        wait_until(complete, _START_WITHIN, f"{count} members known to a client")

    def lists(self) -> dict[str, int]:
        """How many clients have which list."""
        snapshots = (one.snapshot for one in self._resolvers)
        return collections.Counter(digest(one.instances) if one else "" for one in snapshots)

    def report(self) -> dict[str, Any]:
        """How many clients have seen each incarnation of a member, and when the last one did; who has which list, and
        when a list changed last; how often ZooKeeper was asked what."""
        return {
            "seen": self._seen,
            "lists": self.lists(),
            "settled": self._settled_at,
            "requests": self._requests,
        }

    def close(self) -> None:
        """Ends all clients."""
        for registry in self._registries:
            registry.close()

    def _follower(self) -> Callable[[Snapshot], None]:
        """Notes what is new in each list, once. Instances that stay are the same objects, or else were read again."""
        known: tuple[Instance, ...] = ()
        seen: set[str] = set()

        def follow(snapshot: Snapshot) -> None:
            nonlocal known
            now, before = time.monotonic(), set(map(id, known))
            known = snapshot.instances
            self._settled_at = now
            for instance in [one for one in known if id(one) not in before]:
                key = f"{instance.id} {instance.version}"
                if key not in seen:
                    seen.add(key)
                    self._seen[key] = (self._seen.get(key, (0, 0.0))[0] + 1, now)

        return follow

    def _count_requests(self) -> None:
        send, requests = Session._send, self._requests

        def counted(session: Session, action: str, *arguments: Any) -> Any:
            requests[action.partition(" ")[0]] += 1
            return send(session, action, *arguments)

        Session._send = counted  # type: ignore[method-assign]  # there is no place from which to see requests


def main(hosts: str, service: str, clients: int, members: int) -> None:
    """Follows, and tells."""
    watchers = Watchers(hosts)
    # One after another: fifty at once would not get their turns in one process, as they would in fifty.
    for _ in range(clients):
        watchers.add(service, members)
    print("ready", flush=True)
    for _ in FileObject(sys.stdin.buffer):
        print(json.dumps(watchers.report()), flush=True)
    watchers.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
