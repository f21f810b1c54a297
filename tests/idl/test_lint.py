"""Everything that would load and break later: refused, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl.lint import check
from zkrpc.idl.source import Disk, read, tree

OTHER = """
enum Color { RED = 1 }
const i32 LIMIT = 5
exception Oops { 1: string why }
struct Thing { 1: i32 x }
typedef list<i32> Numbers
service Base { void ping(), void stop() }
"""


MANY = "\n".join(f"struct Type{at} {{}}" for at in range(100))
LINEAGE = "service S0 {}\n" + "\n".join(f"service S{at + 1} extends S{at} {{}}" for at in range(5000))


def lint(directory: Path, text: str) -> None:
    """Checks a file that may include ``other``, and that."""
    (directory / "other.thrift").write_text(OTHER, "utf-8")
    (directory / "sub").mkdir()
    (directory / "sub" / "other.thrift").write_text("struct Thing { 1: i32 x }", "utf-8")
    (directory / "main.thrift").write_text(text, "utf-8")
    for some in tree(read(directory / "main.thrift", Disk())):
        check(some)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        # Words that mean a type wherever they are used.
        ("struct string { 1: i32 x }", 1, "nothing can be called 'string'"),
        ("const i32 true = 1", 1, "nothing can be called 'true'"),
        ("enum list { A = 1 }", 1, "nothing can be called 'list'"),
        # One name for two things: the last wins.
        ("struct A { 1: i32 x }\nenum A { X = 1 }", 2, "A is defined already, in line 1"),
        ("struct A { 1: i32 x,\n 2: i32 x }", 2, "A's field x is defined already, in line 1"),
        ("enum E { A = 1, A = 2 }", 1, "E's item A is defined already"),
        ("enum E { A = 2147483648 }", 1, "does not fit in 32 bits"),
        ("service S { void f(), void f() }", 1, "S's function f is defined already"),
        ("service A { void f() }\nservice B extends A {\n void f() }", 3, r"f is a function of A \(.*main.thrift:1\)"),
        ("include 'other.thrift'\nservice B extends other.Base { void ping() }", 2, "ping is a function of Base"),
        # Field ids.
        ("struct A { 40000: i32 x }", 1, "has the id 40000"),
        ("struct A { 1: i32 x,\n 1: i32 y }", 2, "A's field y has the id 1 of x"),
        # Services.
        ("exception E { 1: i32 x }\nservice S { oneway void f() throws (1: E e) }", 2, "f is oneway"),
        ("struct A { 1: i32 x }\nservice S { void f() throws (1: A a) }", 2, "throws A, which is no exception"),
        ("service S { void f() throws (1: i32 a) }", 1, "throws i32, which is no exception"),
        ("enum E { A = 1 }\nservice S { void f() throws (1: E a) }", 2, "throws E, which is no exception"),
        ("service B extends A { void f() }", 1, "A is no service"),
        ("struct A { 1: i32 x }\nservice B extends A { void f() }", 2, "A is no service"),
        ("service B extends A { void f() }\nservice A { void g() }", 1, "A must be defined before it is extended"),
        ("service A extends A { void g() }", 1, "A must be defined before it is extended"),
        (LINEAGE, 65, "S64 extends more than 64 services"),
        # Types.
        ("struct A {\n 1: list<Missing> x }", 2, "no type Missing; expected a base type or one of A"),
        (f"{MANY}\nstruct A {{ 1: Typ42 x }}", 101, "one of Type42, Type4.*, … 101 types$"),
        ("service S { list<Missing> f() }", 1, "no type Missing; expected a base type or one of none yet"),
        ("include 'other.thrift'\nstruct A { 1: Thing x }", 2, "no type Thing; expected .* A, other"),
        ("include 'other.thrift'\nstruct A { 1: other.Missing x }", 2, "no type other.Missing"),
        ("include 'other.thrift'\nstruct A { 1: other.Base x }", 2, "no type other.Base"),
        ("const Missing X = 1", 1, "no type Missing"),
        ("typedef Missing X", 1, "no type Missing"),
        ("typedef B A\ntypedef A B", 1, "no type B: its typedef leads to nothing, in a circle"),
        ("struct A { 1: void x }", 1, "no type void"),
        ("include 'other.thrift'\nstruct A { 1: other.LIMIT x }", 2, "no type other.LIMIT: it is a const"),
        (
            "include 'other.thrift'\ninclude 'sub/other.thrift'\nstruct A { 1: other.Thing x }",
            3,
            "other.Thing is defined in .*/other.thrift and in .*/sub/other.thrift; expected files of other names",
        ),
        ("union U { 1: i32 x = 1,\n 2: i32 y = 2 }", 2, "U has two members with a default; expected one at most"),
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
    (tmp_path / "child.thrift").write_text("\nstruct A { 1: B x }", "utf-8")
    with pytest.raises(IdlError, match=r"child.thrift:2: no type B"):
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
        "service A {} service B extends A {}",
        "struct A { i32 x, 0: i32 y, -9: i32 z } service S { void f(i32 x) }",
        "enum E { A = 1, B = 1 }",
        "struct A { 1: i32 async, 2: i32 self, 3: i32 _x, 4: i32 class } exception B { 1: string args }",
        "struct None {} service S { void await(1: i32 lambda) throws (1: E success) } exception E {}",
        "struct A { 1: map<list<i32>, set<set<i32>>> x, 2: map<map<i32, i32>, i32> y, 3: uuid u }",
        "include 'other.thrift'\ninclude 'other.thrift'\nstruct other { 1: other.Thing x }",
        "union U { 1: required i32 x = 1, 2: i32 y }",
    ],
)
def test_good_file_passes(tmp_path: Path, text: str) -> None:
    """Forward references, recursion, any names and ids, annotations of others."""
    lint(tmp_path, text)
