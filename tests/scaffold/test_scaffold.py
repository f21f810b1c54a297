"""What a new project is made of."""

from __future__ import annotations

import ast
import re

import pytest

from zkrpc.scaffold import EXECUTABLE, fault_of, project_files, requirement_of, service_of


@pytest.mark.parametrize("name", ["inventory", "order_book", "x", "a" * 63, "item"])
def test_projects_can_have_such_names(name: str) -> None:
    """Whatever Python can import."""
    assert fault_of(name) is None


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Order-Book", "small letters, digits and '_'; did you mean order_book?"),
        ("3d", "small letters, digits and '_'"),
        ("", "small letters"),
        ("a/b", "did you mean a_b?"),
        ("../x", "did you mean x?"),
        ("a" * 64, "small letters"),
        ("übung", "small letters"),
        ("class", "a word of Python's own"),
        ("match", "a word of Python's own"),
        ("queue", "would hide another one"),
        ("tests", "would hide another one"),
        ("gevent", "an installed package"),
        ("Class", "digits and '_'"),
    ],
)
def test_projects_cannot_have_others(name: str, fault: str) -> None:
    """Each is refused with its reason, and with a name like it that is fine, if there is one."""
    assert fault in str(fault_of(name, {"gevent"}))
    assert name != "Class" or "mean" not in str(fault_of(name))


def test_service_has_a_name_of_its_own() -> None:
    """In the IDL, where it may not be that of a struct, and in Python, which has names of its own."""
    names = ("order_book", "x", "item", "not_found", "none", "exception")
    assert [service_of(name) for name in names] == [
        "OrderBook",
        "X",
        "ItemService",
        "NotFoundService",
        "NoneService",
        "ExceptionService",
    ]


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (None, "zkrpc==1.2"),
        ({"url": "file:///src/zkrpc", "dir_info": {"editable": True}}, "zkrpc @ file:///src/zkrpc"),
        (
            {"url": "https://example.org/zkrpc", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "zkrpc @ git+https://example.org/zkrpc@abc",
        ),
    ],
)
def test_project_asks_for_the_zkrpc_that_made_it(origin: dict[str, object] | None, line: str) -> None:
    """From where that one came."""
    assert requirement_of("1.2", origin) == line


@pytest.mark.parametrize("name", ["none", "true", "false", "exception", "x"])
def test_python_is_python_whatever_the_name(name: str) -> None:
    """Also where the name with a capital is a word of Python's own."""
    assert fault_of(name) is None
    for path, text in project_files(name, "zkrpc==1").items():
        if path.endswith(".py"):
            ast.parse(text)


def test_files_are_whole() -> None:
    """No placeholder is left, and Python is Python."""
    files = project_files("order_book", "zkrpc==1")
    assert {"order_book/order_book.thrift", ".github/workflows/test.yml", *EXECUTABLE} <= files.keys()
    for path, text in files.items():
        assert "{{" not in text and (text.endswith("\n") or not text)
        if path.endswith(".py"):
            ast.parse(text)
    assert re.search(r"^service OrderBook \{$", files["order_book/order_book.thrift"], re.MULTILINE)
    assert 'environ.get("ORDER_BOOK_DATABASE", "order_book.sqlite")' in files["order_book/service.py"]
