"""Idl, Interface and Method, through the example IDLs and some others."""

from __future__ import annotations

import copy
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.idl.test_source import write
from zkrpc.codec import Payload, StructCodec
from zkrpc.errors import IdlError, RemoteProtocolError
from zkrpc.idl import (
    MethodPolicy,
    Parameter,
    digest_of,
    file_of,
    interfaces_of,
    load,
    load_text,
    text_of,
)

EXAMPLES = Path(__file__).parent.parent.parent / "idl"


@pytest.fixture(name="users")
def _users() -> Any:
    return load(EXAMPLES / "users.thrift")


def test_users_is_an_interface_with_policies(users: Any) -> None:
    """The first example: reads are idempotent, creating is not, and every method can say what it is."""
    methods = users.Users.methods
    assert methods["get"].policy == MethodPolicy(idempotent=True, timeout=0.5)
    assert methods["create"].policy == MethodPolicy()
    assert methods["get"].throws == (users.UserNotFound,) and methods["get"].wire_name == b"get"
    assert methods["seen"].oneway and methods["seen"].void and methods["put"].void and not methods["get"].void
    assert repr(methods["seen"]) == "<Method oneway void Users.seen(i64 id, i64 at_ms)>"
    assert methods["find"].parameters == (
        Parameter(name="prefix", type="string", required=True),
        Parameter(name="limit", type="i32", required=False, default=20),
    )


def test_declaration_tells_a_caller_what_it_must_know(users: Any) -> None:
    """The exceptions a method throws, whether it may be repeated, and whether it has an answer at all."""
    get, seen = (users.Users.methods[name] for name in ("get", "seen"))
    assert get.declaration == "``User get(i64 id) throws (UserNotFound)`` Idempotent."
    assert seen.declaration == "``oneway void seen(i64 id, i64 at_ms)``"
    methods = "void f() throws (1: A a, 2: B b), map<map<i32,i32>,i32> g(1: i32 x)"
    f, g = load_text(f"exception A {{}} exception B {{}} service S {{ {methods} }}").S.methods.values()
    assert f.declaration == "``void f() throws (A, B)``"
    assert g.refusal is not None and g.declaration == "``map<map<i32, i32>, i32> g(i32 x)``"


def test_renamed_method_differs_on_the_wire_alone(users: Any) -> None:
    """And the one that it was made of stays as it was."""
    get = users.Users.methods["get"]
    renamed = get.renamed("Ünder:get")
    assert renamed.wire_name == "Ünder:get".encode() and get.wire_name == b"get"
    others = [name for name in type(get).__slots__ if name != "wire_name"]
    assert [getattr(renamed, name) for name in others] == [getattr(get, name) for name in others]
    assert repr(renamed) == repr(get) and renamed.declaration == get.declaration


def test_users_calls_go_there_and_back(users: Any) -> None:
    """Arguments, a value, an exception; in both encodings."""
    get, user = users.Users.methods["get"], users.User(1, "Ada", tags=["first"])
    for payload in Payload:
        body = get.encode_arguments(get.bind((1,), {}), payload)
        assert get.decode_arguments(body, 0, payload) == (1,)
        assert get.read_result(get.encode_result(user, payload), 0, payload) == user
        with pytest.raises(users.UserNotFound):
            get.read_result(get.encode_exception(users.UserNotFound(1), payload), 0, payload)
    assert get.encode_exception(users.UserExists(1)) is None
    assert user.role == users.Role.MEMBER
    with pytest.raises(TypeError, match=r"Users.get\(\) missing 1 required positional argument: 'id'"):
        get.bind((), {})
    with pytest.raises(RemoteProtocolError, match="Users.get.id is required and did not come"):
        get.decode_arguments(b"\0", 0)


def test_counter_is_for_the_primary() -> None:
    """The second example: adding is for the primary alone, reading is not."""
    methods = load(EXAMPLES / "counter.thrift").Counter.methods
    assert methods["add"].policy == MethodPolicy(primary=True, timeout=2.0)
    assert methods["get"].policy.idempotent and not methods["get"].policy.primary
    all_ = methods["all"]
    assert all_.read_result(all_.encode_result({"a": 1 << 40}), 0) == {"a": 1 << 40}


def test_interface_has_inherited_methods_under_its_own_name(tmp_path: Path) -> None:
    """The parent's first, with the parent's policies, from another file if need be."""
    files = {
        "main.thrift": "include 'base.thrift'\nservice Child extends base.Base { void go() }",
        "base.thrift": "service Base { i32 ping(1: i32 x) (zkrpc.idempotent = 'true') }",
    }
    idl = load(write(tmp_path, files))
    assert list(idl.Child.methods) == ["ping", "go"] and list(idl.base.Base.methods) == ["ping"]
    ping = idl.Child.methods["ping"]
    assert ping.interface == "Child" and ping.policy.idempotent
    with pytest.raises(TypeError, match=r"Child.ping\(\) argument 'x' must be an i32"):
        ping.bind(("x",), {})


def test_interface_carries_all_texts_that_define_it(tmp_path: Path) -> None:
    """The digest is the same wherever the files are, and changes with any of them; the text can be loaded again."""
    files = {"main.thrift": "include 'a.thrift'\nservice S { a.A f() }", "a.thrift": "struct A { 1: i32 x }"}
    one, two = (load(write(tmp_path / name, files)) for name in ("one", "two"))
    assert one.S.digest == two.S.digest == digest_of(one) and one.S.text == text_of(one)
    assert one.S.file == file_of(one) == str(tmp_path / "one" / "main.thrift")
    again = load_text(one.S.text)
    assert again.S.digest == one.S.digest and again is load_text(one.S.text) and again.a.A(1).x == 1
    other = load(write(tmp_path / "two", {**files, "a.thrift": "struct A { 1: i64 x }"}))
    assert other.S.digest != one.S.digest
    assert repr(one.S) == f"<Interface S(f) {one.S.digest[:12]}>"


def test_idl_holds_what_the_file_defines(users: Any, tmp_path: Path) -> None:
    """By name, with a dir() to look at; typedefs are no values."""
    assert dir(users) == ["Role", "User", "UserExists", "UserNotFound", "Users"]
    assert dict(interfaces_of(users)) == {"Users": users.Users}
    assert repr(users) == f"<Idl {EXAMPLES / 'users.thrift'} {digest_of(users)[:12]}>"
    idl = load(
        write(
            tmp_path,
            {"main.thrift": "include 'a.thrift'\ntypedef i32 N\nconst N LIMIT = 5", "a.thrift": "enum E { A }"},
        )
    )
    assert dir(idl) == ["LIMIT", "a"] and idl.LIMIT == 5 and idl.a.E.A == 0


def test_idl_has_no_name_that_a_file_could_not_use(tmp_path: Path) -> None:
    """Whatever it defines is there, also under the name of an included file or with underscores."""
    files = {
        "main.thrift": "include 'a.thrift'\nstruct a { 1: a.E e } struct _text {} const i32 _names = 1 enum _a { X }",
        "a.thrift": "enum E { A }",
    }
    idl = load(write(tmp_path, files))
    assert idl.a(1).e == 1 and idl._text() == idl._text() and idl._names == 1 and idl._a.X == 0
    assert text_of(idl).endswith("enum _a { X }\n") and file_of(idl) == str(tmp_path / "main.thrift")
    with pytest.raises(AttributeError):
        copy.copy(idl)._nothing


def test_unknown_name_says_what_there_is(users: Any) -> None:
    """And private names are never looked for in a file."""
    with pytest.raises(AttributeError, match="Idl has no 'Usr'; it has Role, User, UserExists, UserNotFound, Users"):
        getattr(users, "Usr")
    assert not hasattr(users, "_nothing")


def test_load_text_says_where_its_errors_are() -> None:
    """Under the name it was given."""
    with pytest.raises(IdlError, match="^users.thrift:2: no type Missing"):
        load_text("\nstruct A { 1: Missing x }", name="users.thrift")


def _containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.sampled_from(["list<{}>", "set<{}>"])
    return st.builds(str.format, one, inner) | st.builds("map<{},{}>".format, inner, inner)


def _braces(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.builds("{}:{}".format, inner, inner) | inner.map("'a':{}".format), max_size=3)
    return st.lists(inner, max_size=3).map(lambda some: f"[{','.join(some)}]") | pairs.map("{{{0}}}".format)


WORDS = ["i32", "string", "binary", "uuid", "A", "B", "E", "T", "bool", "double"]
NAMES = ["a", "b", "self", "class", "__class__", "_x"]
TYPES = st.recursive(st.sampled_from(WORDS), _containers, max_leaves=4)
VALUES = st.recursive(
    st.sampled_from(["1", "-0x5", "1.5", "'x'", "true", "E.X", "X", "C", "Q", "[]"]), _braces, max_leaves=4
)
DEFAULTS = st.sampled_from([""] * 9) | VALUES.map(" = {}".format)
IDS = st.sampled_from(["", "-1:", "0:"])
CONSTANTS = st.sampled_from([("i32", "1"), ("T", "[]"), ("E", "X"), ("A", "{}"), ("set<B>", "[]")]) | st.tuples(
    TYPES, VALUES
)
FIELDS = st.lists(st.tuples(IDS, st.sampled_from(["", "required"]), TYPES, DEFAULTS), max_size=4).flatmap(
    lambda some: st.permutations(NAMES).map(
        lambda names: ", ".join(
            f"{at} {need} {of} {name}{default}" for (at, need, of, default), name in zip(some, names)
        )
    )
)


@settings(deadline=None, max_examples=300)
@given(FIELDS, FIELDS, FIELDS, TYPES, CONSTANTS, CONSTANTS, TYPES)
def test_whatever_is_written_loads_or_is_an_idl_error(
    a: str, b: str, f: str, t: str, c: tuple[str, str], d: tuple[str, str], r: str
) -> None:
    """Types in circles, values of other types, names and ids of all kinds; what loads can be used, or says why not."""
    text = (
        f"struct A {{ {a} }} union B {{ {b} }} typedef {t} T enum E {{ X, Y = 1, Z = 1 }} const {' C = '.join(c)}\n"
        f"const {' D = '.join(d)} exception O {{ {a} }} service S {{ {r} f({f}) throws (1: O o), oneway void g({b}) }}"
    )
    try:
        idl = load_text(text)
    except IdlError as error:
        assert error.line and str(error).isprintable()
        return
    for use in (lambda: idl.C, lambda: StructCodec(idl.A), lambda: idl.S.methods["f"].decode_arguments(b"\0", 0)):
        try:
            use()
        except (IdlError, RemoteProtocolError):
            pass
    for method in idl.S.methods.values():
        assert method.refusal is None or method.refusal.line


def test_load_text_leaves_nothing_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others can write to, they could change before it is read."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(os, "open", lambda *_args, **_kwargs: pytest.fail("a file was opened"))
    one, other = "m/a.thrift\nstruct A {}", "m/main.thrift\ninclude 'a.thrift'\nstruct B { 1: a.A a }"
    text = f"//// zkrpc file {one}\n//// zkrpc file {other}\n"
    assert load_text(text).B().a is None and not list(tmp_path.iterdir())
    with pytest.raises(IdlError, match="^m/x.thrift:1: no file '../../etc/passwd.thrift' among those of this text"):
        load_text("//// zkrpc file m/x.thrift\ninclude '../../etc/passwd.thrift'\n")
