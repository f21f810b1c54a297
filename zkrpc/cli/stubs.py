"""``zkrpc stubs``: writes the modules and the stubs by which type checkers and editors follow an IDL.

:mod:`zkrpc.idl.stubs` makes the texts; here they are compared with what is there, and written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from zkrpc.cli.options import json_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.errors import ConfigError
from zkrpc.idl import stubs_of
from zkrpc.idl.stubs import MARK, is_same


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--out", metavar="DIR", help="Write everything there; by default beside each IDL file.")
@click.option("--include", "include_dirs", multiple=True, metavar="DIR", help="Look for included files there, too.")
@click.option("--top-level", is_flag=True, help="The folder is on Python's path itself, and is no package.")
@click.option("--check", "check_only", is_flag=True, help="Write nothing; exit with 1 if something is out of date.")
@json_option
def stubs(
    files: tuple[str, ...],
    out: str | None,
    include_dirs: tuple[str, ...],
    top_level: bool,
    check_only: bool,
    as_json: bool,
) -> None:
    """Write a module and its types for each IDL FILE and all it includes.

    For users.thrift that is users_thrift.py and users_thrift.pyi, to be imported instead of calling zkrpc.load; they
    belong into version control.
    """
    texts: dict[str, str] = {}
    for file in files:
        texts |= stubs_of(file, include_dirs=include_dirs, out=out, top_level=top_level)
    stale = [path for path, text in texts.items() if not _is_current(Path(path), text)]
    if not check_only:
        for path in stale:
            _write(Path(path), texts[path])
    changed, rest = ([_shown(path) for path in some] for some in (stale, [one for one in texts if one not in stale]))
    if as_json:
        tell_json({"stale" if check_only else "written": changed, "unchanged": rest})
    elif check_only:
        for name in changed:
            tell(f"{name} is {'out of date' if os.path.exists(name) else 'missing'}: zkrpc stubs {' '.join(files)}")
    else:
        for name in changed:
            tell(f"wrote {name}")
    if check_only and stale:
        sys.exit(1)


def _is_current(path: Path, text: str) -> bool:
    try:
        return is_same(path.read_text("utf-8"), text)
    except (OSError, ValueError):
        return False


def _write(path: Path, text: str) -> None:
    """Replaces a file at once, so that nobody reads half of it. ConfigError if it is somebody's own."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and MARK not in path.read_text("utf-8", errors="replace"):
            raise ConfigError(f"{_shown(path)} was not written by {MARK}; rename it, or choose another folder by --out")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(text, "utf-8")
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{_shown(path)} cannot be written: {error.strerror}") from error


def _shown(path: str | Path) -> str:
    """The path as short as it can be said."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
