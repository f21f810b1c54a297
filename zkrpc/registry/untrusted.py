"""Reads the parts of what others wrote into znodes: JSON objects, endpoints, numbers and names, of whatever shape.

Pure functions. What a record cannot do without is refused, with RemoteProtocolError and no other exception; what it can
do without is left out if it is odd.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from zkrpc.endpoint import Endpoint, is_host
from zkrpc.errors import RemoteProtocolError
from zkrpc.legible import legible


def load_object(payload: bytes, max_size: int, what: str = "a record", *, names_once: bool = False) -> dict[str, Any]:
    """The JSON object in an untrusted ``payload``. ``what`` names the payload in errors.

    Raises RemoteProtocolError for anything else, including more than ``max_size`` bytes, too deep nesting, huge numbers
    and unpaired surrogates; with ``names_once`` also for a name that stands twice in one object, of which JSON's
    readers take the last.
    """
    if len(payload) > max_size:
        refuse(f"{what} of {len(payload)} bytes is over {max_size}")
    try:
        text = payload.decode()
        pairs = _read_once if names_once else None
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=pairs)
        if "\\u" in text:
            # An escaped unpaired surrogate decodes, and raises later, when it is printed or stored.
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise RemoteProtocolError(f"{what} that is not JSON: {legible(exc, 100)}") from exc
    if not isinstance(document, dict):
        refuse(f"{what} that is not a JSON object")
    return document


def refuse(reason: str) -> NoReturn:
    """Raises RemoteProtocolError."""
    raise RemoteProtocolError(reason)


def _read_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            refuse(f"{legible(name, 100)!r} stands twice in one object")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    refuse(f"{name} is not JSON")


def is_short_number(text: object) -> bool:
    """Whether this is a text of one to ten digits: long ones take long to read, and no field is that large."""
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 10


def read_endpoint(host: object, port: object) -> Endpoint:
    """The endpoint; the port may be a text. Raises RemoteProtocolError for what cannot be connected to."""
    if not isinstance(host, str) or not host.isascii() or not is_host(host):
        refuse(f"no usable host, but {host!r:.100}")
    number = int(str(port)) if is_short_number(port) else port
    if type(number) is not int or not 0 < number < 65536:
        refuse(f"no usable port, but {port!r:.100}")
    return Endpoint(host, number)


def read_door(host: object, port: object) -> Endpoint | None:
    """The endpoint of a door; None if it cannot be read, which is no reason to do without the instance."""
    try:
        return read_endpoint(host, port)
    except RemoteProtocolError:
        return None


def texts_of(metadata: object) -> dict[str, str]:
    """The string-to-string part of what should have been nothing else."""
    if not isinstance(metadata, dict):
        return {}
    return {key: text for key, text in metadata.items() if isinstance(text, str)}


def number_or(text: str | None, largest: float, otherwise: float) -> float:
    """The number from 0 to ``largest`` in a text, ``otherwise`` if there is none."""
    try:
        value = math.nan if text is None else float(text)
    except ValueError:
        return otherwise
    return value if 0.0 <= value <= largest else otherwise


def names_in(text: str) -> tuple[str, ...]:
    """The names in a text, with commas between."""
    return tuple(name for name in text.split(",") if name)
