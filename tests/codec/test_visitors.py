"""The generated checks, through what they find."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.codec.rich import idl
from zkrpc.codec import StructCodec
from zkrpc.codec.shape import fields_of, type_of
from zkrpc.codec.visitors import (
    COMPLETE,
    EXPLAIN,
    FITS,
    STRICT_TEXT,
    TEXT,
    Rule,
    SuspectText,
    Visitors,
    fits_double,
    fits_integer,
    misfit,
)
from zkrpc.errors import RemoteProtocolError
from zkrpc.idl import load_text

Rich, Point, Shape, Node, Oops = (getattr(idl(), name) for name in ("Rich", "Point", "Shape", "Node", "Oops"))


def check(visitors: Visitors, value: Any) -> None:
    """Runs the visitor of the value's class."""
    visitor = visitors.of_class(type(value))
    assert visitor is not None
    visitor(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Rich(text=b"bytes"), "Rich.text must be a str, got b'bytes'"),
        (Rich(blob="text"), "Rich.blob must be bytes, got 'text'"),
        (Rich(flag="no"), "Rich.flag must be a bool, got 'no'"),
        (Rich(flag=0), "Rich.flag must be a bool, got 0"),
        (Rich(point=Shape()), "Rich.point must be a Point, got Shape"),
        (Rich(numbers="abc"), r"Rich.numbers must be a list or tuple \(list<i32>\), got 'abc'"),
        (Rich(numbers={1: 2}), "Rich.numbers must be a list or tuple"),
        (Rich(tags=["a", "a"]), "Rich.tags must be a set or frozenset"),
        (Rich(flags=[1]), "Rich.flags must be a dict"),
        (Rich(words=["a", None]), r"Rich.words\[\] must be a str, got None"),
        (Rich(bits=[True, 1]), r"Rich.bits\[\] must be a bool, got 1"),
        (Rich(places={Point(1, 2): b"x"}), r"Rich.places\[\] must be a str"),
        (Rich(places={(1, 2): "x"}), r"Rich.places\[\] must be a Point"),
        (Rich(nested=[[b"a"], ["b"]]), r"Rich.nested\[\]\[\] must be bytes"),
        (Rich(tree=Node("a", [Node("b", [Node()])])), "Node.label is required"),
        (Rich(shape=Shape()), "Shape is a union: set exactly one of point, radius, name"),
        (Rich(shapes={"a": [Shape(radius=1.0, name="b")]}), "Shape is a union: set exactly one"),
        (Rich(shape=Shape(name=b"x")), "Shape.name must be a str"),
    ],
)
def test_fits_finds_what_the_c_module_would_let_pass(value: Any, message: str) -> None:
    """The wrong value is named with its field, however deep."""
    for visitors in (FITS, EXPLAIN):
        with pytest.raises(TypeError, match=message):
            check(visitors, value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Rich(normal=1.5), "Rich.normal must be an i32, got 1.5"),
        (Rich(tiny=128), "Rich.tiny must be an i8, got 128"),
        (Rich(large=1 << 63), "Rich.large must be an i64"),
        (Rich(real="1"), "Rich.real must be a double, got '1'"),
        (Rich(real=10**400), "Rich.real must be a double"),
        (Rich(points={Point("x")}), "Point.x must be an i32, got 'x'"),
        (Rich(text="\ud800"), "Rich.text must be text without surrogates"),
    ],
)
def test_explain_finds_numbers_too(value: Any, message: str) -> None:
    """What FITS leaves to the C module, EXPLAIN can name afterwards."""
    check(FITS, value)
    with pytest.raises(TypeError, match=message):
        check(EXPLAIN, value)


class Whole:
    """A number of somebody else's making."""

    def __index__(self) -> int:
        return 5


def test_numbers_of_other_classes_fit() -> None:
    """As for the C module: whatever says it is an integer, and integers as doubles."""
    check(EXPLAIN, Rich(normal=Whole(), small=True, real=3))
    assert fits_integer(Whole(), 8) and not fits_integer("5", 8) and not fits_integer(-129, 8)
    assert fits_double(1) and not fits_double(b"1") and not fits_double(None)


def test_fits_accepts_subclasses_and_frozen_containers() -> None:
    """A str is a str, a tuple is a list, a frozenset is a set."""
    text = type("Text", (str,), {})("a")
    check(EXPLAIN, Rich(text=text, numbers=(1, 2), tags=frozenset({"a"}), point=type("Here", (Point,), {})(1, 2)))


def test_complete_finds_what_did_not_come() -> None:
    """A missing required field is the peer's mistake; so are two members of a union. No member may be a newer one."""
    with pytest.raises(RemoteProtocolError, match="Node.label is required and did not come"):
        check(COMPLETE, Rich(tree=Node("a", None, {"b": Node()})))
    with pytest.raises(RemoteProtocolError, match="Shape came with two members"):
        check(COMPLETE, Rich(shape=Shape(radius=1.0, name="b")))
    check(COMPLETE, Rich(shape=Shape(), tree=Node("a")))


def test_text_suspects_replacement_characters() -> None:
    """Wherever a string is; never in bytes."""
    for value in (Rich(text="a\ufffd"), Rich(places={Point(1): "\ufffd"}), Rich(tree=Node("", [Node("\ufffd")]))):
        with pytest.raises(SuspectText):
            check(TEXT, value)
    check(TEXT, Rich(text="fine é \u20ac", blob="\ufffd".encode()))


def test_strict_text_decodes_bytes() -> None:
    """Strings left as bytes are decoded, defaults are strs already."""
    with pytest.raises(UnicodeDecodeError):
        check(STRICT_TEXT, Rich(words=[b"ok", b"\xff"]))
    check(STRICT_TEXT, Rich(text="default", words=[b"ok"], blob=b"\xff"))


def test_visitor_is_none_where_there_is_nothing_to_look_for() -> None:
    """A struct pays only for what it contains."""
    assert FITS.of_class(Point) is None and COMPLETE.of_class(Point) is None and TEXT.of_class(Point) is None
    assert TEXT.of_value(type_of((15, 8)), "numbers") is None
    assert COMPLETE.of_class(Oops) is not None and COMPLETE.of_class(Oops) is COMPLETE.of_class(Oops)


def test_structs_of_one_name_have_visitors_of_their_own() -> None:
    """Two IDLs may both have a Point, with other fields."""
    ours = type("Point", (), {"thrift_spec": {1: (11, "x", True)}, "x": None})
    with pytest.raises(TypeError, match="Point.x is required"):
        check(FITS, ours())
    assert FITS.of_class(Point) is None


def test_empty_union_is_never_set() -> None:
    """A union without members cannot be sent."""
    empty = type("Empty", (), {"thrift_spec": {}, "_is_union": True})
    with pytest.raises(TypeError, match="set exactly one"):
        check(FITS, empty())


def test_visitors_of_fields_and_values_speak_of_their_owner() -> None:
    """For arguments and results, which are no structs of the IDL."""
    visitor = FITS.of_fields("Users.put", fields_of(Node))
    assert visitor is not None
    with pytest.raises(TypeError, match="Users.put.label must be a str"):
        visitor(Node(5))
    visitor = EXPLAIN.of_value(type_of((15, 8)), "the result")
    assert visitor is not None
    with pytest.raises(TypeError, match=r"the result\[\] must be an i32"):
        visitor([1, 2.5])


def test_misfit_cuts_long_values() -> None:
    """A message is a line, not a dump."""
    assert len(str(misfit("here", "a str", b"x" * 1000))) < 100


def test_rule_looks_for_nothing_by_itself() -> None:
    """Rules say what they look for; the base says nothing."""
    rule = Rule()
    assert rule.value(type_of(8), "it", "here") == rule.absent(fields_of(Point)[0], "here") == []
    assert rule.union(Shape, fields_of(Shape)) == []


def nearly_full(left: int, action: Callable[[], object]) -> None:
    """Does something with a part of the stack used."""
    if left <= 0:
        action()
    else:
        nearly_full(left - 1, action)


def test_codec_that_lacked_stack_checks_everything_later() -> None:
    """Wherever it gave up; half of what was to be checked would be worse than an error."""
    failed = 0
    for left in range(150):
        made = load_text(
            f"// {left}\nstruct A {{ 1: B b, 2: A a }} struct B {{ 1: list<C> c }} struct C {{ 1: required string x }}"
        )
        try:
            nearly_full(sys.getrecursionlimit() - len(inspect.stack(0)) - left, lambda: StructCodec(made.A))
        except RecursionError:
            failed += 1
        codec, value = StructCodec(made.A), made.A(made.B([made.C("\ufffd")]))
        assert codec.decode(codec.encode(value)) == value
        with pytest.raises(TypeError, match="C.x is required"):
            codec.encode(made.A(made.B([made.C()])))
        with pytest.raises(RemoteProtocolError, match="C.x is required and did not come"):
            codec.decode(bytes.fromhex("0c00010f00010c000000010000 00".replace(" ", "")))
    assert failed > 10


def test_what_is_held_a_thousand_deep_is_known() -> None:
    """Structs in structs in structs, with something to look for in the last only."""
    chain = "\n".join(f"struct T{at} {{ 1: T{at + 1} t }}" for at in range(1000))
    deepest = load_text(f"{chain}\nstruct T1000 {{ 1: string text }}")
    assert TEXT.of_class(deepest.T0) is not None and COMPLETE.of_class(deepest.T0) is None
