"""The metadata keys."""

from __future__ import annotations

from zkrpc.wire import headers


def test_headers_are_distinct_and_plain_ascii() -> None:
    """They are compared byte by byte by other languages."""
    keys = [value for name, value in vars(headers).items() if name.isupper()]
    assert len(keys) == len(set(keys)) == 13
    assert all(key.isascii() and key.strip() == key for key in keys)
