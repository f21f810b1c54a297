"""What servers say of themselves, and what is found to be wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.inspection.servers import (
    NotKnown,
    ServerFacts,
    find_clock,
    find_exposed,
    find_full,
    find_leaderless,
    find_mixed,
    find_observers,
    find_old,
    find_size,
    find_strained,
    find_timeouts,
    find_unreachable,
    read_answers,
    tell_identities,
)
from zkrpc.zookeeper.ensemble import Member

PLACES = [Endpoint(f"10.0.0.{number}", 2181) for number in range(6)]
ONE, TWO = (ServerFacts(endpoint=place) for place in PLACES[:2])
CONS = (
    " /10.1.0.1:36042[0](queued=0,recved=1,sent=0)\n /10.1.0.1:36044[1](queued=0)\n /0:0:0:0:0:0:0:1:4321[1](queued)\n"
)


def with_(server: ServerFacts, **fields: object) -> ServerFacts:
    """The server with other facts."""
    return dataclasses.replace(server, **fields)  # type: ignore[arg-type]


def members(*votes: bool) -> tuple[Member, ...]:
    """An ensemble of servers that vote or do not."""
    return tuple(Member(endpoint=place, votes=vote) for place, vote in zip(PLACES, votes))


def refusal(findings: Iterator[str]) -> str:
    """Why they are not known."""
    with pytest.raises(NotKnown) as caught:
        list(findings)
    return str(caught.value)


def test_answers_of_a_server_are_read() -> None:
    """As ZooKeeper 3.4 to 3.9 write them."""
    told = read_answers(
        PLACES[0],
        {
            "srvr": "Zookeeper version: 3.9.2-e454e8c7283100c7caec6dcae2bc82aaecb63023, built on\nMode: leader\n",
            "conf": "clientPort=2181\ndataDir=/d\ndataDirSize=457\nmaxClientCnxns=60\nmembership: \nserver.1=a:1:2\n",
            "cons": CONS,
            "mntr": "zk_version\t3.9.2-x\nzk_outstanding_requests\t0\nzk_avg_latency\t0.25\nzk_server_state\tleader\n",
        },
        "10.0.0.1",
    )
    assert (told.version, told.mode, told.reachable, told.admin) == ("3.9.2", "leader", True, "10.0.0.1")
    assert told.most_connections == 60 and told.connections == {"10.1.0.1": 2, "0:0:0:0:0:0:0:1": 1}
    assert told.figures == {"outstanding_requests": 0.0, "avg_latency": 0.25, "data_dir_size": 457}


def test_answer_that_is_not_allowed_says_nothing() -> None:
    """What ZooKeeper writes then, or nothing at all."""
    words = {word: f"{word} is not executed because it is not in the whitelist." for word in ("srvr", "conf", "mntr")}
    assert read_answers(PLACES[0], {**words, "cons": ""}) == ONE == read_answers(PLACES[0], {})


def test_servers_that_cannot_be_reached_are_found_unless_they_are_in_another_network() -> None:
    """Of ZooKeeper's configuration, if one of its servers can."""
    away, other = with_(ONE, reachable=False), with_(TWO, reachable=False)
    assert list(find_unreachable([away], [other])) == ["10.0.0.0:2181 accepts no connections"]
    assert list(find_unreachable([ONE], [TWO, with_(other, endpoint=PLACES[2])])) == [
        "10.0.0.2:2181, which ZooKeeper's configuration has, accepts no connections"
    ]


@pytest.mark.parametrize(
    ("given", "votes", "finding"),
    [
        (3, (), None),
        (1, (), "the connect string names one server"),
        (4, (), "4 servers survive the loss of no more than 3 would"),
        (1, (True, True, True), None),
        (4, (True, True, True, False), None),
        (2, (True, False), "one server votes"),
        (3, (True, True, False), "2 servers survive the loss of no more than 1 would"),
    ],
)
def test_servers_that_vote_are_counted(given: int, votes: tuple[bool, ...], finding: str | None) -> None:
    """Or those of the connect string, if the others are not known."""
    found = list(find_size([ONE] * given, members(*votes)))
    assert (found == []) if finding is None else (len(found) == 1 and found[0].startswith(finding))


def test_connect_string_of_observers_is_found() -> None:
    """By what they say of themselves, or by ZooKeeper's configuration."""
    watcher, silent = with_(ONE, mode="observer"), TWO
    assert list(find_observers([watcher], [])) == ["the connect string names observers only: 10.0.0.0:2181"]
    assert list(find_observers([ONE, TWO], members(False, False, True))) != []
    assert list(find_observers([watcher, with_(TWO, mode="follower")], [])) == []
    assert list(find_observers([watcher, silent], [])) == []
    assert "does not name it" in refusal(find_observers([ONE], members()))


def test_versions_and_leaders_are_compared() -> None:
    """Of those that tell."""
    old, new = with_(ONE, version="3.4.14", mode="leader"), with_(TWO, version="3.9.2", mode="follower")
    assert list(find_old([old, new])) == ["10.0.0.0:2181 is ZooKeeper 3.4.14"]
    assert list(find_mixed([old, new])) == ["the servers are of different versions: 3.4.14, 3.9.2"]
    assert list(find_mixed([new])) == list(find_leaderless([old, new])) == list(find_leaderless([new, ONE])) == []
    assert list(find_leaderless([new])) == ["no server leads"]
    assert list(find_leaderless([with_(new, mode="observer")])) == []
    assert list(find_leaderless([old, old]))[0].startswith("2 servers lead")
    assert {refusal(find([ONE])) for find in (find_old, find_mixed, find_leaderless)} == {
        "no server answers the four-letter word srvr"
    }


def test_session_asks_who_it_is_only_where_every_server_tells() -> None:
    """An older one would hang up, and one that does not say its version may be older."""
    old, new = with_(ONE, version="3.6.4"), with_(TWO, version="3.10.0")
    assert tell_identities([new]) and tell_identities([with_(ONE, version="3.7.0-beta"), new])
    assert not any(tell_identities(servers) for servers in ([], [old], [new, old], [new, ONE]))


def test_host_that_is_short_of_connections_is_found() -> None:
    """From four fifths of the limit on; zero is none."""
    full = with_(ONE, most_connections=60, connections={"10.1.0.1": 48, "10.1.0.2": 47})
    assert list(find_full([full, TWO])) == ["10.1.0.1 has 48 of the 60 connections that 10.0.0.0:2181 allows"]
    assert list(find_full([with_(full, most_connections=0)])) == []
    assert "4lw.commands.whitelist" in refusal(find_full([with_(full, connections=None), TWO]))


def test_server_with_too_much_to_do_is_found() -> None:
    """With what, and how much."""
    figures = {"outstanding_requests": 250.0, "znode_count": 10.0, "data_log_size": 3e10}
    assert list(find_strained([with_(ONE, figures=figures), TWO])) == [
        "10.0.0.0:2181: 250 requests wait for an answer",
        "10.0.0.0:2181: its logs take 28 GiB of disk",
    ]
    assert "mntr" in refusal(find_strained([ONE]))


def test_admin_server_is_found_at_an_address_of_the_internet_only() -> None:
    """In a private network others guard it."""
    servers = [with_(ONE, admin=address) for address in ("10.0.0.1", "127.0.0.1", "::1", "8.8.8.8")]
    assert list(find_exposed([*servers, TWO])) == ["the AdminServer of 10.0.0.0:2181 answers anybody, at 8.8.8.8"]


def test_timeouts_and_clocks_are_compared() -> None:
    """What is asked for with what is granted, and what was written with now."""
    assert list(find_timeouts(6.0, 6.0)) == list(find_clock(100.0, 99.0)) == list(find_clock(1.0, 99.0)) == []
    assert list(find_timeouts(6.0, 8.0)) == ["sessions ask for 6 s and get 8 s, by minSessionTimeout"]
    assert list(find_timeouts(6.0, 4.0)) == ["sessions ask for 6 s and get 4 s, by maxSessionTimeout"]
    assert list(find_clock(160.0, 99.0)) == ["ZooKeeper's clock is at least 61 s ahead of this machine's"]
    assert refusal(find_timeouts(6.0, None)) == "no session" and "nothing" in refusal(find_clock(None, 99.0))
