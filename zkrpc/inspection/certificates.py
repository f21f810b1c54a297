"""Which certificates of instances end soon: asks for them, and judges what came.

A certificate is shown to whoever begins a handshake. It is read whoever has issued it and whatever its name: nothing is
said to who shows it, and one that no client would accept is just what is looked for.
"""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Iterable, Iterator, Mapping

from gevent.pool import Pool

from zkrpc.client.secured import open_tls
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.inspection.servers import NotKnown
from zkrpc.legible import lasting
from zkrpc.tls.contexts import client_context
from zkrpc.tls.settings import ClientTls, asking
from zkrpc.tls.validity import end_of

LASTS = 14.0
"""Days that a certificate must last: long enough to find out why it was not replaced."""
_DAY = 86400.0
_AT_ONCE = 16
_MOST = 100
"""Instances of a service that are asked."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What is known of the certificates that instances show."""

    ends: Mapping[str, Mapping[str, float | None]] = dataclasses.field(default_factory=dict)
    """When those of instances that serve with TLS end, by service and id: Unix time; None if it was not to be had."""
    days: float = LASTS
    """How long one must last."""


def ends_of_certificates(instances: Iterable[Instance], timeout: float) -> dict[str, float | None]:
    """When the certificates end of the instances that serve with TLS, at most so many, by their ids: Unix time, or None
    if it was not to be had within ``timeout`` seconds."""
    asked = [one for one in instances if one.tls][:_MOST]
    if not asked:
        return {}
    try:
        context = _undemanding_context()
    except (OSError, ValueError):  # our own files cannot be used
        return {one.id: None for one in asked}
    ends = Pool(_AT_ONCE).map(lambda one: _end_at(context, one.endpoint, timeout), asked)
    return {one.id: end for one, end in zip(asked, ends)}


def _undemanding_context() -> ssl.SSLContext:
    """With our own certificate, if there is one: a server that wants it would count a failed handshake."""
    context = client_context(asking() or ClientTls())
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _end_at(context: ssl.SSLContext, place: Endpoint, timeout: float) -> float | None:
    try:
        sock = open_tls(context, "", place, timeout)
        try:
            return end_of(sock.layer.certificate_bytes)
        finally:
            sock.close()
    except (OSError, ValueError):
        return None


def find_expiring(facts: CertificateFacts, wall_now: float) -> Iterator[str]:
    """A line for each certificate that does not last long enough. Raises NotKnown if there should be some, and none was
    to be had."""
    known = [(where, name, end) for where, some in facts.ends.items() for name, end in some.items() if end is not None]
    if any(facts.ends.values()) and not known:
        raise NotKnown("no instance that serves with TLS has shown its certificate")
    for service, name, end in known:
        left = end - wall_now
        if left <= 0:
            yield f"the certificate of {name} of {service} expired {lasting(-left)} ago"
        elif left < facts.days * _DAY:
            yield f"the certificate of {name} of {service} expires in {lasting(left)}"
