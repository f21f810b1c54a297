"""Pure modules stay importable without the loop, the coordinator and the IDL compiler.

A launcher must be able to import zkrpc before it monkey-patches, and machines must be testable in microseconds. The
contract in setup.cfg looks at each module's own imports; this looks at what an import really loads.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = ("gevent", "kazoo", "thriftpy2")
_MODULES = (
    "zkrpc",
    "zkrpc.errors",
    "zkrpc.deadline",
    "zkrpc.endpoint",
    "zkrpc.config",
    "zkrpc.call",
    "zkrpc.codec",
    "zkrpc.registry",
    "zkrpc.registry.schema",
    "zkrpc.registry.view",
    "zkrpc.registry.registration",
    "zkrpc.client",
    "zkrpc.server",
    "zkrpc.server.lifecycle",
    "zkrpc.testing.plugin",
)
_PACKAGES = ("zkrpc.wire", "zkrpc.balancing", "zkrpc.policies", "zkrpc.telemetry")


def _heavy_after(program: str) -> list[str]:
    """What a fresh interpreter has loaded of the heavy libraries after running ``program``."""
    program += f"\nimport sys; print(*[name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("module", _MODULES)
def test_importing_a_pure_module_loads_nothing_heavy(module: str) -> None:
    """The module alone brings none of the heavy libraries with it."""
    assert _heavy_after(f"import {module}") == []


@pytest.mark.parametrize("package", _PACKAGES)
def test_importing_a_pure_package_loads_nothing_heavy(package: str) -> None:
    """Neither does any module of a package that is pure throughout."""
    modules = f"[module.name for module in pkgutil.iter_modules({package}.__path__, {package + '.'!r})]"
    assert _heavy_after(f"import importlib, pkgutil, {package}\nlist(map(importlib.import_module, {modules}))") == []


def test_asking_zookeeper_loads_neither_client_nor_server() -> None:
    """A command that only asks ZooKeeper, such as ``zkrpc ls``, has no use for the call path and does not load it."""
    program = "import sys, zkrpc.cli.main, zkrpc.cli.ls; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    loaded = done.stdout.split()
    assert "zkrpc.zookeeper.session" in loaded, done.stderr
    assert [name for name in loaded if name.startswith(("zkrpc.client", "zkrpc.server", "zkrpc.app"))] == []


def test_a_heavy_import_is_noticed() -> None:
    """The probe itself works: a shell does load what shells load."""
    assert "kazoo" in _heavy_after("import zkrpc.zookeeper.session")
