"""The examples for web servers, task queues, notebooks and tests, each run by the framework itself.

All of them run at once, are asked, and are ended, before the first test looks at what came of it.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import ROOT, Program, Programs
from tests.support.waiting import eventually
from zkrpc.dev.zookeeper import DevZooKeeper

pytestmark = pytest.mark.zookeeper

GUNICORN = {
    "sync": ("flask_app:app", "-k", "sync", "--preload"),
    "gthread": ("flask_app:app", "-k", "gthread", "--threads", "4", "--preload"),
    "gevent": ("flask_app:app", "-k", "gevent", "--preload"),
    "gevent, not preloaded": ("flask_app:app", "-k", "gevent"),
    "Django, sync": ("django_app:application", "-k", "sync"),
    "Django, gthread": ("django_app:application", "-k", "gthread", "--threads", "4", "--preload"),
}
SERVERS = ["uvicorn", *GUNICORN]
CALLS_A_TASK = """
from examples.celery_app import greet
for one in [greet.delay(42) for _ in range(8)]:
    print("greeted", one.get(timeout=90))
"""


@dataclass(kw_only=True)
class Outcome:
    """What became of one program."""

    pid: int = 0
    status: int | None = None
    output: str = ""
    answers: list[tuple[int, Any]] = field(default_factory=list)


def is_up(server: Program) -> re.Match[str] | None:
    """Where a web server listens, once it does."""
    return re.search(r"(?:running on|Listening at:) http://127\.0\.0\.1:(\d+)", server.output)


def get(server: Program, id: int) -> tuple[int, Any]:
    """Status and JSON of one answer."""
    up = is_up(server)
    assert up is not None, server.output
    connection = http.client.HTTPConnection("127.0.0.1", int(up[1]), timeout=60)
    try:
        connection.request("GET", f"/users/{id}")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def copy_with_patience(folder: Path) -> None:
    """Puts the examples and their interfaces into a folder, to the letter but for the time that calls may take: so many
    programs that start at once have less of the machine than any of them has where it runs."""
    for place in ("examples", "idl"):
        (folder / place).mkdir()
        for file in (one for one in (ROOT / place).iterdir() if one.is_file()):
            text = re.sub(r"(\btimeout[(=])1\)", r"\g<1>60)", file.read_text())
            (folder / place / file.name).write_text(re.sub(r'timeout_ms = "\d+"', 'timeout_ms = "60000"', text))


def start(programs: Programs, hosts: str, folder: Path) -> dict[str, Program]:
    """Everything, each beside the others."""
    copy_with_patience(folder)
    environment = {
        "PYTHONPATH": f"{folder}:{ROOT}",
        "HOME": str(folder),
        "ZKRPC_ZOOKEEPER": hosts,
        "USERS_DATABASE": str(folder / "users.sqlite"),
        "CELERY_BROKER_URL": "filesystem://",
        "CELERY_RESULT_BACKEND": f"file://{folder}",
    }
    # The broker of files reads from one folder and writes to another one: here to the same.
    (folder / "data_out").mkdir()
    (folder / "data_in").symlink_to("data_out")

    def run(*arguments: str) -> Program:
        return programs.python(*arguments, folder=folder, **environment)

    started = {"service": run("-m", "zkrpc", "serve", "examples.users:service", "--zookeeper", hosts, "--workers", "2")}
    started["uvicorn"] = run("-m", "uvicorn", "--port", "0", "examples.fastapi_app:app")
    for name, (application, *options) in GUNICORN.items():
        bound = ("-b", "127.0.0.1:0", "-w", "2", f"examples.{application}")
        started[name] = run("-m", "gunicorn", *options, *bound)
    started["Celery"] = run("-m", "celery", "-A", "examples.celery_app", "worker", "--pool", "prefork", "-c", "2")
    eventually(lambda: is_up(started["uvicorn"]), 120)
    eventually(lambda: get(started["uvicorn"], 42)[0] == 200)
    # Now there is the service: these two do not ask again.
    started["caller of tasks"] = run("-c", CALLS_A_TASK)
    started["notebook"] = run("-m", "tests.support.notebook", str(folder / "examples" / "notebook.ipynb"))
    return started


def ask(server: Program) -> list[tuple[int, Any]]:
    """What a web server answers to some requests, once it is up and has found the service."""
    eventually(lambda: is_up(server), 120)
    eventually(lambda: get(server, 42)[0] == 200)
    return [*(get(server, 42) for _ in range(10)), get(server, 7)]


@pytest.fixture(scope="module")
def outcomes(zookeeper_server: DevZooKeeper, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """What became of each program."""
    folder = tmp_path_factory.mktemp("frameworks")
    programs = Programs(folder)
    try:
        started = start(programs, f"{zookeeper_server.hosts}/frameworks", folder)
        found = {name: Outcome(pid=one.process.pid) for name, one in started.items()}
        for name in SERVERS:
            found[name].answers = ask(started[name])
        for name in ("caller of tasks", "notebook"):
            started[name].wait(90)
        for name in (*SERVERS, "Celery"):
            started[name].tell(signal.SIGTERM)
        for name in (*SERVERS, "Celery", "caller of tasks", "notebook"):
            found[name].status, found[name].output = started[name].wait(), started[name].output
        yield found
    finally:
        programs.close()


@pytest.mark.parametrize("name", SERVERS)
def test_web_application_answers(outcomes: dict[str, Outcome], name: str) -> None:
    """In its worker processes, with the service's values, and with its declared exceptions as statuses of HTTP."""
    *found, missing = outcomes[name].answers
    assert {(status, value["name"]) for status, value in found} == {(200, "Ada")}
    assert missing == (404, {"detail": "there is no user 7"})
    processes = {value["process"] for _, value in found}
    assert (outcomes[name].pid in processes) == (name == "uvicorn")


@pytest.mark.parametrize("name", [*SERVERS, "Celery"])
def test_server_ends_in_order(outcomes: dict[str, Outcome], name: str) -> None:
    """At SIGTERM, without a word of complaint."""
    assert outcomes[name].status in (0, -signal.SIGTERM)
    assert "Traceback" not in outcomes[name].output and "Error" not in outcomes[name].output


def test_tasks_of_celery_call(outcomes: dict[str, Outcome]) -> None:
    """In the children of the prefork pool."""
    told = outcomes["caller of tasks"]
    assert told.status == 0, told.output
    found = re.findall(r"greeted {'greeting': 'Hello, Ada!', 'process': (\d+)}", told.output)
    assert len(found) == 8 and str(outcomes["Celery"].pid) not in found


def test_notebook_runs(outcomes: dict[str, Outcome]) -> None:
    """Cell by cell, in a kernel with an event loop."""
    told = outcomes["notebook"]
    assert told.status == 0 and told.output.endswith("'Ada'\n100\n'Ada'\n"), told.output


@pytest.mark.parametrize("name", ["test_users_asyncio.py", "test_users_threads.py"])
def test_example_of_tests_passes(name: str, tmp_path: Path) -> None:
    """As a user's pytest runs it: with no configuration of ours, and without ZooKeeper."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    copy_with_patience(tmp_path)
    programs = Programs(tmp_path)
    example, options = str(tmp_path / "examples" / name), ("-c", str(tmp_path / "pytest.ini"))
    run = programs.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *options, example, folder=tmp_path)
    try:
        assert run.wait() == 0 and "3 passed" in run.output, run.output
    finally:
        programs.close()
