"""What built-in services may cost: places and tokens, by address."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zkrpc.server.allowance import BURST, MAX_REQUEST, PER_ADDRESS, PLACES, RATE, Allowance


def admits(allowance: Allowance, service: str, address: str, now: float) -> bool:
    """Whether it lets a small request run."""
    return allowance.refusal(service, 100, address, now) is None


def test_one_address_gets_half_of_the_places() -> None:
    """The other half is there for those who ask next; a place that is left is free again."""
    allowance = Allowance()
    assert all(admits(allowance, "zkrpc.Health", "a", 0.0) for _ in range(PER_ADDRESS))
    assert not admits(allowance, "zkrpc.Health", "a", 0.0)
    assert all(admits(allowance, "zkrpc.Health", "b", 0.0) for _ in range(PLACES - PER_ADDRESS))
    assert not admits(allowance, "zkrpc.Health", "c", 0.0)
    allowance.leave("zkrpc.Health", "a")
    assert admits(allowance, "zkrpc.Health", "c", 0.0)
    assert "zkrpc.Health" in repr(allowance)


def test_refusal_says_why() -> None:
    """A size, a rate, or too many; with a hint if waiting a moment helps."""
    allowance = Allowance()
    text, told = allowance.refusal("zkrpc.Health", MAX_REQUEST + 1, "a", 0.0) or ("", None)
    assert "16385 bytes are more" in text and told is not None and told.error == "TooLarge"
    for _ in range(PER_ADDRESS):
        assert admits(allowance, "zkrpc.Health", "a", 0.0)
    text, told = allowance.refusal("zkrpc.Health", 1, "a", 0.0) or ("", None)
    assert text == "zkrpc.Health is asked by too many at once" and told is not None and told.error == "Overloaded"
    while "too many" in text:
        text, told = allowance.refusal("zkrpc.Health", 1, "a", 0.0) or ("", None)
    assert text == "a asks more often than 50 times a second"
    assert told is not None and told.headers["zkrpc-retry-after-ms"] == "20"


def test_one_service_leaves_the_places_of_another_alone() -> None:
    """So that whoever watches something cannot keep a probe from asking for the health."""
    allowance = Allowance()
    for address in ("a", "b"):
        for _ in range(PER_ADDRESS):
            assert admits(allowance, "zkrpc.Introspection", address, 0.0)
    assert not admits(allowance, "zkrpc.Introspection", "c", 0.0)
    assert admits(allowance, "zkrpc.Health", "c", 0.0)


def test_address_that_asks_too_often_is_refused_until_it_pauses() -> None:
    """A burst at once, and then the rate; asking in vain does not make it worse than empty."""
    allowance = Allowance()
    admitted = 0
    for _ in range(3 * int(BURST)):
        if admits(allowance, "zkrpc.Health", "a", 0.0):
            admitted += 1
            allowance.leave("zkrpc.Health", "a")
    assert admitted == BURST
    assert admits(allowance, "zkrpc.Health", "b", 0.0)
    assert not admits(allowance, "zkrpc.Health", "a", 0.5 / RATE)
    assert admits(allowance, "zkrpc.Health", "a", 2 / RATE)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.0, 0.2)), max_size=300))
def test_no_address_gets_more_than_burst_and_rate(asks: list[tuple[str, float]]) -> None:
    """Whatever the pauses between its calls, and whoever else asks."""
    allowance, now, admitted = Allowance(), 0.0, dict.fromkeys("ab", 0)
    for address, pause in asks:
        now += pause
        if admits(allowance, "zkrpc.Health", address, now):
            admitted[address] += 1
            allowance.leave("zkrpc.Health", address)
        assert admitted[address] <= BURST + now * RATE + 1e-6


def test_memory_is_bounded_however_many_addresses_ask() -> None:
    """Those that have not asked for longest are forgotten."""
    allowance = Allowance()
    for number in range(5000):
        assert admits(allowance, "zkrpc.Health", str(number), 0.0)
        allowance.leave("zkrpc.Health", str(number))
    assert len(allowance._tokens) <= 1024 and not allowance._places
