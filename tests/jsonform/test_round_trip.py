"""JSON to Thrift and back: nothing is lost either way."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jsonform.every import everything, idl, plainly, type_of
from tests.support.programs import ROOT
from zkrpc.codec.structs import BINARY, COMPACT, Payload, StructCodec
from zkrpc.errors import JsonError
from zkrpc.idl import load
from zkrpc.jsonform import dump, parse, read, write

EVERY = type_of("Every")
CODEC = StructCodec(idl().Every)

FULL = """
{
 "flag": true, "tiny": -128, "small": 32767, "normal": -2147483648, "large": 9223372036854775807, "real": -0.0,
 "text": "a\\u0000\\"b\\\\ ü 🙂", "blob": "AP8=", "color": "BLUE", "key": "01234567-89ab-cdef-0123-456789abcdef",
 "point": {"x": 1}, "shape": {"inner": {"radius": "Infinity"}},
 "tree": {"label": "a", "children": [{"label": "b", "by_name": {"": {"label": "c"}}, "next": {"label": "d"}}]},
 "address": {"zip": 1, "city": "Rome", "lines": ["a"]}, "chosen": {"text": ""},
 "oops": {"why": "", "code": 5, "args": "b"},
 "longs": [9007199254740993, -9223372036854775808], "reals": ["NaN", "-Infinity", 1e+16, 5e-324, 0.1],
 "blobs": ["", "AA=="], "colors": ["RED", 99],
 "tags": ["", "a", "ü"], "odd": ["-Infinity", -1.5, 2.0, "NaN"], "points": [{"x": 1, "y": 2}, {}], "rows": [[1, 2], []],
 "families": [[-1, 3], [1]], "keys": ["01234567-89ab-cdef-0123-456789abcdef"], "chunks": ["", "AA=="],
 "truths": [false, true], "palette": ["RED", "BLUE", 99],
 "names": {"b": "1", "a": "2"}, "by_number": {"-9223372036854775808": false}, "by_truth": {"true": 1, "false": 0},
 "by_real": {"NaN": 1, "-0.0": 2, "1e+300": 3}, "by_color": {"RED": "r", "98": ""}, "by_blob": {"": 0, "AP8=": 1},
 "by_key": {"01234567-89ab-cdef-0123-456789abcdef": 1}, "by_point": [[{"x": 2}, "a"], [{}, "b"]],
 "by_row": [[[1], {"point": {}}], [[], {"name": "n"}]], "by_family": [[[1, 2], [{"y": 1}]]],
 "index": {"i": [1, 2], "": []}, "deep": {"a": {"-1": [{}]}},
 "class": 1, "self": "s", "None": false, "with_default": 9, "hue": "BLUE", "corner": {"x": 1}
}
"""


def through(value: Any, payload: Payload) -> Any:
    """The value that comes out of its bytes."""
    return CODEC.decode(CODEC.encode(value, payload), payload=payload)


def test_json_comes_back_from_thrift_byte_by_byte() -> None:
    """JSON → value → Thrift's bytes → value → JSON, for a struct with a field of every type, in both payloads."""
    text = dump(parse(FULL))
    assert {field for field in parse(FULL)} == {entry[1] for entry in idl().Every.thrift_spec.values()}
    for payload in (BINARY, COMPACT):
        assert dump(write(EVERY, through(read(EVERY, parse(text)), payload))) == text


@settings(max_examples=300, deadline=None)
@given(everything(), st.sampled_from([BINARY, COMPACT]))
def test_any_json_comes_back_from_thrift_byte_by_byte(value: Any, payload: Payload) -> None:
    """The same for random values of every type."""
    text = dump(write(EVERY, value))
    assert dump(write(EVERY, through(read(EVERY, parse(text)), payload))) == text


@settings(max_examples=300, deadline=None)
@given(everything(), st.booleans())
def test_any_value_comes_back_from_json(value: Any, unset: bool) -> None:
    """Value → JSON → value, equal to the last bit, whether what is not set is written or left out."""
    again = read(EVERY, parse(dump(write(EVERY, value, unset=unset))))
    assert plainly(again) == plainly(value)


NOISE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["NaN", "RED", "AA==", "1", "true", "01234567-89ab-cdef-0123-456789abcdef"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["x", "label", "radius", "1", "RED", "true", "why"]) | st.text(), inner, max_size=3
    ),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from([entry[1] for entry in idl().Every.thrift_spec.values()]), NOISE, max_size=3))
def test_what_does_not_fit_is_a_json_error(plain: Any) -> None:
    """Whatever a text holds, reading gives a value that can be sent, or names the place that does not fit."""
    try:
        value = read(EVERY, plain)
    except JsonError as error:
        assert str(error).startswith("$") and ": " in str(error) and "\n" not in str(error)
    else:
        CODEC.encode(value)


def test_the_page_on_json_does_what_it_says() -> None:
    """Its code, on the example that it names."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "json.md").read_text(), re.DOTALL | re.MULTILINE)
    created: list[Any] = []
    users = load(ROOT / "idl" / "users.thrift")

    class Stub:
        """Stands for a stub: what the page calls."""

        def create(self, user: Any) -> None:
            """Notes the user."""
            created.append(user)

        def get(self, id: int) -> Any:
            """The user that was noted."""
            return created[0]

    exec(code, {"idl": users, "users": Stub()})
    assert created == [users.User(id=42, name="Ada")]


@settings(max_examples=200, deadline=None)
@given(everything())
def test_i64_as_text_is_the_same_value_to_whoever_reads_it(value: Any) -> None:
    """Wherever it is, also beyond what a double holds; no other number is written otherwise."""
    assert dump(write(EVERY, read(EVERY, parse(dump(write(EVERY, value, int64_as_text=True)))))) == dump(
        write(EVERY, value)
    )


def test_i64_is_written_as_text_if_that_is_said() -> None:
    """In lists and fields; as a key of a map it is text anyway."""
    made = idl().Every(large=-(2**63), normal=5, longs=[2**53 + 1], by_number={7: True}, index={"i": [1]})
    assert dump(write(EVERY, made, int64_as_text=True)).startswith('{"normal": 5, "large": "-9223372036854775808", ')
    plain = write(EVERY, made, int64_as_text=True)
    assert (plain["longs"], plain["by_number"], plain["index"]) == (["9007199254740993"], {"7": True}, {"i": ["1"]})
    assert plain["with_default"] == 9 and write(EVERY, made)["longs"] == [9007199254740993]
