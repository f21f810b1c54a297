"""Whatever is counted, there are never more series than a fixed number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from zkrpc.metrics import table
from zkrpc.metrics.store import MOST_SERIES, MOST_VALUES, Store
from zkrpc.telemetry.events import OTHER


def test_counter_grows_by_its_labels() -> None:
    """Each combination is a series of its own."""
    store = Store()
    store.add(table.CLIENT_CONNECTIONS_CLOSED, "users", "closed")
    store.add(table.CLIENT_CONNECTIONS_CLOSED, "users", "closed", amount=2.0)
    store.add(table.CLIENT_CONNECTIONS_CLOSED, "users", "silent")
    assert store.values(table.CLIENT_CONNECTIONS_CLOSED) == {("users", "closed"): 3.0, ("users", "silent"): 1.0}
    assert store.values(table.DRAINS) == {} and repr(store) == "<Store series=2>"


def test_gauge_is_set_and_histogram_is_kept() -> None:
    """Whoever asks for a histogram again gets the same one."""
    store = Store()
    store.put(table.DRAIN_STEP, "users", "withdraw", value=1.0)
    store.put(table.DRAIN_STEP, "users", "withdraw", value=0.5)
    assert store.values(table.DRAIN_STEP) == {("users", "withdraw"): 0.5}
    first = store.durations(table.GAP, "users", "main")
    assert store.durations(table.GAP, "users", "main") is first
    assert list(store.histograms(table.GAP)) == [(("users", "main"), first)]


def test_label_has_a_number_of_values_and_then_others() -> None:
    """Names that a peer makes up cost one series; those that were there before stay apart, in every metric."""
    store, most = Store(), MOST_VALUES["error_type"]
    for number in range(3 * most):
        store.add(table.REGISTRATION_FAILURES, f"Error{number}")
    values = store.values(table.REGISTRATION_FAILURES)
    assert len(values) == most + 1 and values["Error0",] == 1.0 and values[OTHER,] == 2.0 * most
    assert store.bound(table.SERVER_REFUSED, ("get", "users", "Error9")) == ("get", "users", "Error9")
    assert store.bound(table.SERVER_REFUSED, ("get", "users", "new")) == ("get", "users", OTHER)


def test_metric_has_a_number_of_series() -> None:
    """However few values each label has."""
    store = Store()
    for method in range(200):
        for where in range(90):
            store.add(table.CLIENT_HEDGES, f"m{method}", f"w{where}")
    values = store.values(table.CLIENT_HEDGES)
    assert len(values) == MOST_SERIES + 1 and sum(values.values()) == 200 * 90
    assert values[OTHER, OTHER] == 200 * 90 - MOST_SERIES


@given(some.lists(some.text(alphabet=some.characters(), max_size=300), max_size=20))
def test_any_text_becomes_a_label_that_can_be_written(texts: list[str]) -> None:
    """Long ones are cut, and half a surrogate pair is replaced: it would take the whole page away."""
    store = Store()
    for text in texts:
        store.add(table.REGISTRATION_FAILURES, text)
    assert sum(store.values(table.REGISTRATION_FAILURES).values()) == len(texts)
    for (label,) in store.values(table.REGISTRATION_FAILURES):
        assert len(label) <= 200 and label.encode().decode() == label
