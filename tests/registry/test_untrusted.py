"""The parts of what others wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.endpoint import Endpoint
from zkrpc.errors import RemoteProtocolError
from zkrpc.registry.untrusted import load_object, names_in, number_or, read_door, read_endpoint, texts_of


def test_object_whose_names_must_be_there_once_is_refused_otherwise() -> None:
    """At any depth; JSON's readers take the last of them."""
    assert load_object(b'{"a": 1, "a": 2}', 100) == {"a": 2}
    assert load_object(b'{"a": {"b": 1}, "b": [{"b": 2}]}', 100, names_once=True) == {
        "a": {"b": 1},
        "b": [{"b": 2}],
    }
    with pytest.raises(RemoteProtocolError, match="'b' stands twice in one object"):
        load_object(b'{"a": [{"b": 1, "b": 1}]}', 100, names_once=True)


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[]", b"7", b"[" * 9000, b"1" * 5000, b'{"a":NaN}', b'{"a":"\\ud800"}', b" " * 10_001]
)
def test_what_is_no_object_is_refused(payload: bytes) -> None:
    """With one kind of error, which says what is wrong."""
    with pytest.raises(RemoteProtocolError, match="^a note|is not JSON"):
        load_object(payload, 10_000, "a note")


def test_endpoint_is_a_host_and_a_port() -> None:
    """The port may be a text, as other languages' readers take it; a door that cannot be read is none."""
    assert read_endpoint("h", 80) == read_endpoint("h", "80") == read_door("h", "80") == Endpoint("h", 80)
    for host, port in (("", 80), (7, 80), ("h", 0), ("h", 1.5), ("h", True), ("h", "x"), ("h", None), ("h", "9" * 11)):
        assert read_door(host, port) is None
        with pytest.raises(RemoteProtocolError, match="no usable (host|port), but"):
            read_endpoint(host, port)


def test_odd_parts_are_left_out() -> None:
    """Texts that are none, numbers out of range, empty names."""
    assert texts_of({"a": "b", "c": 1, "d": None}) == {"a": "b"} and texts_of([1]) == texts_of(None) == {}
    assert [number_or(text, 10.0, 1.0) for text in ("2.5", "0", "11", "-1", "nan", "x", None)] == [2.5, 0.0, *[1.0] * 5]
    assert names_in("a,,b,") == ("a", "b") and names_in("") == ()


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none()), st.one_of(st.text(), st.integers(), st.floats()))
def test_no_door_raises(host: object, port: object) -> None:
    """Whatever stands there."""
    found = read_door(host, port)
    assert found is None or 0 < found.port < 65536
