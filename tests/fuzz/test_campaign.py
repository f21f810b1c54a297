"""A campaign counts what goes wrong, keeps it, and breaks off what does not end."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import gevent
import pytest

from fuzz import __main__ as command
from fuzz import campaign
from fuzz.server_target import Leak
from fuzz.targets import Target
from scripts.report import Report
from tests.support.processes import python

Run = Callable[[bytes, random.Random], None]


def crash(data: bytes, rng: random.Random) -> None:
    """Only for some inputs."""
    if b"x" in data:
        raise KeyError("x")


def spin(data: bytes, rng: random.Random) -> None:
    """For good."""
    while data == b"spin":
        pass


def spin_in_a_callback(data: bytes, rng: random.Random) -> None:
    """Where an event loop would take the error away."""
    with contextlib.suppress(BaseException):
        spin(data, rng)


def leak(data: bytes, rng: random.Random) -> None:
    """Always."""
    raise Leak("told")


def fed(monkeypatch: pytest.MonkeyPatch, folder: Path, run: Run, seed: bytes, inputs: int = 50) -> campaign.Tally:
    """What a campaign with one target comes to."""

    @contextlib.contextmanager
    def one() -> Iterator[Mapping[str, Target]]:
        yield {"one": Target(run, lambda: (seed,), 100)}

    monkeypatch.setattr(campaign, "targets", one)
    monkeypatch.setattr(campaign, "KEPT", folder)
    monkeypatch.setattr(campaign, "HANG", 0.1)
    monkeypatch.setattr(campaign.keep, "__defaults__", (folder,))
    return campaign.run(inputs, 1).tallies["one"]


def test_crashes_are_counted_kept_and_repeated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With their place; not more files than anybody looks at."""
    tally = fed(monkeypatch, tmp_path, crash, b"axb" * 9, inputs=300)
    assert tally.inputs == 300 and tally.crashes > 100 and (tally.hangs, tally.leaks) == (0, 0)
    assert len(tally.files) == 10 and "KeyError: 'x'" in tally.errors[0] and __file__ in tally.errors[0]
    path = Path(tally.files[0])
    assert path.name.startswith("one-") and b"x" in path.read_bytes()
    assert campaign.replay(path).crashes == 100


@pytest.mark.parametrize("run", [spin, spin_in_a_callback])
def test_hangs_are_broken_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Run) -> None:
    """Also if something takes the error away."""
    with gevent.Timeout(60):
        tally = fed(monkeypatch, tmp_path, run, b"spin", inputs=1)
    assert tally.hangs >= 1 and tally.crashes == 0


def test_leaks_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Apart from crashes."""
    tally = fed(monkeypatch, tmp_path, leak, b"y")
    assert tally.leaks == tally.inputs and tally.crashes == 0


def test_report_holds_each_target_to_its_bounds() -> None:
    """One crash fails it, and the note says how to see it again."""
    tally = campaign.Tally(inputs=10, seconds=1.0, crashes=1, errors=["KeyError: 'x' (a.py:1)"], files=["kept/one-1"])
    report = Report("fuzz", 1)
    command.fill(report, campaign.Result(tallies={"one": tally}, start=50.0, most=50.0 + campaign.MEMORY + 1, end=51.0))
    failed = {check.name: check for check in report.checks if not check.ok}
    assert set(failed) == {"one: crashes", "resident memory at most, MiB over the start"}
    assert "KeyError" in failed["one: crashes"].note and "--replay kept/one-1" in failed["one: crashes"].note


def test_command_says_what_came_of_it_as_json() -> None:
    """All targets, few inputs."""
    with python("-m", "fuzz", "--inputs", "300", "--seed", "7", "--json") as process:
        out, _ = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == 0 and told["seed"] == 7 and all(check["ok"] for check in told["checks"])
    assert sum(": crashes" in check["name"] for check in told["checks"]) == 11


def test_command_refuses_a_target_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With those that there are."""
    monkeypatch.setattr("sys.argv", ["fuzz", "--only", "nothing"])
    with pytest.raises(SystemExit):
        command.main()
    assert "no target nothing; there are detection, frames" in capsys.readouterr().err
