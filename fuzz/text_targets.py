"""What reads what others wrote into ZooKeeper and into files: records of the registry and of elections, snapshots,
service configs, IDL files."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from zkrpc import idl as loader
from zkrpc.config import RegistryConfig
from zkrpc.election.tree import EpochRecord, StepDownRequest
from zkrpc.errors import ConfigError, IdlError, RemoteProtocolError
from zkrpc.idl import pickles
from zkrpc.idl.build import _built
from zkrpc.registry.config_history import ConfigVersion
from zkrpc.registry.formats import (
    PrimaryRecord,
    describe_record,
    dump_curator,
    dump_serverset,
    launch_of,
    parse_record,
    session_timeout_of,
)
from zkrpc.registry.publication import Publication, unpack
from zkrpc.registry.published import read_publications
from zkrpc.registry.service_config import dump_service_config, flatten, parse_service_config
from zkrpc.registry.snapshot_file import load_snapshot

_MEMBER = "member_w1"


def znodes(data: bytes, rng: random.Random) -> None:
    """Every reader of a node says what it says of nodes that hold something else; what it read can be written again
    and reads the same, or is refused in words."""
    try:
        instance = parse_record(_MEMBER, data)
    except RemoteProtocolError:
        instance = None
    if instance is not None:
        try:
            again = parse_record(_MEMBER, dump_serverset(instance))
            assert again is not None and again.endpoint == instance.endpoint and again.weight == instance.weight
            dump_curator(instance, "users")
        except ConfigError:
            pass
    assert len(describe_record(data)) < 1000, "a phrase for people is long"
    launch_of(data)
    session_timeout_of(data)
    read_publications("users", {_MEMBER: data}, data)
    PrimaryRecord.parse(data)
    StepDownRequest.parse(data)
    ConfigVersion.parse(1, data, 0.0)
    for read in (EpochRecord.parse, EpochRecord.parse_credible, Publication.parse, lambda one: unpack("ab", one)):
        try:
            read(data)
        except RemoteProtocolError as error:
            assert len(str(error)) < 1000, "an error for the log is long"


class Snapshot:
    """A file of saved members holds members, or none. One folder serves for all inputs."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __call__(self, data: bytes, rng: random.Random) -> None:
        """Writes the file and loads it."""
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="zkrpc-fuzz-")
        path = Path(self._folder.name, "users.json")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        load_snapshot(path, "users")

    def close(self) -> None:
        """Removes the folder."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def config(data: bytes, rng: random.Random) -> None:
    """A service's config is read, and written as it was read, or refused with the place that is wrong."""
    limit = RegistryConfig().max_record
    try:
        read = parse_service_config(data, max_size=limit)
    except ConfigError as error:
        assert len(str(error)) < 2000, "an error for people is long"
        return
    flatten(read)
    assert parse_service_config(dump_service_config(read), max_size=2 * limit) == read, "written otherwise than read"


def idl(data: bytes, rng: random.Random) -> None:
    """An IDL is loaded, or refused with its line."""
    text, before = data.decode("utf-8", "replace"), frozenset(_built)
    try:
        loaded = loader.load_text(text, name="fuzzed.thrift")
        loader.interfaces_of(loaded)
    except IdlError as error:
        assert str(error), "refused without a reason"
    finally:
        _forget_all_but(before)


def _forget_all_but(known: Collection[str]) -> None:
    """A process keeps the classes of each file that it loads, some thirteen kilobytes, as it loads few
    (:data:`zkrpc.registry.published.MOST_LOADED`). A campaign loads thousands, and they would be all that it sees of
    memory."""
    loader._texts.clear()
    for identity in _built.keys() - known:
        made = _built.pop(identity)
        name = made.module.__name__
        for table in pickles._loaded.values():
            table.pop(name, None)
        for cls in made.classes.values():
            pickles._files.pop(cls, None)
        loader._loaded.pop(made.module, None)
        del sys.modules[name]
