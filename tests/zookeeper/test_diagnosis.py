"""What is said of a ZooKeeper that cannot be reached, and when."""

from __future__ import annotations

from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.diagnosis import Complain, Diagnosis, DiagnosisState, Recovered, Trouble

ONE, TWO = Endpoint("10.0.0.1", 2181), Endpoint("10.0.0.2", 2181)


def said(diagnosis: Diagnosis, until: float) -> list[tuple[float, str]]:
    """What is logged until then, and when, by the machine's own timers."""
    lines = []
    while (due := diagnosis.next_timer()) is not None and due <= until:
        diagnosis.handle_timer(due)
        lines += [(due, effect.text) for effect in diagnosis.effects()]
    return lines


def refused(diagnosis: Diagnosis, *servers: Endpoint, now: float = 0.0) -> None:
    """Each is tried, and refuses."""
    for server in servers:
        diagnosis.begin(server, Trouble.SILENT, now)
        diagnosis.receive_failure(server, Trouble.REFUSED, now)


def test_a_short_trouble_makes_no_noise() -> None:
    """A server is restarted, a leader elected: over before anybody would want to read of it."""
    diagnosis = Diagnosis([ONE])
    assert diagnosis.next_timer() is None and diagnosis.describe(0.0) == ""
    diagnosis.receive_lost(10.0)
    refused(diagnosis, ONE, now=10.1)
    assert diagnosis.describe(11.0) == "for 1 s: 10.0.0.1:2181: connection refused: nothing listens there"
    diagnosis.receive_connected(11.4)
    assert said(diagnosis, 100.0) == [] and diagnosis.state is DiagnosisState.WELL and diagnosis.describe(100.0) == ""


def test_trouble_is_told_soon_then_rarely_and_its_end_once() -> None:
    """Before two seconds are over, with the address; then with doubled pauses and how long it has lasted."""
    diagnosis = Diagnosis([ONE])
    refused(diagnosis, ONE)
    lines = said(diagnosis, 3600.0)
    assert [round(at, 1) for at, _ in lines] == [1.5, 31.5, 91.5, 211.5, 451.5, 931.5, 1531.5, 2131.5, 2731.5, 3331.5]
    assert lines[0][1] == "no ZooKeeper session for 1.5 s: 10.0.0.1:2181: connection refused: nothing listens there"
    assert "for 56 min" in lines[-1][1]
    diagnosis.receive_connected(4000.0)
    assert diagnosis.describe(4000.1) == ""
    assert said(diagnosis, 9999.0) == [(4002.0, "there is a ZooKeeper session again, after 67 min")]
    refused(diagnosis, ONE, now=20000.0)
    assert [at for at, _ in said(diagnosis, 20030.0)] == [20001.5]


def test_what_is_still_under_way_is_told_too() -> None:
    """The first attempt may wait for longer than anybody wants to wait for a word."""
    diagnosis = Diagnosis([ONE])
    diagnosis.begin(ONE, Trouble.SILENT, 0.0)
    assert diagnosis.describe(0.3) == "for 0.3 s: 10.0.0.1:2181: nothing has answered yet"
    ((at, line),) = said(diagnosis, 20.0)
    assert at == 1.5 and "10.0.0.1:2181: no answer to the connection attempt: it is switched off" in line


def test_another_reason_is_told_soon_but_never_floods() -> None:
    """A ZooKeeper that comes back and hangs up is news; two reasons that alternate for ever are not."""
    diagnosis = Diagnosis([ONE])
    refused(diagnosis, ONE)
    assert len(said(diagnosis, 2.0)) == 1
    diagnosis.receive_failure(ONE, Trouble.HANGS_UP_ON_US, 2.0)
    ((at, line),) = said(diagnosis, 20.0)
    assert at == 6.5 and "maxClientCnxns" in line and "higher transaction id" in line
    count = 0
    for second in range(20, 3620):
        diagnosis.receive_failure(ONE, (Trouble.MUTE, Trouble.REFUSED)[second % 2], float(second))
        count += len(said(diagnosis, float(second)))
    assert count < 20


def test_servers_are_told_together_by_what_is_wrong_with_them() -> None:
    """Each address is named; of very many only a few."""
    diagnosis = Diagnosis([ONE, TWO, Endpoint("zk3", 2181)])
    refused(diagnosis, ONE, TWO)
    diagnosis.receive_failure(Endpoint("zk3", 2181), Trouble.UNKNOWN_NAME, 0.0, "Name or service not known")
    assert diagnosis.describe(1.0) == (
        "for 1 s: 10.0.0.1:2181, 10.0.0.2:2181: connection refused: nothing listens there; "
        "zk3:2181: its name is not known (Name or service not known)"
    )
    many = [Endpoint("zk", port) for port in range(1, 10)]
    crowd = Diagnosis(many)
    refused(crowd, *many)
    assert "zk:1, zk:2, zk:3, zk:4, zk:5 and 4 more: connection refused" in crowd.describe(1.0)


def test_a_session_that_is_taken_and_dropped_is_one_trouble() -> None:
    """On and on, twice a second: not well in between, and not news each time."""
    diagnosis = Diagnosis([ONE])
    lines = []
    for half in range(100):
        diagnosis.receive_connected(half / 2)
        diagnosis.receive_failure(ONE, Trouble.UNAUTHORIZED, half / 2 + 0.25)
        lines += said(diagnosis, half / 2 + 0.25)
    assert len(lines) == 2 and all("authentication failed" in line for _, line in lines)
    assert not any("again" in line for _, line in lines)
    assert "for 50 s" in diagnosis.describe(49.75)


def test_effects_are_told_apart() -> None:
    """A shell logs a complaint and its end in different ways."""
    diagnosis = Diagnosis([ONE])
    refused(diagnosis, ONE)
    diagnosis.handle_timer(1.0)
    assert diagnosis.effects() == []
    diagnosis.handle_timer(1.5)
    diagnosis.receive_connected(2.0)
    diagnosis.handle_timer(4.0)
    assert [type(effect) for effect in diagnosis.effects()] == [Complain, Recovered]
    assert repr(diagnosis) == "<Diagnosis well 1 of 1 servers failed>"
