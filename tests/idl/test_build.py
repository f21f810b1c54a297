"""The classes that thriftpy2 makes, put right, and thriftpy2 left as it was."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import thriftpy2
from thriftpy2.parser import lexer
from thriftpy2.parser.parser import _thrift_cache

from tests.idl.test_source import write
from zkrpc.errors import IdlError
from zkrpc.idl import load, load_text, module_of


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


def test_forward_references_are_resolved_everywhere() -> None:
    """thriftpy2 leaves those inside a service's containers at type -1, to fail at the first call."""
    idl = load_text("""
        service S { list<Later> f(1: map<string, list<Later>> x, 2: set<Kind> k, 3: Names n) throws (1: Oops o) }
        struct Early { 1: Later a, 2: list<Later> b, 3: list<list<Later>> c, 4: map<i32, Later> d }
        typedef list<Name> Names
        typedef string Name
        struct Later { 1: Early e }
        enum Kind { A = 1 }
        exception Oops { 1: Later l }
        """)
    method = idl.S.methods["f"]
    assert repr(method) == "<Method list<Later> S.f(map<string, list<Later>> x, set<Kind> k, list<string> n)>"
    early = idl.Early(idl.Later(), [idl.Later()], [[idl.Later()]], {1: idl.Later()})
    value = [idl.Later(early)]
    assert method.read_result(method.encode_result(value), 0) == value
    args = ({"a": value}, {1}, ["n"])
    assert method.decode_arguments(method.encode_arguments(method.bind(args, {})), 0) == args


def test_names_that_thriftpy2_refuses_work() -> None:
    """As they do with Thrift's own compiler; arguments may even be called like methods of the struct."""
    idl = load_text("struct end { 1: i32 next, 2: i32 read, 3: i32 write } service S { void delete(1: end args) }")
    delete = idl.S.methods["delete"]
    value = idl.end(1, 2, 3)
    assert delete.decode_arguments(delete.encode_arguments(delete.bind((value,), {})), 0) == (value,)


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


def test_constants_have_the_declared_types() -> None:
    """thriftpy2 casts the outermost level only, and never to bytes."""
    idl = load_text("""
        enum E { A = 3 }
        struct P { 1: i32 x, 2: binary b, 3: list<double> d }
        const binary B = "raw"
        const double D = 1
        const bool T = 1
        const list<double> L = [1, 2.5]
        const set<i32> S = [1, 1, 2]
        const map<string, binary> M = {"k": "v"}
        const list<P> PS = [{"x": 1, "b": "y", "d": [1]}]
        const list<E> ES = [E.A]
        const P ONE = {"x": 5, "b": "z"}
        struct A { 1: binary b = "raw", 2: list<bool> f = [true, 0] }
        """)
    assert (idl.B, idl.D, idl.T, idl.L, idl.S) == (b"raw", 1.0, True, [1.0, 2.5], {1, 2})
    assert idl.M == {"k": b"v"} and idl.ES == [3] and isinstance(idl.D, float)
    assert idl.PS == [idl.P(1, b"y", [1.0])] and idl.ONE == idl.P(5, b"z")
    assert idl.A() == idl.A(b"raw", [True, False])


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("const i8 A = 300", 1, "the constant A must be an i8, got 300"),
        ("\nconst i64 A = 9223372036854775808", 2, "the constant A must be an i64"),
        ("const list<i8> A = [1, 300]", 1, r"the constant A\[\] must be an i8, got 300"),
        ("const list<string> A = ['a', 1]", 1, r"the constant A\[\] must be a str, got 1"),
        ("struct A {\n 1: i8 x = 300 }", 2, "the default of A.x must be an i8"),
        ("service S { void f(1: i16 x = 40000) }", 1, r"the default of S.f\(\).x must be an i16"),
        ("struct P { 1: required i32 x }\nconst list<P> A = [{}]", 2, "P.x is required"),
        ("struct P { 1: i32 x }\nconst list<P> A = [{'x': 'y'}]", 2, "P.x must be an i32"),
        ("struct P { 1: i32 x }\nconst list<P> A = [5]", 2, r"the constant A\[\] must be a P, got 5"),
        ("struct P { 1: i32 x }\nconst list<P> A = [{'y': 5}]", 2, "P has no field y"),
        ("const i32 A = 'x'", 1, "Type error for constant A"),
        ("struct A { 1: i32 x = 1.5 }", 1, "Type error for field x"),
        ("enum E { A = 1 }\nconst E X = 5", 2, "Couldn't find a named value in enum E for value 5"),
        ("enum E { A = 1 }\nstruct S {\n 1: E e = 5 }", 3, "Couldn't find a named value"),
        ("struct P { 1: i32 x }\nconst P A = {'y': 5}", 2, "No field named 'y' was found"),
        ("enum E { A = 1 }\nconst list<E> X = [1, 5]", 2, "5 is no item of E"),
        ("struct P { 1: i32 x }\nconst map<P, i32> A = {'x': 5}", 2, "thriftpy2 cannot read this"),
    ],
)
def test_value_that_does_not_fit_is_an_error(text: str, line: int, message: str) -> None:
    """thriftpy2 lets most pass; what it does find, it finds without the file and often without the line."""
    with pytest.raises(IdlError, match=message) as caught:
        load_text(text)
    assert f"interface.thrift:{line}: " in str(caught.value)


def test_unions_are_marked() -> None:
    """thriftpy2 makes them like structs."""
    idl = load_text("union U { 1: i32 a, 2: string b } service S { U f() }")
    with pytest.raises(TypeError, match="U is a union: set exactly one of a, b"):
        idl.S.methods["f"].encode_result(idl.U(1, "b"))


def state() -> tuple[Any, ...]:
    """What of thriftpy2 outlives a load."""
    return set(_thrift_cache), lexer.thrift_reserved_keywords


@pytest.mark.parametrize("text", ["struct A { 1: i32 x }", "const i32 A = 'x'", "struct A {", "const i8 A = 300"])
def test_thriftpy2_is_left_as_it_was(tmp_path: Path, text: str) -> None:
    """By loads that succeed and by loads that fail; thriftpy2's own ``load`` then works as ever."""
    before = state()
    for name, content in (("good", "struct A { 1: i32 x }"), ("bad", text)):
        write(tmp_path, {"main.thrift": f"include '{name}.thrift'", f"{name}.thrift": content})
        try:
            load(tmp_path / "main.thrift")
        except IdlError:
            pass
        assert state() == before
    own = thriftpy2.load(str(tmp_path / "good.thrift"), module_name="good_thrift")
    assert own.A(1).x == 1 and _thrift_cache.pop("good_thrift") is sys.modules.pop("good_thrift")


def test_file_that_was_mended_loads(tmp_path: Path) -> None:
    """Nothing of a failed load is remembered."""
    for text in ("const i8 A = 300", "struct A { 1: i32 async }", "struct A {"):
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


def test_structs_pickle_within_and_between_processes(tmp_path: Path) -> None:
    """A process that has loaded the same file can read them."""
    path = write(
        tmp_path, {"main.thrift": "include 'a.thrift'\nstruct M { 1: a.A a }", "a.thrift": "struct A { 1: i32 x }"}
    )
    idl = load(path)
    value = idl.M(idl.a.A(5))
    assert pickle.loads(pickle.dumps(value)) == value
    program = "import pickle, sys; from zkrpc.idl import load; load(sys.argv[1]); print(pickle.load(sys.stdin.buffer))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, input=pickle.dumps(value), capture_output=True, timeout=60, env=environment)
    assert done.stdout.decode().strip() == repr(value), done.stderr


def test_modules_keep_their_names(tmp_path: Path) -> None:
    """thriftpy2 renames what it includes."""
    main = load(write(tmp_path, {"main.thrift": "include 'a.thrift'", "a.thrift": "struct A { 1: i32 x }"}))
    module = module_of(main.a)
    assert sys.modules[module.__name__] is module and module.__name__ == main.a.A.__module__
    assert module.__name__.startswith("zkrpc_idl_") and module.__name__.endswith("_a_thrift")
