"""The grammar: what is read, and what is said where it is broken."""

from __future__ import annotations

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl.outline import Annotation, Include, Outline, Reference, TypeName, parse
from zkrpc.idl.tokens import thriftpy2_parser, tokens_of


def outline(text: str) -> Outline:
    """The outline of a text."""
    with thriftpy2_parser():
        return parse(tokens_of(text, "a.thrift"), "a.thrift")


def test_header_holds_includes_and_namespaces() -> None:
    """Only includes are kept."""
    found = outline('namespace * a.b;\nnamespace py c\ncpp_include "x.h"\ninclude "b.thrift";\ninclude \'c/d.thrift\'')
    assert found.includes == (Include(path="b.thrift", line=4), Include(path="c/d.thrift", line=5))
    assert found.definitions == ()


def test_struct_holds_its_fields() -> None:
    """Id, requiredness, type, name, line, default and annotations, with any separator."""
    (struct,) = outline(
        "struct A {\n 1: required i32 x = 5 (a = 'b', c);\n 2: optional map<string, list<B.C>> y\n 3: byte z,\n} (d)"
    ).definitions
    first, second, third = struct.fields
    assert (struct.kind, struct.name, struct.line) == ("struct", "A", 1)
    assert struct.annotations == (Annotation(name="d", value=None, line=5),)
    assert (first.id, first.required, first.default, first.line) == (1, True, 5, 2)
    assert first.annotations[0] == Annotation(name="a", value="b", line=2)
    assert str(second.type) == "map<string, list<B.C>>" and not second.required and not second.has_default
    assert third.type == TypeName(name="byte", line=4) and third.id == 3


def test_values_keep_what_they_refer_to() -> None:
    """Lists, maps as pairs, and references with their lines."""
    found = outline(
        "const list<i32> A = [1, B 2]; const map<string, bool> C = {'x': true, D.E: false},\nconst double F = 1.5"
    )
    assert [some.value for some in found.definitions] == [
        [1, Reference(name="B", line=1), 2],
        (("x", True), (Reference(name="D.E", line=1), False)),
        1.5,
    ]


def test_enum_counts_by_itself() -> None:
    """From 0, or from the number before."""
    (enum,) = outline("enum E { A, B = 5 (x), C; D = -1 }").definitions
    assert [(item.name, item.number) for item in enum.items] == [("A", 0), ("B", 5), ("C", 6), ("D", -1)]


def test_service_holds_its_functions() -> None:
    """Oneway, void, parameters, exceptions, annotations and the parent."""
    (service,) = outline(
        "service S extends o.Base {\n oneway void a(1: i32 x),\n B b() throws (1: E e) (k = 'v');\n void c()\n}"
    ).definitions
    assert service.extends == Reference(name="o.Base", line=1)
    a, b, c = service.functions
    assert (a.name, a.oneway, a.returns, a.line) == ("a", True, None, 2) and a.parameters[0].name == "x"
    assert b.returns == TypeName(name="B", line=3) and b.throws[0].name == "e"
    assert b.annotations == (Annotation(name="k", value="v", line=3),)
    assert (c.oneway, c.returns, c.parameters, c.throws) == (False, None, (), ())


def test_typedef_and_annotated_types() -> None:
    """Annotations on types are read and dropped, as by thriftpy2."""
    (typedef,) = outline("typedef list<i32 (a = 'b')> (c = 'd') Numbers (e = 'f')").definitions
    assert typedef.type is not None and str(typedef.type) == "list<i32>" and typedef.annotations[0].name == "e"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("struct", 1, "expected a name, found the end of the file"),
        ("struct A\n1: i32 x }", 2, "expected '{' and the fields, found 1"),
        ("struct A {\n 1 i32 x }", 2, "expected ':' after the field's id, found 'i32'"),
        ("struct A { 1: x }", 1, "expected the field's name, found '}'"),
        ("struct A { 1: = }", 1, "expected a type, found '='"),
        ("struct A { = }", 1, "expected a field such as '1: i32 name', or '}', found '='"),
        ("struct A { 1: i32 x", 1, "expected a field such as .*, found the end of the file"),
        ("struct A { 1: list i32> x }", 1, "expected '<' and the type inside"),
        ("struct A { 1: list<i32 x }", 1, "expected '>', found 'x'"),
        ("struct A { 1: map<i32> x }", 1, "expected ',' and the type of the map's values, found '>'"),
        ("struct A { 1: i32 x = }", 1, "expected a value, found '}'"),
        ("const i32 A = -0x1F", 1, "expected includes and namespaces first, then one of const, .*, found 'x1F'"),
        ("const i32 A 5", 1, "expected '=' and the constant's value, found 5"),
        ("const map<i32, i32> A = {1}", 1, "expected ':' and the value of this key, found '}'"),
        ("const map<i32, i32> A = {[1]: 1}", 1, "a list or map cannot be the key of a map"),
        ("enum E { 1 }", 1, "expected an item's name or '}', found 1"),
        ("enum E { A = B }", 1, "expected a number, found 'B'"),
        ("service S { async void f() }", 1, "expected the function's name, found 'void'"),
        ("service S { f }", 1, "expected the function's name, found '}'"),
        ("service S { = }", 1, "expected a function's type, 'oneway void' or '}', found '='"),
        ("service S { void f }", 1, "expected '\\(' and the parameters, found '}'"),
        ("service S { void f() throws }", 1, "expected '\\(' and the exceptions, found '}'"),
        ("service S extends { }", 1, "expected the name of the service to extend, found '{'"),
        ("struct A { } (1)", 1, "expected an annotation such as name=\"value\", or '\\)', found 1"),
        ("struct A { } (a = 1)", 1, "expected a quoted value, found 1"),
        ("include b", 1, "expected a quoted file name, found 'b'"),
        ("namespace 1 a", 1, "expected a language or '\\*', found 1"),
        ("namespace py 1", 1, "expected the namespace, found 1"),
        ("namespace py a (b = 'c')", 1, "expected no annotations on a namespace"),
        ("struct A {}\ninclude 'b.thrift'", 2, "expected includes and namespaces first, .*, found 'include'"),
        ("typedef i32 A,", 1, "expected includes and namespaces first, .*, found ','"),
        ("i32 x", 1, "expected includes and namespaces first"),
        ("senum A {}", 1, "expected includes and namespaces first"),
    ],
)
def test_broken_grammar_says_what_was_expected(text: str, line: int, message: str) -> None:
    """File, line, what should stand there and what does."""
    with pytest.raises(IdlError, match=message) as caught:
        outline(text)
    assert str(caught.value).startswith(f"a.thrift:{line}: ")
