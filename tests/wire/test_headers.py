"""The metadata keys."""

from __future__ import annotations

from zkrpc.wire import headers

KEYS = {name: value for name, value in vars(headers).items() if name.isupper()}
OF_OTHERS = {"DEADLINE_BUDGET": "Deadline-Budget", "TRACEPARENT": "traceparent"}
"""Keys that were not zkrpc's to name."""


def test_headers_are_distinct_and_plain_ascii() -> None:
    """They are compared byte by byte by other languages."""
    assert len(set(KEYS.values())) == len(KEYS) > len(OF_OTHERS)
    assert all(key.isascii() and key.isprintable() and "".join(key.split()) == key for key in KEYS.values())


def test_headers_that_zkrpc_named_begin_with_its_name() -> None:
    """So that all other keys are the application's, now and when zkrpc has more of its own."""
    assert {name: key for name, key in KEYS.items() if not key.startswith("zkrpc-")} == OF_OTHERS
    assert all(key == key.lower() for name, key in KEYS.items() if name not in OF_OTHERS)


def test_headers_are_spelled_as_they_always_were() -> None:
    """Peers of earlier versions know them by these bytes."""
    spelled = {
        "EPOCH": "zkrpc-epoch",
        "SEEN": "zkrpc-seen",
        "ATTEMPT": "zkrpc-attempt",
        "EXECUTED": "zkrpc-executed",
        "ERROR": "zkrpc-error",
        "PRIMARY": "zkrpc-primary",
        "GROUP": "zkrpc-group",
        "MAX_FRAME": "zkrpc-max-frame",
        "MAX_HEADER": "zkrpc-max-header",
        "MAX_ENTRIES": "zkrpc-max-header-entries",
        "CALLER": "zkrpc-caller",
        "CALLER_VERSION": "zkrpc-caller-version",
        "RETRY_AFTER": "zkrpc-retry-after-ms",
        "TRACES": "zkrpc-traces",
    }
    assert (OF_OTHERS | spelled).items() <= KEYS.items()
