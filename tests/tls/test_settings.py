"""The values that say how TLS is done: what goes together."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.errors import ConfigError
from zkrpc.tls.settings import ClientTls, ServerTls


@pytest.mark.parametrize(
    "ca, clients, meant", [("", None, "none"), ("", "none", "none"), ("ca", None, "required"), ("ca", "asked", "asked")]
)
def test_authorities_mean_that_clients_need_a_certificate(ca: str, clients: str | None, meant: str) -> None:
    """Unless it is said that they are only asked for one."""
    assert ServerTls(certificate="a", ca=ca, clients=clients).clients == meant


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"certificate": ""}, "must name the file"),
        ({"certificate": 5}, "certificate must be a file's path, got 5"),
        ({"certificate": "a", "clients": "some"}, "one of required, asked, none"),
        ({"certificate": "a", "clients": "required"}, "ServerTls.ca names the authorities"),
        ({"certificate": "a", "ca": "b", "clients": "none"}, "ServerTls.ca names the authorities"),
        ({"certificate": "a", "handshake_timeout": 0}, "handshake_timeout must be seconds"),
        ({"certificate": "a", "handshake_timeout": True}, "handshake_timeout must be seconds"),
        ({"certificate": "a", "max_handshakes": 0}, "max_handshakes must be a whole number"),
    ],
)
def test_a_server_says_what_does_not_go_together(fields: dict[str, Any], complaint: str) -> None:
    """When it is made, not when the first client comes."""
    with pytest.raises(ConfigError, match=complaint):
        ServerTls(**fields)


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"key": "a"}, "belongs to a certificate"),
        ({"ca": None}, "ca must be a file's path"),
        ({"server_name": None}, "server_name must be a host's name"),
        ({"check_name": 1}, "check_name must be True or False"),
    ],
)
def test_a_client_says_what_does_not_go_together(fields: dict[str, Any], complaint: str) -> None:
    """As a server does."""
    with pytest.raises(ConfigError, match=complaint):
        ClientTls(**fields)
