"""Endpoints as values."""

from __future__ import annotations

import pytest

from zkrpc.endpoint import MAX_EPOCH, Endpoint, is_host, is_loopback, read_epoch
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


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:",
        ":80",
        "::1:80",
        "host:70000",
        "host:8x",
        "host:٣",
        "host:" + "9" * 5000,
        "a\x1b[2J:1",
        "a\nb:1",
        "a b:1",
        "\u202ea:1",
        "a..b:1",
        ".:1",
        ".a:1",
        "x" * 64 + ".example:1",
        "a." * 127 + "a:1",
        "\u00e4" * 64 + ":1",
        "a/b:1",
        "[::g]:1",
        "[::1%e th]:1",
        "[a]:b]:1",
    ],
)
def test_endpoint_names_what_it_expected(text: str) -> None:
    """Anything else is a ConfigError that shows the form."""
    with pytest.raises(ConfigError, match="write host:port"):
        Endpoint.parse(text)


@pytest.mark.parametrize(
    "text",
    ["a", "a.b.", "my_box", "x" * 63, "10.0.0.3", "::1", "fe80::1%eth0", "b\u00fccher.example", "-", "a." * 126 + "a"],
)
def test_what_may_be_a_host_is_left_to_the_resolver(text: str) -> None:
    """Names as people have them, in their own script too, and addresses of both families."""
    assert is_host(text)


@pytest.mark.parametrize(
    ("text", "epoch"),
    [("0", 0), ("17", 17), (str(MAX_EPOCH), MAX_EPOCH), (str(MAX_EPOCH + 1), None), ("-1", None), ("", None)]
    + [("1.0", None), ("٣", None), ("9" * 5000, None), (" 1", None)],
)
def test_epoch_is_read_from_digits_only(text: str, epoch: int | None) -> None:
    """A header is untrusted: signs, other scripts' digits and endless numbers are no epochs."""
    assert read_epoch(text) == epoch


def test_loopback_is_what_only_this_host_reaches() -> None:
    """Names but one are anybody's guess."""
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.localdomain")))
