"""Names in stubs where the names of an IDL stand in their way."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from tests.idl.test_source import source, write
from zkrpc.idl.hints import Hints, free_name, names_of, services_of
from zkrpc.idl.outline import TypeName


def hints(tmp_path: Path, text: str) -> Hints:
    """The hints of a file with this text."""
    main = source(write(tmp_path, {"main.thrift": text}))
    return Hints(main, {main: PurePath("main_thrift")})


def named(name: str, *inner: TypeName) -> TypeName:
    return TypeName(name=name, line=1, inner=inner)


TEXT = named("string")


@pytest.mark.parametrize(
    ("some", "hint"),
    [
        (named("byte"), "int"),
        (named("double"), "float"),
        (named("uuid"), "uuid.UUID"),
        (named("binary"), "bytes"),
        (named("E"), "int"),
        (named("S"), "S"),
        (named("T"), "list[S]"),
        (named("map", named("T"), named("T")), "dict[tuple[S, ...], list[S]]"),
        (named("set", named("set", named("list", TEXT))), "set[frozenset[tuple[str, ...]]]"),
        (named("map", named("set", TEXT), named("map", TEXT, named("T"))), "dict[frozenset[str], dict[str, list[S]]]"),
    ],
)
def test_types_are_those_that_decoding_gives(some: TypeName, hint: str, tmp_path: Path) -> None:
    """Within keys and members, too, which are hashable."""
    assert hints(tmp_path, "enum E {}\nstruct S {}\ntypedef list<S> T").of(some) == hint


def test_names_of_the_file_come_first(tmp_path: Path) -> None:
    """A field called list hides Python's in the body of its class, and one called S the class S."""
    some = hints(tmp_path, "struct S { 1: list<S> list, 2: S S, 3: i32 builtins, 4: i32 uuid }")
    assert some.of(named("list", named("S"))) == "_builtins.list[_S]" and some.of(named("uuid")) == "_uuid.UUID"
    assert some.imports() == ["import builtins as _builtins", "import typing", "import uuid as _uuid"][0:1] + [
        "import uuid as _uuid"
    ]
    assert some.aliases() == ["_S: typing.TypeAlias = S"]


def test_free_name_is_nobody_elses() -> None:
    """Nor does it begin with two underscores, which a class would make private."""
    taken = {"typing", "_typing"}
    assert [free_name("typing", taken), free_name("uuid", taken), free_name("uuid", taken)] == [
        "_typing_",
        "uuid",
        "_uuid",
    ]


def test_module_holds_no_typedefs_and_no_special_names(tmp_path: Path) -> None:
    """As they leave nothing behind at run time."""
    main = source(write(tmp_path, {"main.thrift": "typedef i32 T\nconst i32 C = 1\nservice __doc__ {}\nservice S {}"}))
    assert names_of(main) == ["C", "S"] and services_of(main) == ["S"]
