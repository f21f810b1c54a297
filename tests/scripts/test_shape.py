"""The size ratchet and the module-to-test mapping that scripts/check applies."""

from __future__ import annotations

from pathlib import Path

import shape

_SOURCE = '''"""Explains."""

# a comment
class Door:
    """Explains
    at length."""

    width: int
    """Explains a field."""

    def open(self) -> str:
        """Explains."""

        def push() -> str:
            return """two
lines"""

        return push()
'''


def test_sizes_count_code_only() -> None:
    """Docstrings, comments and blank lines cost nothing; a string that is a value does."""
    assert [(size.name, size.value, size.unit) for size in shape.sizes("zkrpc.door", _SOURCE)] == [
        ("zkrpc.door", 7, "code lines"),
        ("zkrpc.door:Door", 1, "methods"),
        ("zkrpc.door:Door.open", 5, "code lines"),
        ("zkrpc.door:Door.open.push", 3, "code lines"),
    ]


def test_size_over_its_limit_is_a_complaint() -> None:
    """The limit itself is allowed, one more is not."""
    at, over = shape.Size("a:f", 60, 60, "code lines"), shape.Size("a:g", 61, 60, "code lines")
    assert list(shape.too_large([at, over], {})) == ["a:g: 61 code lines, at most 60: split it"]


def test_exception_is_a_ceiling() -> None:
    """An exception allows what it names and not a line more."""
    size = shape.Size("a:f", 70, 60, "code lines")
    assert list(shape.too_large([size], {"a:f": (70, "a table")})) == []
    assert list(shape.too_large([size], {"a:f": (69, "a table")})) == ["a:f: 70 code lines, at most 69: split it"]


def test_exception_without_need_is_a_complaint() -> None:
    """An exception goes when the code has become small enough or is gone."""
    size = shape.Size("a:f", 60, 60, "code lines")
    complaints = list(shape.too_large([size], {"a:f": (70, "a table"), "a:g": (70, "gone")}))
    assert [complaint.split(":")[1] for complaint in complaints] == ["f", "g"]


def test_class_is_not_larger_by_what_python_asks_of_it() -> None:
    """Methods such as ``__repr__`` do not count; private ones do."""
    source = "class Door:\n def __init__(self): ...\n def __repr__(self): ...\n def _creak(self): ...\n"
    assert [size.value for size in shape.sizes("a", source) if size.unit == "methods"] == [1]


def test_number_of_tiny_modules_only_comes_down() -> None:
    """As many as are allowed pass; one more is a complaint that names them all, one less lowers the number."""
    modules = [shape.Size(name, lines, 300, "code lines") for name, lines in (("a", 39), ("b", 40), ("c", 7))]
    assert list(shape.too_small(modules, 2)) == []
    (complaint,) = shape.too_small(modules, 1)
    assert complaint.endswith("at most 1 may: merge one of c (7), a (39)")
    (complaint,) = shape.too_small(modules, 3)
    assert complaint.endswith("lower SMALL_MODULES from 3 to that")


def test_shell_is_tested_where_its_world_is(tmp_path: Path) -> None:
    """A tier that mirrors no package may hold the module's test; another package's namesake may not."""
    for name in ("zkrpc/wire/server.py", "zkrpc/zookeeper/session.py", "zkrpc/server/server.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("tests/live/test_session.py", "tests/server/test_server.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(shape.untested(tmp_path, {})) == ["zkrpc.wire.server: no tests/wire/test_server.py"]


def test_module_without_a_mirroring_test_is_a_complaint(tmp_path: Path) -> None:
    """tests/ mirrors zkrpc/; packages' __init__ and named exceptions are free."""
    for name in ("zkrpc/__init__.py", "zkrpc/__main__.py", "zkrpc/wire/frames.py", "zkrpc/wire/theader.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "tests/wire").mkdir(parents=True)
    (tmp_path / "tests/wire/test_frames.py").touch()
    assert list(shape.untested(tmp_path, {"zkrpc.__main__": "a shell", "zkrpc.gone": "was here"})) == [
        "zkrpc.wire.theader: no tests/wire/test_theader.py",
        "zkrpc.gone: named in shape_exceptions.py, but there is no such module",
    ]
