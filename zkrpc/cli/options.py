"""Options of several commands: where ZooKeeper is, how long something may take, and ``--limit NAME=VALUE``.

This module imports neither gevent nor a ZooKeeper client: the supervisor has some of these options, too.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import click

from zkrpc.config import ServerConfig, WireLimits
from zkrpc.errors import ConfigError

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
zookeeper_option = click.option(
    "--zookeeper",
    envvar="ZKRPC_ZOOKEEPER",
    show_envvar=True,
    required=True,
    metavar="HOSTS",
    help="host:port,…[/chroot].",
)
timeout_option = click.option(
    "--timeout", type=SECONDS, default=CONNECT_TIMEOUT, show_default=True, help="Seconds to wait for ZooKeeper."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


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
    return [field.name for field in dataclasses.fields(kind) if field.name != "wire"]


def _number(text: str, value: str) -> Any:
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    raise ConfigError(f"--limit {text!r} must be a number, or true or false")
