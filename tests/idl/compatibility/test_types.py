"""Types by what they stand for, and IDLs that are made to keep a comparison busy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.idl.compatibility.cases import source
from zkrpc.errors import IdlError
from zkrpc.idl.compatibility import compare, types


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
