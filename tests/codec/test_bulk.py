"""Long texts and bytes among other fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zkrpc.codec.bulk import LONG
from zkrpc.idl import load


@pytest.fixture(scope="module")
def methods(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A method with long things among short ones."""
    path: Path = tmp_path_factory.mktemp("idl") / "files.thrift"
    path.write_text("service Files { void store(1: i64 id, 2: string name, 5: binary data, 6: list<i32> marks) }")
    return load(path).Files.methods


@pytest.mark.parametrize(
    "arguments",
    [
        (7, "short", b"x" * LONG, [1, 2]),
        (7, "\u00e9" * LONG, b"short", None),
        (7, "l" * LONG, b"\xff" * LONG, []),
        (None, None, b"x" * LONG, None),
    ],
)
def test_long_values_are_read_like_short_ones(methods: Any, arguments: tuple[Any, ...]) -> None:
    """The order of fields on the wire means nothing; that the slow way was not taken shows in it."""
    method = methods["store"]
    body = method.encode_arguments(method.bind(arguments, {}))
    assert method.decode_arguments(body, 0) == arguments
    assert body.startswith(b"\x0b") is (arguments[0] is None)


def test_what_else_does_not_fit_is_named_as_ever(methods: Any) -> None:
    """A number in a list, and a text that is none, beside something long."""
    method = methods["store"]
    with pytest.raises(TypeError, match="marks"):
        method.encode_arguments(method.bind((7, "n", b"x" * LONG, [1 << 40]), {}))
    with pytest.raises(TypeError, match="name"):
        method.encode_arguments(method.bind((7, "\ud800", b"x" * LONG, []), {}))
