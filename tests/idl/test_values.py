"""Constants and defaults, as values of the declared types."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.idl.test_source import write
from zkrpc.errors import IdlError
from zkrpc.idl import load, load_text


def test_constants_have_the_declared_types() -> None:
    """thriftpy2 casts the outermost level only, and never to bytes."""
    idl = load_text("""
        enum E { A = 3 }
        struct P { 1: i32 x, 2: binary b, 3: list<double> d }
        const binary B = "raw"
        const double D = 1
        const bool T = 1
        const i32 N = true
        const list<double> L = [1, 2.5]
        const set<i32> S = [1, 1, 2]
        const map<string, binary> M = {"k": "v"}
        const list<P> PS = [{"x": 1, "b": "y", "d": [1]}]
        const list<E> ES = [E.A, A, 3]
        const P ONE = {"x": 5, "b": "z"}
        const uuid U = "01234567-89AB-cdef-0123-456789abcdef"
        struct A { 1: binary b = "raw", 2: list<bool> f = [true, 0], 3: uuid u = U }
        """)
    assert (idl.B, idl.D, idl.T, idl.L, idl.S) == (b"raw", 1.0, True, [1.0, 2.5], {1, 2})
    assert idl.M == {"k": b"v"} and idl.ES == [3, 3, 3] and isinstance(idl.D, float)
    assert idl.N == 1 and type(idl.N) is int and idl.T is True
    assert idl.PS == [idl.P(1, b"y", [1.0])] and idl.ONE == idl.P(5, b"z")
    assert idl.U == uuid.UUID(int=0x0123456789ABCDEF0123456789ABCDEF)
    assert idl.A() == idl.A(b"raw", [True, False], idl.U)


def test_constants_are_made_of_constants(tmp_path: Path) -> None:
    """Of others of the file, before or after, and of included files; of structs, and of items of enums."""
    files = {
        "main.thrift": """include "shared.thrift"
            const list<shared.Point> PATH = [shared.ORIGIN, NEXT, {"x": LIMIT}]
            const shared.Point NEXT = {"x": shared.LIMIT, "color": Color.RED}
            const i32 LIMIT = shared.LIMIT
            const shared.Color FIRST = shared.Color.RED
            const shared.Hue SECOND = Hue.RED
            const shared.Color THIRD = shared.FAVOURITE
            const i64 NUMBER = shared.Color.RED
            const set<i32> SOME = shared.SOME
            const map<string, list<i32>> MANY = {shared.NAME: shared.SOME}
            struct A { 1: shared.Color a = RED, 2: shared.Color b = Color.RED, 3: shared.Hue c = shared.Color.RED
                       4: list<i32> d = shared.SOME }
            service S { void f(1: shared.Point p = shared.ORIGIN, 2: i32 limit = LIMIT) }
            """,
        "shared.thrift": """enum Color { RED = 2 } typedef Color Hue
            struct Point { 1: i32 x, 2: Color color }
            const Point ORIGIN = {"x": 0} const i32 LIMIT = 9 const list<i32> SOME = [1, 1] const string NAME = "n"
            const Hue FAVOURITE = Hue.RED
            """,
    }
    idl = load(write(tmp_path, files))
    point = idl.shared.Point
    assert idl.PATH == [point(0), point(9, 2), point(9)] and idl.PATH[0] is not idl.shared.ORIGIN
    assert (idl.FIRST, idl.SECOND, idl.THIRD, idl.NUMBER, idl.SOME) == (2, 2, 2, 2, {1}) and idl.MANY == {"n": [1, 1]}
    assert idl.A() == idl.A(2, 2, 2, [1, 1])
    assert [one.default for one in idl.S.methods["f"].parameters] == [point(0), 9]


def test_empty_braces_are_any_empty_container() -> None:
    """So are empty brackets, to Apache's compiler."""
    idl = load_text(
        "const list<i32> L = {} const set<i32> S = {} const map<i32, i32> M = [] struct A { 1: set<i32> s = {} }"
    )
    assert (idl.L, idl.S, idl.M, idl.A().s) == ([], set(), {}, set())


def test_defaults_belong_to_each_object() -> None:
    """thriftpy2 shares one list among all objects, and so among all requests."""
    idl = load_text(
        "const list<i32> L = [7] struct P { 1: i32 x } struct A { 1: list<i32> a = [1], "
        "2: map<string, list<i32>> b = {'k': [1]}, 3: list<i32> c = L, 4: P p = {'x': 1} }"
    )
    one, two = idl.A(), idl.A()
    one.a.append(2)
    one.b["k"].append(2)
    one.c.append(2)
    one.p.x = 2
    assert two == idl.A([1], {"k": [1]}, [7], idl.P(1)) and idl.L == [7]
    assert idl.A(a=None).a is None and idl.A([5]).a == [5]


def test_defaults_may_be_structs_with_defaults() -> None:
    """Those are made first, wherever they are defined."""
    idl = load_text(
        "struct A { 1: B b = {'c': {}} } struct B { 1: C c, 2: i32 x = 7 } struct C { 1: list<i32> l = [1] }"
    )
    assert idl.A() == idl.A(idl.B(idl.C([1]), 7))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("const i8 A = 300", 1, "the constant A must be an i8, got 300"),
        ("\nconst i64 A = 0xFFFFFFFFFFFFFFFF", 2, "does not fit in 64 bits"),
        ("const list<i8> A = [1, 300]", 1, r"the constant A\[\] must be an i8, got 300"),
        ("const list<string> A = ['a', 1]", 1, r"the constant A\[\] must be a str, got 1"),
        ("struct A {\n 1: i8 x = 300 }", 2, "the default of A.x must be an i8"),
        ("service S { void f(1: i16 x = 40000) }", 1, r"the default of S.f\(\).x must be an i16"),
        ("struct P { 1: required i32 x }\nconst list<P> A = [{}]", 2, "P.x is required"),
        ("struct P { 1: i32 x }\nconst list<P> A = [{'x': 'y'}]", 2, "P.x must be an i32"),
        ("struct P { 1: i32 x }\nconst list<P> A = [5]", 2, r"the constant A\[\] must be a P, got 5"),
        ("struct P { 1: i32 x }\nconst list<P> A = [{'y': 5}]", 2, "P has no field y"),
        ("struct P { 1: i32 x }\nconst P A = {1: 5}", 2, "the constant A must be a str, got 1"),
        ("struct P { 1: i32 x }\nstruct Q { 1: i32 x }\nconst P A = {}\nconst Q B = A", 4, "must be a Q, got P"),
        ("union U { 1: i32 x, 2: i32 y }\nconst U A = {}", 2, "U is a union: expected one member, found 0"),
        ("const i32 A = 'x'", 1, "the constant A must be an i32, got 'x'"),
        ("const string A = 5", 1, "the constant A must be a str, got 5"),
        ("const bool A = 'true'", 1, "the constant A must be a bool, got 'true'"),
        ("const uuid A = 'x'", 1, "the constant A must be a uuid such as .*, got 'x'"),
        ("const map<i32, i32> A = [1]", 1, r"the constant A must be a map<i32, i32>, got \[1\]"),
        ("const list<i32> A = {1: 2}", 1, "the constant A must be a list<i32>, got {1: 2}"),
        ("struct A { 1: i32 x = 1.5 }", 1, "the default of A.x must be an i32, got 1.5"),
        ("enum E { A = 1 }\nconst E X = 5", 2, "5 is no item of E"),
        ("enum E { A = 1 }\nstruct S {\n 1: E e = 5 }", 3, "5 is no item of E"),
        ("enum E { A = 1 } enum F { A = 1 }\nconst E X = F.A", 2, "F.A is no item of E"),
        ("enum E { A = 1 }\nconst E X = E.B", 2, "no constant E.B"),
        ("enum E { A = 1 }\nconst i32 X = A", 2, "no constant A; expected one, or an item such as Enum.ITEM"),
        ("enum E { A = 1 }\nconst i32 B = 2\nconst E X = B", 3, "2 is no item of E"),
        ("struct P { 1: i32 x }\nconst map<P, i32> A = {'x': 5}", 2, "must be a P, got 'x'"),
        ("struct A { 1: list<i32> x = [1,\n MISSING] }", 2, "no constant MISSING"),
        ("struct A { 1: i32 x }\nconst i32 Y = A", 2, "no constant A"),
        ("service S { void f(1: i32 x = other.X) }", 1, "no constant other.X"),
        ("const set<map<i32, i32>> A = []\nconst i32 B = A", 1, "the constant A cannot be held by Python"),
    ],
)
def test_value_that_does_not_fit_is_an_error(text: str, line: int, message: str) -> None:
    """thriftpy2 lets most pass; what it does find, it finds without the file and often without the line."""
    with pytest.raises(IdlError, match=message) as caught:
        load_text(text)
    assert f"interface.thrift:{line}: " in str(caught.value)
