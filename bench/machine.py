"""What the figures were measured on, and with what."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from zkrpc import compiled

_PACKAGES = ("gevent", "greenlet", "thriftpy2", "thrift", "grpcio", "protobuf")


def describe() -> dict[str, Any]:
    """Processor, system, Python, whether zkrpc is compiled, packages."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "zkrpc": compiled.in_words(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def sentence(found: dict[str, Any]) -> str:
    """The same as text."""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    where = f"{found['cores']} cores of {found['processor']}, {found['system']}, Python {found['python']}"
    return f"{where}; zkrpc {found['zkrpc']}; {packages}"


def busy() -> float:
    """Seconds for which the cores have been busy, or taken away by a hypervisor, all of them together."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, idle, waiting, *rest = map(int, file.readline().split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
