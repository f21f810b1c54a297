"""How a process shows ZooKeeper who it is and makes sure that it is ZooKeeper, and where such settings come from.

Each setting has one name: in a TOML file it is that name, as an environment variable it is
``ZKRPC_ZOOKEEPER_`` and the name in capitals. ``SETTINGS`` is the list, from which the documentation is checked. A
variable wins over the file, which ``ZKRPC_ZOOKEEPER_SECURITY`` names. Secrets are in variables and in files, and never
in what this module says of a value.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zkrpc.errors import ConfigError

PREFIX = "ZKRPC_ZOOKEEPER_"
FILE_VARIABLE = f"{PREFIX}SECURITY"
"""The variable that names the file."""
MECHANISMS = ("digest", "sasl")
"""How a name and a password are shown: ``digest`` sends them, ``sasl`` proves by DIGEST-MD5 that it knows them."""
SETTINGS: dict[str, str] = {
    "username": "The name that ZooKeeper shall know us by; nodes are then made for us to change, and for all to read",
    "password": "Its password",
    "password-file": "A file that holds the password",
    "mechanism": "`digest` (the default; ZooKeeper takes any name) or `sasl` (DIGEST-MD5; ZooKeeper knows the names)",
    "tls": "Whether to speak TLS; the names below that say how imply it",
    "ca": "A PEM file with the certificates of those who may vouch for ZooKeeper; else the system's",
    "certificate": "A PEM file with our own certificate, and those between it and one that ZooKeeper trusts",
    "key": "A PEM file with its key; else it is in the file of the certificate",
    "key-password": "The password of the key",
    "key-password-file": "A file that holds the password of the key",
    "server-name": "The name that ZooKeeper's certificate must have, instead of that which is dialled",
    "owners": "Identities, as in `digest:ops:HASH` or `x509:CN=ops`, that may change what we make as we may",
    "users": "Identities that may make nodes in the parents that are shared, `/services` and others; else anyone may",
}
_SECRETS = ("password", "key-password")
_LISTS = ("owners", "users")
_LARGEST_FILE = 64 * 1024
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeperSecurity:
    """Credentials for ZooKeeper, TLS, and whose the nodes are that we make.

    With a ``username``, or with a ``certificate`` for ZooKeeper to know us by, nodes are made for their creator to
    change and for all to read; without both, anyone may change them. Files are read again for each connection, so they
    can be replaced while a process runs.
    """

    username: str | None = None
    """With ``password``."""
    password: str | None = dataclasses.field(default=None, repr=False)
    """Not shown in the repr, as configs get into logs."""
    mechanism: str = "digest"
    """``digest`` sends name and password, so it needs TLS or a network that is trusted. ``sasl`` is DIGEST-MD5."""
    tls: bool = False
    """Whether to speak TLS, with certificates checked against ``ca`` and the name that is dialled. ``ca``,
    ``certificate`` and ``server_name`` imply it."""
    ca: str = ""
    """The path of a PEM file; the system's certificates if empty."""
    certificate: str = ""
    """The path of a PEM file with our own certificate."""
    key: str = ""
    """The path of a PEM file with its key; that of the certificate if empty."""
    key_password: str | None = dataclasses.field(default=None, repr=False)
    server_name: str = ""
    """The name to look for in ZooKeeper's certificate, instead of the one that is dialled."""
    owners: tuple[str, ...] = ()
    """Identities, each ``scheme:name`` as ZooKeeper writes them, which may do with our nodes what we may."""
    users: tuple[str, ...] = ()
    """Identities that may make nodes in parents that several services share; empty: anyone may."""

    def __post_init__(self) -> None:
        """Checks what goes together."""
        if (self.username is None) != (self.password is None):
            raise ConfigError("ZooKeeper's username and password go together; give both or neither")
        if self.username is not None and (not self.username or ":" in self.username):
            raise ConfigError("ZooKeeper's username must be a name without colons, which end it in ZooKeeper's eyes")
        if self.mechanism not in MECHANISMS:
            raise ConfigError(f"ZooKeeper's mechanism must be one of {', '.join(MECHANISMS)}, got {self.mechanism!r}")
        if self.mechanism != "digest" and self.username is None:
            raise ConfigError(f"mechanism {self.mechanism} shows ZooKeeper a username and a password: give both")
        if self.key and not self.certificate:
            raise ConfigError("ZooKeeper's key belongs to a certificate: give both")
        for one in (*self.owners, *self.users):
            if not all(one.partition(":")[::2]):
                raise ConfigError(f"{one!r} is no identity of ZooKeeper; write SCHEME:NAME, as in x509:CN=ops")
        if (self.owners or self.users) and not self.is_known:
            raise ConfigError("owners and users need a username, or a certificate: else anyone may change our nodes")

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return bool(self.tls or self.ca or self.certificate or self.server_name)

    @property
    def is_known(self) -> bool:
        """Whether ZooKeeper is shown who we are."""
        return self.username is not None or bool(self.certificate)

    def __str__(self) -> str:
        """As whom we come, for messages."""
        shown = [] if self.username is None else [f"{self.mechanism} {self.username}"]
        shown += [f"the certificate in {self.certificate}"] if self.certificate else []
        return " and ".join(shown) or "nobody: there are no credentials"


NO_SECURITY = ZooKeeperSecurity()
"""No credentials and no TLS: ZooKeeper takes us for anyone."""


def read_security(environment: Mapping[str, str]) -> ZooKeeperSecurity:
    """The settings of an environment and of the file that it names. Raises ConfigError for what is none of them, and
    for files that cannot be read."""
    given: dict[str, Any] = {}
    if path := environment.get(FILE_VARIABLE):
        given |= _read_file(Path(path))
    for name in SETTINGS:
        value = environment.get(variable_of(name))
        if value:
            other = name.removesuffix("-file") if name.endswith("-file") else f"{name}-file"
            given.pop(other, None)  # the file's way to say the same
            given[name] = _converted(variable_of(name), name, value)
    for name in _SECRETS:
        if (path := given.pop(f"{name}-file", None)) is not None:
            if name in given:
                raise ConfigError(f"ZooKeeper's {name} and {name}-file are two ways to say the same; give one")
            given[name] = _read_secret(name, Path(path))
    return ZooKeeperSecurity(**{name.replace("-", "_"): value for name, value in given.items()})


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.replace('-', '_').upper()}"


def _read_file(path: Path) -> dict[str, Any]:
    where = f"{FILE_VARIABLE} {path}"
    try:
        found = tomllib.loads(_read(path))
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror or error}") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # no TOML, or no UTF-8: its text may hold a secret, so it is not shown
        raise ConfigError(f"{where} is no TOML, or larger than {_LARGEST_FILE} bytes") from error
    given: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("_", "-")
        if name not in SETTINGS:
            raise ConfigError(f"{where}: there is no setting {key!r}; {_alternatives(name, SETTINGS)}")
        converted = _converted(f"{where}: {key}", name, value)
        if name in ("ca", "certificate", "key") or name.endswith("-file"):
            converted = str(path.parent / converted)  # as a path in a file is meant: beside it
        given[name] = converted
    return given


def _alternatives(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names))}"


def _converted(where: str, name: str, value: Any) -> Any:
    """A value as the setting has it; ``where`` is for the error, which does not show the value."""
    if name in _LISTS:
        texts = value.split() if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            raise ConfigError(f'{where} must be a list of identities, as in ["x509:CN=ops"]')
        return tuple(texts)
    if name == "tls":
        switch = _WORDS.get(str(value).strip().lower())
        if switch is None:
            raise ConfigError(f"{where} must be true or false")
        return switch
    if not isinstance(value, str):
        raise ConfigError(f"{where} must be a text")
    return value


def _read_secret(name: str, path: Path) -> str:
    try:
        secret = _read(path).strip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or f"no text, or larger than {_LARGEST_FILE} bytes"
        raise ConfigError(f"cannot read ZooKeeper's {name} from {path}: {reason}") from error
    if not secret:
        raise ConfigError(f"{path} holds no {name}")
    return secret


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError("too large")
    return content.decode()
