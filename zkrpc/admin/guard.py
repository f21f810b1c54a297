"""Who may ask: the token, the hosts that a request may be for, and the origins that it may come from. Pure."""

from __future__ import annotations

import dataclasses
import hmac
import ipaddress
import platform
from pathlib import Path

from zkrpc.admin.http import Request, Response, refuse
from zkrpc.endpoint import Endpoint, is_host, is_loopback
from zkrpc.errors import ConfigError

SHORTEST_TOKEN = 16
"""Characters of a token; shorter ones can be guessed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Refuses who may not ask. ``token`` may be empty for a door on loopback; ``hosts`` are the names of this host that
    a request may be for, beside addresses and ``localhost``."""

    token: str = dataclasses.field(default="", repr=False)
    hosts: frozenset[str] = frozenset()

    def refusal(self, request: Request, *, is_open: bool = False) -> Response | None:
        """Why a request is not answered; None if it is. What ``is_open`` needs no token, for probes have none."""
        if request.method not in ("GET", "HEAD"):
            return refuse(405, "this door answers GET and HEAD", Allow="GET, HEAD")
        host = request.headers.get("host", "localhost")
        if not self.is_known(host):
            return refuse(403, "this door does not know the host that the request is for")
        origin = request.headers.get("origin")
        foreign = origin is not None and origin != f"http://{host}"
        if foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return refuse(403, "this door does not answer pages from elsewhere")
        if not is_open and not self.knows(request):
            return refuse(401, "this door wants a token: Authorization: Bearer TOKEN", WWW_Authenticate="Bearer")
        return None

    def is_known(self, text: str) -> bool:
        """Whether this is an address, ``localhost``, or one of the names. A page from elsewhere can make a name of its
        own mean this host, but not an address."""
        host = text
        if not text.endswith("]"):
            before, colon, port = text.rpartition(":")
            host = before if colon and port.isdigit() else text
        host = host.removeprefix("[").removesuffix("]").lower()
        if host in self.hosts or host == "localhost":
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def knows(self, request: Request) -> bool:
        """Whether a request brings the token, or none is wanted."""
        if not self.token:
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self.token.encode())


def make_guard(bind: Endpoint, token: str = "", hosts: tuple[str, ...] = ()) -> Guard:
    """The guard of a door at this address. Raises ConfigError if the address needs a token and there is none, or for a
    token that is too short."""
    if not token and not is_loopback(bind.host):
        raise ConfigError(
            f"the admin door at {bind} can be reached from other hosts, which needs a token; give one, or bind it to "
            "127.0.0.1"
        )
    if token and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise ConfigError(f"a token has at least {SHORTEST_TOKEN} ASCII characters and no spaces")
    named = (one for one in (bind.host, *hosts) if is_host(one))
    return Guard(token=token, hosts=frozenset(one.lower() for one in named))


def read_token(file: str | Path) -> str:
    """The token in a file, without the white space around it. Raises ConfigError if there is none."""
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the admin token from {file}: {error}") from error
    if not token:
        raise ConfigError(f"{file} holds no admin token")
    return token


def names_of_host(advertise: str | None = None) -> tuple[str, ...]:
    """The names by which others may ask for this host: its own, and the one that is advertised."""
    advertised = "" if advertise is None else advertise.rpartition(":")[0] or advertise
    return (platform.node(), advertised)
