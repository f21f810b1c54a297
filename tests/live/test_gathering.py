"""The facts about a real ZooKeeper."""

from __future__ import annotations

import dataclasses
import hashlib
import socket
import time

import pytest

import zkrpc
from zkrpc.endpoint import Endpoint
from zkrpc.inspection.gathering import ask_server, gather, read_answer
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.publication import Publication, pack
from zkrpc.registry.schema import Paths, idl_path

PLACE = Endpoint("10.0.0.1", 2181)
PATHS = Paths("users")


def test_answer_of_a_server_is_read_and_another_says_nothing() -> None:
    """As ZooKeeper 3.4 to 3.9 write it, and what it writes where the word is not allowed."""
    told = read_answer(
        PLACE, "Zookeeper version: 3.9.2-e454e8c7283100c7caec6dcae2bc82aaecb63023, built on\nMode: leader\n"
    )
    assert (told.version, told.mode, told.reachable) == ("3.9.2", "leader", True)
    told = read_answer(PLACE, "srvr is not executed because it is not in the whitelist.")
    assert (told.version, told.mode, told.reachable) == (None, None, True)


def test_server_that_is_silent_or_not_there_costs_a_bounded_time() -> None:
    """The one accepts connections, the other does not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = Endpoint("127.0.0.1", listener.getsockname()[1])
        assert ask_server(place, 0.2).reachable
    told = ask_server(place, 0.2)
    assert not told.reachable and told.version is None


@pytest.mark.zookeeper
def test_facts_of_a_real_ensemble_and_its_services(zookeeper: str) -> None:
    """Whatever there is: a config that clients refuse, a candidate, the sizes of lists."""
    with zkrpc.Registry(zookeeper) as registry:
        assert registry.session.wait_connected(60)
        znodes = registry.session.znodes
        znodes.ensure_path(PATHS.members)
        znodes.ensure_path(f"{PATHS.election('main')}/candidates")
        one = zkrpc.Instance(id="w", endpoint=PLACE)
        znodes.create(PATHS.member("w"), dump_serverset(one), ephemeral=True)
        znodes.create(f"{PATHS.election('main')}/candidates/w.u-0000000001", ephemeral=True)
        znodes.create(PATHS.config, b'{"timeout": 1}')
        facts = gather(registry, ["users"], 60)
        znodes.set(PATHS.config, b'{"methods": {"gte": {"timeout_ms": 1}}}')
        unjudged = gather(registry, ["users"], 60)
        text = "service Users { void get() }"
        said = Publication(interface="Users", digest=hashlib.sha256(text.encode()).hexdigest())
        znodes.ensure_path("/idl")
        znodes.create(idl_path(said.digest), pack(text))
        znodes.set(
            PATHS.member("w"),
            dump_serverset(dataclasses.replace(one, interface=said.interface, idl_digest=said.digest)),
        )
        judged = gather(registry, ["users"], 60)
    assert unjudged.services[0].unknown_names == ()
    assert judged.services[0].unknown_names == ("methods.gte: Users has no method 'gte'; did you mean get?",)
    (server,) = facts.servers
    assert server.mode == "standalone" and server.version is not None and server.version.startswith("3.")
    assert facts.timeout_granted and facts.newest_write is not None and abs(facts.newest_write - time.time()) < 3600
    (told,) = facts.services
    assert told.seen.instances == (one,) and told.candidates == ("w",) and "unknown key" in told.config_refusal
    assert dict(told.sizes)[PATHS.members] == len("member_w") + 4
