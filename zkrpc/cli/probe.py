"""Asks one port for its health, over a plain socket: the quick half of ``zkrpc health``.

A container runs it every few seconds, so it imports next to nothing, and neither click, gevent nor the IDL: it is done
when the rest would have been imported. It speaks framed binary Thrift as far as this one question needs it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from typing import Any, NamedTuple

from zkrpc.legible import legible
from zkrpc.tls.settings import asking

UNANSWERED = 3
"""The exit status if a port did not answer as zkrpc does."""
_LARGEST = 64 * 1024
_TLS_VARIABLES = ("ZKRPC_TLS_CA", "ZKRPC_TLS_CERT", "ZKRPC_TLS_KEY", "ZKRPC_TLS_SERVER_NAME")
_NAME = b"zkrpc.Health:check"
_REPLY, _EXCEPTION = 2, 3
_STRING, _STRUCT, _LIST = 11, 12, 15
_SIZES = {2: 1, 3: 1, 4: 8, 6: 2, 8: 4, 10: 8}
"""The sizes of fields of fixed size, by their Thrift types."""
MISREAD = (ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError)
"""What reading an answer raises that is none."""


class Answer(NamedTuple):
    """What a port said."""

    endpoint: str
    service: str = ""
    ready: bool = False
    live: bool = False
    reasons: tuple[str, ...] = ()
    """Why it is not ready or not live."""
    state: str = ""
    error: str = ""
    """Why there is no answer; empty if there is one."""


def ask(endpoint: str, service: str, timeout: float) -> Answer:
    """Asks the port, ``host:port``, of which no host means this one. Never raises for what a network or a peer does."""
    give_up_at = time.monotonic() + timeout
    host, _, port = endpoint.rpartition(":")
    try:
        with _connect(host.strip("[]") or "127.0.0.1", int(port), timeout) as sock:
            sock.sendall(_question(service))
            size = struct.unpack("!I", _receive(sock, 4, give_up_at))[0]
            if size > _LARGEST:
                return Answer(endpoint, error="something else than zkrpc listens there")
            return _read(endpoint, _receive(sock, size, give_up_at))
    except TimeoutError:
        return Answer(endpoint, error=f"no answer within {timeout:g} s")
    except OSError as error:
        return Answer(endpoint, error=error.strerror or str(error))
    except MISREAD:
        return Answer(endpoint, error="something else than zkrpc listens there")


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    sock = socket.create_connection((host, port), timeout)
    if (tls := asking()) is None:
        return sock
    from zkrpc.tls.contexts import client_context  # which is not for the quick half of health

    return client_context(tls).wrap_socket(sock, server_hostname=tls.server_name or host)


def _question(service: str) -> bytes:
    name = service.encode()
    body = struct.pack("!BhI", _STRING, 1, len(name)) + name + b"\0"
    message = struct.pack("!II", 0x80010001, len(_NAME)) + _NAME + struct.pack("!i", 1) + body
    return struct.pack("!I", len(message)) + message


def _receive(sock: socket.socket, size: int, give_up_at: float) -> bytes:
    received = b""
    while len(received) < size:
        left = give_up_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        chunk = sock.recv(size - len(received))
        if not chunk:
            raise ConnectionError("it closed the connection")
        received += chunk
    return received


def _read(endpoint: str, message: bytes) -> Answer:
    version, size = struct.unpack_from("!II", message)
    fields = _Fields(message, 8 + size + 4).struct()
    if version == 0x80010000 | _EXCEPTION:
        return Answer(endpoint, error=f"it refused: {_text(fields.get(1, b''))}")
    if version != 0x80010000 | _REPLY:
        raise ValueError
    if 0 not in fields:  # the exception that the IDL declares
        return Answer(endpoint, error=_text(fields[1][1]))
    found = fields[0]
    reasons = tuple(_text(reason) for reason in found[4])
    return Answer(endpoint, _text(found[1]), found[2] == b"\1", found[3] == b"\1", reasons, _text(found[5]))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


class _Fields:
    """Reads structs from where it stands. Raises LookupError, ValueError or struct.error for what is none."""

    def __init__(self, message: bytes, at: int) -> None:
        self._message = message
        self._at = at

    def struct(self) -> dict[int, Any]:
        """The fields of a struct by their ids; numbers are left as bytes."""
        fields = {}
        while kind := self._take(1)[0]:
            number = struct.unpack("!h", self._take(2))[0]
            fields[number] = self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind == _STRUCT:
            return self.struct()
        if kind == _STRING:
            return self._take(struct.unpack("!I", self._take(4))[0])
        if kind == _LIST:
            inner, count = struct.unpack("!BI", self._take(5))
            if count > len(self._message):
                raise ValueError
            return [self._value(inner) for _ in range(count)]
        return self._take(_SIZES[kind])

    def _take(self, size: int) -> bytes:
        taken = self._message[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError
        self._at += size
        return taken


def status_of(answers: list[Answer], *, liveness: bool) -> int:
    """The exit status: 0 if all of them are ready, or live; else the worst."""
    if any(one.error for one in answers):
        return UNANSWERED
    return 0 if all(one.live if liveness else one.ready for one in answers) else 1


def lines_of(answers: list[Answer], *, liveness: bool) -> list[str]:
    """A line for each port, for people."""
    return [legible(_line(one, "live" if liveness else "ready", liveness), _LARGEST) for one in answers]


def _line(one: Answer, word: str, liveness: bool) -> str:
    if one.error:
        return f"{one.endpoint}: {one.error}"
    if one.live if liveness else one.ready:
        return f"{one.endpoint}: {one.service} is {word}"
    return f"{one.endpoint}: {one.service} is not {word}: {'; '.join(one.reasons)}"


def plain(answers: list[Answer], *, liveness: bool) -> dict[str, Any]:
    """The same as one object for programs."""
    asked = [{**one._asdict(), "error": one.error or None} for one in answers]
    return {"ok": status_of(answers, liveness=liveness) == 0, "instances": asked}


def main(arguments: list[str]) -> int | None:
    """Runs ``zkrpc health --address …``; the exit status. None if the command line is not as plain as that: then it is
    for the command itself, which explains what is wrong with it."""
    if any(name in os.environ for name in _TLS_VARIABLES):
        return None
    addresses: list[str] = []
    group = ""
    liveness, as_json, timeout = False, False, 1.0
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in ("--address", "--group", "--timeout"):
            value = value if equals else next(rest, "")
            if option == "--address" and _is_address(value):
                addresses.append(value)
            elif option == "--group" and value:
                group = f"/{value}"
            elif option == "--timeout" and value.replace(".", "", 1).isdigit() and float(value):
                timeout = float(value)
            else:
                return None
        elif argument in ("--liveness", "--readiness"):
            liveness = argument == "--liveness"
        elif argument == "--json":
            as_json = True
        else:
            return None
    if not addresses:
        return None
    answers = [ask(address, group, timeout) for address in addresses]
    text = json.dumps(plain(answers, liveness=liveness)) if as_json else "\n".join(lines_of(answers, liveness=liveness))
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    return status_of(answers, liveness=liveness)


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(colon) and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536 and " " not in host
