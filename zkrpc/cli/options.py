"""Options of several commands: where ZooKeeper is, how long something may take, and ``--limit NAME=VALUE``.

This module imports neither gevent nor a ZooKeeper client: the supervisor has some of these options, too.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from zkrpc.config import ServerConfig, WireLimits
from zkrpc.credentials import FILE_VARIABLE, read_security
from zkrpc.errors import ConfigError
from zkrpc.tls.settings import ServerTls, ask_with

CONNECT_TIMEOUT = 3.0
"""Seconds that a command waits for ZooKeeper by default: with its start and its end it is over within 5 s."""

_WORDS = {"true": True, "false": False}


class _Seconds(click.FloatRange):
    """A finite number of seconds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. A usage error for anything else."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


SECONDS = _Seconds(min=0, min_open=True)
"""For waits, which must be longer than 0."""
SECONDS_OR_NONE = _Seconds(min=0)
"""For times of which 0 means none."""


class _Size(click.ParamType):  # type: ignore[type-arg]  # its class cannot be subscripted in older versions of click
    """A number of bytes, or of K, M or G of them, each 1024 of the one before."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes. A usage error for anything else."""
        text = str(value).strip().upper().removesuffix("IB").removesuffix("B")
        unit = "KMG".find(text[-1:]) + 1 if text else 0
        digits = text[:-1] if unit else text
        if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:16]):
            self.fail(f"{value!r} is not a size; write bytes, or 512M, or 2G", param, ctx)
        return int(digits[:16]) << 10 * unit


SIZE = _Size()


def _receive_security(context: click.Context, _: click.Parameter, path: str | None) -> None:
    """Sets the variable that sessions read, for this process and those that it starts."""
    if context.resilient_parsing:  # for completion, in a process of its own
        os.environ.update({FILE_VARIABLE: path} if path else {})
        return
    if path and path != (before := os.environ.get(FILE_VARIABLE)):
        os.environ[FILE_VARIABLE] = os.path.abspath(path)
        context.call_on_close(lambda: _restore(before))
    read_security(os.environ)  # a mistake is told here, before anything is done


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop(FILE_VARIABLE, None)
    else:
        os.environ[FILE_VARIABLE] = before


security_option = click.option(
    "--zookeeper-security",
    envvar=FILE_VARIABLE,
    metavar="FILE",
    expose_value=False,
    callback=_receive_security,
    help="A TOML file with credentials for ZooKeeper, and TLS; see docs/zookeeper-security.md.",
)
_zookeeper_option = click.option(
    "--zookeeper",
    envvar="ZKRPC_ZOOKEEPER",
    show_envvar=True,
    required=True,
    metavar="HOSTS",
    help="host:port,…[/chroot].",
)


def zookeeper_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that asks ZooKeeper: where it is, and who we are for it."""
    return _zookeeper_option(security_option(command))


timeout_option = click.option(
    "--timeout", type=SECONDS, default=CONNECT_TIMEOUT, show_default=True, help="Seconds to wait for ZooKeeper."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


_CLIENT_TLS = {
    "ca": ("--tls-ca", "FILE", "Do TLS with instances; their certificates are of these authorities (PEM)."),
    "certificate": ("--tls-cert", "FILE", "The certificate to show them (PEM)."),
    "key": ("--tls-key", "FILE", "Its key, if the file of the certificate has none."),
    "crl": ("--tls-crl", "FILE", "The lists of revoked certificates of these authorities (PEM)."),
    "server_name": ("--tls-server-name", "NAME", "The name in their certificates, if not the host's."),
}


def tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds what a command needs to call instances with TLS; :func:`zkrpc.tls.settings.asking` has what was given."""
    for field, (flag, value, text) in reversed(_CLIENT_TLS.items()):
        command = click.option(
            flag,
            envvar=f"ZKRPC_{flag[2:].replace('-', '_').upper()}",
            metavar=value,
            expose_value=False,
            callback=functools.partial(_note_tls, field),
            help=text,
        )(command)
    return command


def _note_tls(field: str, context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value:
        ask_with(**{field: value})


def server_tls(
    certificate: str | None, key: str | None, ca: str | None, clients: str | None, crl: str | None = None
) -> ServerTls | None:
    """What a server's ``--tls-…`` mean; None if none is given. Raises ConfigError if they do not go together."""
    if not certificate:
        if key or ca or clients or crl:
            raise ConfigError(
                "--tls-key, --tls-ca, --tls-crl and --tls-client need --tls-cert, the server's own certificate"
            )
        return None
    return ServerTls(certificate=certificate, key=key or "", ca=ca or "", clients=clients, crl=crl or "")


def expand_address(text: str | None, environment: Mapping[str, str]) -> str | None:
    """What ``--advertise`` means: ``env:NAME`` or ``env:NAME:PORT`` stand for the host in that variable, as Kubernetes
    tells a pod its address; anything else for itself. Raises ConfigError if there is no such variable."""
    if text is None or not text.startswith("env:"):
        return text
    name, colon, port = text[4:].partition(":")
    host = environment.get(name, "").strip()
    if not host:
        raise ConfigError(f"--advertise {text}: the environment variable {name or '?'} is not set, or empty")
    bare = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{bare}{colon}{port}"


def with_limits(config: ServerConfig, given: Sequence[str]) -> ServerConfig:
    """The config with each ``NAME=VALUE`` applied. Raises a ConfigError that names what is wrong."""
    own, wire = _names(ServerConfig), _names(WireLimits)
    changes: dict[str, Any] = {}
    wire_changes: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in own and name not in wire:
            near = difflib.get_close_matches(name, [*own, *wire], 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join([*own, *wire])}"
            raise ConfigError(f"--limit {text!r} names no limit; {hint}")
        if not equals:
            raise ConfigError(f"--limit {text!r} has no value; write {name}=VALUE")
        (changes if name in own else wire_changes)[name] = _number(text, value.strip())
    return dataclasses.replace(config, wire=dataclasses.replace(config.wire, **wire_changes), **changes)


def _names(kind: type[ServerConfig | WireLimits]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.name not in ("wire", "tls")]


def _number(text: str, value: str) -> Any:
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    raise ConfigError(f"--limit {text!r} must be a number, or true or false")
