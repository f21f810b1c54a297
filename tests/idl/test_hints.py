"""Names in stubs where the names of an IDL stand in their way."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from tests.idl.test_source import source, write
from zkrpc.errors import IdlError
from zkrpc.idl.hints import Hints, free_name, module_name_of, names_of, services_of
from zkrpc.idl.outline import TypeName
from zkrpc.idl.source import tree


def hints(tmp_path: Path, text: str) -> Hints:
    """The hints of a file with this text."""
    main = source(write(tmp_path, {"main.thrift": text}))
    return Hints(main, {main: PurePath("main_thrift")})


def hints_of_files(tmp_path: Path, files: dict[str, str], *, top_level: bool = False) -> Hints:
    """The hints of the first of several files; each has its module beside it."""
    main = source(write(tmp_path, files))
    modules = {one: PurePath(one.path.parent, f"{module_name_of(one)}_thrift") for one in tree(main)}
    return Hints(main, modules, top_level=top_level)


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
    assert some.of(named("S")) == "_S", "it has one other name, however often it is used"
    assert some.imports() == ["import builtins as _builtins", "import uuid as _uuid"]
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


def test_class_that_python_has_no_name_for_has_one_of_the_stubs_own(tmp_path: Path) -> None:
    """The same in the file that defines it and in those that include it, and nobody else's there."""
    text = "struct lambda {}\nstruct __hidden {}\nstruct _class { 1: i32 _lambda }\nstruct class {}"
    own = hints(tmp_path, text)
    told = {"lambda": "_lambda_", "__hidden": "_hidden", "_class": "_class", "class": "_class_"}
    assert {name: own.class_name(name) for name in told} == told
    assert {name: own.of(named(name)) for name in told} == told
    other = hints_of_files(tmp_path, {"other.thrift": "include 'main.thrift'", "main.thrift": text})
    assert {name: other.of(named(f"main.{name}")) for name in told} == {
        name: f"main.{alias}" for name, alias in told.items()
    }


def test_types_of_an_included_file_are_named_by_its_module(tmp_path: Path) -> None:
    """One that the hints use is imported, once; typedefs are followed to the file that defines the class, included here
    or not."""
    files = {
        "main.thrift": "include 'a.thrift'\ninclude 'unused.thrift'",
        "a.thrift": "include 'deep.thrift'\nstruct A {}\nenum E {}\ntypedef map<A, deep.D> M",
        "deep.thrift": "struct D {}",
        "unused.thrift": "struct U {}",
    }
    some = hints_of_files(tmp_path, files)
    assert some.of(named("a.E")) == "int" and some.imports() == []
    assert some.of(named("a.M")) == "dict[a.A, _deep.D]" and some.of(named("a.A")) == "a.A"
    assert some.imports() == ["from . import a_thrift as a", "from . import deep_thrift as _deep"]


def test_type_means_what_it_means_in_the_file_that_writes_it(tmp_path: Path) -> None:
    """As in a method that is inherited from another file's service, which has its own A and its own includes."""
    files = {
        "main.thrift": "include 'base.thrift'\nenum A {}",
        "base.thrift": "include 'deep.thrift'\nstruct A {}",
        "deep.thrift": "struct D {}",
    }
    main = source(write(tmp_path, files))
    some = Hints(main, {one: PurePath(one.stem) for one in tree(main)})
    base = main.included["base.thrift"]
    assert some.of(named("A")) == "int" and some.of(named("A"), base) == "base.A"
    assert some.of(named("list", named("deep.D")), base) == "list[_deep.D]"


def test_included_files_are_held_by_name_where_the_module_holds_them(tmp_path: Path) -> None:
    """As modules that are imported; not where a definition has the name, nor where Python's grammar has no room for
    it."""
    files = {
        "main.thrift": "include 'a.thrift'\ninclude 'b.thrift'\ninclude 'x.y.thrift'\ninclude 'is.thrift'\nstruct b {}",
        "a.thrift": "struct A {}",
        "b.thrift": "struct B {}",
        "x.y.thrift": "struct X {}",
        "is.thrift": "struct I {}",
    }
    some = hints_of_files(tmp_path, files)
    assert some.includes() == {"a": ""} and some.imports() == ["from . import a_thrift as a"]
    used = [some.of(named(name)) for name in ("a.A", "b.B", "x.y.X", "is.I")]
    assert used == ["a.A", "_b.B", "_x_y.X", "_is.I"]
    assert some.imports() == [
        "from . import a_thrift as a",
        "from . import b_thrift as _b",
        "from . import is_thrift as _is",
        "from . import x_y_thrift as _x_y",
    ]


def test_name_of_several_included_files_is_some_module(tmp_path: Path) -> None:
    """Which of them is told where a type is used: each is imported under a name of its own."""
    files = {
        "main.thrift": "include 'one/a.thrift'\ninclude 'two/a.thrift'",
        "one/a.thrift": "struct A {}",
        "two/a.thrift": "struct B {}",
    }
    some = hints_of_files(tmp_path, files)
    assert some.includes() == {"a": "a: types.ModuleType"}
    assert [some.of(named("a.A")), some.of(named("a.B")), some.of(named("a.A"))] == ["_a.A", "_a_.B", "_a.A"]
    assert some.imports() == [
        "import types",
        "",
        "from .one import a_thrift as _a",
        "from .two import a_thrift as _a_",
    ]


def test_field_with_the_name_of_an_included_file_hides_it(tmp_path: Path) -> None:
    """So a class names the module otherwise, while the stub still holds it under its own name."""
    files = {"main.thrift": "include 'a.thrift'\nstruct S { 1: a.A a, 2: a.A b }", "a.thrift": "struct A {}"}
    some = hints_of_files(tmp_path, files)
    assert [some.of(named("a.A")), some.of(named("a.A"))] == ["_a.A", "_a.A"] and some.includes() == {"a": ""}
    assert some.imports() == ["from . import a_thrift as _a", "from . import a_thrift as a"]


def test_imports_are_in_groups(tmp_path: Path) -> None:
    """Python's, zkrpc's, and those of other files, with nothing but an empty line between; no group is empty."""
    some = hints_of_files(tmp_path, {"main.thrift": "include 'a.thrift'", "a.thrift": "struct A {}"})
    assert some.imports() == []
    assert [some.module(name) for name in ("zkrpc", "typing", "abc", "typing")] == ["zkrpc", "typing", "abc", "typing"]
    assert some.imports() == ["import abc", "import typing", "", "import zkrpc"]
    some.includes()
    assert some.imports() == ["import abc", "import typing", "", "import zkrpc", "", "from . import a_thrift as a"]


@pytest.mark.parametrize(
    ("included", "line"),
    [
        ("a.thrift", "from . import a_thrift as a"),
        ("down/deep/a.thrift", "from .down.deep import a_thrift as a"),
        ("../a.thrift", "from .. import a_thrift as a"),
        ("../../a.thrift", "from ... import a_thrift as a"),
        ("../side/a.thrift", "from ..side import a_thrift as a"),
    ],
)
def test_modules_import_each_other_as_their_folders_lie(included: str, line: str, tmp_path: Path) -> None:
    """Relatively to their package; by bare names alone where the folder itself is on Python's path."""
    files = {"main.thrift": f"include '{included}'", included: "struct A {}"}
    for top_level, told in ((False, line), (True, "import a_thrift as a")):
        some = hints_of_files(tmp_path / "x" / "y", files, top_level=top_level)
        assert some.of(named("a.A")) == "a.A" and some.imports() == [told]


@pytest.mark.parametrize("folder", ["my-idl", "import", "1st"])
def test_folder_that_python_cannot_name_is_an_error(folder: str, tmp_path: Path) -> None:
    """Which names the included file, and what helps; bare names need no folder."""
    files = {"main.thrift": f"include '{folder}/a.thrift'", f"{folder}/a.thrift": "struct A {}"}
    some = hints_of_files(tmp_path, files)
    some.includes()
    with pytest.raises(IdlError, match=f"a.thrift: its folder {folder} has no name that Python can import; .*, --out"):
        some.imports()
    bare = hints_of_files(tmp_path, files, top_level=True)
    assert bare.includes() == {"a": ""} and bare.imports() == ["import a_thrift as a"]


def test_module_name_is_an_identifier_of_ascii(tmp_path: Path) -> None:
    """With an underscore for any other character."""
    assert module_name_of(source(write(tmp_path, {"x-y.é 1.thrift": ""}))) == "x_y___1"
