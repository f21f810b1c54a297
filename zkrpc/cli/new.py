"""``zkrpc new``: writes a project that runs and passes its tests.

:mod:`zkrpc.scaffold` has the texts; here they are written, beside the place where they belong first, so that a project
is there as a whole or not at all.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

from zkrpc import __version__
from zkrpc.cli.options import json_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.idl import stubs_of
from zkrpc.scaffold import EXECUTABLE, fault_of, project_files, requirement_of


@click.command()
@click.argument("name")
@json_option
def new(name: str, as_json: bool) -> None:
    """Write a new project to the folder NAME.

    It has an interface, a service, a typed client, tests in memory and with a real ZooKeeper, an image, a compose file
    and a CI file. Its scripts/test passes.
    """
    fault = fault_of(name, importlib.metadata.packages_distributions())
    if fault is not None:
        raise click.BadParameter(fault, param_hint=repr(name))
    folder = Path(name)
    if folder.is_symlink() or folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise click.ClickException(f"{name} is there already, and not empty; choose another name, or move it away")
    files = project_files(name, requirement_of(__version__, _origin()))
    beside = Path(f".{name}.{os.getpid()}")
    try:
        written = _write(beside, name, files)
        os.rename(beside, folder)
    except OSError as error:
        raise click.ClickException(f"{name} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    if as_json:
        tell_json({"folder": str(folder.resolve()), "files": written})
        return
    for path in written:
        tell(f"wrote {name}/{path}")
    tell(f"next: cd {name} && scripts/test")


def _write(folder: Path, name: str, files: dict[str, str]) -> list[str]:
    """Writes a project's files, and the module and types of its interface; their paths in the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    for path in EXECUTABLE:
        (folder / path).chmod((folder / path).stat().st_mode | 0o111)
    stubs = stubs_of(folder / name / f"{name}.thrift")
    for absolute, text in stubs.items():
        Path(absolute).write_text(text, "utf-8")
    return sorted([*files, *(os.path.relpath(absolute, folder) for absolute in stubs)])


def _origin() -> dict[str, Any] | None:
    """Where zkrpc was installed from, if that was no index."""
    try:
        text = importlib.metadata.distribution("zkrpc").read_text("direct_url.json")
        origin: dict[str, Any] | None = json.loads(text) if text else None
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    return origin
