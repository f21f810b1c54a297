"""Structs whose fields are slots, beside the classes that thriftpy2 makes of the same IDL."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import json
import pickle
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import thriftpy2
from thriftpy2.protocol import (
    TApacheJSONProtocol,
    TBinaryProtocol,
    TCompactProtocol,
    TCyBinaryProtocol,
    TJSONProtocol,
)
from thriftpy2.thrift import TPayload
from thriftpy2.transport import TCyMemoryBuffer, TMemoryBuffer

from tests.idl.test_pickles import dumped
from zkrpc.codec.shape import MARKS, bare_of
from zkrpc.codec.structs import BINARY, COMPACT, StructCodec
from zkrpc.errors import IdlError
from zkrpc.idl import load_text, module_of
from zkrpc.idl.slots import Attributes, Layout

TEXT = """
enum Color { RED = 1, BLUE }
struct Point {
  1: required i32 x, 3: optional Color color = Color.BLUE, 2: list<i32> trail = [1], 5: binary raw, 6: Point after,
  7: map<string, double> weights, 8: bool on = true,
}
struct Empty {}
union Choice { 1: i32 one, 2: string two }
struct Methods { 1: i32 read, 2: string write = "w", 3: i32 close }
exception Lost { 1: string why }
"""


@pytest.fixture(name="ours")
def _ours() -> Any:
    return load_text(TEXT)


@pytest.fixture(name="theirs", scope="module")
def _theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path: Path = tmp_path_factory.mktemp("theirs") / "slots.thrift"
    path.write_text(TEXT, encoding="utf-8")
    return thriftpy2.load(str(path), module_name="slots_thrift")


def point(of: Any) -> Any:
    """One with most of its fields set."""
    return of.Point(1, of.Color.RED, raw=b"\xff", after=of.Point(2, trail=[]), weights={"a": 0.5})


def plainly(value: Any) -> Any:
    """An object as tuples of names and values, whichever library made it."""
    if isinstance(value, TPayload):
        return type(value).__name__, [(name, plainly(one)) for name, one in vars(value).items()]
    return value


def changed(it: Any, **attributes: Any) -> Any:
    """The object, with other attributes."""
    for name, value in attributes.items():
        setattr(it, name, value)
    return it


def without(it: Any, name: str) -> Any:
    """The object, with an attribute less."""
    delattr(it, name)
    return it


def updated(it: Any, more: Any) -> Any:
    """The object, after a change of its ``__dict__``."""
    it.__dict__.update(more)
    return it


def complaint(function: Callable[[], Any]) -> str:
    """The message of the TypeError that a function raises."""
    with pytest.raises(TypeError) as caught:
        function()
    return str(caught.value)


def matched(it: Any, of: Any) -> Any:
    """What patterns find."""
    match it:
        case of.Point(x=1, after=of.Point(x=found)):
            return found
        case of.Choice(one=None, two=found):
            return found
    return None


BEHAVIOUR: dict[str, Callable[[Any], Any]] = {
    "vars": lambda of: plainly(point(of)),
    "vars of nothing": lambda of: (vars(of.Empty()), vars(of.Choice()), vars(of.Methods())),
    "repr": lambda of: (
        repr(point(of)),
        str(point(of)),
        repr(of.Empty()),
        repr(of.Methods(1)),
        repr(of.Choice(two="")),
    ),
    "places": lambda of: plainly(of.Point(1, 2, [3], b"4", None, {}, False)),
    "missing": lambda of: plainly(of.Point()),
    "too many": lambda of: complaint(lambda: of.Point(*range(8))),
    "unknown": lambda of: complaint(lambda: of.Point(y=1)),
    "twice": lambda of: complaint(lambda: of.Point(1, x=1)),
    "signature": lambda of: str(inspect.signature(of.Point)),
    "equal": lambda of: (point(of) == point(of), point(of) != point(of), of.Point(1) == of.Point(2)),
    "unlike": lambda of: (of.Empty() == of.Choice(), of.Point(1) == 1, of.Empty() == of.Empty(), of.Point(1) is None),
    "hash": lambda of: (hash(point(of)) == hash(point(of)), {point(of): 1}[point(of)], len({of.Point(1), of.Point(1)})),
    "copy": lambda of: plainly(copy.copy(point(of))),
    "shallow": lambda of: [copy.copy(one).trail is one.trail for one in [point(of)]],
    "deepcopy": lambda of: plainly(copy.deepcopy(point(of))),
    "deep": lambda of: [copy.deepcopy(one).after is one.after for one in [point(of)]],
    "memo": lambda of: [len({id(one) for one in copy.deepcopy([it, it])}) for it in [point(of)]],
    "deleted": lambda of: plainly(without(point(of), "raw")),
    "deleted one": lambda of: repr(without(of.Choice(1), "one")),
    "hasattr": lambda of: [hasattr(without(of.Point(1), "x"), name) for name in ("x", "on", "y")],
    "set": lambda of: plainly(changed(of.Point(1), x=2, color=None)),
    "named": lambda of: (of.Point.__name__, of.Point.__qualname__, type(of.Point(1)) is of.Point),
    "spec": lambda of: ([one[:2] for one in of.Point.thrift_spec.values()], of.Point.default_spec, of.Point._ttype),
    "is": lambda of: (isinstance(of.Point(1), TPayload), issubclass(of.Choice, TPayload), isinstance(of.Point, type)),
    "getattr": lambda of: getattr(of.Point(1), "y", "default"),
    "updated": lambda of: plainly(updated(of.Point(1), {"x": 5, "raw": b""})),
    "merged": lambda of: plainly(updated(of.Point(1), of.Point(2).__dict__)),
    "ordered": lambda of: [*of.Point(1).__dict__],
    "json": lambda of: json.dumps(vars(of.Point(1)), sort_keys=True),
    "keywords": lambda of: plainly(of.Point(**vars(of.Point(1, raw=b"")))),
    "weakref": lambda of: weakref.ref(of.Empty())() is None,
    "match": lambda of: (matched(point(of), of), matched(of.Choice(two="x"), of), matched(of.Choice(1), of)),
    "dir": lambda of: [name in dir(point(of)) for name in ("x", "read", "thrift_spec", "after")],
    "truth": lambda of: (bool(of.Empty()), bool(of.Point())),
    "sorted": lambda of: complaint(lambda: sorted([of.Point(1), of.Point(2)])).replace("'Point'", ""),
    "monkeys": lambda of: changed(type("Sub", (of.Point,), {"answer": lambda self: self.x + self.y})(1), y=2).answer(),
    "derived": lambda of: [[it == other, other == it] for it, other in [(of.Point(1), type("P", (of.Point,), {})(1))]],
    "identity": lambda of: (of.Lost("x") == of.Lost("x"), repr(changed(of.Lost("x"), extra=1))),
}


@pytest.mark.parametrize("behaviour", BEHAVIOUR)
def test_structs_do_what_thriftpy2s_do(behaviour: str, ours: Any, theirs: Any) -> None:
    """Whatever a program does with one."""
    it = BEHAVIOUR[behaviour]
    assert it(ours) == it(theirs)


PROTOCOLS: dict[str, tuple[Any, Any]] = {
    "binary": (TBinaryProtocol, TMemoryBuffer),
    "cython": (TCyBinaryProtocol, TCyMemoryBuffer),
    "compact": (TCompactProtocol, TMemoryBuffer),
    "json": (TJSONProtocol, TMemoryBuffer),
    "Apache's json": (TApacheJSONProtocol, TMemoryBuffer),
}


def written(it: Any, name: str) -> bytes:
    """The bytes of an object by one of thriftpy2's protocols."""
    protocol, buffer = PROTOCOLS[name]
    memory = buffer()
    made = protocol(memory)
    made.write_message_begin("call", 1, 0)
    made.write_struct(it)
    made.write_message_end()
    return bytes(memory.getvalue())


def read(data: bytes, into: Any, name: str) -> Any:
    """An object that one of thriftpy2's protocols fills."""
    protocol, buffer = PROTOCOLS[name]
    made = protocol(buffer(data))
    made.read_message_begin()
    made.read_struct(into)
    return into


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocols_of_thriftpy2_read_and_write_them(name: str, ours: Any, theirs: Any) -> None:
    """To the same bytes, and into the same values, also by way of their own methods."""
    for kind in ("Point", "Choice", "Methods", "Empty"):
        mine, other = (
            point(of) if kind == "Point" else changed(of.Choice(), two="x") if kind == "Choice" else getattr(of, kind)()
            for of in (ours, theirs)
        )
        data = written(mine, name)
        assert data == written(other, name)
        assert plainly(read(data, getattr(ours, kind)(), name)) == plainly(read(data, getattr(theirs, kind)(), name))
    memory = TMemoryBuffer()
    ours.Point(4).write(TBinaryProtocol(memory))
    again = ours.Point()
    again.read(TBinaryProtocol(TMemoryBuffer(memory.getvalue())))
    assert again == ours.Point(4)


@pytest.mark.parametrize("payload", [BINARY, COMPACT])
def test_own_codec_reads_what_it_wrote(payload: Any, ours: Any) -> None:
    """A field that did not come is unset or has its default; a struct that nobody constructed is written as far as it
    is filled, or refused in words."""
    codec = StructCodec(ours.Point)
    assert codec.decode(codec.encode(point(ours), payload), 0, payload) == point(ours)
    assert plainly(codec.decode(codec.encode(ours.Point(3), payload), 0, payload)) == plainly(ours.Point(3))
    methods = StructCodec(ours.Methods)
    assert methods.decode(methods.encode(ours.Methods(1, "x"), payload), 0, payload) == ours.Methods(1, "x")
    with pytest.raises(TypeError, match="the value cannot be encoded: .*has no attribute 'x'"):
        codec.encode(ours.Point.__new__(ours.Point), payload)


def test_unknown_attribute_is_refused(ours: Any) -> None:
    """By whatever way it is set, and the object stays as it was."""
    it = ours.Point(1)
    with pytest.raises(AttributeError, match="'Point' object has no attribute 'y'"):
        it.y = 1
    with pytest.raises(
        AttributeError, match="'Point' object has no attribute 'y'; its fields: x, color, trail, raw, a"
    ):
        vars(it)["y"] = 1
    with pytest.raises(AttributeError, match="'Empty' object has no attribute 'y'; its fields: none"):
        vars(ours.Empty()).update(y=1)
    with pytest.raises(AttributeError):
        it.__dict__ = {"x": 2}
    with pytest.raises(KeyError, match="y"):
        del vars(it)["y"]
    assert it == ours.Point(1) and not hasattr(it, "y")


def test_change_of_vars_is_a_change_of_the_object(ours: Any) -> None:
    """By every method of a dict; of a derived class' own attributes, too; what vars() gave before does not follow."""
    derived = type("Derived", (ours.Point,), {})
    for it in (ours.Point(1), changed(derived(1), own=1)):
        before, held = vars(it), vars(it)
        held["x"] = 2
        held |= {"raw": b"r"}
        held.update([("trail", [9])], on=None)
        assert (it.x, it.raw, it.trail, it.on) == (2, b"r", [9], None) and before["x"] == 1
        assert held.setdefault("x", 7) == 2 and held.pop("x") == 2 and held.pop("x", 8) == 8 and not hasattr(it, "x")
        assert held.setdefault("x", 7) == it.x == 7
        name, value = held.popitem()
        assert value is not None or not hasattr(it, name)
        assert held == vars(it) and isinstance(held, dict)
        del held["raw"]
        held.clear()
        assert held == vars(it) == {} and repr(it) == f"{type(it).__name__}()" and not hasattr(it, "own")
    it = derived(1)
    vars(it)["own"] = 5
    assert it.own == 5 and vars(it)["own"] == 5 and [*vars(it)][-1] == "own"


def test_copies_of_vars_are_plain_dicts(ours: Any) -> None:
    """As before, so that they can go anywhere, and are nobody's."""
    it = ours.Point(1)
    held = vars(it)
    for again in (copy.copy(held), copy.deepcopy(held), pickle.loads(pickle.dumps(held)), held.copy(), {**held}):
        assert type(again) is dict and again == held
        again["x"] = 2
    assert it.x == 1 and copy.copy(held)["trail"] is it.trail and copy.deepcopy(held)["trail"] is not it.trail


def test_fields_are_plain_slots(ours: Any) -> None:
    """Under their own names, in a class without a ``__dict__``: what a codec in C relies on."""
    for cls in (ours.Point, ours.Empty, ours.Choice, ours.Methods):
        fields = [entry[1] for entry in cls.thrift_spec.values()]
        assert not cls.__dictoffset__ and [*cls.__thrift_layout__.slots] == fields
        assert all(isinstance(vars(cls)[name], types.MemberDescriptorType) for name in fields)
    empty = ours.Point.__new__(ours.Point)
    assert vars(empty) == {} and repr(empty) == "Point()" and empty == ours.Point.__new__(ours.Point)
    with pytest.raises(AttributeError):
        empty.x
    assert plainly(copy.copy(empty)) == plainly(ours.Point())


NAMES = "self it read write args class None lambda _x __x __y_ x__ mro __thrift_layout keys name _S__x _".split()


def test_fields_may_be_called_anything() -> None:
    """No name is mangled, nor hidden by a method."""
    text = " ".join(f"{at}: i32 {name} = {at}" for at, name in enumerate(NAMES, 1))
    idl = load_text(f"struct S {{ {text} }} struct _ {{ {text} }}")
    for cls in (idl.S, idl._):
        it = cls(99)
        assert vars(it) == {name: at if at > 1 else 99 for at, name in enumerate(NAMES, 1)} and not cls.__dictoffset__
        assert all(getattr(it, name) == value for name, value in vars(it).items())
        for again in (*map(pickle.loads, dumped(it)), copy.copy(it), copy.deepcopy(it)):
            assert vars(again) == vars(it)
        codec = StructCodec(cls)
        assert codec.decode(codec.encode(it)) == it


def test_field_called_as_a_mark_leaves_its_class_as_thriftpy2s() -> None:
    """The class needs the attribute itself, so the field is in a ``__dict__``; names with a meaning are refused."""
    text = " ".join(f"{at}: i32 {name}" for at, name in enumerate(sorted(MARKS), 1))
    idl = load_text(
        f"struct Marked {{ {text} }} union Either {{ 1: i32 _bare = 3, 2: i32 _whole }} struct S {{ {text} }}"
    )
    it = idl.Marked(*range(len(MARKS)))
    assert idl.Marked.__dictoffset__ and vars(it) == dict(zip(sorted(MARKS), range(len(MARKS))))
    codec, either = StructCodec(idl.Marked), StructCodec(idl.Either)
    assert codec.decode(codec.encode(it)) == it == pickle.loads(pickle.dumps(it))
    assert vars(idl.Either()) == {"_bare": 3, "_whole": None}
    assert type(either.decode(either.encode(idl.Either(_whole=1)))) is idl.Either
    special = load_text("struct A { 1: i32 __eq__, 2: i32 __slots__, 3: i32 x } struct B { 1: i32 x }")
    assert special.A(x=1).x == special.B(x=1).x == 1
    with pytest.raises(IdlError, match="field __eq__ has a name that means something else in Python"):
        StructCodec(special.A)


@pytest.mark.parametrize("fields", [0, 1, 300])
def test_struct_of_any_size(fields: int) -> None:
    """Is filled by place, copied, pickled, encoded, referred to weakly and collected."""
    text = " ".join(f"{at}: i32 f{at}" for at in range(1, fields + 1))
    idl = load_text(f"struct Sized {{ {text} }}")
    it = idl.Sized(*range(fields))
    assert vars(it) == {f"f{at}": at - 1 for at in range(1, fields + 1)}
    codec = StructCodec(idl.Sized)
    assert it == codec.decode(codec.encode(it)) == copy.copy(it) == pickle.loads(pickle.dumps(it))
    reference = weakref.ref(it)
    del it
    assert reference() is None


def test_circle_of_structs_is_collected(ours: Any) -> None:
    """As any other garbage; copied and pickled, it is a circle again."""
    it = ours.Point(1)
    it.after = it
    for again in (copy.deepcopy(it), pickle.loads(pickle.dumps(it))):
        assert again.after is again
    reference = weakref.ref(it)
    del it, again
    gc.collect()
    assert reference() is None


class Plain:
    """Of somebody else."""


class Nothing:
    """Of somebody else, without attributes."""

    __slots__ = ()


def test_derived_classes_take_attributes_of_their_own(ours: Any) -> None:
    """However they are made: each has a ``__dict__``, in which Python finds it, and passes for the struct."""
    cases: list[tuple[tuple[type, ...], Any]] = [
        *[((ours.Point,), slots) for slots in (None, (), "own", ["own"], ("own", "__dict__"), ("__own",))],
        ((ours.Point, Plain), None),
        ((Plain, ours.Point), None),
        ((Plain, ours.Point), ()),
        ((Nothing, ours.Point), ()),
        ((ours.Point, Nothing), ("own",)),
        ((type(ours.Point)("Middle", (ours.Point,), {"__slots__": ()}),), ()),
        ((type(ours.Point)("Middle", (ours.Point,), {}),), ("own",)),
    ]
    for bases, slots in cases:
        made = types.new_class(
            "Derived", bases, exec_body=lambda body: body.update({} if slots is None else {"__slots__": slots})
        )
        kept = []
        for at in range(50):  # were anything written beside an object, it would show in the next ones
            it = changed(made(at), own=at, other=-at)
            kept.append(it)
        for at, it in enumerate(kept):
            assert (it.x, it.own, it.other, it.on) == (at, at, -at, True) and vars(it)["other"] == -at
            assert isinstance(it, ours.Point) and isinstance(it, TPayload) and weakref.ref(it)() is it
            again = copy.deepcopy(it)
            assert again == it and (again.own, again.other) == (at, -at)
        assert not issubclass(made, Plain) or Plain in made.__mro__
        assert StructCodec(ours.Point).decode(StructCodec(ours.Point).encode(kept[7])) == ours.Point(7)


def test_derived_class_of_an_empty_struct(ours: Any) -> None:
    """Beside any other class, in any order."""
    for bases in ((ours.Empty,), (ours.Empty, Plain), (Plain, ours.Empty), (Nothing, ours.Empty)):
        for body in ({}, {"__slots__": ()}):
            made = types.new_class("Derived", bases, exec_body=lambda names, body=body: names.update(body))
            it = changed(made(), own=1)
            assert vars(it) == {"own": 1} and it == changed(made(), own=1) != made() and it.own == 1


def test_derived_class_keeps_what_its_properties_need(ours: Any) -> None:
    """In ``__dict__``: what was computed once, and the value of a field that a property stands in front of."""

    class Checked(ours.Point):  # type: ignore[misc]  # of a class that is made at run time
        """Adds to the struct what people add."""

        @property
        def raw(self) -> Any:
            """The field, in capitals."""
            return self.__dict__["raw"]

        @raw.setter
        def raw(self, value: Any) -> None:
            self.__dict__["raw"] = value and value.upper()

        @functools.cached_property
        def once(self) -> object:
            """Something of its own."""
            return object()

    it = Checked(1, raw=b"x")
    assert it.raw == b"X" and it.once is it.once is vars(it)["once"]
    assert StructCodec(ours.Point).decode(StructCodec(ours.Point).encode(it)).raw == b"X"
    assert copy.copy(it).raw == b"X"


def test_class_can_be_changed(ours: Any) -> None:
    """A method that somebody gives it later is found by old objects, in derived classes, too, as is one of its base."""
    idl = load_text(f"{TEXT} // another one")
    it, derived = idl.Point(1), type("Derived", (idl.Point,), {})(2)
    assert not hasattr(it, "twice")
    idl.Point.twice = lambda self: self.x * 2
    assert (it.twice(), derived.twice()) == (2, 4)
    idl.Point.__str__ = lambda self: "point"
    assert (str(it), str(derived)) == ("point", "point") != str(ours.Point(1))


def test_union_that_is_decoded_is_one_of_the_union(ours: Any) -> None:
    """Its objects begin as ones of a class of the same layout, which takes no attributes either."""
    idl = load_text("union Choice { 1: list<i32> many = [5], 2: i32 one } struct Holds { 1: Choice choice }")
    codec, bare = StructCodec(idl.Holds), bare_of(idl.Choice)
    for choice in (idl.Choice(), idl.Choice(one=1), idl.Choice([])):
        again = codec.decode(codec.encode(idl.Holds(choice))).choice
        assert type(again) is idl.Choice and again == choice and isinstance(again, TPayload)
    made: Any = bare()
    assert isinstance(made, idl.Choice) and isinstance(made, TPayload) and not bare.__dictoffset__
    for one in (made, idl.Choice()):
        with pytest.raises(AttributeError, match="'Choice' object has no attribute 'two'"):
            one.two = 2
    assert bare_of(ours.Choice) is ours.Choice


DOGS = "struct Dog { 1: string name, 2: list<Dog> pups = [], 3: i32 age = 3 } struct None_ {}"
OLD_PICKLES = [
    b"ccopy_reg\n_reconstructor\np0\n(czkrpc.idl.pickles\nfind\np1\n(Vdogs.thrift\np2\nVDog\np3\n"
    b"Vzkrpc_idl_2f261914ac327a47_dogs_thrift\np4\nV4407f5cd461840cb\np5\ntp6\nRp7\nc__builtin__\nobject\np8\nNtp9\n"
    b"Rp10\n(dp11\nVname\np12\nVRex\np13\nsVpups\np14\n(lp15\ng0\n(g7\ng8\nNtp16\nRp17\n(dp18\ng12\nVRexette\np19\n"
    b"sg14\n(lp20\nsVage\np21\nI3\nsbasg21\nI3\nsVextra\np22\nI1\nsb.",
    b"\x80\x02czkrpc.idl.pickles\nfind\nq\x00(X\x0b\x00\x00\x00dogs.thriftq\x01X\x03\x00\x00\x00Dogq\x02X&\x00\x00\x00"
    b"zkrpc_idl_2f261914ac327a47_dogs_thriftq\x03X\x10\x00\x00\x004407f5cd461840cbq\x04tq\x05Rq\x06)\x81q\x07}q\x08("
    b"X\x04\x00\x00\x00nameq\tX\x03\x00\x00\x00Rexq\nX\x04\x00\x00\x00pupsq\x0b]q\x0ch\x06)\x81q\r}q\x0e(h\t"
    b"X\x07\x00\x00\x00Rexetteq\x0fh\x0b]q\x10X\x03\x00\x00\x00age"
    b"q\x11K\x03ubah\x11K\x03X\x05\x00\x00\x00extraq\x12K\x01ub.",
    b"\x80\x05\x95\xc2\x00\x00\x00\x00\x00\x00\x00\x8c\x11zkrpc.idl.pick"
    b"les\x94\x8c\x04find\x94\x93\x94(\x8c\x0bdogs.thrift\x94"
    b"\x8c\x03Dog\x94\x8c&zkrpc_idl_2f261914ac327a47_dog"
    b"s_thrift\x94\x8c\x104407f5cd461840cb\x94t\x94R\x94)\x81\x94}\x94("
    b"\x8c\x04name\x94\x8c\x03Rex\x94\x8c\x04pups\x94]\x94h\x08)\x81\x94}\x94(h\x0b\x8c\x07Rexette\x94h\r]\x94"
    b"\x8c\x03age\x94K\x03ubah\x13K\x03\x8c\x05extra\x94K\x01ub.",
]
"""Of a Dog with an attribute ``extra``, written when structs had a ``__dict__``, in protocols 0, 2 and 5."""


@pytest.mark.parametrize("data", OLD_PICKLES, ids=["0", "2", "5"])
def test_pickles_of_objects_with_a_dict_are_read(data: bytes) -> None:
    """What is no field is dropped, as it is from a pickle of an IDL that had more fields."""
    idl = load_text(DOGS, name="dogs.thrift")
    dog = pickle.loads(data)
    assert type(dog) is idl.Dog and repr(dog) == "Dog(name='Rex', pups=[Dog(name='Rexette', pups=[], age=3)], age=3)"
    assert not hasattr(dog, "extra") and dog == pickle.loads(pickle.dumps(dog))


def test_classes_of_arguments_and_results_take_what_thriftpy2_sets() -> None:
    """Its processor sets ``success`` for a void method."""
    service = module_of(load_text("service S { void ping(1: i32 x) }")).S
    result = service.ping_result()
    result.success = None
    assert service.ping_args.__dictoffset__ and vars(result) == {"success": None}


def test_equal_objects_have_the_same_hash(ours: Any) -> None:
    """Whatever they hold, and whichever slots are empty; a derived class' own attributes count."""
    idl = load_text(
        "struct Held { 1: set<i32> a, 2: list<list<i32>> b, 3: map<i32, set<i32>> c } struct One { 1: i32 x }"
    )
    derived = type("Derived", (idl.Held,), {})
    pairs = [
        (idl.Held({1}, [[1]], {1: {2}}), idl.Held(frozenset({1}), [[1]], {1: frozenset({2})})),
        (idl.Held(b=[(1, idl.One(1))]), idl.Held(b=[(1, idl.One(1))])),
        (without(idl.Held({1}), "b"), without(idl.Held(frozenset({1})), "b")),
        (derived({1}), derived(frozenset({1}))),
        (changed(derived({1}), own=[1]), changed(derived({1}), own=[1])),
        (idl.One(1), idl.One(True)),
        (idl.One.__new__(idl.One), idl.One.__new__(idl.One)),
    ]
    for one, other in pairs:
        assert one == other and hash(one) == hash(other) and not one != other
    for (one, _), (other, _) in zip(pairs, pairs[1:]):
        assert one != other and other != one
    assert idl.Held({1}) != derived({1}) != idl.Held({1}) and without(idl.One(1), "x") != idl.One(1)


def test_attributes_follow_slots_past_a_class() -> None:
    """Of any object with slots, by descriptors that are given."""

    class Pair:
        """Has two slots and nothing else."""

        __slots__ = ("left", "right")

    it: Any = Pair()
    layout = Layout({"left": vars(Pair)["left"], "right": vars(Pair)["right"]})
    held = Attributes(it, layout, None)
    assert held == {}
    held.update(right=2, left=1)
    assert (it.left, it.right) == layout.values(it) == (1, 2) and Attributes(it, layout, None) == held
    own = {"middle": 3}
    assert Attributes(it, layout, own) == {**held, **own}
    del Attributes(it, layout, own)["middle"]
    assert own == {}
