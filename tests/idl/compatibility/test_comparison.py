"""Every rule on its cases: what breaks is found, and what stands beside it and breaks nothing is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.idl.compatibility.cases import Case, all_cases, source
from zkrpc.idl.compatibility import RULES, Break, Level, compare

CASES = all_cases()
BREAKING = [case for case in CASES if case.wanted]
FINE = [case for case in CASES if not case.wanted]


def found(breaks: list[Break]) -> set[tuple[str, str, str]]:
    """Severity, rule and subject of each."""
    return {(some.rule.severity.value, some.rule.name, some.subject) for some in breaks}


@pytest.mark.parametrize("case", BREAKING, ids=lambda case: case.name)
def test_break_is_found(case: Case, tmp_path: Path) -> None:
    """Each of those that the case names, with a place in either file, and no other of their levels."""
    breaks = case.breaks(tmp_path)
    levels = {RULES[rule].level for _, rule, _ in case.wanted}
    assert {some for some in found(breaks) if RULES[some[1]].level <= max(levels)} == set(case.wanted)
    for some in breaks:
        assert Path(some.file).read_text().count("\n") >= some.line - 1 >= 0 and some.file.endswith(".thrift")
        assert str(some).startswith(f"{some.file}:{some.line}: {some.rule.name}: {some.subject} {some.change}: ")
    for text in case.says:
        assert any(text in some.change for some in breaks)


@pytest.mark.parametrize("case", FINE, ids=lambda case: case.name)
def test_compatible_neighbour_breaks_nothing(case: Case, tmp_path: Path) -> None:
    """At no level."""
    assert case.breaks(tmp_path) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_version_does_not_break_itself(case: Case, tmp_path: Path) -> None:
    """Whatever it holds, wherever it lies."""
    new = case.write(tmp_path)[1]
    assert compare(*(source(new.read_text(), folder, "main.thrift") for folder in _copies(case, tmp_path))) == []


def _copies(case: Case, folder: Path) -> list[Path]:
    copies = [folder / "one", folder / "two"]
    for copy in copies:
        copy.mkdir()
        for name, text in case.new.items():
            (copy / name).write_text(text)
    return copies


def test_every_rule_has_a_case_and_a_neighbour() -> None:
    """So that none is written and never tried."""
    told = {rule for case in BREAKING for _, rule, _ in case.wanted}
    assert told == set(RULES) - {"service-renamed"}, "which needs two names"
    for file in {case.name.rpartition("-")[0] for case in CASES}:
        assert any(case.name.rpartition("-")[0] == file for case in FINE), f"{file} has no compatible neighbour"


def test_break_is_at_the_new_line_or_at_the_old_one_if_it_is_gone(tmp_path: Path) -> None:
    """And tells the other place as well, where there is one."""
    old = source("service S {\n  void f()\n  void g(1: i32 a)\n}\n", tmp_path / "old")
    new = source("// moved\nservice S {\n\n  void g(1: i64 a)\n}\n", tmp_path / "new")
    changed, gone = sorted(compare(old, new), key=lambda some: some.subject, reverse=True)[::-1]
    assert (gone.file, gone.line, gone.before) == (new.name, 4, f"{old.name}:3")
    assert (changed.file, changed.line, changed.before) == (old.name, 2, f"{old.name}:2")


def test_break_names_the_methods_whose_calls_it_concerns(tmp_path: Path) -> None:
    """Through whatever types they reach what has changed, circles included; and no others."""
    text = (
        "struct Leaf { 1: %s x, 2: list<Node> back }\nstruct Node { 1: map<string, Leaf> leaves }\n"
        "union Any { 1: Node node }\nexception Bad { 1: Leaf leaf }\nstruct Alone { 1: i32 x }\n"
        "service Base { Leaf a() }\n"
        "service S extends Base {\n"
        "  void b(1: set<Any> x), void c() throws (1: Bad bad), Alone d(1: Alone x), void e()\n}\n"
    )
    breaks = compare(source(text % "i32", tmp_path / "old"), source(text % "i64", tmp_path / "new"))
    assert [(some.subject, sorted(some.methods)) for some in breaks] == [("Leaf.x", ["Base.a", "S.a", "S.b", "S.c"])]


def test_break_of_a_method_concerns_that_method(tmp_path: Path) -> None:
    """And one of a service all of its methods; one of a constant none."""
    old = "const i32 X = 1\nservice S { void f(1: i32 a), void g() }\nservice T { void h() }\n"
    new = "const i32 X = 2\nservice S { oneway void g(), void f(1: i64 a) }\n"
    breaks = compare(source(old, tmp_path / "old"), source(new, tmp_path / "new"))
    assert {some.rule.name: some.methods for some in breaks} == {
        "service-removed": ("T.h",),
        "oneway-changed": ("S.g",),
        "type-changed": ("S.f",),
        "constant-changed": (),
    }


def test_one_service_can_be_compared_alone_and_under_another_name(tmp_path: Path) -> None:
    """Then nothing counts but what its calls use."""
    old = source(
        "const i32 X = 1\nstruct Unused { 1: i32 x }\nservice S { void f(1: i32 a) }\nservice T {}\n", tmp_path / "old"
    )
    new = source("service Better { void f(1: i64 a) }\n", tmp_path / "new")
    found_there = compare(old, new, services=("S", "Better"))
    assert [some.rule.name for some in found_there] == ["type-changed", "service-renamed"]
    assert [some.rule.name for some in compare(old, new, services=("T", "None"))] == ["service-removed"]


def test_levels_are_ordered_and_have_the_words_of_the_option() -> None:
    """Each contains those before it."""
    assert [level.word for level in sorted(Level)] == ["wire", "json", "source", "policy"]
