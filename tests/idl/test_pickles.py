"""Pickles that are read by another process, beside another copy of the IDL, or after it changed."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.idl.test_source import write
from zkrpc.idl import load, load_text
from zkrpc.idl.pickles import find, shape_of

TEXT = """struct Dog { 1: string name, 2: list<Dog> pups = [], 3: Coat coat }
enum Coat { SHORT = 1 }
exception Bite { 1: i32 depth }
"""


class Poodle:
    """Stands for a class of the user's that is derived from one of an IDL."""


def dumped(value: object) -> list[bytes]:
    """Under every protocol, and by the module that is written in Python."""
    by_python: Any = pickle
    return [pickle.dumps(value, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)] + [
        by_python._dumps(value)
    ]


def elsewhere(program: str, path: Path, data: bytes) -> tuple[str, str]:
    """What a process of its own prints, and the last line of its errors."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", f"import pickle, sys, zkrpc\n{program}", str(path)],
        input=data, capture_output=True, timeout=120, env=environment,
    )  # fmt: skip
    return done.stdout.decode().strip(), (done.stderr.decode().strip().splitlines() or [""])[-1]


READ = "zkrpc.load(sys.argv[1]); print(pickle.load(sys.stdin.buffer))"


def test_structs_exceptions_and_enums_pickle_within_a_process(tmp_path: Path) -> None:
    """To the very classes, in all protocols; what else was set on an exception stays."""
    idl = load(write(tmp_path, {"dog.thrift": TEXT}))
    dog = idl.Dog("Rex", [idl.Dog("Rexette")], idl.Coat.SHORT)
    for data in dumped([dog, idl.Dog, idl.Coat]):
        again = pickle.loads(data)
        assert again == [dog, idl.Dog, idl.Coat] and type(again[0]) is idl.Dog
    bite = idl.Bite(3)
    bite.extra = 1
    for data in dumped(bite):
        again = pickle.loads(data)
        assert type(again) is idl.Bite and (again.depth, again.extra) == (3, 1) and again.args == (3,)


def test_classes_of_the_users_pickle_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Derived from a struct, with a constructor and slots of its own."""
    idl = load(write(tmp_path, {"dog.thrift": TEXT}))

    def begin(self: Any, name: str, /, trick: str) -> None:
        idl.Dog.__init__(self, name)
        self.trick = trick

    poodle = type("Poodle", (idl.Dog,), {"__init__": begin, "__slots__": ("trick",), "__module__": __name__})
    monkeypatch.setattr(sys.modules[__name__], "Poodle", poodle)
    made = poodle("Fifi", trick="sit")
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert type(again) is poodle and again == made and again.trick == "sit"


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"// good dog\n{TEXT}",
        TEXT.replace("3: Coat coat", "3: Coat coat, 4: i32 age = 7").replace("name,", "name = 'x';"),
    ],
)
def test_pickle_is_read_on_another_machine(tmp_path: Path, text: str) -> None:
    """In another folder, with another comment, and with fields more, which then have their defaults."""
    idl = load(write(tmp_path / "here", {"dog.thrift": TEXT}))
    dog = idl.Dog("Rex", [idl.Dog("Rexette")])
    there = write(tmp_path / "there", {"dog.thrift": text})
    more = ", age=7" if "age" in text else ""
    rexette = f"Dog(name='Rexette', pups=[], coat=None{more})"
    assert elsewhere(READ, there, pickle.dumps(dog)) == (f"Dog(name='Rex', pups=[{rexette}], coat=None{more})", "")
    assert elsewhere(READ, there, pickle.dumps(idl.Bite(3)))[0] == "Bite(depth=3)"


def test_pickle_of_a_struct_without_fields_gets_those_of_a_later_idl(tmp_path: Path) -> None:
    """With their defaults, as any other struct that has fields more; an exception does, too."""
    idl = load(write(tmp_path / "here", {"dog.thrift": "struct Dog {} exception Bite {}"}))
    later = "struct Dog { 1: i32 age = 7, 2: string name } exception Bite { 1: i32 depth = 2 }"
    there = write(tmp_path / "there", {"dog.thrift": later})
    assert elsewhere(READ, there, pickle.dumps(idl.Dog()))[0] == "Dog(age=7, name=None)"
    assert elsewhere(READ, there, pickle.dumps(idl.Bite()))[0] == "Bite(depth=2)"
    assert pickle.loads(pickle.dumps(idl.Dog())) == copy.copy(idl.Dog()) == idl.Dog()


def test_pickle_of_an_included_struct_is_read(tmp_path: Path) -> None:
    """Its file is named, not the one that includes it."""
    files = {"main.thrift": "include 'a.thrift'\nstruct M { 1: a.A a }", "a.thrift": "struct A { 1: i32 x }"}
    idl = load(write(tmp_path / "here", files))
    value = idl.M(idl.a.A(5))
    assert elsewhere(READ, write(tmp_path / "there", files), pickle.dumps(value)) == ("M(a=A(x=5))", "")
    assert elsewhere(READ, tmp_path / "there" / "a.thrift", pickle.dumps(value.a)) == ("A(x=5)", "")
    said = "_pickle.UnpicklingError: no main.thrift is loaded; this pickle holds its M: call zkrpc.load() on that file"
    assert elsewhere(READ, tmp_path / "there" / "a.thrift", pickle.dumps(value))[1].startswith(said)


def test_pickle_that_was_not_prepared_for_says_what_to_load(tmp_path: Path) -> None:
    """No module is missing that anybody could find; and a file that lost the struct says so."""
    idl = load(write(tmp_path, {"dog.thrift": TEXT}))
    other = write(tmp_path / "other", {"dog.thrift": "struct Cat {}"})
    said = "this pickle holds its Dog: call zkrpc.load() on that file before reading it"
    _, error = elsewhere("pickle.load(sys.stdin.buffer)", other, pickle.dumps(idl.Dog("Rex")))
    assert error == f"_pickle.UnpicklingError: no dog.thrift is loaded; {said}"
    _, error = elsewhere(READ, other, pickle.dumps(idl.Dog("Rex")))
    assert error == f"_pickle.UnpicklingError: the dog.thrift that is loaded defines no Dog; {said}"


BOTH = "zkrpc.load(sys.argv[1] + '/1/dog.thrift'); two = zkrpc.load(sys.argv[1] + '/2/dog.thrift')\n"


def test_of_two_idls_of_one_name_the_fitting_one_is_taken(tmp_path: Path) -> None:
    """The one with the same fields; alike copies are as good as each other; else nobody can tell."""
    here = load(write(tmp_path / "here", {"dog.thrift": TEXT}))
    data = pickle.dumps(here.Dog("Rex"))
    write(tmp_path / "1", {"dog.thrift": f"// one\n{TEXT}"})
    write(tmp_path / "2", {"dog.thrift": "struct Dog { 1: i32 number }"})
    assert elsewhere(f"{BOTH}print(pickle.load(sys.stdin.buffer))", tmp_path, data)[0].startswith("Dog(name='Rex'")
    write(tmp_path / "2", {"dog.thrift": TEXT})
    program = f"{BOTH}print(type(pickle.load(sys.stdin.buffer)) is two.Dog)"
    assert elsewhere(program, tmp_path, data) == ("True", "")
    write(tmp_path / "1", {"dog.thrift": "struct Dog { 1: string name }"})
    write(tmp_path / "2", {"dog.thrift": "struct Dog { 1: i32 number }"})
    _, error = elsewhere(f"{BOTH}pickle.load(sys.stdin.buffer)", tmp_path, data)
    assert error.endswith(
        f"{tmp_path}/1/dog.thrift and {tmp_path}/2/dog.thrift are loaded and define Dog, "
        "none of them as this pickle has it: expected one"
    )


def test_file_that_was_loaded_again_reads_old_pickles_as_new(tmp_path: Path) -> None:
    """Objects of the old classes stay of them."""
    old = load(write(tmp_path, {"cat.thrift": "struct Cat { 1: i32 lives }"}))
    dump = pickle.dumps(old.Cat(9))
    new = load(write(tmp_path, {"cat.thrift": "struct Cat { 1: i32 lives, 2: i32 left = 3 }"}))
    assert type(pickle.loads(dump)) is old.Cat and type(pickle.loads(pickle.dumps(new.Cat(9)))) is new.Cat
    changed = write(tmp_path, {"cat.thrift": "struct Cat { 1: i64 lives, 2: i32 left = 3 }"})
    assert elsewhere(READ, changed, dump) == ("Cat(lives=9, left=3)", "")


def test_classes_are_found_by_the_names_of_file_and_struct(tmp_path: Path) -> None:
    """Of the module that is meant, or of one whose fields are the same, or of the only one there is."""
    one = load(write(tmp_path / "1", {"rat.thrift": "struct Rat { 1: i32 x } struct Only {}"}))
    assert find("rat.thrift", "Rat", one.Rat.__module__, "") is find("rat.thrift", "Rat", "", "") is one.Rat
    two = load(write(tmp_path / "2", {"rat.thrift": "struct Rat { 1: list<string> x } enum Kind { A = 1 }"}))
    three = load(write(tmp_path / "3", {"rat.thrift": "// the same\nstruct Rat { 1: list<string> x }"}))
    assert find("rat.thrift", "Rat", "", shape_of(one.Rat)) is one.Rat
    assert find("rat.thrift", "Rat", "", shape_of(two.Rat)) is three.Rat
    assert find("rat.thrift", "Only", "", "") is one.Only and find("rat.thrift", "Kind", "", "") is two.Kind
    with pytest.raises(pickle.UnpicklingError, match="1/rat.thrift and .*2/rat.thrift and .*3/rat.thrift are loaded"):
        find("rat.thrift", "Rat", "", "")
    with pytest.raises(pickle.UnpicklingError, match="^the rat.thrift that is loaded defines no Cat; this pickle"):
        find("rat.thrift", "Cat", "", "")
    with pytest.raises(pickle.UnpicklingError, match="^no mouse.thrift is loaded; this pickle holds its Rat: call zk"):
        find("mouse.thrift", "Rat", "", "")


def test_texts_have_names_too() -> None:
    """The one given to load_text, or those in a bundle."""
    text = "//// zkrpc file m/a.thrift\nstruct A { 1: i32 x }\n//// zkrpc file m/main.thrift\ninclude 'a.thrift'\n"
    a = load_text(text).a.A(5)
    assert pickle.loads(pickle.dumps(a)) == a and b"a.thrift" in pickle.dumps(a)
