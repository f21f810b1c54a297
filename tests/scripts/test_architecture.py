"""What holds docs/architecture.md to the code."""

from __future__ import annotations

from pathlib import Path

import architecture
import pytest

_SETUP = """
[importlinter:contract:layers]
layers =
    (cli)
    (testing) | (admin)
    app
    deadline | config
"""
_PAGE = f"""Before.

{architecture.BEGIN}old
{architecture.END}
`cli`, `testing`, `app`, `deadline` and `config`; a command is in `cli/ls`, its test in `tests/cli/test_ls.py`.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with that contract, that page and the modules that it names."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "zkrpc" / "cli").mkdir(parents=True)
    for name in ("__init__", "__main__", "cli/__init__", "cli/ls", "testing", "app", "deadline", "config"):
        (tmp_path / "zkrpc" / f"{name}.py").touch()
    (tmp_path / "zkrpc" / "py.typed").touch()
    (tmp_path / "setup.cfg").write_text(_SETUP)
    (tmp_path / "docs" / "architecture.md").write_text(_PAGE)
    return tmp_path


def test_rows_are_the_layers_that_exist() -> None:
    """In the order of the contract; a layer that only has its place there is left out."""
    exists = {"cli", "testing", "deadline", "config"}
    assert architecture.rows_of(_SETUP, exists) == [["cli"], ["testing"], ["deadline", "config"]]


def test_picture_of_other_layers_is_a_complaint(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Writing it ends the complaint and leaves the rest of the page as it was."""
    assert architecture.main(root, []) == 1
    assert "architecture.py --write" in capsys.readouterr().out
    assert architecture.main(root, ["--write"]) == 0 and architecture.main(root, []) == 0
    page = (root / "docs" / "architecture.md").read_text()
    assert page.startswith("Before.\n\n") and page.endswith("test_ls.py`.\n")
    assert page.split("```")[1].split() == ["cli", "testing", "app", "deadline", "|", "config"]


def test_page_without_a_place_for_the_picture_is_refused() -> None:
    """It is not put anywhere else."""
    with pytest.raises(ValueError, match="no block"):
        architecture.with_picture("nothing here", "picture")


def test_module_that_is_not_there_is_a_complaint(root: Path) -> None:
    """A module that was renamed is named by its old name; a path elsewhere is none of zkrpc's modules."""
    (root / "zkrpc" / "cli" / "ls.py").rename(root / "zkrpc" / "cli" / "list.py")
    (complaint,) = architecture.misnamed(_PAGE, root / "zkrpc")
    assert "cli/ls, which is not there" in complaint


def test_part_that_the_page_does_not_name_is_a_complaint(root: Path) -> None:
    """A package or module directly below zkrpc."""
    (root / "zkrpc" / "admin").mkdir()
    (root / "zkrpc" / "admin" / "__init__.py").touch()
    (complaint,) = architecture.misnamed(_PAGE, root / "zkrpc")
    assert "does not name admin" in complaint
