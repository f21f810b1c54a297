"""Stubs say what is so at run time: every name, field, parameter, type and value, and nothing else."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import keyword
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.idl.test_source import write
from tests.support.programs import ROOT
from zkrpc.codec.shape import Field, FieldType, Kind, fields_of, is_union, type_of
from zkrpc.errors import IdlError
from zkrpc.idl import Interface, stubs_of
from zkrpc.idl.stubs import is_same, module_text

HARD = {
    "hard.thrift": """
        include 'base.thrift'
        include 'deep/acme.shared.thrift'
        namespace py hard
        typedef list<Tree> Trees
        typedef base.Key Alias
        struct Tree { 1: required string name, 2: Trees children, 3: optional Tree parent }
        struct Empty {}
        struct Defaults {
          1: i32 a = 5, 2: required i64 b = 7, 3: string c = 'it\\'s "so"', 4: list<i32> d = [1, 2], 5: bool e = true,
          6: double f = 1.5, 7: Shade g = Shade.DARK, 8: binary h = 'x', 9: required double last, 10: optional uuid id }
        struct Keys {
          1: map<base.Key, string> a, 2: map<list<string>, set<i32>> b, 3: set<set<i32>> c,
          4: map<i32, map<i32, Tree>> d, 5: set<list<set<i64>>> e, 6: map<string, list<Alias>> f }
        struct Words {
          1: required string class, 2: optional i32 from, 3: list<i32> list, 4: set<i32> set, 5: map<i32, i32> dict,
          6: string str, 7: i32 int, 8: Tree Tree, 9: base.Key base, 10: list<Tree> typing, 11: i32 self, 12: i32 _,
          13: string others, 14: i32 None, 15: string builtins, 16: i32 match }
        struct Late { 1: optional i32 a, 2: required string b, 3: i32 c, 4: required i32 lambda }
        enum Shade { DARK = 3, LIGHT, None = 9, also_dark = 3 }
        enum Nothing {}
        union Either { 1: i32 number, 2: string text, 3: list<Either> nested }
        union Single { 1: string only }
        union Void {}
        union Worded { 1: i32 in = 4, 2: string out }
        exception Oops { 1: string why, 2: required i32 code }
        exception Arguments { 1: list<string> args, 2: string message }
        exception Wrong { 1: i32 with_traceback }
        struct Unheld { 1: map<map<i32, i32>, i32> x, 2: i32 __class__ }
        const i32 MAX = 10
        const string NAME = "a\\nb"
        const list<string> NAMES = ["a", "b"]
        const map<string, Tree> TREES = {"a": {"name": "x"}}
        const double HALF = 0.5
        const double WHOLE = 3
        const bool YES = 1
        const Shade SHADE = Shade.LIGHT
        const binary RAW = "raw"
        const uuid ID = "01234567-89ab-cdef-0123-456789abcdef"
        const map<map<i32, i32>, i32> REFUSED = {}
        const i32 import = 4
        struct lambda { 1: i32 x }
        struct Holder { 1: lambda it, 2: acme.shared.Thing thing }
        struct HardClient { 1: i32 x }
        service Hard extends base.Base {
          Tree get(1: i64 id, 2: optional string hint) throws (1: Oops oops) (zkrpc.idempotent = "true"),
          void put(1: required Tree tree, 2: i32 ttl = 60, 3: Shade shade),
          oneway void tell(1: list<Tree> trees),
          list<i32> list(1: map<list<i32>, Tree> by),
          set<Shade> import(1: i32 x),
          i32 words(1: i32 from, 2: i32 self, 3: i32 b, 4: i32 others),
          map<map<i32, i32>, i32> never(),
          Either either(1: Either it, 2: Alias key),
          void a_method_with_a_long_name(1: string a_parameter_with_a_long_name, 2: string and_another_one = "default"),
        }
        service Nobody {}
        service Own { i32 options(1: i32 x), void close() }
        service Closer extends Own { void more() }
        service Beginning { i32 submit(1: i32 property) }
        service Finished { i32 property(1: i32 submit) }
        service AServiceWithALongNameWhoseProtocolsDoNotFit { void f() }
        """,
    "base.thrift": """
        struct Key { 1: required i32 x }
        service Base { bool ping(1: Key key) (zkrpc.primary = "true"), void close_all() }
        """,
    "deep/acme.shared.thrift": "include '../base.thrift'\nstruct Thing { 1: base.Key key } service Far {}",
}
"""A tree of files with all that is hard to say in Python."""

NAMES = {
    Kind.BOOL: "bool",
    Kind.DOUBLE: "float",
    Kind.STRING: "str",
    Kind.BINARY: "bytes",
    Kind.UUID: "UUID",
    Kind.LIST: "list",
    Kind.SET: "set",
    Kind.MAP: "dict",
}
FROZEN = {"list": "tuple", "set": "frozenset"}


def thrift_files() -> list[Path]:
    """Every IDL of this repository."""
    found = [*ROOT.glob("idl/*.thrift"), *ROOT.glob("tests/**/*.thrift"), *ROOT.glob("zkrpc/**/*.thrift")]
    return sorted(found)


def expected(of: FieldType, *, key: bool = False) -> str:
    """A type, as the last names of what a hint is made of, made from what the codec knows of it."""
    name = NAMES.get(of.kind, "int")
    if of.kind is Kind.STRUCT and of.cls is not None:
        return of.cls.__name__
    inner = [expected(one, key=key or (place == 0 and of.kind is not Kind.LIST)) for place, one in enumerate(of.inner)]
    if key and name in FROZEN:
        name = FROZEN[name]
    return f"{name}[{', '.join([*inner, *(['...'] if name == 'tuple' else [])])}]" if inner else name


class Read(ast.NodeVisitor):
    """A stub, read: hints have the names of modules before them dropped, and aliases resolved."""

    def __init__(self, text: str) -> None:
        self.tree = ast.parse(text)
        self.aliases: dict[str, str] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.variables: dict[str, ast.AnnAssign] = {}
        self.exported: list[str] = []
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                assert node.name not in self.classes
                self.classes[node.name] = node
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.variables[node.target.id] = node
                if ast.unparse(node.annotation).endswith(".TypeAlias"):
                    self.aliases[node.target.id] = ast.unparse(node.value) if node.value else ""
            elif isinstance(node, ast.Assign):
                self.exported = ast.literal_eval(node.value)

    def hint(self, node: ast.expr | None) -> str:
        """A hint without modules and aliases."""
        assert node is not None
        reader = self

        class Short(ast.NodeTransformer):
            def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
                return ast.Name(node.attr)

            def visit_Name(self, node: ast.Name) -> ast.AST:
                name = reader.aliases.get(node.id, node.id)
                return ast.Name(name.strip("_") if keyword.iskeyword(name.strip("_")) and name != "None" else name)

        return ast.unparse(Short().visit(ast.parse(ast.unparse(node), mode="eval")))

    @staticmethod
    def members(cls: ast.ClassDef) -> dict[str, ast.AnnAssign]:
        """The annotated names of a class."""
        found = (node for node in cls.body if isinstance(node, ast.AnnAssign))
        return {node.target.id: node for node in found if isinstance(node.target, ast.Name)}

    @staticmethod
    def functions(cls: ast.ClassDef, name: str | None = None) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """The functions of a class, or all of one name."""
        found = [node for node in cls.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        return [node for node in found if name in (None, node.name)]


def imported(path: Path) -> ModuleType:
    """A module, imported from where it lies."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(path: Path, **options: Any) -> dict[str, str]:
    """Writes the modules and stubs of an IDL and what it includes."""
    texts = stubs_of(path, **options)
    for name, text in texts.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, "utf-8")
    return texts


def pairs(texts: dict[str, str]) -> Iterator[tuple[ModuleType, Read]]:
    """Each module with its stub."""
    for name in texts:
        if name.endswith(".py"):
            yield imported(Path(name)), Read(texts[name + "i"])


def is_named(name: str) -> bool:
    """Whether Python's grammar has room for it."""
    return not keyword.iskeyword(name) and name.isidentifier()


def trees(tmp_path: Path) -> list[dict[str, str]]:
    """The texts for every IDL that there is."""
    hard = written(write(tmp_path / "hard", HARD))
    return [hard, *(written(path, out=tmp_path / str(number)) for number, path in enumerate(thrift_files()))]


def check_struct(cls: Any, node: ast.ClassDef, stub: Read) -> None:
    """Fields, their types, and the constructor's parameters."""
    try:
        fields = fields_of(cls)
    except IdlError:  # refused when it is used, so there is nothing to compare
        return
    members = stub.members(node)
    assert list(members) == [one.name for one in fields if is_named(one.name)]
    defaults = dict(cls.default_spec)
    for one in fields:
        if is_named(one.name):
            always = not is_union(cls) and (one.required or defaults[one.name] is not None)
            told = expected(one.type) + ("" if always else " | None")
            assert stub.hint(members[one.name].annotation) == told
            assert hasattr(cls(**{other.name: None for other in fields}), one.name)
    constructors = stub.functions(node, "__init__")
    if is_union(cls) and len(fields) > 1:
        named = [arg.arg for one in constructors for arg in (*one.args.args[1:], *one.args.kwonlyargs)]
        assert named == [one.name for one in fields if is_named(one.name)]
        return
    (constructor,) = constructors
    taken = [arg.arg for arg in (*constructor.args.args[1:], *constructor.args.kwonlyargs)]
    real = list(inspect.signature(cls.__init__).parameters)[1:] if all(is_named(one.name) for one in fields) else None
    assert real is None or taken == real
    required = {one.name for one in fields if one.required and defaults[one.name] is None and not is_union(cls)}
    check_required(constructor, required)


def check_required(function: ast.FunctionDef | ast.AsyncFunctionDef, required: set[str]) -> None:
    """The parameters without a default are these, where they can be named."""
    arguments = function.args
    by_place = arguments.args[1:]
    without = {arg.arg for arg in by_place[: len(by_place) - len(arguments.defaults)]}
    without |= {arg.arg for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults) if default is None}
    assert {name for name in without if not name.startswith("_")} == {name for name in required if is_named(name)}


def check_service(interface: Interface, client: ast.ClassDef, handler: ast.ClassDef, stub: Read) -> None:
    """The methods of both protocols, with their parameters and results."""
    own = {"options", "close", "__enter__", "__exit__"} - set(interface.methods)
    callable_names = [name for name, one in interface.methods.items() if one.refusal is None and is_named(name)]
    assert [one.name for one in stub.functions(client) if one.name not in own] == callable_names
    assert [one.name for one in stub.functions(handler)] == callable_names
    for name in callable_names:
        method = interface.methods[name]
        (call,), (handled,) = stub.functions(client, name), stub.functions(handler, name)
        named = [one.name for one in method.parameters if is_named(one.name)]
        assert [arg.arg for arg in (*call.args.args[1:], *call.args.kwonlyargs) if arg.arg in named] == named
        assert [arg.arg.rstrip("_") for arg in handled.args.args[1:]] == [
            one.name.rstrip("_") for one in method.parameters
        ]
        assert not handled.args.defaults and not handled.args.kwonlyargs
        result = stub.hint(call.returns)
        assert stub.hint(handled.returns) == f"{result} | Awaitable[{result}]", "it may be async"
        assert (stub.hint(call.returns) == "None") == method.void
        assert ast.get_docstring(call) == method.declaration
        check_required(call, {one.name for one in method.parameters if one.default is None})


def check_other_clients(interface: Interface, client: ast.ClassDef, others: list[ast.ClassDef], stub: Read) -> None:
    """What threads have is the client's and ``submit``; futures and coroutines have the client's parameters, results
    and docstrings."""
    threads, futures, aio = others
    assert [stub.hint(base) for base in threads.bases] == [client.name, "Protocol"]
    submits = [] if "submit" in interface.methods else [futures.name]
    assert [stub.hint(one.returns) for one in stub.functions(threads)] == submits
    own = set(interface.methods)
    for one, kind in ((futures, "TypedStub"), (aio, "TypedAioStub")):
        assert [stub.hint(base) for base in one.bases] == [*([] if own & {"options", "close"} else [kind]), "Protocol"]
    assert len(client.body) == len(futures.body) == len(aio.body)
    for call in stub.functions(client):
        (future,) = stub.functions(futures, call.name)
        (awaited,) = stub.functions(aio, call.name.replace("__e", "__ae"))
        assert ast.dump(call.args) == ast.dump(future.args) == ast.dump(awaited.args)
        assert ast.get_docstring(call) == ast.get_docstring(future) == ast.get_docstring(awaited)
        result = stub.hint(call.returns)
        assert stub.hint(future.returns) == (f"CallFuture[{result}]" if call.name in own else result)
        assert stub.hint(awaited.returns) == result
        assert isinstance(awaited, ast.AsyncFunctionDef) is (call.name in own or call.name != "options")


def test_stubs_say_what_is_so(tmp_path: Path) -> None:
    """Both ways, for every IDL of the repository and one with all that is hard: what a module holds is in its stub, and
    what the stub says is so."""
    for module, stub in (pair for texts in trees(tmp_path) for pair in pairs(texts)):
        assert stub.exported == module.__all__
        for name in stub.exported:
            value = getattr(module, name)
            if isinstance(value, ModuleType):
                assert name not in stub.classes and name not in stub.variables
            elif isinstance(value, Interface):
                told = ast.unparse(stub.variables[name].annotation).partition("[")[2][:-1].split(", ")
                client, handler, threads, aio = told
                (futures,) = [one for one in stub.exported if one.rstrip("_") == f"{name}Futures"]
                assert all(getattr(module, one)._is_protocol for one in (*told, futures))
                check_service(value, stub.classes[client], stub.classes[handler], stub)
                check_other_clients(
                    value, stub.classes[client], [stub.classes[one] for one in (threads, futures, aio)], stub
                )
            elif isinstance(value, type) and hasattr(value, "thrift_spec"):
                check_struct(value, stub.classes[name], stub)
            elif isinstance(value, type) and hasattr(value, "_NAMES_TO_VALUES"):
                numbers = {
                    item: ast.literal_eval(node.value)
                    for item, node in stub.members(stub.classes[name]).items()
                    if node.value is not None
                }
                items = {item: number for item, number in value._NAMES_TO_VALUES.items() if is_named(item)}
                assert numbers == items == {item: getattr(value, item) for item in items}
            elif not isinstance(value, type):
                check_constant(value, stub.variables[name], stub)
        private = {name for name in (*stub.classes, *stub.variables) if name not in stub.exported}
        assert all(name.startswith("_") for name in private)


def check_constant(value: Any, node: ast.AnnAssign, stub: Read) -> None:
    """The value, or its type."""
    if node.value is not None:
        assert ast.literal_eval(node.value) == value and type(ast.literal_eval(node.value)) is type(value)
    else:
        assert type(value).__name__ in stub.hint(node.annotation)


def test_types_of_parameters_are_those_of_the_codec(tmp_path: Path) -> None:
    """And the types of results, of typedefs and included files, too."""
    (module, stub), *_ = [pair for pair in pairs(written(write(tmp_path, HARD))) if pair[0].__name__ == "hard_thrift"]
    service = sys.modules[module.Tree.__module__].Hard
    handler = stub.classes["HardHandler"]
    for function in stub.functions(handler):
        owner = service if hasattr(service, f"{function.name}_args") else None
        fields: tuple[Field, ...] = fields_of(getattr(owner, f"{function.name}_args"))
        for arg, one in zip(function.args.args[1:], fields, strict=True):
            assert stub.hint(arg.annotation).removesuffix(" | None") == expected(one.type)
        result = getattr(owner, f"{function.name}_result").thrift_spec.get(0)
        told = "None" if result is None else expected(type_of((result[0], result[2]) if len(result) > 3 else result[0]))
        assert stub.hint(function.returns) == f"{told} | Awaitable[{told}]", "it may be async"


def test_stub_of_the_users_example_reads_well() -> None:
    """Word for word."""
    text = stubs_of(ROOT / "idl" / "users.thrift")[str(ROOT / "idl" / "users_thrift.pyi")]
    assert """
class UserNotFound(Exception):
    id: int
    def __init__(self, id: int) -> None: ...
""" in text
    assert """
class User:
    id: int
    name: str
    email: str | None
    role: int  # Role
    tags: list[str]
    def __init__(
        self,
        id: int,
        name: str,
        email: str | None = None,
""" in text
    assert '''
class UsersClient(zkrpc.TypedStub, typing.Protocol):
    """What can be called at Users."""

    def get(self, id: int) -> User:
        """``User get(i64 id) throws (UserNotFound)`` Idempotent."""

    def find(self, prefix: str, limit: int | None = 20) -> list[User]:
''' in text
    assert '''
class UsersHandler(typing.Protocol):
    """What serves Users."""

    @abc.abstractmethod
    def get(self, id: int) -> User | typing.Awaitable[User]: ...
    @abc.abstractmethod
    def find(
        self,
        prefix: str,
        limit: int,
    ) -> list[User] | typing.Awaitable[list[User]]: ...
''' in text
    assert '''
class UsersFutures(zkrpc.TypedStub, typing.Protocol):
    """What begins calls at Users."""

    def get(self, id: int) -> zkrpc.threads.CallFuture[User]:
        """``User get(i64 id) throws (UserNotFound)`` Idempotent."""
''' in text
    assert '''
class UsersThreadsClient(UsersClient, typing.Protocol):
    """What threads can call at Users."""

    @property
    def submit(self) -> UsersFutures:
        """The same methods, each of which returns a future at once."""

class UsersAioClient(zkrpc.TypedAioStub, typing.Protocol):
    """What can be awaited of Users."""

    async def get(self, id: int) -> User:
        """``User get(i64 id) throws (UserNotFound)`` Idempotent."""

    async def find(self, prefix: str, limit: int | None = 20) -> list[User]:
''' in text
    assert "\nUsers: zkrpc.Interface[UsersClient, UsersHandler, UsersThreadsClient, UsersAioClient]\n" in text


def test_stubs_are_laid_out_as_black_does(tmp_path: Path) -> None:
    """So that neither a formatter nor a stub changes the other's files all the time."""
    folders = {str(Path(name).parent) for texts in trees(tmp_path) for name in texts}
    command = [sys.executable, "-m", "black", "--check", "--diff", "--quiet", "-l", "120", *sorted(folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_stubs_are_the_same_each_time_and_everywhere(tmp_path: Path) -> None:
    """They depend on the files alone, not on their place."""
    one, other = (written(write(tmp_path / place, HARD)) for place in ("one", "other"))
    assert list(one.values()) == list(other.values())


@pytest.mark.parametrize("top_level", [False, True])
def test_included_files_are_imported(top_level: bool, tmp_path: Path) -> None:
    """As modules of the same package, or by bare names where the folder itself is on Python's path."""
    files = {
        "main.thrift": "include '../shared.thrift'\nstruct A { 1: shared.B b, 2: i32 shared }",
        "../shared.thrift": "include 'main/low.er.thrift'\nstruct B { 1: low.er.C c }",
        "low.er.thrift": "struct C {}",
    }
    texts = stubs_of(write(tmp_path / "main", files), top_level=top_level)
    main, shared = texts[str(tmp_path / "main" / "main_thrift.pyi")], texts[str(tmp_path / "shared_thrift.pyi")]
    place = "" if top_level else "from .. "
    assert f"\n{place}import shared_thrift as _shared\n{place}import shared_thrift as shared\n" in main
    assert "    b: _shared.B | None\n    shared: int | None\n" in main
    assert ("import low_er_thrift as _low_er" if top_level else "from .main import low_er_thrift as _low_er") in shared


def test_folder_that_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    """With what to do about it; in one folder all is well."""
    files = {"main.thrift": "include 'my-idl/a.thrift'\nstruct S { 1: a.A a }", "my-idl/a.thrift": "struct A {}"}
    path = write(tmp_path, files)
    with pytest.raises(IdlError, match="its folder my-idl has no name that Python can import; .* --out"):
        stubs_of(path)
    assert len(stubs_of(path, out=tmp_path / "out")) == 4


def test_two_files_cannot_have_one_module(tmp_path: Path) -> None:
    """a-b and a_b, for one."""
    files = {"a-b.thrift": "include 'a_b.thrift'", "a_b.thrift": ""}
    with pytest.raises(IdlError, match="its module would be .*a_b_thrift.py, as another file's"):
        stubs_of(write(tmp_path, files))


def test_module_finds_its_file_and_those_it_includes(tmp_path: Path) -> None:
    """From another folder, and with include directories."""
    files = {"a/main.thrift": "include 'b.thrift'\nstruct A { 1: b.B b }", "include/b.thrift": "struct B {}"}
    path = write(tmp_path, files)
    texts = written(path, include_dirs=[tmp_path / "include"], out=tmp_path / "out")
    module = imported(tmp_path / "out" / "main_thrift.py")
    assert module.A(module.b.B()).b == module.b.B()
    assert 'load_into(globals(), "../a/main.thrift", include_dirs=["../include"])' in texts[str(module.__file__)]


def test_layout_makes_no_difference() -> None:
    """To whether a stub is current; anything else does."""
    text = module_text("users.thrift", "users_thrift")
    assert is_same(text, text.replace("\n\n_", "\n_").replace('"users.thrift"', "'users.thrift'") + "# a comment\n")
    assert not is_same(text, text.replace("users", "user")) and not is_same(text, "what is this")
