"""What the pages in docs/ say of flags, variables and code is so."""

from __future__ import annotations

import ast
import configparser
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

import zkrpc
from examples import ledger
from tests.support.commands import all_commands
from tests.support.echo import EchoHandler, idl
from tests.support.programs import ROOT
from zkrpc.cli.serve import serve
from zkrpc.cli.settings import options_of
from zkrpc.inspection.checks import CHECKS
from zkrpc.server.supervision import EXIT_CONFIG, KILL_GRACE
from zkrpc.telemetry import events
from zkrpc.testing.loopback import Loopback

SERVICES = (ROOT / "docs" / "services.md").read_text()
FAST = zkrpc.ServerConfig(linger=0, drain_timeout=2)


def interceptors(**names: Any) -> dict[str, Any]:
    """The functions of the page's section about interceptors, as written there."""
    section = SERVICES.partition("\n## Interceptors\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    namespace = {"zkrpc": zkrpc, "time": time, **names}
    exec(code, namespace)
    return namespace


def test_page_names_every_flag_of_serve() -> None:
    """And none that is not there."""
    flags = {flag for option in serve.params for flag in option.opts if flag.startswith("--")}
    section = SERVICES.partition("\n## Settings from outside\n")[2]
    assert flags - {"--reload"} <= set(re.findall(r"`(--[a-z-]+)`", section)) <= flags


def test_page_names_every_variable() -> None:
    """Everything in the code that begins like one of ours."""
    found = (re.findall(r"ZKRPC_[A-Z_]*[A-Z]", path.read_text()) for path in (ROOT / "zkrpc").rglob("*.py"))
    read = {name for names in found for name in names} | {str(one.envvar) for one in options_of(serve).values()}
    assert read and read == set(re.findall(r"`(ZKRPC_[A-Z_]+)`", SERVICES))


def test_pages_are_reached_from_the_readme() -> None:
    """Each of them."""
    readme = (ROOT / "README.md").read_text()
    pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    assert pages and [page for page in pages if f"docs/{page}" not in readme] == []


def test_pages_link_to_what_is_there() -> None:
    """Every relative link in a page, and every heading that it names."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    pages += sorted((ROOT / "docs").rglob("*.md"))
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_unit_for_systemd_fits_what_the_supervisor_does() -> None:
    """It waits for longer than a stop may take, signals the supervisor alone, and knows the status that is final."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
    unit.read(ROOT / "deploy" / "systemd" / "zkrpc@.service")
    service = unit["Service"]
    assert service["Type"] == "notify-reload" and service["KillMode"] == "mixed"
    assert service["RestartPreventExitStatus"] == str(EXIT_CONFIG)
    config, election = zkrpc.ServerConfig(), zkrpc.ElectionConfig()
    bound = config.linger + config.drain_timeout + election.hand_over_timeout + KILL_GRACE
    assert int(service["TimeoutStopSec"]) > bound and int(service["WatchdogSec"]) >= 10
    assert re.findall(r"--[a-z-]+", service["ExecStart"]) == []


def test_decisions_are_numbered_and_listed() -> None:
    """Each page of docs/decisions begins with its number and is in the list, in order."""
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path.name for path in folder.glob("0*.md"))
    assert re.findall(r"\]\((0[^)]*)\)", (folder / "README.md").read_text()) == pages
    for number, page in enumerate(pages, 1):
        text = (folder / page).read_text()
        assert page.startswith(f"{number:04}-") and text.startswith(f"# {number}. ")
        assert re.findall(r"^\*\*(.*?)\.\*\*", text, re.MULTILINE) == [
            "Situation",
            "Decision",
            "Consequences",
            "Given up",
        ]


def test_interceptors_of_the_page_do_what_it_says() -> None:
    """One refuses before the handler ran, one measures the whole call, one hands a header on."""
    seen: list[tuple[str, int]] = []
    shown = interceptors(TOKENS={"good"}, observe=lambda method, seconds, attempt: seen.append((method, attempt)))
    inner_service = zkrpc.Service(idl.Echo, EchoHandler, name="inner", config=FAST)
    inner = Loopback(inner_service, interceptors=[shown["forward_tenant"]])

    class Outer(EchoHandler):
        def echo(self, text: str) -> str:
            return str(inner.stub.echo(text))

    service = zkrpc.Service(idl.Echo, Outer, name="outer", config=FAST, interceptors=[shown["authenticate"]])
    with inner, Loopback(service, interceptors=[shown["timed"]]) as stub:
        with pytest.raises(zkrpc.Rejected, match="no valid token") as caught:
            stub.echo("x")
        assert caught.value.executed is zkrpc.Executed.NO
        assert stub.options(headers={"token": "good", "tenant": "blue"}).echo("x") == "x"
        (call,) = inner.handlers[0].seen
        assert call.headers["tenant"] == "blue" and "token" not in call.headers
    assert [method for method, _ in seen] == ["echo", "echo"] and seen[1][1] == 1


def test_page_on_testing_shows_a_test_that_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of a service with a primary, on the example that it names."""
    monkeypatch.setattr(ledger, "DATABASE", tmp_path / "ledger.sqlite")
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **options: opened.append(connect(*args, **options)) or opened[-1]
    )
    section = (ROOT / "docs" / "testing.md").read_text().partition("\n### With a primary\n")[2].partition("\n### ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {"Loopback": Loopback, "ledger": ledger}
    exec(code, namespace)
    namespace["test_the_next_primary_begins_where_the_last_one_ended"]()
    for database in opened:
        database.close()


@pytest.mark.parametrize(
    ("page", "heading"), [("testing.md", "### In threads and on asyncio"), ("programs.md", "## Frameworks")]
)
def test_page_shows_the_code_of_the_examples(page: str, heading: str) -> None:
    """Word for word."""
    files = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    cells = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())["cells"]
    files += ["".join(cell["source"]) + "\n" for cell in cells]
    section = (ROOT / "docs" / page).read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    pieces = re.findall(r"^```python\n(.*?)^```$", section, flags=re.DOTALL | re.MULTILINE)
    assert pieces
    for piece in pieces:
        for part in piece.split("\n\n\n"):
            assert any(part in file for file in files), part


@pytest.mark.parametrize(
    "package",
    [
        "admin",
        "client",
        "election",
        "idl",
        "jsonform",
        "loadtest",
        "metrics",
        "registry",
        "server",
        "telemetry",
        "testing",
        "tracing",
        "wire",
    ],
)
def test_theory_of_a_package_names_its_modules(package: str) -> None:
    """Each of them, so that a reader finds the way, and none that has gone."""
    folder = ROOT / "zkrpc" / package
    theory = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    links = set(re.findall(rf":mod:`~?zkrpc\.{package}\.(\w+)`", theory))
    rows = {name for row in re.findall(r"^``.*?``  ", theory, re.MULTILINE) for name in re.findall(r"``(\w+)``", row)}
    assert links | rows == modules


def test_page_on_observing_tells_of_every_event() -> None:
    """Under its name and its base class, in the words of its docstring, and all of them are public."""
    page = (ROOT / "docs" / "observing.md").read_text()
    rows = {
        name: (base, text) for name, base, text in re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    }
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, zkrpc.Event)}
    told = {kind for kind in kinds if not any(issubclass(one, kind) for one in kinds - {kind})}
    assert rows.keys() == {kind.__name__ for kind in told}
    for kind in told:
        base, text = rows[kind.__name__]
        words = re.sub(r":\w+:|[`~]|zkrpc\.\w+\.(?=[A-Z])", "", " ".join((kind.__doc__ or "").split()))
        assert base == kind.__bases__[0].__name__ and text.replace("`", "")[1:] == words[1:].rstrip(".")
        assert getattr(zkrpc, kind.__name__) is kind


def test_page_on_the_command_line_has_a_row_for_every_command() -> None:
    """With what it does and its exit statuses; and none for a command that is not there."""
    page = (ROOT / "docs" / "cli.md").read_text()
    names = {words for words, command in all_commands() if not command.hidden}
    rows = re.findall(r"^\| `zkrpc ([^`]+)` \| .+ \| .+ \|$", page, re.MULTILINE)
    told = [max((name for name in names if f"{row} ".startswith(f"{name} ")), key=len, default=row) for row in rows]
    assert set(told) == names


def test_page_on_the_command_line_has_a_row_for_every_check_of_doctor() -> None:
    """In their order, with their remedies."""
    section = (ROOT / "docs" / "cli.md").read_text().partition("\n## `zkrpc doctor`\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \| (.*) \| (.*) \|$", section, re.MULTILINE) == [
        (check.name, check.looks_at, check.remedy) for check in CHECKS
    ]


SECURITY = (ROOT / "docs" / "security.md").read_text()


def test_table_of_attacks_names_tests_that_exist() -> None:
    """Each row has one at least, by its file and its name, so that a test that is renamed or removed is missed."""
    table = SECURITY.partition("\n## Attacks, and the tests")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| attack ")]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`", row)
        assert named, row
        for file, name in named:
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file} has no {name}"


def test_advisories_are_named_as_they_are() -> None:
    """By their whole numbers, of the years that the page speaks of."""
    named = re.findall(r"CVE[-\w]*", SECURITY)
    assert len(named) > 25 and all(re.fullmatch(r"CVE-202[3-6]-\d{4,5}", one) for one in named)
