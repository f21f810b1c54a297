"""What ``zkrpc new`` writes: a project with an interface, a service, a client, tests, an image and CI. Theory of
operation.

The files are templates beside this module, whose names end in ``.txt`` so that no tool takes them for code of zkrpc.
``{{name}}`` stands for the name of the package and of the service in the registry, ``{{Service}}`` for the service in
the IDL, ``{{NAME}}`` for the beginning of its environment variables. This module makes texts; the command writes them,
and has :mod:`zkrpc.idl.stubs` add the interface's module and its types.

It is the first code that somebody new to zkrpc sees: every line of it says something about zkrpc, or is not there.
"""

from __future__ import annotations

import builtins
import importlib.resources
import keyword
import re
import sys
from collections.abc import Collection, Mapping
from typing import Any

_FILES = {
    "README.md": "README.md.txt",
    "pyproject.toml": "pyproject.toml.txt",
    "requirements.txt": "requirements.txt.txt",
    "Dockerfile": "Dockerfile.txt",
    "docker-compose.yml": "docker-compose.yml.txt",
    ".dockerignore": "dockerignore.txt",
    ".gitignore": "gitignore.txt",
    ".github/workflows/test.yml": "workflow.yml.txt",
    "scripts/test": "test.sh.txt",
    "{{name}}/__init__.py": "init.py.txt",
    "{{name}}/py.typed": "",
    "{{name}}/{{name}}.thrift": "interface.thrift.txt",
    "{{name}}/service.py": "service.py.txt",
    "{{name}}/client.py": "client.py.txt",
    "tests/test_service.py": "test_service.py.txt",
    "tests/test_live.py": "test_live.py.txt",
}
"""Each file of a project, with the template of its contents."""
EXECUTABLE = ("scripts/test",)
"""The files that can be run."""
_OURS = ("Item", "NotFound")
"""What the interface defines beside its service."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


def fault_of(name: str, installed: Collection[str] = ()) -> str | None:
    """Why no project can have this name, and what to do; None if one can. ``installed`` are the names of packages that
    can be imported and that the project's own would hide."""
    if not _NAME.fullmatch(name):
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        hint = f"; did you mean {plain}?" if _NAME.fullmatch(plain) and fault_of(plain, installed) is None else ""
        return f"it becomes the name of a Python package: small letters, digits and '_'{hint}"
    if keyword.iskeyword(name) or name in keyword.softkwlist:
        return "it is a word of Python's own; choose another one"
    if name in sys.stdlib_module_names or name in ("tests", "scripts"):
        return "a package of this name would hide another one that programs need; choose another one"
    if name in installed:
        return "an installed package has this name; choose another one"
    return None


def service_of(name: str) -> str:
    """The name of the service in the IDL, and of a class: ``OrderBook`` for ``order_book``, and ``NoneService`` for
    ``none``, as Python has a None of its own."""
    camel = "".join(word.capitalize() for word in name.split("_"))
    return f"{camel}Service" if camel in _OURS or hasattr(builtins, camel) else camel


def requirement_of(version: str, origin: Mapping[str, Any] | None) -> str:
    """The line that has pip install the zkrpc that is installed: its version, or where it came from if that was no
    index. ``origin`` is what its ``direct_url.json`` holds, PEP 610."""
    if origin is None:
        return f"zkrpc=={version}"
    source = origin.get("vcs_info")
    if source:
        return f"zkrpc @ {source['vcs']}+{origin['url']}@{source['commit_id']}"
    return f"zkrpc @ {origin['url']}"


def project_files(name: str, requirement: str) -> dict[str, str]:
    """The text of each file of a project, by its path in the project's folder."""
    words = {"name": name, "Service": service_of(name), "NAME": name.upper(), "requirement": requirement}
    folder = importlib.resources.files(__name__)
    return {
        _filled(path, words): _filled((folder / template).read_text("utf-8"), words) if template else ""
        for path, template in _FILES.items()
    }


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: words[match[1]], text)
