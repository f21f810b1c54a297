"""Whose the nodes are that we make: the access list of each, from the settings. Pure.

With credentials, a node is for its creator to change, and for the ``owners`` of the settings; anyone may read it, as
callers need no credentials. The *shared parents*, which are the levels of the chroot, what is directly below it
(``/services``, ``/idl``, ``/heartbeats``) and what is above a service's node in another library's tree, belong to
several services, whose users are not all known: in them anyone may make nodes, or only the ``users`` of the settings.
Nobody but their creator deletes there, and what is below a service's own node is out of others' reach. Without
credentials anyone may do everything, as ZooKeeper knows nobody then.
"""

from __future__ import annotations

from collections.abc import Iterable

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.zookeeper.access import ANYONE, CHANGING, Grant, Identity, Right, rights_of, spelled, user

EVERYTHING = Right.READ | CHANGING
CREATOR = Identity("auth", "")
"""ZooKeeper puts all identities of the session in its place."""
_ENTERING = Right.READ | Right.CREATE


def is_shared(path: str) -> bool:
    """Whether the node at ``path``, below the chroot, is a shared parent."""
    return path.count("/") <= 1


def grants_for(security: ZooKeeperSecurity, *, shared: bool, us: Iterable[Identity] = (CREATOR,)) -> tuple[Grant, ...]:
    """The access list of a node that is made with these settings; ``us`` are our identities, if they are known."""
    if not security.is_known:
        return (Grant(ANYONE, EVERYTHING),)
    owners = [Grant(one, EVERYTHING) for one in (*us, *map(read_identity, security.owners))]
    users = [Grant(read_identity(one), _ENTERING) for one in security.users] if shared else []
    anyone = Grant(ANYONE, _ENTERING if shared and not users else Right.READ)
    return (*owners, *users, anyone)


def our_identities(security: ZooKeeperSecurity, told: Iterable[Identity]) -> tuple[Identity, ...]:
    """Ours, from what ZooKeeper has told of them, if anything: with the hash of our password, which it does not tell.
    The subject of a certificate is known from ZooKeeper only."""
    name, password, told = security.username, security.password, tuple(told)
    if name is None or password is None:
        return told
    ours = user(name, password) if security.mechanism == "digest" else Identity("sasl", name)
    return (ours, *(one for one in told if one.scheme != ours.scheme))


def read_identity(text: str) -> Identity:
    """An identity as the settings write it, ``scheme:name``."""
    scheme, _, name = text.partition(":")
    return Identity(scheme, name)


def find_differences(
    security: ZooKeeperSecurity, us: Iterable[Identity], grants: Iterable[Grant], *, shared: bool
) -> list[str]:
    """In what an access list differs from what it should be, in words; nothing if it does not. A shared parent may
    belong to somebody else, as long as we may use it."""
    grants, us = tuple(grants), tuple(us)
    if not grants:
        return ["we may not even read its access list"]
    wanted = grants_for(security, shared=shared, us=us)
    by_right = {one.to: one.rights for one in wanted}
    differences = []
    foreign = shared and not rights_of(us, grants) & Right.ADMIN and any(one.rights & Right.ADMIN for one in grants)
    for one in wanted:
        lacking = one.rights & ~rights_of((one.to,), grants)
        if foreign and one.to != ANYONE:
            lacking &= _ENTERING
        if lacking:
            differences.append(f"{one.to} may not {spelled(lacking)}")
    for grant in grants:
        surplus = grant.rights & ~by_right[ANYONE] & ~by_right.get(grant.to, Right(0))
        known = any(grant.to.is_within(mine) for mine in us)
        if surplus and not known and not (foreign and grant.to != ANYONE):
            differences.append(f"{grant.to} may {spelled(surplus)}")
    return differences
