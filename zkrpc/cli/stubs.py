"""``zkrpc stubs``: writes the modules and the stubs by which type checkers and editors follow an IDL.

:mod:`zkrpc.idl.stubs` makes the texts; here they are compared with what is there, and written. With ``--from`` the IDL
is what a service has published, and its files are written, too. They come from ZooKeeper, so nothing of them is written
but below the folder that was named.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from zkrpc.cli.options import json_option, security_option, timeout_option
from zkrpc.cli.output import tell, tell_json
from zkrpc.cli.registry import connected, require_service
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.idl import Interface, digest_of, load, stubs_of
from zkrpc.idl.modules import module_stem
from zkrpc.idl.source import Bundle
from zkrpc.idl.stubs import MARK, is_same
from zkrpc.registry.published import published_interface


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE...]")
@click.option("--from", "service", metavar="SERVICE", help="Take the IDL that SERVICE has published; write it as well.")
@click.option("--zookeeper", envvar="ZKRPC_ZOOKEEPER", metavar="HOSTS", help="host:port,…[/chroot]; for --from.")
@security_option
@timeout_option
@click.option("--out", metavar="DIR", help="Write everything there; by default beside each FILE, or here for --from.")
@click.option("--include", "include_dirs", multiple=True, metavar="DIR", help="Look for included files there, too.")
@click.option("--top-level", is_flag=True, help="The folder is on Python's path itself, and is no package.")
@click.option("--check", "check_only", is_flag=True, help="Write nothing; exit with 1 if something is out of date.")
@json_option
def stubs(
    files: tuple[str, ...],
    service: str | None,
    zookeeper: str | None,
    timeout: float,
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
    if bool(files) == (service is not None):
        raise click.UsageError("give either FILE... or --from SERVICE")
    texts: dict[str, str] = {}
    if service is not None:
        if zookeeper is None:
            raise click.UsageError("--from asks ZooKeeper: give --zookeeper HOSTS, or set ZKRPC_ZOOKEEPER")
        with connected(zookeeper, timeout) as registry:
            require_service(registry, service)
            interface = published_interface(registry.session, service)
        for part in interface.parts:
            texts |= _vendored(part, out or ".", top_level=top_level)
    for file in files:
        texts |= stubs_of(file, include_dirs=include_dirs, out=out, top_level=top_level)
    stale = [path for path, text in texts.items() if not _is_current(Path(path), text)]
    if not check_only:
        for path in stale:
            _refuse_others(Path(path))
        for path in stale:
            _write(Path(path), texts[path])
    changed, rest = ([_shown(path) for path in some] for some in (stale, [one for one in texts if one not in stale]))
    if as_json:
        tell_json({"stale" if check_only else "written": changed, "unchanged": rest})
    elif check_only:
        remedy = f"zkrpc stubs {f'--from {service}' if service else ' '.join(files)}"
        for name in changed:
            tell(f"{name} is {'out of date' if os.path.exists(name) else 'missing'}: {remedy}")
    else:
        for name in changed:
            tell(f"wrote {name}")
    if check_only and stale:
        sys.exit(1)


def _vendored(interface: Interface, out: str, *, top_level: bool) -> dict[str, str]:
    """The files of a published IDL, and their modules and stubs, by the paths where they belong.

    RemoteProtocolError for what cannot be laid out as files below one folder.
    """
    found = Bundle(interface.text, f"{interface.name.lower()}.thrift")
    for name in found.files:
        if os.path.isabs(name) or ".." in name.split("/"):
            raise RemoteProtocolError(f"the published IDL has a file {name!r}, which would be in another folder")
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, text in found.files.items():
                _write(Path(folder, name), text)
        except ConfigError as error:
            raise RemoteProtocolError(f"the published IDL cannot be laid out as files: {error}") from error
        main, places = Path(folder, found.main), sorted({str(Path(folder, name).parent) for name in found.files})
        # The digest is of what the main file leads to, and by which includes: nothing else is written later.
        if digest_of(load(main, include_dirs=places)) != interface.digest:
            raise RemoteProtocolError("the published IDL holds files that it does not include, or by unclear paths")
        made = stubs_of(main, include_dirs=places, top_level=top_level)
        texts = {os.path.relpath(path, folder): text for path, text in made.items()}
    return {os.path.abspath(os.path.join(out, name)): text for name, text in {**found.files, **texts}.items()}


def _is_current(path: Path, text: str) -> bool:
    try:
        there = path.read_text("utf-8")
    except (OSError, ValueError):
        return False
    return there == text or (path.suffix != ".thrift" and is_same(there, text))


def _refuse_others(path: Path) -> None:
    """Raises ConfigError if a file is somebody's own: one of Python that does not name this command, or an IDL file
    without such a stub beside it."""
    told = path
    if path.suffix == ".thrift":
        told = path.with_name(f"{module_stem(path.stem)}.pyi")
    try:
        if path.exists() and not (told.exists() and MARK in told.read_text("utf-8", errors="replace")):
            raise ConfigError(f"{_shown(path)} was not written by {MARK}; rename it, or choose another folder by --out")
    except OSError as error:
        raise ConfigError(f"{_shown(path)} cannot be read: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    """Replaces a file at once, so that nobody reads half of it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(text, "utf-8", newline="\n")
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
