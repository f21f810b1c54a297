#!/usr/bin/env python3
"""Writes a bill of materials for zkrpc, as CycloneDX in JSON, to the standard output: what it needs at run time, in the
versions that are installed beside it, with their licences, and what needs what.

It describes the environment whose Python runs it, and needs nothing but the standard library: ``scripts/wheel`` runs it
where the wheel was installed. The same versions give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import uuid
from collections.abc import Collection
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

SUBJECT = "zkrpc"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def normalised(name: str) -> str:
    """A distribution's name as the index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements_of(found: Distribution, extras: Collection[str]) -> list[str]:
    """The names of what a distribution needs, as far as that is installed: what an environment's markers leave out is
    not."""
    names = set()
    for line in found.requires or ():
        wanted, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        match = _NAME.match(wanted.strip())
        if match is not None and (extra is None or extra[1] in extras) and installed(match[0]) is not None:
            names.add(normalised(match[0]))
    return sorted(names)


def installed(name: str) -> Distribution | None:
    """A distribution by its name; None if it is not there."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def closure(subject: str, extras: Collection[str] = ()) -> dict[str, list[str]]:
    """All that the subject needs, directly or not, itself included: names, each with those that it needs itself."""
    needed: dict[str, list[str]] = {}
    waiting = [subject]
    while waiting:
        name = waiting.pop()
        found = installed(name)
        if name not in needed and found is not None:
            needed[name] = requirements_of(found, extras if name == subject else ())
            waiting += needed[name]
    return needed


def licences(found: Distribution) -> list[dict[str, Any]]:
    """What a distribution says of its licence: an SPDX expression if it has one, else the words of its classifiers."""
    said = found.metadata.json
    if expression := said.get("license_expression"):
        return [{"expression": expression}]
    lines = [str(line) for line in said.get("classifier", ())]
    words = [line.rpartition(" :: ")[2] for line in lines if line.startswith("License ::")]
    first = str(said.get("license", "")).strip().splitlines()[:1]
    return [{"license": {"name": word}} for word in words or first]


def component(name: str) -> dict[str, Any]:
    """One distribution that is installed."""
    found = distribution(name)
    purl = f"pkg:pypi/{name}@{found.version}"
    made = {"type": "library", "bom-ref": purl, "name": name, "version": found.version, "purl": purl}
    return made | ({"licenses": said} if (said := licences(found)) else {})


def bill(subject: str, needed: dict[str, list[str]]) -> dict[str, Any]:
    """The bill of materials."""
    parts = {name: component(name) for name in sorted(needed)}
    refs = {name: part["bom-ref"] for name, part in parts.items()}
    number = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(refs.values()))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": parts[subject]},
        "components": [part for name, part in parts.items() if name != subject],
        "dependencies": [{"ref": refs[name], "dependsOn": [refs[one] for one in needed[name]]} for name in parts],
    }


def lock(needed: Collection[str], subject: str = SUBJECT) -> str:
    """What the subject needs, as ``NAME==VERSION``, a line each."""
    return "".join(f"{name}=={distribution(name).version}\n" for name in sorted(needed) if name != subject)


def main(arguments: list[str]) -> int:
    """Prints it; 1 if zkrpc is not installed."""
    argparse.ArgumentParser(description="a bill of materials, as CycloneDX").parse_args(arguments)
    needed = closure(SUBJECT)
    if not needed:
        print(f"{SUBJECT} is not installed in this environment", file=sys.stderr)
        return 1
    print(json.dumps(bill(SUBJECT, needed), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
