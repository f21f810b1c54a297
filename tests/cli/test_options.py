"""Options that say how long; and limits from the command line, which win over the service's own."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import click
import pytest

from tests.support.commands import all_commands, takes
from zkrpc.cli.options import SECONDS, SECONDS_OR_NONE, SIZE, expand_address, security_option, with_limits
from zkrpc.config import ServerConfig, WireLimits
from zkrpc.credentials import FILE_VARIABLE, ZooKeeperSecurity, read_security
from zkrpc.errors import ConfigError


def test_limits_replace_what_they_name() -> None:
    """Those of a connection and those of the server; everything else stays as the service has it."""
    config = ServerConfig(max_queue=7, wire=WireLimits(max_header=100))
    given = ["max_elements=5000", "max-buffered = 1000000", "accept_zlib=true", "max_connection_idle=inf", "linger=0.5"]
    assert with_limits(config, given) == ServerConfig(
        max_queue=7,
        max_buffered=1_000_000,
        max_connection_idle=math.inf,
        linger=0.5,
        wire=WireLimits(max_header=100, max_elements=5000, accept_zlib=True),
    )
    assert with_limits(config, []) == config


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("max_elemnts=5", "names no limit; did you mean max_elements?"),
        ("wire=5", "names no limit; there are max_connections"),
        ("max_elements", "has no value; write max_elements=VALUE"),
        ("max_elements=many", "must be a number, or true or false"),
        ("max_elements=-1", "WireLimits.max_elements must be a positive number, got -1"),
        ("max_buffered=0", "ServerConfig.max_buffered must be a positive number, got 0"),
        ("accept_zlib=2", "WireLimits.accept_zlib must be True or False, got 2"),
    ],
)
def test_limits_that_are_none_are_refused(text: str, complaint: str) -> None:
    """In one line that says what to write."""
    with pytest.raises(ConfigError) as caught:
        with_limits(ServerConfig(), [text])
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


def test_limits_are_all_documented() -> None:
    """Every number of a connection's caps, with its default where that is a plain one."""
    text = (Path(__file__).parent.parent.parent / "docs" / "limits.md").read_text("utf-8")
    for name in [field.name for field in dataclasses.fields(WireLimits)]:
        assert f"`{name}`" in text, name
    for name in ("max_buffered", "min_read_rate", "max_write_stall", "max_connections", "max_concurrent", "max_queue"):
        assert f"`{name}`" in text, name


@pytest.mark.parametrize(("text", "seconds"), [("2", 2.0), ("0.25", 0.25), ("1e-3", 0.001), ("1e6", 1e6)])
def test_seconds_are_read(text: str, seconds: float) -> None:
    """As numbers are written."""
    assert SECONDS.convert(text, None, None) == SECONDS_OR_NONE.convert(text, None, None) == seconds


def test_none_is_a_number_of_seconds_for_what_may_be_left_out() -> None:
    """And for nothing else."""
    assert SECONDS_OR_NONE.convert("0", None, None) == 0.0
    with pytest.raises(click.BadParameter, match="0.0 is not in the range x>0"):
        SECONDS.convert("0", None, None)


@pytest.mark.parametrize("text", ["-1", "-0.001", "nan", "inf", "-inf", "1e999", "soon", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Before anything is done with it."""
    for kind in (SECONDS, SECONDS_OR_NONE):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("65536", 65536), ("512M", 2**29), ("512 MiB", 2**29), ("2g", 2**31), ("3kb", 3072)],
)
def test_size_has_a_unit_or_is_in_bytes(text: str, size: int) -> None:
    """In either case of letters."""
    assert SIZE.convert(text.replace(" ", ""), None, None) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "0", "0G", "1.5G", "1T", "nan", "٣", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """With what may be written instead."""
    with pytest.raises(click.BadParameter, match="is not a size; write bytes, or 512M, or 2G"):
        SIZE.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        (None, None),
        ("db7:9090", "db7:9090"),
        ("env:POD_IP", "10.0.0.7"),
        ("env:POD_IP:9090", "10.0.0.7:9090"),
        ("env:POD_IP6", "[fd00::7]"),
        ("env:POD_IP6:9090", "[fd00::7]:9090"),
    ],
)
def test_address_may_come_from_the_environment(text: str | None, expanded: str | None) -> None:
    """As Kubernetes tells a pod its own."""
    assert expand_address(text, {"POD_IP": "10.0.0.7", "POD_IP6": "fd00::7"}) == expanded


@pytest.mark.parametrize("text", ["env:", "env:POD_IP", "env:EMPTY:9090"])
def test_address_from_a_variable_that_is_not_there_is_refused(text: str) -> None:
    """Before anything starts, with the variable's name."""
    with pytest.raises(ConfigError, match="is not set, or empty"):
        expand_address(text, {"EMPTY": " "})


def test_every_command_that_asks_zookeeper_takes_credentials() -> None:
    """None of them is forgotten."""
    asking = [(words, command) for words, command in all_commands() if takes(command, "--zookeeper")]
    assert len(asking) > 15
    assert [words for words, command in asking if not takes(command, "--zookeeper-security")] == []


def test_the_file_of_credentials_is_for_this_command_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes and sessions find it in the environment, which is as before afterwards; a mistake is told first."""
    (tmp_path / "good.toml").write_text('username = "svc"\npassword = "s3cret"\n')
    (tmp_path / "bad.toml").write_text('pasword = "s3cret"\n')
    seen: list[ZooKeeperSecurity] = []

    @click.command()
    @security_option
    def show() -> None:
        seen.append(read_security(os.environ))

    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    for before in (None, str(tmp_path / "absent.toml")):
        if before is not None:
            monkeypatch.setenv(FILE_VARIABLE, before)
        show.main(["--zookeeper-security", str(tmp_path / "good.toml")], standalone_mode=False)
        assert os.environ.get(FILE_VARIABLE) == before
    assert seen == [ZooKeeperSecurity(username="svc", password="s3cret")] * 2
    with pytest.raises(ConfigError, match="there is no setting 'pasword'; did you mean password") as refused:
        show.main(["--zookeeper-security", str(tmp_path / "bad.toml")], standalone_mode=False)
    assert "s3cret" not in str(refused.value)
