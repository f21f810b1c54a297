"""The compiled codec beside the Python one: it says yes only where that does, to the same value and the same bytes."""

from __future__ import annotations

import collections
import decimal
import gc
import random
import sys
import tracemalloc
import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.mutation import mutate
from tests.codec.both import (
    PAYLOADS,
    Both,
    both_of,
    compiled_shapes,
    methods_of,
    outcome_of,
    schema,
    struct,
    try_out,
)
from tests.jsonform import every
from tests.jsonform.every import plainly
from zkrpc.codec import Payload, StructCodec, structs
from zkrpc.codec.compiled import SHAPES, Shapes
from zkrpc.codec.shape import Field, FieldType, Kind, fields_of, mark_refused
from zkrpc.errors import IdlError, RemoteProtocolError
from zkrpc.idl import load_text

IDL = load_text("""
struct Point { 1: i32 x, 2: string s }
struct Holder {
  1: list<Point> items, 2: map<i32, Point> by_number, 3: set<Point> members, 4: Point one, 5: map<Point, string> places,
  6: list<list<Point>> rows, 7: uuid key, 8: double real, 9: set<i32> numbers, 10: string text, 11: bool flag,
}
union Either { 1: Point point, 2: i32 number = 3 }
struct Odd { 1: list<i32> numbers = [1, 2], 2: Either either, 3: required string name = "n" }
exception Oops { 1: required string why, 2: Oops cause }
service S {
  list<Point> f(1: string text, 2: required list<i64> numbers = [1], 3: Point point = {"x": 3}, 4: bool flag = true)
    throws (1: Oops oops),
  void g(1: binary only) throws (1: Oops oops),
  string h(),
}
""")
Point, Holder, Either, Odd, Oops = (getattr(IDL, name) for name in ("Point", "Holder", "Either", "Odd", "Oops"))


@pytest.fixture(name="shapes", scope="module")
def _shapes() -> Shapes:
    return compiled_shapes()


def shape_of(struct: type, shapes: Shapes) -> Any:
    """Its shape, which there is."""
    shape = shapes.of_class(struct)
    assert shape is not None
    return shape


# Beside the Python path


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32))
def test_random_schemas_values_and_bodies(seed: int) -> None:
    """Truncated, flipped, repeated, with other types and huge counts. What only the Python path takes is rare."""
    rng = random.Random(seed)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for both in both_of(schema(rng), compiled_shapes(), monkeypatch):
            try_out(both, rng, 10)
            assert both.left["encoding"] == 0 and both.left.total() <= 30


@settings(max_examples=40, deadline=None)
@given(every.everything(), st.binary(max_size=3), st.randoms(use_true_random=False))
def test_every_type(value: Any, head: bytes, rng: random.Random) -> None:
    """Of the struct that has a field of each, at any offset."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        both = Both(every.idl().Every, compiled_shapes(), monkeypatch)
        for payload in PAYLOADS:
            body = both.encode(value, payload)
            assert both.decode(head + body, payload, len(head))
            both.decode(mutate([body], rng), payload)
        assert both.left["encoding"] == 0


@pytest.mark.parametrize("payload", PAYLOADS)
def test_budget_is_the_same_to_the_element(payload: Payload, shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every budget that is too small, and the first that is not; strings, numbers, containers, in any mixture."""
    rng = random.Random(7)
    for _ in range(12):
        for both in both_of(schema(rng), shapes, monkeypatch):
            body = both.encode(struct(both.cls, rng), payload)
            for most in range(0, len(body), 1 + len(body) // 60):
                both.read(body, payload, most)
            assert both.left.total() == 0


def test_arguments_and_results(shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With defaults, none, an exception, nothing; and with each byte of each body changed, or cut off."""
    for name, args, values in (
        ("f", ("te\u00e9t", [1, 1 << 40], Point(1, "p"), False), ([Point(1, "a")], [])),
        ("f", ("x" * 5000, [], None, None), ()),
        ("f", (None, None, None, None), ([5], None, [Point("x")])),
        ("g", (b"\xff\0",), (None, "dropped")),
        ("h", (), ("", "\u20ac", "\ud800", b"bytes")),
    ):
        (taking, giving), (pure_taking, pure_giving) = methods_of(IDL.S.methods[name], shapes, monkeypatch)
        for payload in PAYLOADS:
            bodies = [
                pure_taking.encode(pure_taking.bind(args, {}), payload),
                b"\0",
                b"\0\0",
                b"",
            ]
            body = taking.encode(taking.bind(args, {}), payload)
            assert sorted(body) == sorted(bodies[0])
            for one in (body, *around(bodies[0]), *bodies):
                results = [outcome_of(lambda: some.decode(one, 0, payload)) for some in (taking, pure_taking)]
                assert results[0] == results[1]
            bodies = [b"\0", b"\x0c\0\1\0\0"]
            for value in values:
                sent = [outcome_of(lambda: some.encode_value(value, payload)) for some in (giving, pure_giving)]
                assert sent[0] == sent[1]
                bodies += [sent[0][1][1]] if sent[0][0] == "returned" else []
            for raised in (
                Oops("why", Oops("deep")),
                Oops(),
                type("Mine", (Oops,), {})("mine"),
                ValueError(),
            ):
                sent = [outcome_of(lambda: some.encode_exception(raised, payload)) for some in (giving, pure_giving)]
                assert sent[0] == sent[1]
                if sent[0][0] == "returned" and isinstance(sent[0][1], tuple):
                    bodies.append(sent[0][1][1])
            for one in [each for body in bodies for each in (body, *around(body))]:
                results = [outcome_of(lambda: some.read(one, 0, payload)) for some in (giving, pure_giving)]
                assert results[0] == results[1], one


_MISFITS = st.sampled_from(
    [None, 5, 1 << 31, 1 << 63, 0.5, b"x", "x", "\ud800", [1], ["a", None], (), {}, Point(1), Oops()]
)
_ARGUMENTS = st.tuples(
    st.one_of(st.text(max_size=5), st.just("x" * 5000), _MISFITS),
    st.one_of(st.none(), st.lists(st.integers(-(1 << 63), 1 << 63), max_size=3), _MISFITS),
    st.one_of(st.builds(Point, st.integers(0, 1 << 31), st.just("s")), _MISFITS),
    st.one_of(st.none(), st.booleans(), _MISFITS),
)


@settings(max_examples=150, deadline=None)
@given(_ARGUMENTS, st.integers(0, 4), st.integers(0, 4))
def test_arguments_are_packed_as_they_are_bound_and_encoded(values: Any, by_place: int, given_: int) -> None:
    """By place and by name, with defaults, and with what does not fit, which both refuse in the same words."""
    args, kwargs = values[:by_place], dict(list(zip(("text", "numbers", "point", "flag"), values))[by_place:given_])
    with pytest.MonkeyPatch.context() as monkeypatch:
        (taking, _), (pure, _) = methods_of(IDL.S.methods["f"], compiled_shapes(), monkeypatch)
    outcomes = [outcome_of(lambda: vars(some.bind(args, kwargs))) for some in (taking, pure)]
    assert outcomes[0] == outcomes[1]
    if outcomes[0][0] == "returned":
        bag, body = taking.pack(args, kwargs)
        pure_bag, nothing = pure.pack(args, kwargs)
        sent = [outcome_of(lambda: sorted(some.encode(it))) for some, it in ((taking, bag), (pure, pure_bag))]
        assert sent[0] == sent[1] and nothing is None
        # What is left to the encoding, it refuses, but for a default that must be copied and is required.
        assert body is None or body == taking.encode(bag)
        assert body is not None or sent[0][0] == "TypeError" or (args[1:2] or [kwargs.get("numbers")])[0] is None
    assert taking.attempt_pack is not None and pure.attempt_pack is None


def test_packing_takes_what_there_is(shapes: Shapes) -> None:
    """And nothing else; what ends a greenlet is passed on."""
    fields = fields_of(Holder)[3:4]
    shape: Any = shapes.of_fields(fields, {})
    bag = type("bag", (), {"one": None})
    for values in ((), (Point(1), Point(2)), [Point(1)], 5, (meddling(raising(ValueError)),), (Oops(),)):
        assert shape.pack(bag, values) is None
    assert shape.pack(bag, (None,))[1] == b"\0"
    assert shape.pack(5, (None,)) is type(shape)().pack(bag, (None,)) is None
    for arguments in ((), (bag,), (bag, (None,), 1)):
        with pytest.raises(TypeError):
            shape.pack(*arguments)
    with pytest.raises(KeyboardInterrupt):
        shape.pack(bag, (meddling(raising(KeyboardInterrupt)),))
    with pytest.raises(KeyboardInterrupt):
        shape.pack(raising(KeyboardInterrupt), (None,))
    fresh: Any = type(shape)()
    fresh.define(None, ((1, "a", False, raising(KeyboardInterrupt), True, (8,)),), (0,), False, False, False)
    with pytest.raises(KeyboardInterrupt):
        fresh.pack(bag, (None,))


def around(body: bytes) -> list[bytes]:
    """The body with one byte changed, or cut off somewhere."""
    some = range(min(len(body), 120))
    return [body[:at] + bytes([body[at] ^ 1 << at % 8]) + body[at + 1 :] for at in some] + [body[:at] for at in some]


def test_defaults_that_can_change_are_fresh(shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each object and each call; and a union without members is one of the union itself."""
    shape = shape_of(Odd, shapes)
    for compact in (False, True):
        first = shape.decode(b"\0", 0, compact, 9)
        first.numbers.append(3)
        assert shape.decode(b"\0", 0, compact, 9) == Odd() and first.name == "n"
        body = shape.encode(Odd(either=Either(number=5)), compact)
        assert type(shape.decode(body, 0, compact, 9).either) is Either
    (taking, _), _ = methods_of(IDL.S.methods["f"], shapes, monkeypatch)
    bodies = (b"\x0f\0\2\x0a\0\0\0\0\0", b"\x0f\0\2\x0a\0\0\0\1\0\0\0\0\0\0\0\5\0")
    for body, numbers in zip(bodies, ([], [5])):
        text, came, point, flag = taking.decode(body, 0)
        assert (text, came, flag) == (None, numbers, True) and point == Point(3)
        point.x = 4


# What is left to the Python path


class Whole:
    """A number of somebody else's making."""

    def __index__(self) -> int:
        return 5


class Likeness:
    """Something that only claims to be a point."""

    __class__ = Point  # type: ignore[assignment]
    x, s = 1, "s"


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize(
    "value",
    [
        Holder(numbers={Whole()}),
        Holder(real=decimal.Decimal("1.5")),
        Holder(by_number=collections.OrderedDict({1: Point(1)})),
        Holder(items=type("Mine", (list,), {})([Point(1)])),
        Holder(numbers=type("Mine", (set,), {})([1])),
        Holder(one=Likeness()),
    ],
    ids=lambda value: next(name for name, held in vars(value).items() if held is not None),
)
def test_what_is_rare_is_left_to_the_python_path(
    payload: Payload, value: Any, shapes: Shapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which takes it as ever."""
    both = Both(Holder, shapes, monkeypatch)
    assert both.shape.encode(value, payload is Payload.COMPACT) is None
    monkeypatch.setattr(structs, "SHAPES", shapes)
    codec = StructCodec(Holder)
    assert codec.encode(value, payload) == both.pure.encode(value, payload)


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (Payload.BINARY, b"\x02\0\x0b\2\0"),
        (Payload.COMPACT, b"\x0b\x12\0"),
        (Payload.COMPACT, b"\x80"),
        (Payload.BINARY, b"\x0b\0\x0a\0\0\0\1\xff" + b"\x0b\0\x0a\0\0\0\1a\0"),
    ],
)
def test_bodies_about_which_libraries_disagree_are_left_too(payload: Payload, body: bytes, shapes: Shapes) -> None:
    """A bool of 2, a map of a kind and nothing, an end with a step, a wrong text before a right one."""
    shape = shape_of(Holder, shapes)
    assert shape.decode(body, 0, payload is Payload.COMPACT, 100) is None
    assert outcome_of(lambda: StructCodec(Holder).decode(body, 0, payload))[0] in (
        "returned",
        "RemoteProtocolError",
    )


def test_struct_that_cannot_be_compiled_has_no_shape(shapes: Shapes) -> None:
    """Nor has what holds it, at first and when asked again, while others have theirs."""
    bad = type("Bad", (), {"thrift_spec": {1: (13, "m", ((13, (8, 8)), 8), False)}})
    holder = type(
        "Bag",
        (),
        {"thrift_spec": {1: (12, "bad", bad, False), 2: (12, "point", Point, False)}},
    )
    for _ in range(2):
        assert shapes.of_class(bad) is shapes.of_class(holder) is None
        field = Field(id=1, name="bad", type=FieldType(kind=Kind.STRUCT, cls=bad))
        assert shapes.of_fields([field], {}) is None
    twice = [Field(id=1, name=name, type=FieldType(kind=Kind.I32)) for name in "ab"]
    assert shapes.of_fields(twice, {}) is None
    assert shapes.of_class(Point) is shapes.of_class(Point) is not None


class Interrupted(Shapes):
    """Shapes whose definition is broken off after ``left`` structs."""

    left = 99

    def _define(self, *args: Any) -> bool:
        self.left -= 1
        if self.left < 0:
            raise RecursionError
        return super()._define(*args)


@pytest.mark.parametrize("left", range(4))
def test_broken_off_descriptions_leave_nothing_half_made(left: int, shapes: Shapes) -> None:
    """What was whole before stays, and the next attempt begins anew."""
    some = Interrupted(type(shape_of(Point, shapes)))
    node, value = some.of_class(every.idl().Node), every.idl().Every(tree=every.idl().Node("x"))
    some.left = left
    with pytest.raises(RecursionError):
        some.of_class(every.idl().Every)
    some.left = 99
    assert some.of_class(every.idl().Node) is node
    assert shape_of(every.idl().Every, some).encode(value, False) == StructCodec(every.idl().Every).encode(value)


def test_refused_struct_says_why(shapes: Shapes) -> None:
    """As without shapes; pure Python has none and asks nothing."""
    refused = type("Refused", (), {"thrift_spec": {1: (8, "x", False)}})
    mark_refused(refused, IdlError("some.thrift:1: no"))
    with pytest.raises(IdlError, match="some.thrift:1: no"):
        shapes.of_class(refused)
    assert Shapes(None).of_class(refused) is None and Shapes(None).of_fields([], {}) is None


class Foreign:
    """A struct that nobody's parser made; its constructor knows what it holds."""

    thrift_spec = {1: (11, "text", True), 2: (8, "number", False)}

    def __init__(self) -> None:
        self.text: str | None = None
        self.number = 7


class Choosy(Foreign):
    """It is not made in all moods, nor may it hold everything."""

    mood: type[BaseException] | None = None

    def __init__(self) -> None:
        if self.mood is not None:
            raise self.mood
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        if value == 99:
            raise ValueError
        super().__setattr__(name, value)


def test_class_that_says_nothing_of_its_defaults_is_called(shapes: Shapes) -> None:
    """And checked afterwards, for what it requires."""
    for cls in (Foreign, Choosy):
        shape = shape_of(cls, shapes)
        it = shape.decode(b"\x0b\0\1\0\0\0\1a\0", 0, False, 9)
        assert type(it) is cls and (it.text, it.number) == ("a", 7)
        assert shape.decode(b"\0", 0, False, 9) is None
    assert shape.decode(b"\x0b\0\1\0\0\0\1a\x08\0\2\0\0\0\x63\0", 0, False, 9) is None
    Choosy.mood = ValueError
    assert shape.decode(b"\x0b\0\1\0\0\0\1a\0", 0, False, 9) is None
    Choosy.mood = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        shape.decode(b"\x0b\0\1\0\0\0\1a\0", 0, False, 9)
    Choosy.mood = None


# What Python does in between


def meddling(action: Callable[[], object]) -> Any:
    """A point that does something when its x is read."""

    class Mine(Point):  # type: ignore[misc, valid-type]
        """Derived, so it is read as objects are."""

        @property
        def x(self) -> int:
            """Reads it."""
            action()
            return 1

        @x.setter
        def x(self, value: int) -> None:
            """Takes nothing."""

    return Mine(1, "s")


@pytest.mark.parametrize("compact", [False, True])
def test_containers_may_change_while_they_are_encoded(compact: bool, shapes: Shapes) -> None:
    """Shrink, grow, be replaced: the count is on the wire already, so there is no answer, and never a crash."""
    shape = shape_of(Holder, shapes)
    for _ in range(20):
        items: list[Any] = []
        items += [meddling(items.clear), Point(2), Point(3)]
        assert shape.encode(Holder(items=items), compact) is None
        items += [
            meddling(lambda: len(items) < 200 and items.extend([Point(9)] * 50)),
            Point(2),
        ]
        assert shape.encode(Holder(items=items), compact) is None
        numbered: dict[int, Any] = {}
        numbered |= {1: meddling(numbered.clear), 2: Point(1)}
        assert shape.encode(Holder(by_number=numbered), compact) is None
        numbered |= {
            1: meddling(lambda: numbered.update(dict.fromkeys(range(100), Point(1)))),
            2: Point(1),
        }
        assert shape.encode(Holder(by_number=numbered), compact) is None
        members: set[Any] = set()
        members |= {Point(1), meddling(members.clear), Point(2)}
        shape.encode(Holder(members=members), compact)
        rows: list[Any] = [[], [Point(1)]]
        rows[0] += [meddling(lambda: (rows[0].clear(), rows.clear())), Point(1)]
        assert shape.encode(Holder(rows=rows), compact) is None
        holder = Holder()
        holder.items = [meddling(lambda: setattr(holder, "items", None)), Point(1)]
        assert shape.encode(holder, compact) is not None
        inner = Holder(text="\u20ac" * 3000, key=uuid.UUID(int=1))
        outer = Holder(items=[meddling(lambda: shape.encode(inner, compact))])
        assert shape.decode(shape.encode(outer, compact), 0, compact, 99) == Holder(items=[Point(1, "s")])


def raising(error: type[BaseException]) -> Callable[[], None]:
    """Something that fails."""

    def action(*_: object) -> None:
        raise error

    return action


def test_errors_are_no_answer_and_ends_are_passed_on(shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyboardInterrupt, or what ends a greenlet, is not taken for a value that does not fit."""
    shape = shape_of(Holder, shapes)
    for field in ("items", "members", "by_number", "rows"):
        for error in (ValueError, AttributeError):
            assert shape.encode(held_in(field, meddling(raising(error))), False) is None
        with pytest.raises(KeyboardInterrupt):
            shape.encode(held_in(field, meddling(raising(KeyboardInterrupt))), False)
    body = shape.encode(Holder(places={Point(1): "a"}), False)
    monkeypatch.setattr(Point, "__hash__", raising(ValueError))
    assert shape.decode(body, 0, False, 99) is None
    monkeypatch.setattr(Point, "__hash__", raising(SystemExit))
    with pytest.raises(SystemExit):
        shape.decode(body, 0, False, 99)


def held_in(field: str, point: Any) -> Any:
    """A holder of it."""
    how: dict[str, Any] = {
        "items": [point],
        "members": {point},
        "by_number": {1: point},
        "rows": [[point]],
    }
    return Holder(**{field: how[field]})


def test_nobody_meddles_with_what_is_being_decoded(shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that goes through all objects finds no list or tuple that is filled only in part."""
    shape = shape_of(Holder, shapes)
    value = Holder(places={Point(at): "a" for at in range(41)}, rows=[[Point(5)] * 41])
    bodies = [(shape.encode(value, compact), compact) for compact in (False, True)]
    asked = []

    def meddling_hash(it: Any) -> int:
        asked.append(None)
        if len(asked) % 20 == 0:
            for some in gc.get_objects():
                if type(some) is dict and 0 < len(some) < 42 and type(next(iter(some), None)) is Point:
                    some.clear()
                if type(some) in (list, tuple) and len(some) == 41:
                    assert repr(some)
        return int(it.x)

    monkeypatch.setattr(Point, "__hash__", meddling_hash)
    for body, compact in bodies:
        assert isinstance(shape.decode(body, 0, compact, 1000), Holder)


def test_torn_objects_do_not_fit(shapes: Shapes) -> None:
    """A struct that lost a field, and one that is derived and read as an object."""
    torn = Point(1, "s")
    del torn.x
    shape = shape_of(Point, shapes)
    assert shape.encode(torn, False) is None
    assert shape.encode(meddling(list), False) == StructCodec(Point).encode(Point(1, "s"))


# The compiled part by itself


def test_what_is_not_described_well_is_refused(shapes: Shapes) -> None:
    """And what was refused says None to everything, as what was never described does."""
    make = type(shape_of(Point, shapes))
    deep: Any = (8,)
    for _ in range(70):
        deep = (15, deep)
    types: list[Any] = [
        (),
        (99,),
        (1,),
        (5,),
        (8, 8),
        (15,),
        (13, (8,)),
        (12, 5),
        (16, 5),
        (14, (13, (8,), (8,))),
        5,
    ]
    fields: list[Any] = [(1, "a", False, None, False, type_) for type_ in (*types, deep)]
    fields += [
        (1, b"a", False, None, False, (8,)),
        (1 << 16, "a", False, None, False, (8,)),
        5,
    ]
    wrong: list[tuple[Any, ...]] = [(None, (field,), (0,), False, False, False) for field in fields]
    good = (1, "a", False, None, False, (8,))
    wrong += [
        (None, (good,), (), False, False, False),
        (None, (good,), (1,), False, False, False),
        (None, (good,), ("0",), False, False, False),
        (None, (good, good), (0, 1), False, False, False),
        (None, (good,), (0,), False, True, False),
        (5, (good,), (0,), False, False, False),
        (None,),
    ]
    for arguments in wrong:
        shape = make()
        for _ in range(2):
            with pytest.raises((TypeError, ValueError, OverflowError)):
                shape.define(*arguments)
            assert shape.encode(Point(1), False) is shape.decode(b"\0", 0, False, 9) is shape.result(b"\0", 0, False, 9)
            with pytest.raises(TypeError):
                shape.encode_one(0, 1, False)
        shape.define(None, (good,), (0,), False, False, False)
        with pytest.raises(ValueError):
            shape.define(None, (good,), (0,), False, False, False)
        assert shape.encode_one(0, 5, False) == b"\x08\0\1\0\0\0\5\0"
        with pytest.raises(TypeError):
            shape.encode(Point(1))


@pytest.mark.parametrize(
    "arguments", [(bytearray(b"\0"), 0, False, 9), (b"\0", -1, False, 9), (b"\0", 1, False, 9), (b"\0", "0", False, 9),
                  (b"\0", 1 << 70, False, 9), (b"\0", 0, False, -1), (b"\0", 0, False), (b"", 0, False, 9)]
)  # fmt: skip
def test_what_is_no_body_is_no_answer(arguments: tuple[Any, ...], shapes: Shapes) -> None:
    """The Python path has the words."""
    assert shape_of(Point, shapes).decode(*arguments) is None


def test_shapes_may_hold_each_other_very_deep_and_go(shapes: Shapes) -> None:
    """Also in a circle; bodies end at 64 structs."""
    make = type(shape_of(Point, shapes))
    shape = make()
    shape.define(None, (), (), False, False, False)
    for _ in range(20_000):
        inner, shape = shape, make()
        shape.define(
            None,
            ((1, "a", False, None, False, (12, inner)),),
            (0,),
            False,
            False,
            False,
        )
    assert shape.decode(b"\x0c\0\1" * 63 + bytes(64), 0, False, 999) is not None
    assert shape.decode(b"\x0c\0\1" * 64 + bytes(65), 0, False, 999) is None
    del shape, inner
    circle = make()
    circle.define(None, ((1, "a", False, None, False, (12, circle)),), (0,), False, False, False)
    gc.collect()
    del circle
    assert gc.collect() > 0


def test_nothing_leaks(shapes: Shapes) -> None:
    """Values, arguments and mutated bodies, again and again: neither memory nor references grow."""
    rng, work = random.Random(3), []
    several = shapes.of_fields(IDL.S.methods["f"].arguments, {"numbers": [1], "point": Point(3), "flag": True})
    bag, text = type("bag", (), dict.fromkeys(("text", "numbers", "point", "flag"))), "x" * 2000
    packed = [(text, [1], None, None), (text, [], Point(1), False), (text, [], meddling(raising(ValueError)), None), ()]
    for _ in range(12):
        idl = load_text(schema(rng))
        shape = shape_of(idl.T0, shapes)
        for compact in (False, True):
            values = [struct(idl.T0, rng) for _ in range(3)]
            seeds = [shape.encode(value, compact) for value in values]
            work.append(
                (
                    shape,
                    compact,
                    [*values, Point(1)],
                    seeds + [mutate(seeds, rng) for _ in range(40)],
                )
            )

    def work_once() -> None:
        for arguments in packed * 100:
            cast(Any, several).pack(bag, arguments)
        for shape, compact, values, bodies in work:
            for value in values:
                shape.encode(value, compact)
            for body in bodies:
                shape.decode(body, 0, compact, 100_000)
                shape.decode(body, 0, compact, 7)

    def held() -> tuple[int, int]:
        gc.collect()
        return tracemalloc.get_traced_memory()[0], sum(map(sys.getrefcount, fixed))

    fixed = [Point, Point.__hash__, bag, text]
    tracemalloc.start()
    try:
        for _ in range(3):
            work_once()
        before = held()
        for _ in range(20):
            work_once()
        after = held()
    finally:
        tracemalloc.stop()
    assert after[0] - before[0] < 10_000 and abs(after[1] - before[1]) < 10


def test_pure_and_compiled_have_the_same_attributes() -> None:
    """Which of them is in use shows nowhere but in the time that it takes."""
    assert (SHAPES.of_class(Point) is None) is (SHAPES.of_fields(fields_of(Point), {}) is None)
    codec = StructCodec(Point)
    assert codec.decode(codec.encode(Point(1, "s"))) == Point(1, "s") and plainly(Point(1)) == plainly(Point(1))
    with pytest.raises(RemoteProtocolError):
        codec.decode(b"\0\0")
