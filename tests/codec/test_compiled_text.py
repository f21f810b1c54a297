"""Text in the compiled codec: short ASCII is made there, and keys that come again are kept."""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import importlib.util
import sys
import tracemalloc
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.mutation import mutate
from tests.codec.both import PAYLOADS, Both, compiled_shapes
from zkrpc.codec import MAX_ELEMENTS, Payload
from zkrpc.codec.compiled import Shapes
from zkrpc.idl import load_text

IDL = load_text("""
struct Held {
  1: map<string, i32> numbers, 2: set<string> members, 3: list<string> texts, 4: map<string, map<string, string>> inner,
  5: string text, 6: map<set<string>, bool> groups,
}
""")
Held = IDL.Held
LONGEST = 32
"""Bytes of a key that is kept."""
KEPT = 512
"""Keys that are."""
MOST = 128
"""Members that a map or set may have whose keys are kept."""


@pytest.fixture(name="shapes", scope="module")
def _shapes() -> Shapes:
    return compiled_shapes()


def texts() -> st.SearchStrategy[str]:
    """Of every length around those at which something changes, many of them alike but for one character."""
    alike = st.builds(
        lambda length, at, other: ("abcdefgh" * 6)[: min(at, length)] + other + ("x" * 48)[: max(0, length - at - 1)],
        st.integers(0, 40),
        st.integers(0, 40),
        st.sampled_from(["", "x", "y", "\0", "\x7f", "\x80", "\u00e9", "\u20ac", "\U0001f600"]),
    )
    return alike | st.text(max_size=40)


def held() -> st.SearchStrategy[Any]:
    """Structs full of text."""
    some = texts()
    return st.builds(
        Held,
        st.dictionaries(some, st.integers(-9, 9), max_size=12),
        st.sets(some, max_size=12),
        st.lists(some, max_size=12),
        st.dictionaries(some, st.dictionaries(some, some, max_size=2), max_size=3),
        some,
        st.dictionaries(st.frozensets(some, max_size=3), st.booleans(), max_size=2),
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(held(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_text_is_what_the_python_path_makes(values: list[Any], rng: Any) -> None:
    """Also of bytes that are no UTF-8 any more, and with whatever was kept before."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        both = Both(Held, compiled_shapes(), monkeypatch)
        for payload in PAYLOADS:
            bodies = [both.encode(value, payload) for value in values]
            for body in (*bodies, *bodies, *(mutate(bodies, rng) for _ in range(20))):
                both.decode(body, payload)
        assert both.left["encoding"] == 0


@pytest.mark.parametrize("length", [*range(42), 64, 127, 128, 129, 1000])
@pytest.mark.parametrize("at", [0, 0.3, 0.5, 0.99])
def test_each_byte_of_a_text_is_looked_at(
    length: int, at: float, shapes: Shapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte that is no ASCII is found anywhere, as is one by which two keys differ."""
    both = Both(Held, shapes, monkeypatch)
    text = "".join(chr(97 + place % 26) for place in range(length))
    place = int(at * length)
    for payload in PAYLOADS:
        body = both.encode(Held({text: 1}, {text}, [text], text=text), payload)
        assert both.decode(body, payload)
        if text:
            for other in (b"~", b"\x80", b"\xff"):
                bad = text.encode()[:place] + other + text.encode()[place + 1 :]
                assert both.decode(body.replace(text.encode(), bad), payload) is (other == b"~")
            both.decode(body, payload)


def keys_of(shape: Any, value: Any, field: str) -> list[str]:
    """What comes back of the keys of one field, in their order."""
    return sorted(getattr(shape.decode(shape.encode(value, False), 0, False, MAX_ELEMENTS), field))


def test_keys_that_come_again_are_the_same_object(shapes: Shapes) -> None:
    """In maps and sets, if they are short and ASCII, and there are not many of them; other text is no key."""
    shape: Any = shapes.of_class(Held)
    for field in ("numbers", "members"):

        def read(*keys: str) -> list[str]:
            made: Any = set(keys) if field == "members" else dict.fromkeys(keys, 1)
            return keys_of(shape, Held(**{field: made}), field)

        for length in (2, 3, 4, 7, 8, 9, 16, 17, LONGEST):
            (first,), (second,) = read("k" * length), read("k" * length)
            assert first is second and first == "k" * length
        for key in ("k" * (LONGEST + 1), "\u00e9\u00e9", "\u20ac" * 5):
            (first,), (second,) = read(key), read(key)
            assert first is not second and first == second == key
        many = [f"key {number}" for number in range(MOST + 1)]
        assert all(first is not second for first, second in zip(read(*many), read(*many)))
    body = shape.encode(Held(text="a text", texts=["a text"]), False)
    one, other = (shape.decode(body, 0, False, MAX_ELEMENTS) for _ in range(2))
    assert one.text is not other.text and one.texts[0] is not other.texts[0]


def test_what_is_kept_does_not_grow(shapes: Shapes) -> None:
    """However many keys a peer makes up."""
    shape: Any = shapes.of_class(Held)

    def work(name: str) -> int:
        for number in range(200):
            keys = {f"{name} {number} {at}": at for at in range(MOST)}
            shape.decode(shape.encode(Held(keys), False), 0, False, MAX_ELEMENTS)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = work("before")
        after = work("behind")
    finally:
        tracemalloc.stop()
    assert after - before < KEPT * 20


def another() -> ModuleType:
    """The compiled part once more, as another interpreter has it."""
    path = str(importlib.import_module("zkrpc.codec._compiled").__file__)
    loader = importlib.machinery.ExtensionFileLoader("another._compiled", path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("payload", PAYLOADS)
def test_kept_keys_go_with_their_module(payload: Payload, shapes: Shapes) -> None:
    """Each module has its own."""
    mine, compact = shapes.of_class(Held), payload is Payload.COMPACT
    assert mine is not None
    other: Any = Shapes(another().Shape).of_class(Held)
    body = mine.encode(Held({"a key of one's own": 1}), compact)
    assert body is not None
    (key,) = other.decode(body, 0, compact, MAX_ELEMENTS).numbers
    (again,) = other.decode(body, 0, compact, MAX_ELEMENTS).numbers
    (elsewhere,) = mine.decode(body, 0, compact, MAX_ELEMENTS).numbers
    assert key is again and key is not elsewhere
    del again
    held_before = sys.getrefcount(key)
    del other
    gc.collect()
    assert sys.getrefcount(key) == held_before - 1
