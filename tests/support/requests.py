"""Requests as the wire machine makes them, without a wire."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from zkrpc.codec import Payload
from zkrpc.wire.message import Dialect, MessageKind, Request


def request(
    kind: MessageKind,
    name: bytes,
    body: bytes,
    *,
    headers: dict[str, str] | None = None,
    dialect: Dialect = Dialect.HEADER_BINARY,
    received_at: float = 0.0,
) -> Request:
    """A request with this argument struct."""
    return Request(name, 7, kind, MappingProxyType(headers or {}), body, 0, dialect, received_at, 7, 0, None)


def call_of(name: str, body: bytes = b"\0", **options: Any) -> Request:
    """A CALL of a method."""
    return request(MessageKind.CALL, name.encode(), body, **options)


def oneway_of(name: str, body: bytes = b"\0", **options: Any) -> Request:
    """A ONEWAY call of a method."""
    return request(MessageKind.ONEWAY, name.encode(), body, **options)


def binary(method: Any, *args: Any) -> bytes:
    """The encoded arguments of a method."""
    encoded: bytes = method.encode_arguments(method.bind(args, {}), Payload.BINARY)
    return encoded
