"""Settings of ``zkrpc serve`` from outside of its command line: an environment variable for each option, and one TOML
file for all of them.

A flag wins over a variable, and a variable over the file. The names follow from the flags: ``--max-memory`` is
``ZKRPC_MAX_MEMORY`` in the environment and ``max-memory`` in the file, so that no option can be forgotten.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click

from zkrpc.errors import ConfigError

LARGEST_FILE = 1024 * 1024
"""Bytes of the file; a longer one is no file of settings."""
_NO_SETTINGS = ("config", "help")


def flag_of(option: click.Option) -> str:
    """The long name of an option, without its dashes."""
    return max(option.opts, key=len).lstrip("-")


def variable_of(option: click.Option) -> str:
    """The environment variable of an option."""
    return f"ZKRPC_{flag_of(option).replace('-', '_').upper()}"


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options that are settings, by their names in the file."""
    options = (one for one in command.params if isinstance(one, click.Option))
    return {name: one for one in options if (name := flag_of(one)) not in _NO_SETTINGS}


def settings_options(command: click.Command) -> click.Command:
    """Adds ``--config``, and gives each option its variable."""
    for option in options_of(command).values():
        option.envvar = option.envvar or variable_of(option)
    config = click.Option(
        ["--config"],
        metavar="FILE",
        envvar="ZKRPC_CONFIG",
        is_eager=True,
        expose_value=False,
        callback=_receive_file,
        help="A TOML file with any of these options; flags and ZKRPC_… variables win over it.",
    )
    command.params.append(config)
    return command


def _receive_file(context: click.Context, _: click.Parameter, path: str | None) -> None:
    if path:
        settings = read_settings(Path(path), options_of(context.command))
        context.default_map = {**(context.default_map or {}), **settings}


def read_settings(path: Path, options: dict[str, click.Option]) -> dict[str, Any]:
    """The settings in a file, by the parameters' names. Raises ConfigError for what is none of them."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise ConfigError(f"--config {path}: more than {LARGEST_FILE} bytes are no file of settings")
        found = tomllib.loads(text.decode())
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # no TOML, or no UTF-8
        raise ConfigError(f"--config {path} is no TOML: {error}") from error
    settings = {}
    for key, value in found.items():
        name = key.replace("_", "-")
        if name not in options:
            near = difflib.get_close_matches(name, options, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(options))}"
            raise ConfigError(f"--config {path}: there is no setting {key!r}; {hint}")
        option = options[name]
        assert option.name is not None
        settings[option.name] = _value(f"--config {path}: {key}", option, value)
    return settings


def _value(where: str, option: click.Option, value: Any) -> Any:
    """The value as the option takes it: a table or a list for one that may be repeated, true or false for a switch,
    else a text or a number."""
    if option.multiple:
        if isinstance(value, dict):
            return [f"{name}={_plain(where, inner)}" for name, inner in value.items()]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        raise ConfigError(f"{where} must be a table, or a list of texts NAME=VALUE, got {value!r}")
    if option.is_flag and not option.count:
        if not isinstance(value, bool):
            raise ConfigError(f"{where} must be true or false, got {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{where} must be a text or a number, got {value!r}")
    return value


def _plain(where: str, value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise ConfigError(f"{where} must hold numbers, texts, true and false, got {value!r}")
    return str(value).lower() if isinstance(value, bool) else str(value)
