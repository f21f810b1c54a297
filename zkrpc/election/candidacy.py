"""All that one instance stands for: a campaign for each of a service's groups, and their spreading over the replicas.

It owns the campaigns and ends them together; what each of them does it leaves to them.
"""

from __future__ import annotations

import dataclasses
import random
import secrets
import time
from collections.abc import Sequence
from types import MappingProxyType

import gevent

from zkrpc.config import ElectionConfig
from zkrpc.election.campaign import Application, Campaign, Candidate
from zkrpc.election.heart import Heart
from zkrpc.election.spread import Spreader
from zkrpc.election.tree import ElectionPaths, PrimaryRecord
from zkrpc.registry.session import Session

_DEPOSED_SHARE = 0.2
"""Of the session timeout: with the lease's 0.7 there is a tenth left for everything else."""


class Candidacy:
    """Stands for all of the groups from ``start`` until ``withdraw``."""

    def __init__(
        self,
        session: Session,
        heart: Heart,
        service: str,
        groups: Sequence[str],
        application: Application,
        config: ElectionConfig,
        *,
        instance: str,
        endpoint: str,
        session_timeout: float,
        rng: random.Random | None = None,
    ) -> None:
        """``session_timeout`` is in seconds, as asked for. Raises ConfigError for names that cannot be nodes."""
        self.service = service
        unique = secrets.token_hex(8)
        paths = {group: ElectionPaths(service, group) for group in groups}
        if config.deposed_timeout is None:
            config = dataclasses.replace(config, deposed_timeout=_DEPOSED_SHARE * session_timeout)
        self._campaigns = {
            group: Campaign(
                session,
                heart,
                Candidate(paths=path, instance=instance, endpoint=endpoint, unique=unique),
                application,
                config,
                on_primary=self._hear,
                rng=rng,
            )
            for group, path in paths.items()
        }
        self._spreader: Spreader | None = None
        if len(paths) > 1:
            some = next(iter(paths.values()))
            self._spreader = Spreader(session, some.candidates, instance, self._move, settle=config.settle)
            for group in paths:
                self._spreader.receive_holder(group, None)
        self._leaving: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """Who leads what here."""
        leading = [group for group, campaign in self._campaigns.items() if campaign.leadership is not None]
        return f"<Candidacy groups={len(self._campaigns)} leading={leading}>"

    @property
    def campaigns(self) -> MappingProxyType[str, Campaign]:
        """Each group's."""
        return MappingProxyType(self._campaigns)

    def start(self) -> None:
        """Stands from now on."""
        for campaign in self._campaigns.values():
            campaign.start()
        if self._spreader is not None:
            self._spreader.start()

    def withdraw(self, timeout: float) -> bool:
        """Hands over whatever is led here and stands no longer; True once that is done, False if the time ran out.

        Even then it goes on, until ``close``.
        """
        if self._spreader is not None:
            self._spreader.close()
        if self._leaving is None:
            self._leaving = gevent.spawn(self._begin_withdrawal)
        give_up_at = time.monotonic() + timeout
        waits = [self._leaving_begun, *(one.wait_withdrawn for one in self._campaigns.values())]
        return all(wait(max(0.0, give_up_at - time.monotonic())) for wait in waits)

    def close(self) -> None:
        """Ends everything at once; what is ours stays for as long as the session does."""
        if self._spreader is not None:
            self._spreader.close()
        if self._leaving is not None:
            self._leaving.kill(block=False)
        for campaign in self._campaigns.values():
            campaign.close()

    def _begin_withdrawal(self) -> None:
        # All at once: each of them waits for its own calls.
        gevent.joinall([gevent.spawn(campaign.begin_withdrawal) for campaign in self._campaigns.values()])

    def _leaving_begun(self, timeout: float) -> bool:
        assert self._leaving is not None
        self._leaving.join(timeout)
        return self._leaving.ready()

    def _hear(self, group: str, record: PrimaryRecord | None) -> None:
        if self._spreader is not None:
            self._spreader.receive_holder(group, None if record is None else record.instance)

    def _move(self, group: str, heir: str) -> None:
        self._campaigns[group].step_down(heir)
