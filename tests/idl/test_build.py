"""The classes that are made, and what is refused where it is used."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.idl.test_source import write
from zkrpc.codec import Payload, StructCodec
from zkrpc.errors import IdlError
from zkrpc.idl import digest_of, load, load_text, module_of


def test_included_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    """thriftpy2 gives the second project the first one's types."""
    for number in (1, 2):
        files = {"main.thrift": "include 'common.thrift'", "common.thrift": f"const i32 WHOSE = {number}"}
        assert load(write(tmp_path / str(number), files)).common.WHOSE == number


def test_file_included_by_two_paths_is_one_set_of_classes(tmp_path: Path) -> None:
    """thriftpy2 makes two, and an exception is then not an instance of what was declared."""
    files = {
        "main.thrift": "include 'a/a.thrift'\ninclude 'b/b.thrift'\ninclude 'errors.thrift'",
        "a/a.thrift": "include '../errors.thrift'\nservice A { void f() throws (1: errors.Oops o) }",
        "b/b.thrift": "include '../errors.thrift'\nservice B { void f() throws (1: errors.Oops o) }",
        "errors.thrift": "exception Oops { 1: string why }",
    }
    main = load(write(tmp_path, files))
    (one,), (two,) = main.a.A.methods["f"].throws, main.b.B.methods["f"].throws
    assert one is two is main.errors.Oops


def test_include_directories_lead_to_the_same_classes(tmp_path: Path) -> None:
    """Found beside or found elsewhere, a file is a file."""
    files = {
        "x/main.thrift": "include 'common.thrift'\ninclude 'y.thrift'",
        "y/y.thrift": "include 'common.thrift'\nstruct Y { 1: common.A a }",
        "y/common.thrift": "struct A { 1: i32 x }",
    }
    main = load(write(tmp_path, files), include_dirs=[tmp_path / "y"])
    assert main.y.common is main.common
    assert main.y.Y.thrift_spec[1][2] is main.common.A


def test_files_of_one_name_are_one_to_whoever_includes_both(tmp_path: Path) -> None:
    """By the name of either file; what both define is neither's."""
    files = {
        "main.thrift": "include 'a.thrift' include 'b/a.thrift' include './a.thrift'\nstruct M { 1: a.A a, 2: a.B b }",
        "a.thrift": "struct A { 1: i32 x } const i32 BOTH = 1",
        "b/a.thrift": "struct B { 1: i32 x } const i32 BOTH = 2",
    }
    main = load(write(tmp_path, files))
    assert main.M(main.a.A(1), main.a.B(2)).b.x == 2 and not hasattr(main.a, "BOTH")


def test_file_with_dots_in_its_name_is_included(tmp_path: Path) -> None:
    """Its types, constants, services and exceptions; getattr finds it."""
    files = {
        "main.thrift": "include 'acme.base.thrift'\nstruct Cage { 1: acme.base.Cat cat = acme.base.TOM }\n"
        "service Zoo extends acme.base.Base { acme.base.Cat get() throws (1: acme.base.Lost lost) }",
        "acme.base.thrift": "struct Cat { 1: i32 lives } exception Lost {} service Base { void ping() } "
        "const Cat TOM = {'lives': 9}",
    }
    main = load(write(tmp_path, files))
    base = getattr(main, "acme.base")
    assert main.Cage().cat == base.Cat(9) and list(main.Zoo.methods) == ["ping", "get"]
    assert load_text(main.Zoo.text).Zoo.digest == main.Zoo.digest


def test_forward_references_are_resolved_everywhere() -> None:
    """Behind typedefs and inside containers too; thriftpy2 leaves some of them to fail at the first call."""
    idl = load_text("""
        service S { list<Later> f(1: map<string, list<Later>> x, 2: set<Kind> k, 3: Names n) throws (1: Oops o) }
        struct Early { 1: Later a, 2: list<Later> b, 3: list<list<Later>> c, 4: map<i32, Later> d, 5: Alias e }
        typedef Other Alias
        typedef list<Name> Names
        typedef Later Other
        typedef string Name
        struct Later { 1: Early & e, 2: Kind k = 1, 3: Kind l = Kind.A }
        enum Kind { A = 1 }
        exception Oops { 1: Later l }
        """)
    method = idl.S.methods["f"]
    assert repr(method) == "<Method list<Later> S.f(map<string, list<Later>> x, set<Kind> k, list<string> n)>"
    early = idl.Early(idl.Later(), [idl.Later()], [[idl.Later()]], {1: idl.Later()}, idl.Later())
    value = [idl.Later(early)]
    assert method.read_result(method.encode_result(value), 0) == value and value[0].l == 1
    args = ({"a": value}, {1}, ["n"])
    assert method.decode_arguments(method.encode_arguments(method.bind(args, {})), 0) == args


NAMES = [
    "self",
    "args",
    "success",
    "class",
    "None",
    "async",
    "_id",
    "__id",
    "it",
    "value",
    "read",
    "next",
    "thrift_spec",
]


@pytest.mark.parametrize("payload", Payload)
def test_any_name_works_for_anything(payload: Payload) -> None:
    """Python's words and thriftpy2's, of structs, fields, exceptions, parameters, methods and enums; by getattr."""
    fields = ", ".join(f"{at}: i32 {name}" for at, name in enumerate(NAMES, 1))
    idl = load_text(
        f"struct from {{ {fields}, 14: string text, 15: list<i32> pass = [1] }} exception import {{ {fields} }}"
        f"union or {{ 1: i32 class, 2: required string None }} enum E {{ None = 1, _A, self }}"
        f"service in {{ from del({fields}) throws (1: import success), void _x(1: string is, 2: list<i32> not = [5]) }}"
    )
    struct, method, other = getattr(idl, "from"), getattr(idl, "in").methods["del"], getattr(idl, "in").methods["_x"]
    values = dict(zip(NAMES, range(1, 14), strict=True))
    made = struct(**values)
    assert (
        made == struct(*range(1, 14)) and getattr(made, "class") == 4 and made.args == 2 and repr(made).count("=") == 15
    )
    codec = StructCodec(struct)
    assert codec.decode(codec.encode(made, payload), 0, payload) == made
    with pytest.raises(TypeError, match=r"from.class must be an i32, got 'x'"):
        codec.encode(struct(**{"class": "x"}))
    body = method.encode_arguments(method.bind((), values), payload)
    assert method.decode_arguments(body, 0, payload) == tuple(range(1, 14))
    assert method.bind(tuple(range(1, 14)), {}) == method.bind((1,), dict(list(values.items())[1:]))
    with pytest.raises(TypeError, match="in.del.. missing 1 required positional argument: 'class'"):
        method.bind((), {name: 1 for name in NAMES if name != "class"})
    body = other.encode_arguments(other.bind((), {"is": "x"}), payload)
    assert other.decode_arguments(body, 0, payload) == ("x", [5])
    assert method.read_result(method.encode_result(made, payload), 0, payload) == made
    error = getattr(idl, "import")(**values)
    with pytest.raises(getattr(idl, "import")) as caught:
        method.read_result(method.encode_exception(error, payload), 0, payload)
    assert vars(caught.value) == values and str(error).startswith("import(self=1, args=2,")
    with pytest.raises(TypeError, match="or is a union: set exactly one of class, None"):
        StructCodec(getattr(idl, "or")).encode(getattr(idl, "or")())
    assert getattr(idl.E, "None") == 1 and idl.E._A == 2


@pytest.mark.parametrize("payload", Payload)
def test_keys_and_members_that_are_containers_are_read_frozen(payload: Payload) -> None:
    """A list as tuple, a set as frozenset, at any depth; the same containers elsewhere stay what they are."""
    idl = load_text("""
        struct P { 1: i32 x, 2: list<i32> y }
        struct A {
            1: map<list<string>, list<string>> a, 2: set<set<i32>> b, 3: map<set<list<i32>>, map<i32, list<i32>>> c,
            4: map<P, list<set<list<i32>>>> d = {{'x': 1, 'y': [2]}: [[[3]]]}, 5: set<list<P>> e
        }
        service S { map<list<i32>, i32> f(1: set<list<i32>> x) }
        const map<list<i32>, set<set<i32>>> C = {[1, 2]: [[3], [4, 4]]}
        """)
    a = idl.A(
        {("x", "y"): ["z"]},
        {frozenset({1, 2})},
        {frozenset({(1,), (2, 3)}): {4: [5]}},
        {idl.P(1, [2]): [{(3,)}]},
        {(idl.P(1, [2]),)},
    )
    codec = StructCodec(idl.A)
    again = codec.decode(codec.encode(a, payload), 0, payload)
    assert again == a and again.a[("x", "y")] == ["z"] and idl.A().d == a.d
    assert idl.C == {(1, 2): {frozenset({3}), frozenset({4})}}
    f = idl.S.methods["f"]
    assert f.read_result(f.encode_result({(1,): 2}, payload), 0, payload) == {(1,): 2}
    assert f.decode_arguments(f.encode_arguments(f.bind(({(1, 2)},), {}), payload), 0, payload) == ({(1, 2)},)


REFUSED = """struct Good { 1: i32 x }
struct Bad {
  1: string a,
  2: map<map<i32, i32>, i32> b = {},
}
struct Holder { 1: list<Bad> bad }
struct Dunder { 1: i32 __class__ }
exception Oops { 1: set<list<map<i32, i32>>> x } exception Noted { 1: string add_note }
const set<map<i32, i32>> MAPS = [{1: 2}]
const Good FINE = {'x': 1}
const list<Holder> HELD = [{'bad': [{'b': {{1: 2}: 3}}]}]
struct Filled { 1: i32 x = 1, 2: Bad bad = {'b': {{1: 2}: 3}}, 3: Good good = {'x': 2} }
const Good GOOD = FINE
service S {
  Good fine(1: Good g),
  void takes(1: Holder h),
  list<Bad> gives(),
  void inside(1: set<map<i32, i32>> x),
  void fails() throws (1: Oops o),
  oneway i32 never(),
  void __init__(),
}
"""


def test_what_python_cannot_hold_is_refused_where_it_is_used(tmp_path: Path) -> None:
    """With its line and the reason; everything else in the file works."""
    idl = load(write(tmp_path, {"main.thrift": REFUSED}))
    fine = idl.S.methods["fine"]
    assert fine.refusal is None and fine.read_result(fine.encode_result(idl.FINE), 0) == idl.Good(1)
    why = {
        "takes": "main.thrift:4: Bad's field b cannot be held by Python: map<map<i32, i32>, i32> has keys or members",
        "gives": "main.thrift:4: Bad's field b cannot be held by Python",
        "inside": r"main.thrift:18: S.inside\(\)'s parameter x cannot be held by Python",
        "fails": "main.thrift:8: Oops's field x cannot be held by Python",
        "never": r"main.thrift:20: S.never\(\) is oneway, so nobody hears its result; expected 'oneway void'",
        "__init__": r"main.thrift:21: S.__init__\(\) has a name that means something else in Python",
    }
    for name, message in why.items():
        method = idl.S.methods[name]
        assert re.search(message, str(method.refusal)) and name in repr(method)
        uses = (method.bind, method.encode_arguments, method.decode_arguments)
        for use in (*uses, method.encode_result, method.encode_exception, method.read_result):
            with pytest.raises(IdlError, match=message):
                use((), {})
    assert {name for name, method in idl.S.methods.items() if method.refusal} == set(why)
    for struct, line in ((idl.Bad, 4), (idl.Holder, 4), (idl.Dunder, 7), (idl.Oops, 8), (idl.Noted, 8)):
        for _ in range(2):
            with pytest.raises(IdlError, match=f"main.thrift:{line}: "):
                StructCodec(struct)
    with pytest.raises(IdlError, match="main.thrift:9: the constant MAPS cannot be held by Python: set<map<i32, i32>>"):
        print(idl.MAPS)
    with pytest.raises(IdlError, match="main.thrift:4: Bad's field b cannot be held by Python"):
        print(idl.HELD)
    assert (idl.Filled().good.x, idl.Filled().bad, idl.GOOD.x) == (2, None, 1)
    assert StructCodec(idl.Good).decode(StructCodec(idl.Good).encode(idl.Good(1))) == idl.Good(1)


@pytest.mark.parametrize("payload", Payload)
def test_default_of_a_union_is_what_it_holds_when_nothing_is_set(payload: Payload) -> None:
    """Not a second member beside one that is set, or that came; required members are not."""
    idl = load_text(
        "union U { 1: required list<i32> a = [5], 2: string b } union N { i32 c, 2: U u = {'b': 'x'} }"
        "service S { U f(1: map<string, list<U>> x), N g() } union Newer { 1: list<i32> a, 3: string c }"
    )
    assert idl.U() == idl.U([5]) and idl.U(b="x").a is None and idl.U().a is not idl.U().a
    assert idl.N() == idl.N(u=idl.U(b="x")) and copy.deepcopy(idl.U(b="x")) == idl.U(b="x")
    f, g = idl.S.methods["f"], idl.S.methods["g"]
    for value in (idl.U(b="x"), idl.U(), idl.U([])):
        again = f.read_result(f.encode_result(value, payload), 0, payload)
        assert again == value and type(again) is idl.U
        args = ({"k": [value]},)
        assert f.decode_arguments(f.encode_arguments(f.bind(args, {}), payload), 0, payload) == args
        again = StructCodec(idl.U).decode(StructCodec(idl.U).encode(value, payload), 0, payload)
        assert again == value and type(again) is idl.U
    assert g.read_result(g.encode_result(idl.N(7), payload), 0, payload) == idl.N(7)
    unknown = StructCodec(idl.Newer).encode(idl.Newer(c="later"), payload)
    assert vars(StructCodec(idl.U).decode(unknown, 0, payload)) == {"a": None, "b": None}
    with pytest.raises(TypeError, match="U is a union: set exactly one of a, b"):
        f.encode_result(idl.U([1], "b"))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("struct A {\n 1: list<A> x = [{}] }", 1, "the default of A is made of itself, .*: the default of A"),
        ("struct A { 1: B b = {} }\nstruct B { 1: A a = {} }", 1, "the default of A is made of itself"),
        (
            "const i32 A = B\nconst i32 B = A",
            1,
            "the constant A is made of itself, .*: the constant A of the constant B",
        ),
        (
            "typedef list<A> A",
            1,
            "type list<A> is too large; expected at most 64 types inside each other, not in a circle",
        ),
        ("typedef list<A> B\ntypedef map<i32, B> A\nstruct C { 1: A a }", 3, "type A is too large"),
        ("\n".join(f"typedef list<T{at}> T{at + 1}" for at in range(100)) + "\ntypedef i32 T0", 65, "is too large"),
        ("\n".join(f"typedef map<T{at}, T{at}> T{at + 1}" for at in range(60)) + "\ntypedef i32 T0", 9, "is too large"),
        (
            "\n".join(f"const i32 C{at} = C{at + 1}" for at in range(100)) + "\nconst i32 C100 = 1",
            65,
            "made of itself, or",
        ),
        (
            "\n".join(f"struct S{at} {{ 1: S{at + 1} s = {{}} }}" for at in range(100)) + "\nstruct S100 {}",
            65,
            "or of more",
        ),
    ],
)
def test_what_goes_in_circles_or_multiplies_is_an_error(text: str, line: int, message: str) -> None:
    """With a line, and soon."""
    with pytest.raises(IdlError, match=message) as caught:
        load_text(text)
    assert caught.value.line == line


def test_structs_may_hold_each_other_a_thousand_deep() -> None:
    """As types; a value is as deep as the codec takes it."""
    text = "\n".join(f"struct S{at} {{ 1: S{at + 1} s }}" for at in range(1000)) + "\nstruct S1000 { 1: i32 x }"
    idl = load_text(f"{text}\nservice S {{ S0 f(1: S0 s) }}")
    f = idl.S.methods["f"]
    value = idl.S0(idl.S1(idl.S2()))
    assert f.read_result(f.encode_result(value), 0) == value


def deep(left: int, action: Any) -> Any:
    """Does something with the stack nearly full."""
    return action() if left <= 0 else deep(left - 1, action)


def test_load_with_little_stack_left_is_an_error_of_ours() -> None:
    """Whoever called."""
    seen = set()
    for left in range(0, 400, 5):
        try:
            deep(
                sys.getrecursionlimit() - len(inspect.stack(0)) - left,
                lambda: load_text("struct A { 1: list<i32> x = [1] }"),
            )
        except IdlError as error:
            seen.add(str(error))
        except RecursionError:
            seen.add("before load was called")
    assert "interface.thrift: too little of the stack is left to load it" in seen


def test_file_that_was_mended_loads(tmp_path: Path) -> None:
    """Nothing of a failed load is remembered."""
    for text in ("const i8 A = 300", "struct A { 1: Missing x }", "struct A {"):
        path = write(tmp_path, {"main.thrift": text})
        with pytest.raises(IdlError):
            load(path)
    assert load(write(tmp_path, {"main.thrift": "const i8 A = 100"})).A == 100


def test_file_that_changed_makes_new_classes(tmp_path: Path) -> None:
    """The old ones go on working; so it is when only an included file changes."""
    write(tmp_path, {"main.thrift": "include 'a.thrift'\nstruct M { 1: a.A a }", "a.thrift": "struct A { 1: i32 x }"})
    old = load(tmp_path / "main.thrift")
    assert load(tmp_path / "main.thrift") is old
    write(tmp_path, {"a.thrift": "struct A { 1: i32 x, 2: i32 y }"})
    new = load(tmp_path / "main.thrift")
    assert new.M is not old.M and new.a.A(1, 2).y == 2 and not hasattr(old.a.A(1), "y")


def test_modules_have_names_of_their_own(tmp_path: Path) -> None:
    """Of place and contents, as thriftpy2 ends them; what a file includes is an attribute of its module."""
    main = load(write(tmp_path, {"main.thrift": "include 'a.thrift'", "a.thrift": "struct A { 1: i32 x }"}))
    module = module_of(main.a)
    assert module.__name__ == main.a.A.__module__ and module.A is main.a.A and module_of(main).a is module
    assert module.__name__.startswith("zkrpc_idl_") and module.__name__.endswith("_a_thrift")
    assert digest_of(load(tmp_path / "a.thrift")) == digest_of(main.a)
