"""A process's use of ZooKeeper: one session, and the parts that services and clients of the process share on top of it.

A :class:`Registry` makes these parts when they are first needed and ends them together. In a forked child it begins
with a new session, as the old one, and what was registered or led through it, belongs to the parent. An
:class:`Enrollment` is what one served instance has through a Registry. Nothing here knows clients or servers, so that a
command which only asks ZooKeeper loads neither.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from zkrpc.belonging import keep, release
from zkrpc.config import RegistryConfig, ServiceConfig
from zkrpc.election.elections import Elections
from zkrpc.election.lease_keeper import LeaseKeeper
from zkrpc.endpoint import Instance, Snapshot
from zkrpc.errors import ConfigError
from zkrpc.forking import leave_behind
from zkrpc.idl import Interface
from zkrpc.idl.served import parts_of
from zkrpc.registry.config_watch import ConfigWatch
from zkrpc.registry.foreign import Tree, is_tree
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.joining import Joining
from zkrpc.registry.publication import Publication
from zkrpc.registry.publisher import Publisher
from zkrpc.registry.quotas import Apply, QuotaWatch
from zkrpc.registry.registrar import Registrar, withdraw_all
from zkrpc.registry.resolver import MemberResolver, ZooKeeperResolver
from zkrpc.registry.rotator import Rotator
from zkrpc.registry.schema import Paths, digest_of
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.status import RegistrationStatus, SessionStatus, announce, withdraw
from zkrpc.zookeeper.node_watch import watch_configuration
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

_WITHDRAW_TIMEOUT = 2.0
"""Seconds that a stop waits for the registration to be removed; if ZooKeeper is not reachable, the session's end
removes it."""


class Registry:
    """A process's connection to ZooKeeper and what it knows from there; share one among services and clients.

    ``hosts`` is a connect string, ``host:port,host:port/chroot``. It connects in the background for ever; no call fails
    because ZooKeeper is away. ``snapshot_dir`` keeps each service's last members in a file, so that a client can start
    while ZooKeeper is down. ``observers`` are told of the session and of requests.
    """

    def __init__(
        self,
        hosts: str,
        *,
        config: RegistryConfig | None = None,
        snapshot_dir: str | os.PathLike[str] | None = None,
        on_new_session: Callable[[int, bytes], None] | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.hosts = hosts
        self._observers = gather(observers)
        self.config = config or RegistryConfig()
        self._snapshot_dir = Path(snapshot_dir) if snapshot_dir is not None else None
        self._open(on_new_session)

    def _open(self, on_new_session: Callable[[int, bytes], None] | None = None) -> None:
        self._session: Session | None = Session(
            self.hosts, self.config, on_new_session=on_new_session, observers=self._observers
        )
        self._resolvers: dict[str, MemberResolver] = {}
        self._leaving: list[Registrar | Elections] = []
        self._lease_keeper: LeaseKeeper | None = None
        self._elected: set[str] = set()
        keep(self, self._session.home.hub)
        self._session.start()
        self._configuration = watch_configuration(
            self._session, refresh_interval=self.config.refresh_interval, rng=random.random
        )
        announce(self)

    @property
    def session(self) -> Session:
        """The session; a forked child gets a new one when it first needs it."""
        if self._session is None:
            self._open()
            assert self._session is not None
        return self._session

    def __repr__(self) -> str:
        """The hosts and the session's state."""
        state = "left to the parent" if self._session is None else self._session.state.value
        return f"<Registry {self.hosts} {state} resolvers={len(self._resolvers)}>"

    def __enter__(self) -> Registry:
        """The registry itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()

    def status(self) -> SessionStatus:
        """How the session stands at this moment."""
        return self.session.status()

    def resolver(self, service: str) -> MemberResolver:
        """The members of a service, kept current; one per service and process, closed with the registry. ``service`` is
        its name, or the text of a :class:`~zkrpc.registry.foreign.Tree` where other libraries keep its members."""
        self.session.home.require()
        tree = Tree.parse(service) if is_tree(service) else None
        name = service if tree is None else str(tree)
        resolver = self._resolvers.get(name)
        if resolver is None:
            resolver = self._make_resolver(name, tree)
            self._resolvers[name] = resolver
            resolver.start()
        return resolver

    def _make_resolver(self, name: str, tree: Tree | None) -> MemberResolver:
        dice, file = random.Random(), None
        if self._snapshot_dir is not None:
            file = self._snapshot_dir / f"{name if tree is None else quote(name, safe='')}.json"
        if tree is None:
            return ZooKeeperResolver(self.session, name, config=self.config, snapshot_file=file, rng=dice)
        return MemberResolver(self.session, name, config=self.config, snapshot_file=file, tree=tree, rng=dice)

    def lease_keeper(self, service: str, worker_id: str) -> LeaseKeeper:
        """The lease keeper of this session; ``worker_id`` names its first user, whose node the heartbeats write to.

        Raises ConfigError if an instance of the service elects through this session already, as ZooKeeper could not
        tell the two apart.
        """
        self.session.home.require()
        if service in self._elected:
            raise ConfigError(
                f"two instances of {service!r} cannot elect through one Registry; give each one of its own"
            )
        self._elected.add(service)
        if self._lease_keeper is None:
            self._lease_keeper = LeaseKeeper(self.session, worker_id)
            self._lease_keeper.start()
        return self._lease_keeper

    def see_off(self, leaving: Registrar | Elections) -> None:
        """Removes the registration of a stopped service, now or as soon as ZooKeeper is reachable.

        The session lives on, and a node left in it would send callers to a closed port. One that was closed before has
        taken the node along.
        """
        self._leaving.append(leaving)
        over = self._session is None or self._session.state is SessionState.CLOSED
        for gone in [one for one in self._leaving if over or one.withdraw(0)]:
            # Each of these waits, and another app may stop meanwhile.
            if gone in self._leaving:
                self._leaving.remove(gone)
                gone.close()
                if isinstance(gone, Elections):
                    self._elected.discard(gone.service)

    def close(self) -> None:
        """Closes the resolvers and the session, and with it every registration made through it."""
        if self._session is None:  # in a forked child that has not used it
            return
        self._session.home.require()
        while self._leaving:
            self._leaving.pop().close()
        if self._lease_keeper is not None:
            self._lease_keeper.close()
        while self._resolvers:
            self._resolvers.popitem()[1].close()
        self._configuration.close()
        self._session.close()
        withdraw(self)
        release(self)

    def forked(self) -> None:
        """In a forked child: forgets everything that belongs to the parent."""
        leave_behind(self._session, self._configuration, self._lease_keeper, *self._leaving, *self._resolvers.values())
        self._session = self._lease_keeper = None
        self._leaving, self._resolvers, self._elected = [], {}, set()

    def cut(self) -> None:
        """At the end of the interpreter: does nothing, as the session closes itself."""


class Enrollment:
    """What one instance of ``service`` has through a Registry: its registration, and its part in the elections.

    It outlives every loss of session or connection. A stop ends it in three steps, each bounded in time: ``hand_over``,
    ``withdraw`` and ``close``. Without a Registry they do nothing.
    """

    def __init__(
        self,
        service: str,
        elections: Elections,
        *,
        trees: Sequence[Tree] = (),
    ) -> None:
        """In ``trees`` other libraries find the instance."""
        self.service = service
        self.elections = elections
        self._trees = trees
        self._instance: Instance | None = None
        self.registry: Registry | None = None
        self.registrar: Registrar | None = None
        self.publisher: Publisher | None = None
        self._publishers: list[Publisher] = []
        self.rotator: Rotator | None = None
        """Follows operators' orders to leave service and come back."""
        self.joining: Joining | None = None
        """Keeps the entries in trees of other libraries."""
        self._rester: Registrar | None = None
        self._owned: Registry | None = None
        self._config_watch: ConfigWatch | None = None
        self._quotas: QuotaWatch | None = None

    def __repr__(self) -> str:
        """The service's name and the registration's state."""
        return f"<Enrollment {self.service!r} {self.registrar!r}>"

    def open(self, zookeeper: str | Registry | None) -> Registry | None:
        """Sets the Registry to use; one that is made from a connect string is closed with this object.

        Raises ConfigError if there is none and the service elects.
        """
        self.registry, self._owned = open_registry(zookeeper, observers=self.elections.observers)
        if self.registry is None and self.elections.methods:
            raise ConfigError(
                f"{', '.join(self.elections.methods)} of {self.service} need an elected primary, and electing one "
                "needs zookeeper='host:port'"
            )
        return self.registry

    def register(
        self,
        instance: Instance,
        launch_id: str,
        hand_over_timeout: float,
        welcome: Callable[[bool], object],
    ) -> None:
        """Makes the registry list the instance from now on, unless an operator's order is against it, and so the trees
        of other libraries. Does not wait.

        When such an order comes, the instance has ``hand_over_timeout`` seconds to hand over what it leads; ``welcome``
        is then told that peers are not wanted, and after the order's end that they are.
        """
        assert self.registry is not None
        session, config, paths = self.registry.session, self.registry.config, Paths(self.service)
        self._instance, record = instance, dump_serverset(instance)
        places = [tree.member(instance.id, digest_of(record)[:8]) for tree in self._trees]

        def registrar(path: str, observers: Iterable[Observer] = ()) -> Registrar:
            interval = config.audit_interval
            return Registrar(
                session, path, record, launch_id, audit_interval=interval, rng=random.Random(), observers=observers
            )

        joining = self.joining = Joining(
            session, places, instance, launch_id, config=config, observers=self.elections.observers
        )

        def come_back(welcomed: bool) -> None:
            if welcomed:
                joining.register()
            else:
                joining.withdraw(_WITHDRAW_TIMEOUT)
            welcome(welcomed)
            if welcomed:
                self.elections.come_back()

        self.registrar = registrar(paths.member(instance.id), self.elections.observers)
        self._rester = registrar(paths.rester(instance.id))
        self.rotator = Rotator(
            session,
            paths.offline_order(instance.id),
            self.registrar,
            self._rester,
            config=config,
            rng=random.Random().random,
            hand_over=functools.partial(self.elections.step_aside, hand_over_timeout),
            welcome=come_back,
            observers=self.elections.observers,
        )
        self.rotator.start()

    def publish(self, interface: Interface) -> None:
        """Keeps the text of the interface in ZooKeeper from now on, of several as one those of all. Does not wait."""
        assert self.registry is not None
        for one in parts_of(interface):
            if any(one.digest == other.publication.digest for other in self._publishers):
                continue  # of the same file
            publisher = Publisher(
                self.registry.session,
                self.service,
                Publication(interface=one.name, digest=one.digest),
                one.text,
                accompanies=bool(self._publishers),
                observers=self.elections.observers,
            )
            self._publishers.append(publisher)
            publisher.start()
        self.publisher = self._publishers[0]

    def follow_quotas(self, apply: Apply) -> None:
        """Has ``apply`` called with this instance's part of what each caller of the service may do, whenever that
        changes."""
        registry = self.registry
        assert registry is not None
        self._config_watch = ConfigWatch(registry.session, self.service, registry.config, rng=random.random)
        self._quotas = QuotaWatch(self._config_watch.follow, self._follow_members, apply)

    def follow_config(self, callback: Callable[[ServiceConfig], None]) -> None:
        """Calls back with the service's config, now if it is known and at every change, from a greenlet of the hub,
        until ``close``. The callback must not wait. It comes after ``follow_quotas``."""
        assert self._config_watch is not None
        self._config_watch.follow(callback)

    def await_config(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds until those who follow the config were told what it says; False if they were
        not."""
        return self._config_watch is not None and self._config_watch.wait_looked(timeout)

    def stand(self, instance: Instance) -> None:
        """Stands for election in each of the service's groups once it is registered, if it has primary-only methods."""
        registry, registrar = self.registry, self.registrar
        assert registry is not None and registrar is not None
        if self.elections.methods:
            lease_keeper = registry.lease_keeper(self.service, instance.id)
            self.elections.stand(
                registry.session, lease_keeper, self.service, instance, registrar, self._follow_members
            )

    def _follow_members(self, callback: Callable[[Snapshot], None]) -> Callable[[], None]:
        assert self.registry is not None
        return self.registry.resolver(self.service).subscribe(callback)

    def receive_unready(self, reason: str) -> None:
        """The instance is not ready any more, or with "" it is again: says so wherever it is registered, and hands over
        what it leads. Does not wait."""
        if self._instance is not None and self.joining is not None:
            now = dataclasses.replace(self._instance, unready=reason)
            for registrar in (self.registrar, self._rester):
                if registrar is not None:
                    registrar.revise(dump_serverset(now))
            self.joining.revise(now)
        if reason:
            self.elections.step_down()

    def _registrars(self) -> list[Registrar]:
        joined = () if self.joining is None else self.joining.registrars
        return [one for one in (self.registrar, self._rester, *joined) if one is not None]

    def joined(self) -> tuple[RegistrationStatus, ...]:
        """The entries in trees of other libraries at this moment."""
        return () if self.joining is None else tuple(one.status() for one in self.joining.registrars)

    def hand_over(self, timeout: float) -> None:
        """Hands over the groups that this instance leads, within ``timeout`` seconds."""
        if self.rotator is not None:
            self.rotator.stop()
        self.elections.withdraw(timeout)

    def withdraw(self) -> None:
        """Removes the registration."""
        withdraw_all(self._registrars(), _WITHDRAW_TIMEOUT)

    def close(self) -> None:
        """Closes the rest. A shared Registry goes on trying to remove a registration that could not be removed yet."""
        if self.registry is None:
            return
        for publisher in self._publishers:
            publisher.close()
        if self._quotas is not None and self._config_watch is not None:
            self._quotas.close()
            self._config_watch.close()
        if self.rotator is not None:
            self.rotator.stop()
        if self.elections.campaigns:
            self.registry.see_off(self.elections)
        for registrar in self._registrars():
            self.registry.see_off(registrar)
        if self._owned is not None:
            self._owned.close()


def open_registry(
    zookeeper: str | Registry | None,
    *,
    snapshot_dir: str | os.PathLike[str] | None = None,
    observers: Iterable[Observer] = (),
) -> tuple[Registry | None, Registry | None]:
    """The registry to use, and the same one again if it was made here and the caller has to close it."""
    if zookeeper is None or isinstance(zookeeper, Registry):
        return zookeeper, None
    if not isinstance(zookeeper, str):
        raise ConfigError(f"zookeeper must be a connect string like 'host:port' or a zkrpc.Registry, got {zookeeper!r}")
    made = Registry(zookeeper, snapshot_dir=snapshot_dir, observers=observers)
    return made, made
