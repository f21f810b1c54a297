"""The grammar: what is read, and what is said where it is broken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.errors import IdlError
from zkrpc.idl.outline import (
    DEEPEST,
    Annotation,
    Definition,
    Include,
    ListValue,
    MapValue,
    Outline,
    Reference,
    TypeName,
)
from zkrpc.idl.parser import parse


def outline(text: str) -> Outline:
    """The outline of a text."""
    return parse(text, "a.thrift")


def one(text: str) -> Definition:
    """The only definition of a text."""
    (definition,) = outline(text).definitions
    return definition


def test_header_holds_includes_and_namespaces() -> None:
    """Only includes are kept; a namespace may be annotated, and what the oldest files say instead is read."""
    found = outline(
        'namespace * a.b;\nnamespace py c\ncpp_include "x.h"\ninclude "b.thrift";\ninclude \'c/d.thrift\'\n'
        "namespace cpp a.b (cpp.note = 'x'),\nnamespace smalltalk.category Thrift-Test\nsmalltalk_prefix T\n"
        "java_package a.b.c\ncpp_namespace d\nxsd_namespace 'http://e'"
    )
    assert found.includes == (Include(path="b.thrift", line=4), Include(path="c/d.thrift", line=5))
    assert found.definitions == ()


@pytest.mark.parametrize(
    "text", ["", "\n \t", "// only words", "# x\n", "/* */", "/**/", "/***/ /* a * / */ /**b*//**/"]
)
def test_file_may_be_empty(text: str) -> None:
    """An included file often is, but for a comment."""
    assert outline(text) == Outline()


def test_comments_are_of_three_kinds() -> None:
    """One in the other, odd stars and slashes, at the end without a line break."""
    text = "# # /*\n// /* \"\n/* // # ' /* */struct A {/** doc * / **/}/*/ not yet closed */// end"
    assert one(text).name == "A" and one(text).line == 3


def test_struct_holds_its_fields() -> None:
    """Id, requiredness, type, name, line, default and annotations, with any separator."""
    struct = one(
        "struct A {\n 1: required i32 x = 5 (a = 'b', c);\n 2: optional map<string, list<B.C>> y\n 3: byte z,\n} (d)"
    )
    first, second, third = struct.fields
    assert (struct.kind, struct.name, struct.line) == ("struct", "A", 1)
    assert struct.annotations == (Annotation(name="d", value=None, line=5),)
    assert (first.id, first.required, first.default, first.line) == (1, True, 5, 2)
    assert first.annotations[0] == Annotation(name="a", value="b", line=2)
    assert str(second.type) == "map<string, list<B.C>>" and not second.required and second.default is None
    assert [field.optional for field in struct.fields] == [False, True, False]
    assert third.type == TypeName(name="byte", line=4) and third.id == 3


def test_ids_that_are_missing_or_not_positive_are_those_of_the_compiler() -> None:
    """Apache's counts them downwards, in the order of the file, and keeps no other; checked against its 0.17."""
    struct = one("struct A { i32 a, i32 b; 0: i32 c -7: i32 d, 5: i32 e, i32 f, 01: i32 g, +2: i32 h, 0x3: i32 i }")
    assert [field.id for field in struct.fields] == [-1, -2, -3, -4, 5, -5, 1, 2, 3]
    (function,) = one("service S { void f(i32 a, 7: i32 b, i32 c) throws (E e) }").functions
    assert [field.id for field in (*function.parameters, *function.throws)] == [-1, 7, -2, -1]


def test_types_and_fields_may_be_written_for_other_languages() -> None:
    """What C++ and XML schemas were told is read and dropped."""
    struct = one(
        "struct A xsd_all { 1: map cpp_type 'M' <i32, i32> a 2: set cpp_type 'S' <i32> b 3: list<i32> cpp_type 'L' c\n"
        "4: list cpp_type 'L' <i32 (x = 'y')> (z) d, 5: A & e, 6: optional A& f = 1 xsd_optional xsd_nillable,\n"
        "7: i32 g xsd_attrs { 1: i32 h } (i = 'j') }"
    )
    assert [str(field.type) for field in struct.fields] == [
        "map<i32, i32>", "set<i32>", "list<i32>", "list<i32>", "A", "A", "i32"
    ]  # fmt: skip


def test_words_of_the_language_may_be_names_of_fields() -> None:
    """As far as nothing else could stand there."""
    struct = one(
        "struct A { 1: i32 list, 2: string include, 3: i32 i32, 4: A struct, 5: list<i32> required, 6: i32 async }"
    )
    assert [field.name for field in struct.fields] == ["list", "include", "i32", "struct", "required", "async"]


def test_values_keep_what_they_refer_to() -> None:
    """Lists, maps as pairs, and references with their lines; numbers of all kinds, and either quote."""
    found = outline(
        "const list<i32> A = [1, B 2;]; const map<string, bool> C = {'x': true, D.E: false},\nconst double F = 1.5\n"
        "const map<list<i32>, map<i32, i32>> G = {[1]: {2: 3}}"
    )
    assert [some.value for some in found.definitions] == [
        ListValue(items=(1, Reference(name="B", line=1), 2)),
        MapValue(pairs=(("x", True), (Reference(name="D.E", line=1), False))),
        1.5,
        MapValue(pairs=((ListValue(items=(1,)), MapValue(pairs=((2, 3),))),), depth=2),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0x1F", -31),
        ("+5", 5),
        ("007", 7),
        ("0xff", 255),
        ("9223372036854775807", (1 << 63) - 1),
        ("-9223372036854775808", -1 << 63),
        (".5", 0.5),
        ("-1E-5", -1e-5),
        ("1e3", 1000.0),
        ("1e400", float("inf")),
        ("0xe1", 225),
        (r"'it\'s \\ \"q\" \t\r\n é'", 'it\'s \\ "q" \t\r\n é'),
        ('"it\'s // # /* */"', "it's // # /* */"),
        ("''", ""),
    ],
)
def test_numbers_and_strings(text: str, value: object) -> None:
    """As Apache's compiler reads them."""
    found = one(f"const i32 A = {text}").value
    assert found == value and type(found) is type(value)


def test_enum_counts_by_itself() -> None:
    """From 0, or from the number before; numbers may be hexadecimal or negative, and items end in anything."""
    enum = one("enum E { A, B = 5 (x), C; D = -1 E F = 0x10 }")
    assert [(item.name, item.number) for item in enum.items] == [
        ("A", 0), ("B", 5), ("C", 6), ("D", -1), ("E", 0), ("F", 16)
    ]  # fmt: skip
    assert one("senum E { 'a', 'b' }").kind == "typedef"


def test_service_holds_its_functions() -> None:
    """Oneway by both of its names, void, parameters, exceptions, annotations and the parent."""
    service = one(
        "service S extends o.Base {\n oneway void a(1: i32 x),\n B b() throws (1: E e) (k = 'v');\n void c()\n"
        " async void d(1: i32 x; 2: i32 y;) }"
    )
    assert service.extends == Reference(name="o.Base", line=1)
    a, b, c, d = service.functions
    assert (a.name, a.oneway, a.returns, a.line) == ("a", True, None, 2) and a.parameters[0].name == "x"
    assert b.returns == TypeName(name="B", line=3) and b.throws[0].name == "e"
    assert b.annotations == (Annotation(name="k", value="v", line=3),)
    assert (c.oneway, c.returns, c.parameters, c.throws) == (False, None, (), ())
    assert d.oneway and d.returns is None and len(d.parameters) == 2


def test_annotations_stand_behind_everything() -> None:
    """Those on types are read and dropped."""
    typedef = one("typedef list<i32 (a = 'b')> (c = 'd') Numbers (e = 'f'; g h = 'i'),")
    assert typedef.type is not None and str(typedef.type) == "list<i32>"
    assert [some.name for some in typedef.annotations] == ["e", "g", "h"]
    text = (
        "const i32 A = 1 (a) struct B {} (a); union C {}(a), exception D {} (a) enum E { F (a) } (a) service G {} (a)"
    )
    assert all(some.annotations[0].name == "a" for some in outline(text).definitions)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("struct", 1, "expected a name, found the end of the file"),
        ("struct A\n1: i32 x }", 2, "expected '{', found '1'"),
        ("struct A {\n 1 i32 x }", 2, "expected ':', found 'i32'"),
        ("struct A { 1: x }", 1, "expected a name, found '}'"),
        ("struct A { = }", 1, "expected a field such as '1: i32 name' or '}', found '='"),
        ("struct A { 1: i32 x", 1, "expected a field such as .*, found the end of the file"),
        ("struct A { 1.5: i32 x }", 1, "expected a whole number, found '1.5'"),
        ("struct A { 1: list i32> x }", 1, "expected '<', found 'i32'"),
        ("struct A { 1: list<i32 x }", 1, "expected '>', found 'x'"),
        ("struct A { 1: map<i32> x }", 1, "expected ',', found '>'"),
        ("struct A { 1: i32 x = }", 1, "expected a value, found '}'"),
        ("struct A { 1: i32 x.y }", 1, "'x.y' cannot be used as a name; expected one without dots"),
        ("const i32 A 5", 1, "expected '=', found '5'"),
        ("const map<i32, i32> A = {1}", 1, "expected ':', found '}'"),
        ("const i64 A = 9223372036854775808", 1, "'9223372036854775808' does not fit in 64 bits"),
        (f"const i64 A = {'9' * 5000}", 1, "does not fit in 64 bits"),
        ("const double A = 5.", 1, "unexpected '.'; expected a name of ASCII letters"),
        ("enum E { 1 }", 1, "expected a name or '}', found '1'"),
        ("enum E { A = B }", 1, "expected a number, found 'B'"),
        ("service S { f }", 1, "expected a name, found '}'"),
        ("service S { = }", 1, "expected a function such as 'i32 name\\(\\)' or '}', found '='"),
        ("service S { void f }", 1, "expected '\\(', found '}'"),
        ("service S { void f() throws }", 1, "expected '\\(', found '}'"),
        ("service S extends { }", 1, "expected a name, found '{'"),
        ("struct A { } (1)", 1, "expected a name or '\\)', found '1'"),
        ("struct A { } (a = 1)", 1, "expected a quoted string, found '1'"),
        ("include b", 1, "expected a quoted string, found 'b'"),
        ("namespace 1 a", 1, "expected a name, found '1'"),
        (
            "struct A {}\ninclude 'b.thrift'",
            2,
            "expected includes and namespaces first, then one of const, .*'include'",
        ),
        ("i32 x", 1, "expected one of const, typedef, enum, .* or 'namespace', found 'i32'"),
        ("struct A {\n 1: i32 été }", 2, "unexpected 'é'; expected a name of ASCII letters"),
        ("\n\n/* never closed", 3, r"unexpected '/'; expected a comment that is closed with '\*/'"),
        ("struct A {} /*/", 1, "expected a comment that is closed"),
        ("\nconst string A = 'open\n'", 2, "expected a string that is closed on its line"),
        ('const string A = "\\u1234"', 1, r"expected one of the escapes .* in a string, found '\\\\u'"),
        ("\0", 1, r"unexpected '\\x00'"),
        ("struct A {} \x1b[2J", 1, r"unexpected '\\x1b'"),
    ],
)
def test_broken_grammar_says_what_was_expected(text: str, line: int, message: str) -> None:
    """File, line, what should stand there and what does, quoted, so that no terminal obeys it."""
    with pytest.raises(IdlError, match=message) as caught:
        outline(text)
    assert str(caught.value).startswith(f"a.thrift:{line}: ") and str(caught.value).isprintable()


@pytest.mark.parametrize("depth", [DEEPEST + 1, 100_000])
def test_what_is_nested_too_deeply_is_an_error(depth: int) -> None:
    """At any depth: the parser has no stack of its own to exhaust."""
    with pytest.raises(IdlError, match="a.thrift:1: types are nested too deeply; expected at most 64"):
        outline(f"struct A {{ 1: {'list<' * depth}i32{'>' * depth} a }}")
    with pytest.raises(IdlError, match="a.thrift:2: values are nested too deeply; expected at most 64"):
        outline(f"\nconst list<i32> A = {'[' * depth}{']' * depth}")
    with pytest.raises(IdlError, match="a.thrift:2: values are nested too deeply"):
        outline(f"\nconst list<i32> A = {'{1: ' * depth}1{'}' * depth}")


WORDS = st.sampled_from(
    "struct union exception enum service typedef const include namespace oneway void throws extends required list set "
    "map i32 string A b.C 1 -2 0x3 1.5 'x' \"y\" { } ( ) [ ] < > , ; : = & // # /* */ \n é ( true".split(" ")
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.lists(WORDS, max_size=30).map(" ".join), st.text(max_size=60)))
def test_whatever_is_written_is_an_outline_or_an_idl_error(text: str) -> None:
    """Never another error."""
    try:
        outline(text)
    except IdlError as error:
        assert error.file == "a.thrift" and error.line
