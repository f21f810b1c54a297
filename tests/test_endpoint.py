"""Endpoints as values."""

from __future__ import annotations

import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:9090", "127.0.0.1", 9090), (" db.local:1 ", "db.local", 1), ("[::1]:65535", "::1", 65535)],
)
def test_endpoint_reads_what_it_writes(text: str, host: str, port: int) -> None:
    """host:port, with brackets around IPv6, both ways."""
    endpoint = Endpoint.parse(text)
    assert endpoint == Endpoint(host, port)
    assert str(endpoint) == text.strip()


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "::1:80", "host:70000", "host:8x", "host:٣"])
def test_endpoint_names_what_it_expected(text: str) -> None:
    """Anything else is a ConfigError that shows the form."""
    with pytest.raises(ConfigError, match="write host:port"):
        Endpoint.parse(text)
