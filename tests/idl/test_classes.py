"""What thriftpy2 would have made, and works on with its own protocols."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import pytest
from thriftpy2.parser.parser import _thrift_cache
from thriftpy2.protocol.binary import TBinaryProtocol
from thriftpy2.thrift import TException, TPayload, TProcessor
from thriftpy2.transport import TMemoryBuffer

from zkrpc.codec.shape import bare_of
from zkrpc.idl import load_text, module_of

TEXT = """
enum Color { RED = 1 (note = "warm"), CRIMSON = 1, BLUE } (kind = "paint")
struct Point { 1: required i32 x, 2: optional list<Color> colors = [1] (key = "k"), 5: binary raw } (a, b = "c")
exception Lost { 1: string why }
union Choice { 1: list<i32> many = [5], 2: i32 one }
union Count { 1: i32 number = 3, 2: string word }
service Base { void ping() }
service Map extends Base { Point find(1: i32 x, 2: Point near) throws (1: Lost lost) (zkrpc.idempotent = "true"),
  oneway void note(1: string text) }
"""


@pytest.fixture(name="idl")
def _idl() -> Any:
    return load_text(TEXT)


def test_classes_are_what_thriftpy2_makes(idl: Any) -> None:
    """By base classes and by the attributes that it and its users look at."""
    assert issubclass(idl.Point, TPayload) and issubclass(idl.Lost, TException)
    assert idl.Point.thrift_spec == {
        1: (8, "x", True),
        2: (15, "colors", (8, idl.Color), False),
        5: (18, "raw", False),
    }
    assert idl.Point.default_spec == [("x", None), ("colors", [1]), ("raw", None)]
    assert idl.Point.__thrift_annotations__ == {"a": None, "b": "c"}
    assert idl.Point.__thrift_field_annotations__["colors"] == {"key": "k"} and idl.Point.__thrift_lineno__ == 3
    assert idl.Color.__thrift_annotations__ == {"kind": "paint"} and idl.Color.__thrift_item_annotations__["BLUE"] == {}
    service = module_of(idl).Map
    assert service.thrift_services == ["find", "note", "ping"] and issubclass(service, module_of(idl).Base)
    assert service.find_args.thrift_spec == {1: (8, "x", False), 2: (12, "near", idl.Point, False)}
    assert service.find_result.thrift_spec == {0: (12, "success", idl.Point, False), 1: (12, "lost", idl.Lost, False)}
    assert (service.note_result.oneway, service.ping_result.oneway) == (True, False)


def test_enum_of_two_names_for_a_number_is_called_by_the_first(idl: Any) -> None:
    """As Python's own enums are; both names are numbers."""
    assert (idl.Color.RED, idl.Color.CRIMSON, idl.Color.BLUE) == (1, 1, 2)
    assert idl.Color._VALUES_TO_NAMES == {1: "RED", 2: "BLUE"}
    assert idl.Color._NAMES_TO_VALUES == {"RED": 1, "CRIMSON": 1, "BLUE": 2}


def test_items_of_enums_may_be_called_as_thriftpy2_calls_its_own() -> None:
    """Except for its two tables, in which they are found all the same."""
    idl = load_text("enum E { _ttype = 1, None = 2, _VALUES_TO_NAMES = 3 } const E X = _VALUES_TO_NAMES")
    assert (idl.E._ttype, getattr(idl.E, "None"), idl.X, idl.E._NAMES_TO_VALUES["_VALUES_TO_NAMES"]) == (1, 2, 3, 3)


def test_thriftpy2_reads_and_serves_them(idl: Any) -> None:
    """With its protocols and its processor."""
    point, buffer = idl.Point(5, [2], b"\xff"), TMemoryBuffer()
    point.write(TBinaryProtocol(buffer))
    again = idl.Point()
    again.read(TBinaryProtocol(TMemoryBuffer(buffer.getvalue())))
    assert again == point

    class Handler:
        """Finds."""

        def find(self, x: int, near: Any) -> Any:
            """Somewhere near."""
            return idl.Point(x + near.x)

    service, request, reply = module_of(idl).Map, TMemoryBuffer(), TMemoryBuffer()
    written = TBinaryProtocol(request)
    written.write_message_begin("find", 1, 7)
    service.find_args(x=1, near=idl.Point(2)).write(written)
    written.write_message_end()
    TProcessor(service, Handler()).process(TBinaryProtocol(TMemoryBuffer(request.getvalue())), TBinaryProtocol(reply))
    answer, result = TBinaryProtocol(TMemoryBuffer(reply.getvalue())), service.find_result()
    assert answer.read_message_begin() == ("find", 2, 7)
    result.read(answer)
    assert result.success == idl.Point(3) and result.lost is None


def test_constructor_takes_fields_by_place_and_name(idl: Any) -> None:
    """And says what it does not take."""
    assert idl.Point(1, [2]) == idl.Point(colors=[2], x=1) != idl.Point(1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        idl.Point(z=1)
    with pytest.raises(TypeError, match="takes from 1 to 4 positional arguments but 5 were given"):
        idl.Point(1, 2, 3, 4)


def test_structs_print_compare_hash_and_copy(idl: Any) -> None:
    """As thriftpy2's do; exceptions are equal to themselves alone."""
    point = idl.Point(1, [2])
    assert repr(point) == str(point) == "Point(x=1, colors=[2], raw=None)"
    assert {point: 1}[idl.Point(1, [2])] == 1
    shallow, deep = copy.copy(point), copy.deepcopy(point)
    assert shallow == deep == point and shallow.colors is point.colors and deep.colors is not point.colors
    lost = idl.Lost("x")
    assert lost != idl.Lost("x") and repr(lost) == "Lost(why='x')" and lost.args == ("x",)
    assert copy.copy(lost).why == copy.deepcopy(lost).why == "x" and copy.copy(lost).args == ("x",)
    assert copy.deepcopy(idl.Point) is idl.Point and copy.copy(idl.Color) is idl.Color


def test_struct_of_very_many_fields_is_made() -> None:
    """More than one byte of an instruction can count."""
    idl = load_text("struct A { " + " ".join(f"{at}: i32 f{at} = {at}" for at in range(1, 2001)) + " }")
    assert idl.A(f3=7).f3 == 7 and idl.A().f2000 == 2000 and idl.A(*range(2000)).f2000 == 1999


def test_thriftpy2_is_left_as_it_was(idl: Any) -> None:
    """Its own parser never hears of our files."""
    assert not [name for name in _thrift_cache if name.startswith("zkrpc")]
    assert module_of(idl) is sys.modules[module_of(idl).__name__]


def test_union_that_is_given_nothing_holds_its_default(idl: Any) -> None:
    """A copy of its own, by place or name, and nothing beside a member that was given, however empty that is."""
    assert vars(idl.Choice()) == vars(idl.Choice(None)) == vars(idl.Choice(one=None)) == {"many": [5], "one": None}
    assert vars(idl.Choice(one=0)) == {"many": None, "one": 0} and idl.Choice([]).many == []
    assert vars(idl.Count()) == {"number": 3, "word": None} and vars(idl.Count(word="")) == {"number": None, "word": ""}
    idl.Choice().many.append(6)
    assert idl.Choice().many == [5]
    with pytest.raises(TypeError, match="unexpected keyword argument 'two'"):
        idl.Choice(two=2)


def test_union_that_is_decoded_begins_with_nothing(idl: Any) -> None:
    """Its bare class takes the same members, and is a union of the same name; a struct is bare itself."""
    bare: Any = bare_of(idl.Choice)
    assert vars(bare()) == {"many": None, "one": None} and vars(bare(one=1)) == {"many": None, "one": 1}
    assert issubclass(bare, idl.Choice) and (bare.__name__, bare.__module__) == ("Choice", idl.Choice.__module__)
    assert bare.thrift_spec == idl.Choice.thrift_spec and bare_of(idl.Point) is idl.Point


def test_pickle_that_lacks_a_field_gets_its_default(idl: Any) -> None:
    """As one does that an older IDL wrote: a copy of the default's own, and what is there stays."""
    old, lost = idl.Point(1, [2], b"r"), idl.Lost("x")
    del old.colors, lost.why
    for again in (pickle.loads(pickle.dumps(old)), copy.copy(old)):
        assert again == idl.Point(1, [1], b"r") and again.colors is not idl.Point().colors
        again.colors.append(9)
    assert idl.Point().colors == [1]
    found = pickle.loads(pickle.dumps(lost))
    assert found.why is None and found.args == ("x",)


def test_copy_of_a_derived_class_needs_not_its_constructor(idl: Any) -> None:
    """A missing field's default comes from the struct itself; slots come along."""

    class Named(idl.Point):  # type: ignore[misc]  # of a class that is made at run time
        """A struct that somebody derived from."""

        __slots__ = ("name",)

        def __init__(self, name: str) -> None:
            super().__init__(7)
            self.name = name

    named = Named("home")
    del named.colors
    for again in (copy.copy(named), copy.deepcopy(named)):
        assert type(again) is Named and (again.name, again.x, again.colors) == ("home", 7, [1])


def test_struct_with_a_dict_is_pickled_with_its_slots() -> None:
    """One that has a field called as a mark on classes: what a derived class adds comes along, and defaults are
    filled in."""
    marked = load_text("struct Marked { 1: i32 _ttype = 3, 2: i32 x }").Marked
    derived = type("Derived", (marked,), {"__slots__": ("own",)})
    one, other = derived(x=1), derived(x=1)
    one.own, one.more = 5, 6
    del one._ttype
    again = copy.copy(one)
    assert (again.own, again.more, again._ttype, again.x) == (5, 6, 3, 1) and type(again) is derived
    assert copy.copy(other) == other and not hasattr(copy.copy(other), "own")
