"""Whether an IDL may be served beside what is served already: the gate in front of a registration.

An instance asks before it registers. What it is about to serve is compared with what each living member serves or, if
there is none, with what was published for the service last; :mod:`zkrpc.idl.compatibility` has the rules. What counts
is what breaks programs that *run*: the level ``wire``, and the policies on which running callers rely. Names in JSON
and in source code break nobody before a program is built anew.

An interface that is served beside the default one is compared with those of its own name, as calls of it have names of
their own. One that members serve, and that will not be served here, is named in the log: its callers go on with those.

What is served by a member already, or was published last, is let in unseen: a worker that comes back after a crash, or
one of the version before in the middle of a rollout, breaks nothing that is not broken. What cannot be compared, since
its text is not published or cannot be read, is named in the log and stops nobody, as ZooKeeper being away does not.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from zkrpc.endpoint import Instance
from zkrpc.errors import ConfigError, CoordinationError, IdlError, RemoteProtocolError
from zkrpc.idl import Interface
from zkrpc.idl.compatibility import Break, Level, Severity, compare, read_text
from zkrpc.idl.served import parts_of
from zkrpc.legible import legible
from zkrpc.registry.publication import Publication
from zkrpc.registry.published import Publications, last_publication, publications_of, text_of_publication
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that a start waits for ZooKeeper in order to ask; after them it goes on without having asked."""
_LEVELS = (Level.WIRE, Level.POLICY)
_MOST_SHOWN = 10
_MOST_NAMED = 5

Usage: TypeAlias = Mapping[str, Mapping[str, int]]
"""Who calls a service: by the name of a method, how many calls each caller has made. Of a method that is not there
nothing is known; one with no callers is called by nobody."""
Callers: TypeAlias = Callable[[Sequence[Instance], Sequence[str]], Usage]
"""Asks instances who calls these methods."""


def nobody_knows(_instances: Sequence[Instance], _methods: Sequence[str]) -> Usage:
    """The :data:`Callers` of instances that cannot be asked."""
    return {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One break, and what it breaks."""

    broken: Break
    publications: tuple[Publication, ...]
    """What is published, and would be broken."""
    instances: tuple[Instance, ...]
    """The members that serve it; none if it is only what was published last."""


def judge(
    interface: Interface, publications: Publications, texts: Mapping[Publication, str | Exception]
) -> tuple[list[Objection], list[str]]:
    """What speaks against serving an interface, and what could not be compared. Pure; ``texts`` has the text of each
    publication, or why it cannot be had."""
    ours = Publication(interface=interface.name, digest=interface.digest)
    if ours in publications.living or ours == publications.last:
        return [], []
    others: Mapping[Publication, tuple[Instance, ...]] = publications.living
    if not others and publications.last is not None:
        others = {publications.last: ()}
    found: dict[str, Objection] = {}
    remarks: list[str] = []
    for other, instances in others.items():
        try:
            breaks = _breaks(interface, other, texts[other])
        except (CoordinationError, RemoteProtocolError, IdlError) as error:
            remarks.append(f"cannot compare with {other}: {legible(error)}")
            continue
        for some in breaks:
            key = f"{some.rule.name} {some.subject} {some.change}"
            before = found.get(key) or Objection(broken=some, publications=(), instances=())
            found[key] = dataclasses.replace(
                before, publications=(*before.publications, other), instances=(*before.instances, *instances)
            )
    return list(found.values()), remarks


def judge_all(
    interface: Interface, publications: Publications, texts: Mapping[Publication, str | Exception]
) -> tuple[list[Objection], list[str]]:
    """The same for all interfaces that are about to be served as one."""
    default, *beside = parts_of(interface)
    objections, remarks = judge(default, publications, texts)
    every = {**publications.living, **publications.also}
    for part in beside:
        same = {some: instances for some, instances in every.items() if some.interface == part.name}
        found, more = judge(part, Publications(service=publications.service, living=same), texts)
        objections, remarks = objections + found, remarks + more
    kept = {one.name for one in (default, *beside)}
    for some, instances in publications.also.items():
        if some.interface not in kept:
            remarks.append(f"{some.interface} is served by {_listed(one.id for one in instances)}, and not here")
    return objections, remarks


def _breaks(interface: Interface, other: Publication, text: str | Exception) -> list[Break]:
    if isinstance(text, Exception):
        raise text
    old = read_text(text, name=f"{other.interface.lower()}.thrift")
    if other.interface not in old.definitions:
        raise IdlError(f"no service {other.interface}", file=old.name)
    new = read_text(interface.text, name=os.path.basename(interface.file))
    found = compare(old, new, services=(other.interface, interface.name))
    return [some for some in found if some.rule.level in _LEVELS and some.rule.severity is Severity.ERROR]


def describe(service: str, objections: Sequence[Objection], usage: Usage, beside: Collection[str] = ()) -> str:
    """The objections as text: a headline, then each with who serves what is broken and who calls it. ``beside`` are the
    interfaces that are served beside the default one, whose methods ``usage`` has by their labels."""
    instances = {one.id: None for some in objections for one in some.instances}
    whom = (
        f"of what {_listed(instances)} serve{'s' if len(instances) == 1 else ''}"
        if instances
        else ("of what was published last")
    )
    lines = [f"the IDL of {service} breaks {len(objections)} thing{'s' if len(objections) != 1 else ''} {whom}"]
    for some in objections[:_MOST_SHOWN]:
        lines.append(f"  {some.broken}")
        lines += [f"    {text}" for text in _users(some.broken, usage, beside)]
    if len(objections) > _MOST_SHOWN:
        lines.append(f"  and {len(objections) - _MOST_SHOWN} more; zkrpc idl check registry:{service} FILE tells all")
    return "\n".join(lines)


def _users(broken: Break, usage: Usage, beside: Collection[str]) -> Iterator[str]:
    """Who calls the methods that a break concerns, as far as anybody knows."""
    for method in broken.methods[:_MOST_NAMED]:
        callers = usage.get(_name_of(method, beside))
        if callers is not None:
            most = sorted(callers.items(), key=lambda pair: -pair[1])
            told = _listed(f"{name} ({count} calls)" for name, count in most)
            yield f"{method} is called by {told}" if told else f"nobody calls {method}, as far as the instances know"


def _name_of(method: str, beside: Collection[str]) -> str:
    """The name by which instances count the calls of a method."""
    interface, _, name = method.rpartition(".")
    return f"{interface}:{name}" if interface in beside else name


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _MOST_NAMED} more" if len(every) > _MOST_NAMED else ""
    return f"{', '.join(legible(name, 100) for name in every[:_MOST_NAMED])}{more}"


def pass_gate(
    session: Session, service: str, interface: Interface, *, allow: bool = False, callers: Callers = nobody_knows
) -> None:
    """Returns if the interface may be served. Raises ConfigError with what it breaks, and whom, if it may not; with
    ``allow`` that is logged instead. Raises it also if ZooKeeper refuses our credentials, so that nothing could be
    registered."""
    try:
        if not session.wait_connected(PATIENCE):
            _require_welcome(session)
            _log.warning("the IDL of %s is not compared with what is served: %s", service, session.explain())
            return
        publications, texts = _look(session, service, interface)
    except CoordinationError as error:
        _require_welcome(session)
        _log.warning("the IDL of %s is not compared with what is served: %s", service, error)
        return
    objections, remarks = judge_all(interface, publications, texts)
    for remark in remarks:
        _log.warning("%s: %s", service, remark)
    if not objections:
        return
    instances = list({one.id: one for some in objections for one in some.instances}.values())
    beside = [one.name for one in parts_of(interface)[1:]]
    methods = sorted({_name_of(method, beside) for some in objections for method in some.broken.methods})
    told = describe(service, objections, callers(instances, methods) if instances else {}, beside)
    if not allow:
        raise ConfigError(f"{told}\nchange the IDL, serve it under another name, or say --allow-breaking")
    _log.warning("%s; that is allowed", told)


def _require_welcome(session: Session) -> None:
    if session.refusal:
        raise ConfigError(session.refusal)


def _look(
    session: Session, service: str, interface: Interface
) -> tuple[Publications, Mapping[Publication, str | Exception]]:
    """The service's publications with their texts. Where the interface is the one that was published last, which is so
    at nearly every start, nothing else is read."""
    last, parts = last_publication(session, service), parts_of(interface)
    if parts[1:] == () and last == Publication(interface=interface.name, digest=parts[0].digest):
        return Publications(service=service, living={}, last=last), {}
    publications = publications_of(session, service)
    texts: dict[Publication, str | Exception] = {}
    for some in {*publications.living, *publications.also, *([publications.last] if publications.last else [])}:
        try:
            texts[some] = text_of_publication(session, some)
        except (CoordinationError, RemoteProtocolError) as error:
            texts[some] = error
    return publications, texts
