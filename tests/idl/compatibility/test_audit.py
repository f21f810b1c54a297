"""Beside Apache's own compiler: whatever its ``--audit`` calls a failure is found here as well."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.idl.compatibility.cases import Case, all_cases
from tests.support.debian import program
from zkrpc.idl.compatibility import compare, read_file

FAILURE = "[Thrift Audit Failure:"


@pytest.fixture(scope="module")
def thrift() -> str:
    """Apache's compiler, as Debian has it."""
    return program("thrift", "thrift-compiler")


def failures(thrift: str, old: Path, new: Path) -> list[str]:
    """What it calls failures, as it words them."""
    command = [thrift, "--audit", str(old), "-Iold", str(old.parent), "-Inew", str(new.parent), str(new)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = (ended.stdout + ended.stderr).splitlines()
    told = [line.partition("] ")[2] for line in said if line.startswith(FAILURE)]
    assert ended.returncode == (2 if told else 0), "it could not read a file"
    return told


def owner(failure: str) -> str:
    """The name of what a failure is about, without what its compiler adds for arguments and exceptions."""
    words = re.search(r"(?:in|for|function|service|Struct) (\w+?)(?:_args|_exception)?(?: not found.*)?\s*$", failure)
    assert words is not None, failure
    return words[1]


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
def test_failure_of_the_audit_is_found_here(case: Case, thrift: str, tmp_path: Path) -> None:
    """Each of them, about the same thing; with the versions exchanged as well, so that each case is two."""
    versions = case.write(tmp_path)
    for old, new in (versions, versions[::-1]):
        subjects = [re.split(r"\W+", some.subject) for some in compare(read_file(old), read_file(new))]
        for failure in failures(thrift, old, new):
            assert any(owner(failure) in names for names in subjects), failure


def test_audit_finds_something_in_half_of_the_cases(thrift: str, tmp_path: Path) -> None:
    """So that the test above has compared something."""
    cases = [case for case in all_cases() if case.wanted]
    told = [bool(failures(thrift, *case.write(tmp_path / case.name))) for case in cases]
    assert sum(told) * 2 >= len(told) > 80
