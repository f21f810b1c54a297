"""The versions of a service's config, and the transaction that makes one."""

from __future__ import annotations

import pytest

from zkrpc.errors import ConfigError
from zkrpc.registry.config_history import (
    MAX_REASON,
    MOST_VERSIONS,
    ConfigVersion,
    Present,
    changes_between,
    numbers_of,
    path_of,
    plan_change,
)
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.operations import Create, Delete, SetData

PATHS = Paths("users")


def version(number: int, text: str | None) -> ConfigVersion:
    """A version."""
    return ConfigVersion(number=number, text=text)


def read(operation: object) -> ConfigVersion:
    """The version that an operation creates."""
    assert isinstance(operation, Create)
    return ConfigVersion.parse(int(operation.path[-10:]), operation.value, 0.0)


def test_version_is_read_as_it_was_written() -> None:
    """Whatever is in its texts; the number is in the name and the time is ZooKeeper's."""
    one = ConfigVersion(number=12, text='{"a": 1}\n', by="ada@ops", reason="why \u202e")
    assert ConfigVersion.parse(12, one.dump(), 5.0) == ConfigVersion(
        number=12, text=one.text, by=one.by, reason=one.reason, at=5.0
    )
    assert path_of(PATHS, 12) == "/services/users/config-history/0000000012"
    assert numbers_of(["0000000012", "0000000003", "x", "12", "000000000²"]) == [3, 12]
    with pytest.raises(ConfigError, match=f"at most {MAX_REASON} characters"):
        ConfigVersion(number=1, text=None, reason="x" * (MAX_REASON + 1)).dump()


@pytest.mark.parametrize("value", [b"", b"[]", b"{" * 9999, b'{"config": 1, "by": 2, "reason": null}'])
def test_scribble_is_a_version_of_which_nothing_is_known(value: bytes) -> None:
    """It keeps nobody from changing the config."""
    found = ConfigVersion.parse(3, value, 1.0)
    assert (found.number, found.text, found.by, found.at) == (3, None, "", 1.0)


def test_first_config_is_version_1() -> None:
    """The config and its version are made together."""
    config, made = plan_change(PATHS, Present(value=None), b"{}", by="ada", reason="r")
    assert config == Create(path=PATHS.config, value=b"{}")
    assert read(made) == ConfigVersion(number=1, text="{}", by="ada", reason="r")


def test_change_holds_only_for_the_config_that_was_seen() -> None:
    """The version that ZooKeeper counts is in the transaction."""
    present = Present(value=b"{}", version=4, numbers=(6, 7), newest=version(7, "{}"))
    assert present.is_recorded and present.number == 7
    config, made = plan_change(PATHS, present, b'{"a": 1}', by="", reason="")
    assert config == SetData(path=PATHS.config, value=b'{"a": 1}', version=4) and read(made).number == 8
    config, made = plan_change(PATHS, present, None, by="", reason="")
    assert config == Delete(path=PATHS.config, version=4) and read(made).text is None


@pytest.mark.parametrize(
    ("value", "newest", "number"),
    [(b"{}", None, 1), (b"{}", version(7, "{ }"), 8), (None, version(7, "{}"), 8), (b"\xff", version(7, None), 8)],
)
def test_change_by_another_hand_is_kept_as_a_version(
    value: bytes | None, newest: ConfigVersion | None, number: int
) -> None:
    """Before the one that replaces it."""
    numbers = () if newest is None else (newest.number,)
    present = Present(value=value, version=1, numbers=numbers, newest=newest)
    assert not present.is_recorded and present.number == number
    _, found, made = plan_change(PATHS, present, b"{}", by="ada", reason="")
    assert (read(found).number, read(found).text, read(found).by) == (number, present.text, "")
    assert read(made).number == number + 1


def test_only_the_last_versions_are_kept() -> None:
    """So many that a mistake of last month is still there, and no more."""
    numbers = tuple(range(3, 3 + MOST_VERSIONS))
    present = Present(value=b"{}", version=1, numbers=numbers, newest=version(numbers[-1], "{}"))
    *_, deleted = plan_change(PATHS, present, b'{"a": 1}', by="", reason="")
    assert deleted == Delete(path=path_of(PATHS, 3))
    by_hand = Present(value=b"?", version=1, numbers=numbers, newest=version(numbers[-1], "{}"))
    operations = plan_change(PATHS, by_hand, b'{"a": 1}', by="", reason="")
    assert operations[-2:] == [Delete(path=path_of(PATHS, 3)), Delete(path=path_of(PATHS, 4))]


def test_changes_are_told_by_their_places() -> None:
    """What is new first in the order of the new config, then what has gone."""
    changes = changes_between({"a": 1, "b": 2, "c": 3}, {"d": 4, "b": 5, "a": 1})
    assert [(one.path, one.old, one.new) for one in changes] == [("d", None, 4), ("b", 2, 5), ("c", 3, None)]
