"""What address an instance registers."""

from __future__ import annotations

import socket

import gevent.socket
import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.registry.advertising import advertised_door, choose_endpoint, means_this_host, read_advertised

ELSEWHERE = "192.0.2.99:2181"
HERE = "127.0.0.1:2181,[::1]:2181,localhost:2181/app"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.0.0.3", Endpoint("10.0.0.3", 9090)),
        ("10.0.0.3:80", Endpoint("10.0.0.3", 80)),
        (" box.example ", Endpoint("box.example", 9090)),
        ("fe80::1", Endpoint("fe80::1", 9090)),
        ("2001:db8::1234", Endpoint("2001:db8::1234", 9090)),
        ("[2001:db8::1]", Endpoint("2001:db8::1", 9090)),
        ("[2001:db8::1]:80", Endpoint("2001:db8::1", 80)),
    ],
)
def test_what_is_advertised_may_leave_the_port_out(text: str, endpoint: Endpoint) -> None:
    """In every form in which addresses are written."""
    assert read_advertised(text, 9090) == endpoint


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "[::]:80", "0.0.0.0:80", "box:0", "a b", "box:99999", ":80", "a:b"])
def test_nobody_can_connect_to_everywhere(text: str) -> None:
    """A wildcard is for listening; it is refused, as is what is no address."""
    with pytest.raises(ConfigError):
        read_advertised(text, 9090)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.0.1.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("localhost", True),
        ("10.0.0.3", False),
        ("2001:db8::1", False),
        ("nowhere.invalid", False),
    ],
)
def test_loopback_means_whoever_uses_it(host: str, expected: bool) -> None:
    """By number or by name, in both families."""
    assert means_this_host(host) is expected


def test_a_name_that_has_another_address_too_does_not_mean_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian gives a host's own name 127.0.1.1, and that alone is the trap."""
    for found, expected in ((["127.0.1.1"], True), (["127.0.1.1", "10.0.0.3"], False), (["fe80::1%2"], False)):
        families = [socket.AF_INET6 if ":" in host else socket.AF_INET for host in found]
        answer = [(family, 1, 6, "", (host, 1)) for family, host in zip(families, found)]
        monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_, answer=answer, **__: answer)
        assert means_this_host("mybox") is expected


@pytest.mark.parametrize(
    ("bound", "advertise"),
    [("127.0.0.1", None), ("::1", None), ("localhost", None), ("10.0.0.3", "localhost"), ("10.0.0.3", "127.0.0.1:80")],
)
def test_loopback_in_somebody_elses_zookeeper_is_warned_of(
    bound: str, advertise: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """With what to do; where ZooKeeper is on this host, everybody is."""
    chosen = choose_endpoint(Endpoint(bound, 9090), advertise, f"127.0.0.1:1,{ELSEWHERE}/app")
    (record,) = caplog.records
    for part in (str(chosen), ELSEWHERE, "--bind 0.0.0.0:9090", "--advertise HOST"):
        assert part in record.message
    caplog.clear()
    assert choose_endpoint(Endpoint(bound, 9090), advertise, HERE) == chosen and not caplog.records


def test_others_addresses_are_taken_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    """The bound one, or what was asked for."""
    assert choose_endpoint(Endpoint("10.0.0.3", 9090), None, ELSEWHERE) == Endpoint("10.0.0.3", 9090)
    assert choose_endpoint(Endpoint("127.0.0.1", 9090), "box:80", ELSEWHERE) == Endpoint("box", 80)
    assert not caplog.records


def test_a_wildcard_becomes_the_address_towards_zookeeper() -> None:
    """Of the family that listens, on the way to the first server that there is a way to."""
    assert choose_endpoint(Endpoint("0.0.0.0", 9090), None, "no.invalid:1,127.0.0.1:1") == Endpoint("127.0.0.1", 9090)
    assert choose_endpoint(Endpoint("::", 9090), None, "[::1]:1") == Endpoint("::1", 9090)
    assert choose_endpoint(Endpoint("0.0.0.0", 9090), None, "[::1]:1,127.0.0.1:1") == Endpoint("127.0.0.1", 9090)
    with pytest.raises(CoordinationError, match="0.0.0.0 has none.*--advertise HOST"):
        choose_endpoint(Endpoint("0.0.0.0", 9090), None, "[::1]:1")
    with pytest.raises(CoordinationError, match="unknown name.*give it with --advertise HOST"):
        choose_endpoint(Endpoint("0.0.0.0", 9090), None, "no.invalid:1")


@pytest.mark.parametrize(
    ("door", "host", "advertised"),
    [
        ("0.0.0.0:9464", "10.0.0.3", "10.0.0.3:9464"),
        ("[::]:9464", "10.0.0.3", "10.0.0.3:9464"),
        ("127.0.0.1:9464", "10.0.0.3", None),
        ("127.0.0.1:9464", "127.0.0.1", "127.0.0.1:9464"),
        ("10.1.0.3:9464", "10.0.0.3", "10.1.0.3:9464"),
    ],
)
def test_admin_door_is_advertised_where_others_find_it(door: str, host: str, advertised: str | None) -> None:
    """At the instance's host, or at its own; a door on loopback is nobody's business elsewhere."""
    found = advertised_door(Endpoint.parse(door), host)
    assert advertised == (None if found is None else str(found))
