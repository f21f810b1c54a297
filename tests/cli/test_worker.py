"""What ``zkrpc worker`` makes of its arguments: the module, the service, and the service's config."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from zkrpc.cli.worker import load_service, override_config
from zkrpc.errors import ConfigError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: empty, and forgotten afterwards with what was imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_worker_finds_a_service_in_the_current_folder(here: Path) -> None:
    """MODULE:SERVICE, also within a package."""
    (here / "shop").mkdir()
    source = "import zkrpc\nfrom tests.support.echo import *\nit = zkrpc.Service(idl.Echo, EchoHandler, name='shop')\n"
    (here / "shop" / "echo.py").write_text(source)
    assert load_service("shop.echo:it").name == "shop"


@pytest.mark.parametrize("target", ["nowhere:service", "shop.nowhere:service"])
def test_worker_says_where_it_looked_for_a_module(here: Path, target: str) -> None:
    """A module that is not there is a setting that is wrong."""
    (here / "shop").mkdir()
    with pytest.raises(ConfigError, match=rf"cannot import '{target.partition(':')[0]}' from {here}"):
        load_service(target)


def test_worker_leaves_errors_of_the_module_alone(here: Path) -> None:
    """What the module itself raises, its own missing imports included, keeps its traceback."""
    (here / "lacking.py").write_text("import sqlbuddy\n")
    with pytest.raises(ModuleNotFoundError, match="sqlbuddy"):
        load_service("lacking:service")
    (here / "failing.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_service("failing:service")


def test_worker_says_what_it_found_instead_of_a_service(here: Path) -> None:
    """A name that is not there, and one that is something else."""
    (here / "other.py").write_text("service = 7\n")
    with pytest.raises(ConfigError, match="other:service is 7, not a zkrpc.Service; write service = zkrpc.Service"):
        load_service("other:service")
    with pytest.raises(ConfigError, match="other:nothing does not exist; write nothing = zkrpc.Service"):
        load_service("other:nothing")
    (here / "named.py").write_text("from examples.users import service as app\n")
    with pytest.raises(ConfigError, match="named:service does not exist; there is named:app"):
        load_service("named:service")


def test_worker_lets_the_command_line_win_over_the_service() -> None:
    """What is given replaces the service's own; what is not, and 0 is given, stays."""
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=3.0, drain_timeout=4.0))
    override_config(service, linger=None, drain_timeout=None)
    assert (service.config.linger, service.config.drain_timeout) == (3.0, 4.0)
    override_config(service, linger=0.0, drain_timeout=1.5)
    assert (service.config.linger, service.config.drain_timeout) == (0.0, 1.5)
