"""Everything that thriftpy2 loads without a word and that breaks later: refused, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl.lint import check
from zkrpc.idl.source import read, tree
from zkrpc.idl.tokens import thriftpy2_parser

OTHER = """
enum Color { RED = 1 }
const i32 LIMIT = 5
exception Oops { 1: string why }
struct Thing { 1: i32 x }
typedef list<i32> Numbers
service Base { void ping(), void stop() }
"""


def lint(directory: Path, text: str) -> None:
    """Checks a file that may include ``other``, and that."""
    (directory / "other.thrift").write_text(OTHER, "utf-8")
    (directory / "main.thrift").write_text(text, "utf-8")
    with thriftpy2_parser():
        for some in tree(read(directory / "main.thrift", ())):
            check(some)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        # Python's words: PLY swallows the SyntaxError, and all later definitions with it.
        ("struct A {\n 1: i32 async\n}", 2, "A's field 'async' is a word of Python"),
        ("struct None { 1: i32 x }", 1, "'None' is a word of Python"),
        ("service S { void f(1: i32 lambda) }", 1, r"f\(\)'s parameter 'lambda' is a word of Python"),
        ("service S {\n\n void await()\n}", 3, "S's function 'await' is a word of Python"),
        ("enum E { True = 1 }", 1, "E's item 'True' is a word of Python"),
        ("const i32 class = 1", 1, "'class' is a word of Python"),
        # Names that collide with what thriftpy2 or Python put into the classes.
        ("struct A { 1: i32 self }", 1, "'self' cannot be used as a name"),
        ("struct A { 1: i32 __class__ }", 1, "'__class__' cannot be used"),
        ("struct A { 1: i32 thrift_spec }", 1, "'thrift_spec' cannot be used"),
        ("exception A { 1: i32 args }", 1, "'args' cannot be used"),
        ("struct A { 1: i32 a.b }", 1, "'a.b' cannot be used"),
        ("exception E { 1: i32 x }\nservice S { i32 f() throws (1: E success) }", 2, "'success' cannot be used"),
        ("include 'other.thrift'\nstruct other { 1: i32 x }", 2, "other is also the name of an included file"),
        # One name for two things: the last wins.
        ("struct A { 1: i32 x }\nenum A { X = 1 }", 2, "A is defined already, in line 1"),
        ("struct A { 1: i32 x,\n 2: i32 x }", 2, "A's field x is defined already, in line 1"),
        ("enum E { A = 1, A = 2 }", 1, "E's item A is defined already"),
        ("enum E { A = 1,\n B = 1 }", 2, "B has the number 1 of A"),
        ("enum E { A = 2147483648 }", 1, "does not fit in 32 bits"),
        ("service S { void f(), void f() }", 1, "S's function f is defined already"),
        ("service A { void f() }\nservice B extends A {\n void f() }", 3, r"f is a function of A \(.*main.thrift:1\)"),
        ("include 'other.thrift'\nservice B extends other.Base { void ping() }", 2, "ping is a function of Base"),
        # Field ids.
        ("struct A { i32 x }", 1, "A's field x has no id; expected one, such as '1: i32 x'"),
        ("struct A { 0: i32 x }", 1, "has the id 0, expected 1 to 32767"),
        ("struct A { -1: i32 x }", 1, "has the id -1"),
        ("struct A { 40000: i32 x }", 1, "has the id 40000"),
        ("struct A { 1: i32 x,\n 1: i32 y }", 2, "A's field y has the id 1 of x"),
        ("service S { void f(i32 x) }", 1, r"f\(\)'s parameter x has no id"),
        ("exception E { 1: i32 x }\nservice S { void f() throws (E e) }", 2, r"f\(\)'s exception e has no id"),
        # Services.
        ("service S { oneway i32 f() }", 1, "f is oneway, so nobody hears its result"),
        ("exception E { 1: i32 x }\nservice S { oneway void f() throws (1: E e) }", 2, "f is oneway"),
        ("struct A { 1: i32 x }\nservice S { void f() throws (1: A a) }", 2, "throws A, which is no exception"),
        ("service S { void f() throws (1: i32 a) }", 1, "throws i32, which is no exception"),
        ("enum E { A = 1 }\nservice S { void f() throws (1: E a) }", 2, "throws E, which is no exception"),
        ("service B extends A { void f() }", 1, "A is no service"),
        ("struct A { 1: i32 x }\nservice B extends A { void f() }", 2, "A is no service"),
        ("service B extends A { void f() }\nservice A { void g() }", 1, "A must be defined before it is extended"),
        ("service A extends A { void g() }", 1, "A must be defined before it is extended"),
        # Types.
        ("struct A {\n 1: list<Missing> x }", 2, "no type Missing; expected a base type or one of A"),
        ("service S { list<Missing> f() }", 1, "no type Missing; expected a base type or one of none yet"),
        ("include 'other.thrift'\nstruct A { 1: Thing x }", 2, "no type Thing; expected .* A, other"),
        ("include 'other.thrift'\nstruct A { 1: other.Missing x }", 2, "no type other.Missing"),
        ("include 'other.thrift'\nstruct A { 1: other.Base x }", 2, "no type other.Base"),
        ("struct A { 1: uuid x }", 1, "no type uuid"),
        ("const Missing X = 1", 1, "no type Missing"),
        ("typedef Missing X", 1, "no type Missing"),
        ("typedef B A\ntypedef A B", 1, "no type B"),
        ("struct A { 1: map<list<i32>, i32> x }", 1, "a map's key cannot be a list: map<list<i32>, i32>"),
        ("struct A { 1: list<set<set<i32>>> x }", 1, "a set's member cannot be a set"),
        ("include 'other.thrift'\nstruct A { 1: map<other.Numbers, i32> x }", 2, "a map's key cannot be a list"),
        ("service S { map<map<i32, i32>, i32> f() }", 1, "a map's key cannot be a map"),
        ("union U { 1: required i32 x }", 1, "a union's member cannot be required or have a default: x"),
        ("union U { 1: i32 x = 1 }", 1, "a union's member cannot be required or have a default: x"),
        # Values.
        ("const i32 A = B\nconst i32 B = 1", 1, "no constant B; expected one, .*, defined before this line"),
        ("include 'other.thrift'\nconst i32 A = other.MISSING", 2, "no constant other.MISSING"),
        ("include 'other.thrift'\nconst i32 A = other.Color.BLUE", 2, "no constant other.Color.BLUE"),
        ("struct A { 1: i32 x }\nconst i32 Y = A", 2, "no constant A"),
        ("struct A { 1: list<i32> x = [1, MISSING] }", 1, "no constant MISSING"),
        ("struct A { 1: map<i32, i32> x = {1: MISSING} }", 1, "no constant MISSING"),
        ("struct A {\n 1: list<A> x = [{}] }", 2, "A cannot have a default of itself: x"),
        ("struct A {\n 1: E x = 1 }\nenum E { ONE = 1 }", 2, "E must be defined before a default of it is written"),
        # Policies.
        ("service S { void f() (zkrpc.idempotnet = 'true') }", 1, "unknown annotation zkrpc.idempotnet"),
        ("service S { void f() } (zkrpc.idempotent = 'true')", 1, "zkrpc.idempotent belongs behind a function"),
        ("struct A { 1: i32 x (zkrpc.primary = 'true') }", 1, "zkrpc.primary belongs behind a function"),
        ("enum E { A = 1 (zkrpc.primary = 'true') }", 1, "zkrpc.primary belongs behind a function"),
        ("service S { void f(1: i32 x (zkrpc.x = 'true')) }", 1, "zkrpc.x belongs behind a function"),
    ],
)
def test_trap_is_an_error_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    """File, line, what is wrong, and what was expected."""
    with pytest.raises(IdlError, match=message) as caught:
        lint(tmp_path, text)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{tmp_path / 'main.thrift'}:{line}: ")


def test_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    """Not the one that includes it."""
    (tmp_path / "child.thrift").write_text("\nstruct A { i32 x }", "utf-8")
    with pytest.raises(IdlError, match=r"child.thrift:2: A's field x has no id"):
        lint(tmp_path, "include 'child.thrift'")


@pytest.mark.parametrize(
    "text",
    [
        "include 'other.thrift'\nstruct A { 1: other.Thing x, 2: list<other.Color> y, 3: other.Numbers z }",
        "include 'other.thrift'\nconst i32 X = other.LIMIT\nconst list<i32> Y = [X, other.Color.RED]",
        "include 'other.thrift'\nservice S extends other.Base { void f() throws (1: other.Oops o) }",
        "struct A { 1: B b, 2: list<B> bs } struct B { 1: A a }",
        "service S { list<Later> f(1: map<string, Later> x) } struct Later { 1: i32 x }",
        "struct A { 1: i32 x } struct B { 1: map<A, i32> a, 2: set<A> b, 3: set<binary> c }",
        "const map<i32, i32> M = {1: 2}",
        "struct delete { 1: i32 next, 2: i32 end, 3: i32 read, 4: i32 write } service S { void delete(1: i32 args) }",
        "enum E { A, B = 5, C } struct T { 1: E e = E.C } typedef E F typedef F G const G X = 5",
        "struct A { 1: i32 x (other.key = 'y') } service S { void f() (zkrpc.idempotent = 'true') }",
        "struct A {} service S {}",
    ],
)
def test_good_file_passes(tmp_path: Path, text: str) -> None:
    """Forward references, recursion, names that only thriftpy2 refuses, annotations of others."""
    lint(tmp_path, text)
