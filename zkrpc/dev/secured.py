"""What a throw-away ZooKeeper with TLS and known users is made of: certificates, and lines for its files.

The keys are made by ``openssl`` for this one ZooKeeper and end with its folder. A client needs nothing but the file
that ``DevSecurity.file`` names.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import ConfigError

_USER = "dev"
_DAYS = "30"
_TIMEOUT = 60.0
_SERVER = """\
serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
ssl.keyStore.location={folder}/server.pem
ssl.trustStore.location={folder}/ca.pem
ssl.clientAuth=need
authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider
enforce.auth.enabled=true
enforce.auth.schemes=digest,sasl,x509
"""
_USERS = """\
Server {{
  org.apache.zookeeper.server.auth.DigestLoginModule required
  {users};
}};
"""


@dataclasses.dataclass(frozen=True, slots=True)
class DevSecurity:
    """The files of one secured ZooKeeper, in a folder that its owner alone can read."""

    folder: Path
    client: ZooKeeperSecurity
    """What a client needs: it has a certificate, and is known by name and password."""

    @property
    def file(self) -> Path:
        """The client's settings, for ``--zookeeper-security``."""
        return self.folder / "security.toml"

    @property
    def configuration(self) -> str:
        """The servers' lines."""
        return _SERVER.format(folder=self.folder)

    @property
    def java_options(self) -> Sequence[str]:
        """What Java has to be told."""
        return (f"-Djava.security.auth.login.config={self.folder}/users.jaas",)

    def certificate(self, name: str) -> ZooKeeperSecurity:
        """The client's settings of somebody else, who is known by a certificate alone."""
        issue(self.folder, name, f"DNS:{name}")
        path = str(self.folder / f"{name}.pem")
        return ZooKeeperSecurity(ca=self.client.ca, certificate=path)


def make_security(folder: Path, others: Sequence[tuple[str, str]] = ()) -> DevSecurity:
    """Makes the files in a new folder. ``others`` are further users with their passwords. Raises ConfigError if there
    is no ``openssl``."""
    folder.mkdir(parents=True, mode=0o700)
    _openssl(folder, *_new_key("ca"), "-x509", "-days", _DAYS, "-out", "ca.pem", "-subj", "/CN=throw-away ZooKeeper")
    issue(folder, "server", "DNS:localhost,IP:127.0.0.1")
    issue(folder, _USER, f"DNS:{_USER}")
    password = secrets.token_hex(16)
    users = " ".join(f'user_{name}="{secret}"' for name, secret in ((_USER, password), *others))
    _write(folder / "users.jaas", _USERS.format(users=users))
    client = ZooKeeperSecurity(
        ca=str(folder / "ca.pem"),
        certificate=str(folder / f"{_USER}.pem"),
        username=_USER,
        password=password,
        mechanism="sasl",
    )
    made = DevSecurity(folder, client)
    given = {name: getattr(client, name) for name in ("ca", "certificate", "username", "password", "mechanism")}
    _write(made.file, "".join(f"{name} = {json.dumps(value)}\n" for name, value in given.items()))
    return made


def issue(folder: Path, name: str, names: str) -> None:
    """Makes ``NAME.pem``: a key, and a certificate for it with these subject alternative names."""
    _openssl(folder, *_new_key(name), "-out", f"{name}.request", "-subj", f"/CN={name}")
    (folder / f"{name}.extensions").write_text(f"subjectAltName={names}\n")
    _openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.request", "-out", f"{name}.certificate", "-days", _DAYS),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.extensions"),
    )
    both = (folder / f"{name}.key").read_text() + (folder / f"{name}.certificate").read_text()
    _write(folder / f"{name}.pem", both)


def _new_key(name: str) -> tuple[str, ...]:
    return ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise ConfigError("a throw-away ZooKeeper with TLS needs openssl; install it (apt-get install openssl)")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT)
    if done.returncode:
        raise ConfigError(f"openssl {arguments[0]} failed: {done.stderr.strip().rpartition(chr(10))[2]}")


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
