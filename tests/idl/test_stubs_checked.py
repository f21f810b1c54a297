"""mypy and pyright follow the stubs: they accept good code and find what is wrong in bad code, line by line.

pyright fetches its engine from npm's registry when it is first used, as does its package; where that cannot be had its
tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.idl.test_source import write
from tests.idl.test_stubs import HARD, thrift_files, written
from tests.support.programs import ROOT

GOOD = """
    import asyncio
    from typing import Any, assert_type

    import zkrpc
    from shop import hard_thrift as hard
    from shop import users_thrift as idl
    from zkrpc.testing import aio, threads
    from zkrpc.testing.loopback import Loopback

    class Handler:
        def get(self, id: int) -> idl.User:
            if id < 0:
                raise idl.UserNotFound(id=id)
            return idl.User(id, "Ada", role=idl.Role.ADMIN)

        def find(self, prefix: str, limit: int) -> list[idl.User]:
            return [self.get(1)][:limit]

        async def put(self, user: idl.User) -> None: ...
        def create(self, user: idl.User) -> None: ...

        @zkrpc.offload
        def remove(self, id: int) -> bool:
            return id > 0

        @zkrpc.primary_only
        @zkrpc.offload()
        def seen(self, id: int, at_ms: int) -> None: ...
        def whoami(self) -> str:
            return "me"

    service = zkrpc.Service(idl.Users, Handler, name="users")
    zkrpc.Service(idl.Users, Handler())
    zkrpc.Service(idl.Users, lambda: Handler())

    def greet(users: idl.UsersClient) -> str | None:
        user = users.options(timeout=0.5, headers={"tenant": "blue"}).get(42)
        assert_type(user, idl.User)
        assert_type(user.email, str | None)
        assert_type(users.find("A"), list[idl.User])
        users.find(prefix="A", limit=3)
        users.find("A", limit=None)
        return user.email

    with zkrpc.connect(idl.Users, "users", zookeeper="127.0.0.1:2181") as users:
        assert_type(users, idl.UsersClient)
        greet(users)
        zkrpc.options(users, idempotent=True).put(idl.User(id=1, name="Ada", tags=["a"]))
    users.close()

    def begin(users: idl.UsersThreadsClient) -> zkrpc.threads.CallFuture[idl.User]:
        assert_type(users.get(1), idl.User)
        assert_type(users.options(timeout=0.5).submit.find("A").result(1.0), list[idl.User])
        greet(users)
        return users.submit.options(timeout=0.5).get(42)

    with zkrpc.threads.connect(idl.Users, "users", zookeeper="127.0.0.1:2181") as shared:
        assert_type(shared, idl.UsersThreadsClient)
        assert_type(begin(shared).result().name, str)
        shared.submit.put(idl.User(id=1, name="Ada")).add_done_callback(print)
        assert_type(zkrpc.options(shared, idempotent=True).submit.whoami().cancel(), bool)

    async def await_them(users: idl.UsersAioClient) -> str | None:
        user = await users.options(timeout=0.5, headers={"tenant": "blue"}).get(42)
        assert_type(user, idl.User)
        one, several = await asyncio.gather(users.get(1), users.find("A", limit=None))
        assert_type(one, idl.User)
        assert_type(several, list[idl.User])
        return user.email

    async def main() -> None:
        async with zkrpc.aio.connect(idl.Users, "users", zookeeper="127.0.0.1:2181") as tasks:
            assert_type(tasks, idl.UsersAioClient)
            await await_them(tasks)
            assert_type(await zkrpc.options(tasks, idempotent=True).whoami(), str)
        kept = await zkrpc.aio.connect(idl.Users, ["h:1"])
        assert_type(kept, idl.UsersAioClient)
        async with kept.options(timeout=1) as hasty:
            await hasty.put(idl.User(id=1, name="Ada"))
        await kept.close()
        in_memory = aio.Loopback(service, replicas=3)
        async with in_memory as awaited:
            assert_type(awaited, idl.UsersAioClient)
            assert_type((await in_memory.connect(idl.Users)), idl.UsersAioClient)

    with threads.Loopback(service) as there:
        assert_type(there, idl.UsersThreadsClient)

    loopback = Loopback(service, replicas=3)
    with loopback as stub:
        assert_type(stub.get(1).role, int)
        assert_type(loopback.stub, idl.UsersClient)

    tree = hard.Tree("root", children=[hard.Tree("leaf")], parent=None)
    keys = hard.Keys({hard.base.Key(1): "x"}, {("a", "b"): {1}}, {frozenset({1})})
    assert_type(keys.b, dict[tuple[str, ...], set[int]] | None)
    hard.Late(1, b="x", c=None)
    rest: dict[str, Any] = {"from": 4}
    hard.Words("a class", match=1, list=[1], str="x", Tree=tree, base=hard.base.Key(1), **rest)
    hard.Either(number=1)
    hard.Either(text="x").nested = [hard.Either()]
    hard.Single("x")
    hard.Empty()
    assert_type(hard.Defaults(last=1).d, list[int])
    most: int = hard.MAX + 1
    assert_type(hard.NAMES, list[str])
    try:
        raise hard.Oops(code=1)
    except hard.Oops as oops:
        assert_type(oops.why, str | None)

    def call(client: hard.HardClient_, base: hard.base.BaseClient) -> None:
        assert_type(client.get(1, None), hard.Tree)
        client.put(tree, shade=hard.Shade.DARK)
        client.put(tree, 3, shade=hard.Shade.LIGHT)
        client.ping(hard.base.Key(1))
        assert_type(client.list({(1, 2): tree}), list[int])
        client.either(hard.Either(number=1), hard.base.Key(2))
        call(client, client)

    def keep(own: hard.OwnClient) -> int:
        with own as it:
            return it.options(3)

    async def keep_awaited(own: hard.OwnAioClient, begun: hard.BeginningThreadsClient) -> int:
        async with own as it:
            await it.close()
            return await it.options(3) + begun.submit(4)

    class Fake:
        async def more(self) -> None: ...
        async def options(self, x: int) -> int:
            return x
        async def close(self) -> None: ...
        async def __aenter__(self) -> "Fake":
            return self
        async def __aexit__(self, *_: object) -> None: ...

    fake: hard.CloserAioClient = Fake()

    dynamic = zkrpc.load("users.thrift")
    zkrpc.connect(dynamic.Users, ["h:1"]).anything(1)
    zkrpc.threads.connect(dynamic.Users, ["h:1"]).submit.anything(1).result()
    zkrpc.Service(dynamic.Users, Handler)
    """

BAD = """
    import zkrpc
    from shop import hard_thrift as hard
    from shop import users_thrift as idl

    users = zkrpc.connect(idl.Users, "users", zookeeper="h:1")
    users.get("42")  # wrong
    users.get()  # wrong
    users.get(1, 2)  # wrong
    users.get(idd=1)  # wrong
    users.gett(1)  # wrong
    users.get(1).nmae  # wrong
    users.get(1).email.upper()  # wrong
    users.put(idl.UserNotFound(1))  # wrong
    users.options(timeut=1)  # wrong
    users.options(timeout="1").get(1)  # wrong
    number: int = users.whoami()  # wrong
    users.submit  # wrong
    shared = zkrpc.threads.connect(idl.Users, "users", zookeeper="h:1")
    shared.get("42")  # wrong
    shared.gett(1)  # wrong
    shared.submit.get("42")  # wrong
    shared.submit.gett(1)  # wrong
    shared.submit.get(1).name  # wrong
    shared.submit.get(1).result().nmae  # wrong
    begun: zkrpc.threads.CallFuture[int] = shared.submit.whoami()  # wrong

    async def awaiting(plain: idl.UsersClient) -> None:
        async with zkrpc.aio.connect(idl.Users, ["h:1"]) as tasks:
            await tasks.get("42")  # wrong
            await tasks.gett(1)  # wrong
            (await tasks.get(1)).nmae  # wrong
            tasks.get(1).name  # wrong
            tasks.put(idl.User(id=1, name="Ada"))  # wrong
            tasks.options(timeout="1")  # wrong
            number: int = await tasks.whoami()  # wrong
            plain = tasks  # wrong
        with zkrpc.aio.connect(idl.Users, ["h:1"]):  # wrong
            pass

    idl.User()  # wrong
    idl.User(id=1)  # wrong
    idl.User(id="1", name="Ada")  # wrong
    idl.User(id=1, name="Ada", mail="x")  # wrong
    idl.User(id=1, name=None)  # wrong
    idl.User(1, "Ada").id = "x"  # wrong
    idl.Usr  # wrong
    idl.Role.OWNER  # wrong
    idl.Role.ADMIN = 3  # wrong
    hard.Either(number=1, text="x")  # wrong
    hard.Either(number="x")  # wrong
    hard.Late(1, "x")  # wrong
    hard.Keys(b={"ab": {1}})  # wrong
    hard.Keys(a={1: "x"})  # wrong
    hard.Holder(thing=hard.Tree("x"))  # wrong
    hard.Oops(why="x")  # wrong
    hard.base.Key(x="1")  # wrong

    class Handler:
        def get(self, id: int) -> idl.User:
            return idl.User(id, "Ada")
        def find(self, prefix: str, limit: int) -> list[idl.User]:
            return []
        def put(self, user: idl.User) -> None: ...
        def create(self, user: idl.User) -> None: ...
        def remove(self, id: int) -> bool:
            return True
        def seen(self, id: int, at_ms: int) -> None: ...
        def whoami(self) -> str:
            return ""

    class WrongParameter(Handler):
        def get(self, id: str) -> idl.User:  # wrong
            return idl.User(1, id)

    class WrongName:
        def add(self, id: int) -> None: ...

    class WrongResult(Handler):
        def whoami(self) -> int:  # wrong
            return 1

    class WrongAwaited:
        async def get(self, id: int) -> int:
            return id

    zkrpc.Service(idl.Users, Handler)
    zkrpc.Service(idl.Users, WrongName)  # wrong
    zkrpc.Service(idl.Users, WrongName())  # wrong
    zkrpc.Service(idl.Users, WrongParameter)  # wrong
    zkrpc.Service(idl.Users, lambda: WrongResult())  # wrong
    zkrpc.Service(idl.Users, WrongAwaited())  # wrong
    zkrpc.Service(hard.Hard, Handler())  # wrong

    class Swapped:
        def f(self, b: int, a: int) -> None: ...

    handler: hard.PairHandler = Swapped()  # wrong

    class Partial(hard.PairHandler): ...
    Partial()  # wrong
    zkrpc.Service(hard.Pair, Partial())  # wrong
    """
MORE = "service Pair { void f(1: i32 a, 2: i32 b) }"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a package of IDL files and their stubs, good code, bad code, and code that imports every IDL of
    this repository."""
    root = tmp_path_factory.mktemp("project")
    hard = {"hard.thrift": HARD["hard.thrift"] + MORE, **{name: HARD[name] for name in HARD if name != "hard.thrift"}}
    written(write(root / "shop", hard))
    for number, path in enumerate([ROOT / "idl" / "users.thrift", *thrift_files()]):
        folder = root / "shop" if number == 0 else root / "all" / f"n{number}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
        written(folder / path.name)
    for package in (root / "shop", root / "shop" / "deep"):
        (package / "__init__.py").touch()
    (root / "good.py").write_text(textwrap.dedent(GOOD))
    (root / "bad.py").write_text(textwrap.dedent(BAD))
    return root


def mypy(root: Path, *names: str) -> dict[str, set[int]]:
    """The lines of each file of which mypy complains."""
    config = root / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n[mypy-zkrpc.*]\nfollow_imports = silent\nignore_missing_imports = True\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--namespace-packages"]
    command += ["--explicit-package-bases", "--cache-dir", str(ROOT / ".cache" / "mypy-stubs"), *names]
    environment = {**os.environ, "MYPYPATH": f"{root}:{ROOT}"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=500)
    assert not done.stderr and done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, set[int]] = {}
    for name, line in re.findall(r"^(\S+?):(\d+): error:", done.stdout, re.MULTILINE):
        found.setdefault(name, set()).add(int(line))
    print(done.stdout)
    return found


def pyright(root: Path, *names: str) -> dict[str, set[int]]:
    """The lines of each file of which pyright complains."""
    settings = {"typeCheckingMode": "standard", "extraPaths": [str(ROOT)], "include": list(names)}
    (root / "pyrightconfig.json").write_text(json.dumps({**settings, "enableTypeIgnoreComments": True}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    found: dict[str, set[int]] = {}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        print(one)
        if one["severity"] == "error":
            name = os.path.relpath(one["file"], root)
            found.setdefault(name, set()).add(one["range"]["start"]["line"] + 1)
    return found


def can_run_pyright() -> bool:
    """Whether pyright is installed and can get its engine."""
    command = [sys.executable, "-m", "pyright", "--version"]
    try:
        return subprocess.run(command, capture_output=True, timeout=300).returncode == 0
    except subprocess.TimeoutExpired:
        return False


CHECKERS = [mypy, pyright]


@pytest.fixture(params=CHECKERS, ids=lambda checker: checker.__name__)
def checker(request: pytest.FixtureRequest) -> Callable[..., dict[str, set[int]]]:
    """Each of the two."""
    if request.param is pyright and not can_run_pyright():
        pytest.skip("pyright is not installed, or cannot get its engine from npm's registry")
    chosen: Callable[..., dict[str, set[int]]] = request.param
    return chosen


def test_checkers_accept_good_code_and_every_stub(checker: Callable[..., dict[str, set[int]]], project: Path) -> None:
    """Of all the IDL here, and all that is hard."""
    assert checker(project, "good.py", "shop", "all") == {}


def test_checkers_find_what_is_wrong(checker: Callable[..., dict[str, set[int]]], project: Path) -> None:
    """In each line that is marked, and in no other."""
    lines = (project / "bad.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    found = checker(project, "bad.py").pop("bad.py")
    assert [lines[number - 1] for number in sorted(found ^ wrong)] == []
