"""Checks instances without a client: can a connection be opened, and is a ping answered?

Used for diagnosis by people; clients send pings over their own connections. The results are returned without a verdict.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import gevent.socket
from gevent.pool import Pool

from zkrpc.client.explanation import Probe
from zkrpc.client.secured import NEEDS_TLS, opener_to
from zkrpc.config import WireLimits
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.tls.settings import asking
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.message import Dialect

_AT_ONCE = 32
_READ_SIZE = 4096


def probe(instance: Instance, timeout: float) -> Probe:
    """Connects and pings, within about ``timeout`` seconds in total. A failure is returned, not raised."""
    began = time.monotonic()
    try:
        if instance.tls and asking() is None:
            return Probe(failure=f"not asked: {NEEDS_TLS}")
        sock = opener_to(instance)(instance.endpoint, timeout)
    except (OSError, ValueError) as error:
        return Probe(failure=f"no connection: {getattr(error, 'strerror', None) or error}")
    try:
        connected_in = time.monotonic() - began
        if "zkrpc" not in instance.protocols:
            return Probe(connected_in=connected_in)
        return _ping(sock, connected_in, began + timeout)
    finally:
        sock.close()


def probe_all(instances: Iterable[Instance], timeout: float) -> dict[Endpoint, Probe]:
    """Probes all of them, many at a time."""
    asked = list(instances)
    answers = Pool(_AT_ONCE).map(lambda instance: probe(instance, timeout), asked)
    return {instance.endpoint: answer for instance, answer in zip(asked, answers)}


def _ping(sock: Any, connected_in: float, give_up_at: float) -> Probe:
    sent_at = time.monotonic()
    protocol = ClientProtocol(Dialect.HEADER_BINARY, WireLimits(), sent_at, zkrpc=True)
    protocol.send_ping(sent_at)
    try:
        # An empty send buffer takes the few bytes of a ping at once.
        sock.send(protocol.data_to_send())
        chunk = _receive(sock, give_up_at)
    except TimeoutError:
        return Probe(connected_in=connected_in, failure="a ping was not answered in time")
    except OSError as error:
        return Probe(connected_in=connected_in, failure=f"a ping was not answered: {error.strerror or error}")
    answered_at = time.monotonic()
    protocol.receive_data(chunk, answered_at)
    if not chunk or protocol.failure:
        return Probe(connected_in=connected_in, failure=f"a ping was not answered: {protocol.failure or 'closed'}")
    return Probe(connected_in=connected_in, answered_in=answered_at - sent_at)


def _receive(sock: Any, give_up_at: float) -> bytes:
    """What comes first; raises TimeoutError if that is nothing."""
    while True:
        try:
            chunk: bytes = sock.recv(_READ_SIZE)
            return chunk
        except BlockingIOError:  # with TLS there may be something to read that is nothing for us
            gevent.socket.wait_read(sock.fileno(), timeout=max(0.0, give_up_at - time.monotonic()))
