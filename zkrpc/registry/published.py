"""Reads what instances have published: which interface of which IDL each member of a service is served with, and the
interface itself.

Everything here is read from ZooKeeper and so is untrusted: a text is checked against its digest before anything looks
at it, is bounded in size, and includes nothing but what is in it. ``zkrpc.idl`` bounds the rest.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Mapping

from zkrpc.endpoint import Instance
from zkrpc.errors import CoordinationError, IdlError, NodeMissing, RemoteProtocolError
from zkrpc.idl import Interface, interfaces_of, load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.legible import legible
from zkrpc.registry.formats import parse_record
from zkrpc.registry.publication import Publication, unpack
from zkrpc.registry.schema import Paths, idl_path
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)

MOST_LOADED = 1000
"""Published texts that one process makes classes of: a page that is open for months sees fewer, and whoever may publish
must not fill its memory."""
_MOST_READ = 1000
_MOST_SILENT = 3

_loaded: set[tuple[str, str]] = set()
"""The digests, and the names of the files, of what was loaded."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Publications:
    """What is known of the IDLs that a service is served with."""

    service: str
    living: Mapping[Publication, tuple[Instance, ...]]
    """The instances that are registered, by what each of them says; the newest of each first."""
    also: Mapping[Publication, tuple[Instance, ...]] = dataclasses.field(default_factory=dict)
    """The same for the interfaces that instances serve beside their default ones."""
    silent: tuple[str, ...] = ()
    """The ids of those that do not say it: other programs, or older versions of zkrpc."""
    last: Publication | None = None
    """What was published for the service last, whether or not somebody still serves it."""

    @property
    def newest(self) -> Publication | None:
        """That of the instance that was started last; without instances, the last one."""
        if not self.living:
            return self.last
        return max(self.living, key=lambda some: self.living[some][0].started_at)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServedInterfaces:
    """The interfaces that a service is served with."""

    interfaces: tuple[Interface, ...] = ()
    """One for each version that is registered, those of interfaces beside the default ones last; without instances, the
    one that was published last."""
    unknown: tuple[str, ...] = ()
    """Why others may be served that are not known, in words."""


def publications_of(session: Session, service: str) -> Publications:
    """Asks ZooKeeper for the publications of a service; a thousand members are read at most. CoordinationError if it
    does not answer."""
    paths = Paths(service)
    names = sorted(session.znodes.children(paths.members) or ())[:_MOST_READ]
    records = [(name, session.znodes.get(f"{paths.members}/{name}")) for name in names]
    note = session.znodes.get(paths.publication)
    return read_publications(service, {name: found[0] for name, found in records if found}, note and note[0])


def last_publication(session: Session, service: str) -> Publication | None:
    """What was published for a service last; None if that is not known."""
    found = session.znodes.get(Paths(service).publication)
    return None if found is None else _read_note(found[0])


def _read_note(note: bytes) -> Publication | None:
    try:
        return Publication.parse(note)
    except RemoteProtocolError:  # somebody's scribble says nothing
        return None


def read_publications(service: str, records: Mapping[str, bytes], note: bytes | None) -> Publications:
    """The publications that a service's records, by the names of their nodes, and its note tell."""
    living: dict[Publication, list[Instance]] = defaultdict(list)
    also: dict[Publication, list[Instance]] = defaultdict(list)
    silent = []
    for name, record in records.items():
        try:
            instance = parse_record(name, record)
            if instance is not None and not instance.interface:
                silent.append(instance.id)
            elif instance is not None:
                said = Publication(interface=instance.interface, digest=instance.idl_digest)
                living[said].append(instance)
                for one, digest in instance.also.items():
                    also[Publication(interface=one, digest=digest)].append(instance)
        except RemoteProtocolError:  # clients leave it out as well
            continue
    last = None if note is None else _read_note(note)
    return Publications(service=service, living=_ordered(living), also=_ordered(also), silent=tuple(silent), last=last)


def _ordered(found: Mapping[Publication, list[Instance]]) -> dict[Publication, tuple[Instance, ...]]:
    return {some: tuple(sorted(instances, key=lambda one: -one.started_at)) for some, instances in found.items()}


def text_of_publication(session: Session, publication: Publication) -> str:
    """The published text. NodeMissing if it is not there, RemoteProtocolError if what is there is something else."""
    path = idl_path(publication.digest)
    found = session.znodes.get(path)
    if found is None:
        raise NodeMissing(f"{path} does not exist: the IDL of {publication} is not published")
    try:
        return unpack(publication.digest, found[0])
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"{path} holds no IDL: {error}") from error


def load_published(session: Session, publication: Publication) -> Interface:
    """The interface. Raises what :func:`text_of_publication` raises, and IdlError for a text that does not hold it."""
    return interface_in(text_of_publication(session, publication), publication)


def interface_in(text: str, publication: Publication) -> Interface:
    """The interface in the text of a publication. Includes lead to files of the text and never to the disk.

    IdlError also for one text more than a process loads: its classes stay, as whoever has objects of them needs them.
    """
    name = f"{publication.interface.lower()}.thrift"
    key = publication.digest, name
    if key not in _loaded and len(_loaded) >= MOST_LOADED:
        raise IdlError(f"{MOST_LOADED} published texts were loaded, and this process keeps them: restart it", file=name)
    found = interfaces_of(load_text(text, name=name))
    _loaded.add(key)
    if publication.interface not in found:
        raise IdlError(f"no service {publication.interface}; there are {', '.join(found) or 'none'}", file=name)
    return found[publication.interface]


def published_interface(session: Session, service: str) -> ServedInterface:
    """What a service is served with, by the instance that was started last: its default interface, and those beside it
    whose texts are published and can be read.

    CoordinationError, which says what to do, if none is published; else what :func:`load_published` raises for the
    default one.
    """
    publications = publications_of(session, service)
    newest = _newest(publications)
    parts, living = [load_published(session, newest)], publications.living.get(newest)
    for name, digest in living[0].also.items() if living else ():
        try:
            parts.append(load_published(session, Publication(interface=name, digest=digest)))
        except (NodeMissing, RemoteProtocolError, IdlError) as error:
            _log.info("%s of %s is not known: %s", name, service, legible(error, 200))
    return ServedInterface(parts, service)


def served_interfaces(session: Session, service: str) -> ServedInterfaces:
    """All interfaces that a service is served with, as far as they can be read. CoordinationError if ZooKeeper does not
    answer."""
    said = publications_of(session, service)
    found, unknown = [], []
    for publication in (*said.living, *said.also) or ([said.last] if said.last is not None else []):
        try:
            found.append(load_published(session, publication))
        except (NodeMissing, RemoteProtocolError, IdlError) as error:
            unknown.append(f"the published IDL of {publication} cannot be read: {legible(error, 200)}")
    if said.silent or not (found or unknown):
        unknown.append(_why_not(said))
    return ServedInterfaces(interfaces=tuple(found), unknown=tuple(unknown))


def newest_publication(session: Session, service: str, interface: str = "") -> Publication:
    """What the instance serves that was started last, or else what was published last; of an interface of this name, if
    one is given. CoordinationError, which says what to do, if there is none."""
    publications = publications_of(session, service)
    if not interface:
        return _newest(publications)
    every = {**publications.also, **publications.living}
    found = {some: every[some][0].started_at for some in every if some.interface == interface}
    if not found:
        names = ", ".join(dict.fromkeys(some.interface for some in reversed(every))) or "nothing"
        raise CoordinationError(f"no instance of {service} says that it serves {interface}; they serve {names}")
    return max(found, key=lambda some: found[some])


def _newest(publications: Publications) -> Publication:
    if publications.newest is None:
        why = f"{publications.service} has no published IDL: {_why_not(publications)}"
        raise CoordinationError(f"{why}; give the file instead")
    return publications.newest


def _why_not(publications: Publications) -> str:
    if publications.silent:
        return f"{legible(', '.join(publications.silent[:_MOST_SILENT]), 200)} registered without naming one"
    return "it has no instances, and had none that published it"
