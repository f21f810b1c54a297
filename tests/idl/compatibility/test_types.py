"""Types by what they stand for, and IDLs that are made to keep a comparison busy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.idl.compatibility.cases import source
from zkrpc.errors import IdlError
from zkrpc.idl.compatibility import compare, read_text, types


def test_change_is_told_in_the_words_of_the_files(tmp_path: Path) -> None:
    """Names of typedefs with what they stand for, the kind of a definition, and the container around it."""
    old = "typedef i32 Id\nstruct P { 1: Id a, 2: list<map<string, Id>> b, 3: Id c, 4: i32 d }\nstruct Q {}\n"
    new = "typedef i64 Id\nstruct P { 1: Id a, 2: list<map<string, Id>> b, 3: Q c, 4: string d }\nstruct Q {}\n"
    breaks = compare(source(old, tmp_path / "old"), source(new, tmp_path / "new"))
    assert {some.subject: some.change for some in breaks if some.rule.name == "type-changed"} == {
        "P.a": "became Id (i64), it was Id (i32)",
        "P.b": "became Id (i64), it was Id (i32), inside map<string, Id>",
        "P.c": "became a struct Q, it was Id (i32)",
        "P.d": "became string, it was i32",
    }


def test_structs_that_meet_in_ever_new_pairs_end(tmp_path: Path) -> None:
    """Circles of different lengths meet in as many pairs as their product."""

    def ring(length: int) -> str:
        return "".join(f"struct A{n} {{ 1: A{(n + 1) % length} next }}\n" for n in range(length))

    old, new = (source(f"{ring(n)}service S {{ A0 f() }}\n", tmp_path / str(n)) for n in (151, 149))
    with pytest.raises(IdlError, match="too many types to compare: more than 20000 pairs"):
        compare(old, new, services=("S", "S"))


def test_typedefs_that_multiply_are_compared_once(tmp_path: Path) -> None:
    """Each holds the one before twice, sixty times."""

    def doubled(base: str) -> str:
        lines = [f"typedef {base} T0", *(f"typedef map<T{n}, T{n}> T{n + 1}" for n in range(60))]
        return "\n".join([*lines, "service S { void f(1: T60 a) }"])

    begun_at = time.monotonic()
    one, two, other = (source(doubled(base), tmp_path / str(n)) for n, base in enumerate(("i32", "i32", "i64")))
    assert compare(one, two) == []
    assert "type-changed" in {some.rule.name for some in compare(one, other)}
    assert time.monotonic() - begun_at < 60


def test_methods_are_not_followed_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the breaks are told without them."""
    monkeypatch.setattr("zkrpc.idl.compatibility.comparison._MOST_STEPS", 2)
    text = "struct P { 1: %s x }\nservice S { P f(), P g(), P h() }\n"
    breaks = compare(source(text % "i32", tmp_path / "old"), source(text % "i64", tmp_path / "new"))
    assert [(some.subject, some.methods) for some in breaks] == [("P.x", ())]
    assert types.MOST_PAIRS == 20_000


def found(old: str, new: str) -> set[tuple[str, str, str]]:
    """Rule, subject and change of every break between two texts."""
    return {(some.rule.name, some.subject, some.change) for some in compare(read_text(old), read_text(new))}


P = "struct P { %s }\n"
U = "union P { %s }\n"
E = "enum E { %s }\n"
CALLED = "exception X { 1: string why }\nexception Y { 1: string why }\nservice S { void f(%s) throws (%s) }\n"


@pytest.mark.parametrize(
    ("form", "old", "new", "wanted"),
    [
        (P, "1: i32 a, 2: i32 b", "1: i32 a", ("field-removed", "P.b", "(field 2) is gone")),
        (P, "1: required i32 a", "", ("required-field-removed", "P.a", "(field 1) is gone")),
        (P, "", "1: required i32 a", ("required-field-added", "P.a", "(field 1) is new")),
        (
            P,
            "1: i32 a, 5: i32 b",
            "1: i32 a, 3: i32 c, 5: i32 b",
            ("added-in-the-middle", "P.c", "(field 3) is new, b"),
        ),
        (P, "1: i32 a", "2: i32 a", ("id-changed", "P.a", "has the id 2, it had 1")),
        (P, "1: i32 a", "1: i32 b", ("name-changed", "P.a", "(field 1) is called b")),
        (P, "1: i32 a", "1: required i32 a", ("requiredness-changed", "P.a", "is required, it was neither required")),
        (P, "1: required i32 a", "1: optional i32 a", ("requiredness-changed", "P.a", "is optional, it was required")),
        (P, "1: i32 a", "1: optional i32 a", ("optional-changed", "P.a", "is optional, it was neither required nor o")),
        (P, "1: i32 a", "1: i32 a = 3", ("default-changed", "P.a", "has the default 3, it had no default")),
        (U, "1: i32 a, 2: i32 b", "1: i32 a", ("union-member-removed", "P.b", "(member 2) is gone")),
        (E, "A = 1, B = 2", "A = 1, B = 3", ("enum-number-changed", "E.B", "is 3, it was 2")),
        (E, "A = 1, B = 2", "A = 1, C = 2", ("enum-name-changed", "E.B", "(2) is called C")),
        (E, "A = 1, B = 2", "A = 1", ("enum-value-removed", "E.B", "(2) is gone")),
    ],
)
def test_one_change_of_a_definition_is_one_break(form: str, old: str, new: str, wanted: tuple[str, str, str]) -> None:
    """What changed is told with what it was before, and nothing else is found."""
    ((rule, subject, change),) = found(form % old, form % new)
    assert (rule, subject) == wanted[:2] and change.startswith(wanted[2])


@pytest.mark.parametrize(
    ("form", "old", "new"),
    [
        (P, "1: i32 a", "1: i32 a, 2: i32 b"),
        (P, "1: i32 a", "1: i32 a, 3: optional i32 b"),
        (P, "", "1: i32 a"),
        (P, "1: i32 a, 2: i32 b", "2: i32 b, 1: i32 a"),
        (P, "1: i32 a = 10", "1: i32 a = 0xA"),
        (P, "1: byte a, 2: list<byte> b", "1: i8 a, 2: list<i8> b"),
        (U, "1: i32 a", "1: i32 a, 2: i32 b"),
        (E, "A = 1", "A = 1, B = 2"),
        (E, "A = 1, B = 2", "B = 2, A = 1"),
    ],
)
def test_what_old_programs_do_not_notice_breaks_nothing(form: str, old: str, new: str) -> None:
    """What is new at the end, another order in the file, and other ways to write the same."""
    assert found(form % old, form % new) == set()


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (("1: i32 a", "1: X x"), ("", "1: X x"), ("argument-removed", "a")),
        (("", "1: X x"), ("", ""), ("exception-removed", "x")),
        (("", ""), ("", "1: X x"), ("exception-added", "x")),
        (("", "1: X x"), ("", "1: Y x"), ("type-renamed", "x")),
    ],
)
def test_arguments_and_exceptions_have_rules_of_their_own(
    old: tuple[str, str], new: tuple[str, str], wanted: tuple[str, str]
) -> None:
    """Though they are fields on the wire."""
    ((rule, subject, _),) = found(CALLED % old, CALLED % new)
    assert rule == wanted[0] and subject.startswith("S.f") and subject.endswith(f" {wanted[1]}")


def test_name_of_a_declared_exception_is_seen_by_nobody() -> None:
    """That of an argument is, by those who pass it by its name."""
    assert found(CALLED % ("", "1: X x"), CALLED % ("", "1: X z")) == set()
    ((rule, _, change),) = found(CALLED % ("1: i32 a", ""), CALLED % ("1: i32 b", ""))
    assert (rule, change) == ("name-changed", "(argument 1) is called b")


def test_field_that_takes_the_id_of_another_has_not_moved() -> None:
    """Two fields that exchange their ids are two fields with other names and types, and none is gone."""
    rules = sorted(rule for rule, _, _ in found(P % "1: i32 a, 2: string b", P % "1: string b, 2: i32 a"))
    assert rules == ["name-changed"] * 2 + ["type-changed"] * 2


HELD = """\
struct A {}
struct B {}
enum E { ONE = 1 }
enum F { ONE = 1 }
struct P { 1: %s a }
"""


@pytest.mark.parametrize(
    ("old", "new", "rule", "change"),
    [
        ("E", "i32", "enum-replaced", "became i32, it was an enum E"),
        ("i32", "E", "enum-replaced", "became an enum E, it was i32"),
        ("E", "i64", "type-changed", "became i64, it was an enum E"),
        ("E", "A", "type-changed", "became a struct A, it was an enum E"),
        ("A", "E", "type-changed", "became an enum E, it was a struct A"),
        ("A", "string", "type-changed", "became string, it was a struct A"),
        ("E", "F", "type-renamed", "became F, it was E"),
        ("A", "B", "type-renamed", "became B, it was A"),
        ("list<i32>", "set<i32>", "type-changed", "became set<i32>, it was list<i32>"),
        ("list<A>", "list<B>", "type-renamed", "became B, it was A, inside list<B>"),
        ("map<i32, A>", "map<i32, i32>", "type-changed", "became i32, it was a struct A, inside map<i32, i32>"),
    ],
)
def test_types_of_a_field_are_told_by_their_kinds(old: str, new: str, rule: str, change: str) -> None:
    """An enum is a number on the wire, so that to replace it by one is less than another type."""
    assert (rule, "P.a", change) in found(HELD % old, HELD % new)


def test_typedef_in_the_place_of_its_type_is_a_spelling() -> None:
    """Programs that run do not notice it, and neither does whoever has the other old name of a base type."""
    old, new = f"typedef list<i8> Ids\n{P % '1: list<byte> a'}", f"typedef list<i8> Ids\n{P % '1: Ids a'}"
    assert found(old, new) == {("spelling-changed", "P.a", "is written Ids, it was list<byte>, which is the same type")}


def test_kind_of_a_definition_matters_by_what_it_is_on_the_wire() -> None:
    """A union has one member only, so its fields are not compared with a struct's; a struct that became an exception
    reads the same, and its fields are compared."""
    fields, more = "1: i32 a", "1: i64 a"
    assert found(P % fields, U % more) == {("kind-changed", "P", "became a union, it was a struct")}
    assert found(P % fields, f"exception P {{ {more} }}\n") == {
        ("type-renamed", "P", "became an exception, it was a struct"),
        ("type-changed", "P.a", "became i64, it was i32"),
    }


def test_long_default_is_cut() -> None:
    """A break is one line; a default that is a name is told by it."""
    text = "const string WORD = 'a'\nstruct P { 1: string a = %s }\n"
    ((_, _, change),) = found(text % "WORD", text % f"'{'x' * 100}'")
    assert change == f"has the default '{'x' * 56}..., it had the default WORD"
