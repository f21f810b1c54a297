"""The targets with inputs that Hypothesis finds and shrinks, and the seeds that they begin with."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import corpus
from fuzz.mutation import LONGEST, chunks, mutate
from fuzz.server_target import HONEST, SECRET, Dispatcher, Leak
from fuzz.targets import Target, targets
from fuzz.wire_targets import LIMITS
from zkrpc.idl import load_text
from zkrpc.idl.build import _built
from zkrpc.registry.formats import parse_record
from zkrpc.registry.service_config import parse_service_config
from zkrpc.wire.server import ServerProtocol

NAMES = (
    "detection",
    "frames",
    "header",
    "server",
    "client",
    "dispatcher",
    "znodes",
    "config",
    "snapshot",
    "tls",
    "idl",
)
SLOW = {"dispatcher", "tls", "idl", "snapshot"}


@pytest.fixture(scope="module")
def all_targets() -> Iterator[Mapping[str, Target]]:
    """What they started ends with the module."""
    with targets() as found:
        yield found


def test_targets_are_known_and_share_all_there_is(all_targets: Mapping[str, Target]) -> None:
    """A hundred parts in all."""
    assert tuple(all_targets) == NAMES
    assert sum(target.share for target in all_targets.values()) == 100


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_taken(all_targets: Mapping[str, Target], name: str) -> None:
    """As they are, by the target that they are for."""
    target = all_targets[name]
    for number, data in enumerate(target.seeds()):
        target.run(data, random.Random(number))


@pytest.mark.parametrize("name", NAMES)
def test_what_chance_has_spoilt_is_taken(all_targets: Mapping[str, Target], name: str) -> None:
    """Hypothesis decides where chance begins, and makes what fails as small as it can."""
    target = all_targets[name]
    seeds = target.seeds()

    @settings(max_examples=20 if name in SLOW else 100, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(st.integers(0, 2**32 - 1), st.binary(max_size=64))
    def feed(start: int, noise: bytes) -> None:
        # Hypothesis' own source of chance would have to be asked the same again, which fresh keys of TLS do not allow.
        rng = random.Random(start)
        target.run(mutate(seeds, rng) + noise, rng)
        target.run(noise, rng)

    feed()


def test_an_idl_leaves_nothing_loaded(all_targets: Mapping[str, Target]) -> None:
    """Else ten thousand of them would be most of the memory that a campaign uses."""
    target, known, loaded = all_targets["idl"], set(_built), set(sys.modules)
    for number, data in enumerate(target.seeds()):
        target.run(b"enum E%d { A }\n" % number + data, random.Random(number))
    assert set(_built) == known and not [name for name in set(sys.modules) - loaded if "fuzzed" in name]


def test_seeds_are_good() -> None:
    """A seed that is refused at its first byte would leave the rest unread."""
    for text in corpus.idls():
        load_text(text.decode())
    for document in corpus.configs():
        parse_service_config(document, max_size=10_000)
    assert sum(parse_record("member_x", one) is not None for one in corpus.records()[:4]) == 4
    taken = 0
    for stream in corpus.calls():
        protocol = ServerProtocol(LIMITS, 0.0)
        protocol.receive_data(stream, 0.0)
        taken += bool(protocol.next_request() or protocol.aside or protocol.has_news)
    assert taken >= 0.85 * len(corpus.calls())


def test_same_chance_does_the_same() -> None:
    """So a seed repeats a campaign; hardly two inputs are alike, and none grows without end."""
    some, again = ([mutate(corpus.calls(), rng) for _ in range(300)] for rng in (random.Random(3), random.Random(3)))
    assert some == again and len(set(some)) > 270
    assert max(map(len, some)) <= LONGEST


def test_pieces_are_the_whole() -> None:
    """However they are cut, and none is empty, as that would be the end of a stream."""
    rng = random.Random(2)
    for size in (1, 2, 3, 100, 1000):
        data = rng.randbytes(size)
        for _ in range(100):
            pieces = chunks(data, rng)
            assert b"".join(pieces) == data and all(pieces)


@pytest.mark.parametrize("canary", [SECRET, HONEST])
def test_a_canary_in_an_answer_is_a_leak(canary: str) -> None:
    """Whatever it is that gives it away: here the caller asks for it itself."""
    dispatcher = Dispatcher()
    try:
        with pytest.raises(Leak, match=canary):
            for number in range(50):  # chance may cut the call so that the answer comes too late to be seen
                dispatcher(corpus.call("echo", canary), random.Random(number))
    finally:
        dispatcher.close()


def test_what_nobody_expects_of_a_handler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the framework's own while it serves is none of ours and none of the handler's."""
    monkeypatch.setattr("fuzz.server_target._EXPECTED", {"GreenletExit"})
    dispatcher = Dispatcher()
    try:
        with pytest.raises(AssertionError, match="echo failed with ValueError"):
            for number in range(50):
                dispatcher(corpus.call("echo", corpus.BOOM), random.Random(number))
    finally:
        dispatcher.close()
