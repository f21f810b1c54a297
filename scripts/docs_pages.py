#!/usr/bin/env python3
"""Prepares the pages of the documentation's site in ``.cache/site/pages``.

The pages of ``docs/`` as they are; README, CHANGELOG and CONTRIBUTING as pages, with their links turned; the reference,
made from docstrings; and links to files of the repository that are no pages turned into mere names.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / ".cache" / "site" / "pages"
_MOVED = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_PICTURE = re.compile(r'\b(src|srcset)="(?!https?:)([^"]+)"')
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def turned(text: str, of: Path) -> str:
    """A page's text with the links of its file ``of`` made those of the site."""

    def turn(link: re.Match[str]) -> str:
        image, name, path, anchor = link[1], link[2], link[3], link[4] or ""
        target = (of.parent / path).resolve()
        page = _place(target)
        here = _place(of)
        assert here is not None
        if page is None:
            return name
        return f"{image}[{name}]({_relative(page, here)}{anchor})"

    def turn_picture(attribute: re.Match[str]) -> str:
        page, here = _place((of.parent / attribute[2]).resolve()), _place(of)
        assert page is not None and here is not None, f"{of}: there is no {attribute[2]} on the site"
        return f'{attribute[1]}="{_relative(page, here)}"'

    return _PICTURE.sub(turn_picture, _LINK.sub(turn, text))


def _place(file: Path) -> Path | None:
    """Where a file is on the site; None if it is not on it."""
    if file.parent == ROOT and file.name in _MOVED:
        return PAGES / _MOVED[file.name]
    docs = ROOT / "docs"
    if file.is_relative_to(docs) and (file / "README.md" if file.is_dir() else file).exists():
        return PAGES / (file / "README.md" if file.is_dir() else file).relative_to(docs)
    return None


def _relative(page: Path, here: Path) -> str:
    ups = len(here.parent.relative_to(PAGES).parts)
    return "../" * ups + page.relative_to(PAGES).as_posix()


def plain(docstring: str) -> str:
    """A docstring as Markdown: roles of Sphinx become code, indented blocks stay what they are."""
    text = re.sub(r":[a-z]+:`~?([^`]*)`", r"`\1`", inspect.cleandoc(docstring))
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(r"^Args:$", "Arguments:\n", text, flags=re.MULTILINE)


def reference() -> str:
    """The page of the public names, with their signatures and docstrings."""
    import zkrpc

    parts = ["# API", "Everything that `import zkrpc` gives; modules below it may change without notice."]
    for name in sorted(zkrpc.__all__, key=str.lower):
        thing = getattr(zkrpc, name)
        parts.append(f"## `{name}`")
        parts += _described(name, thing)
    return "\n\n".join(parts) + "\n"


def _described(name: str, thing: Any) -> Iterator[str]:
    if callable(thing):
        yield f"```python\n{name}{_signature(thing)}\n```"
    yield plain(inspect.getdoc(thing) or "") if callable(thing) or inspect.ismodule(thing) else f"`{thing!r}`"
    if inspect.isclass(thing):
        for own, member in vars(thing).items():
            if not own.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                function = member.fget if isinstance(member, property) else member
                call = "" if isinstance(member, property) else _signature(member)
                yield f"**`{own}`**`{call}`" if call else f"**`{own}`**"
                yield textwrap.indent(plain(inspect.getdoc(function) or ""), "")


def _signature(thing: Any) -> str:
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(thing)))
    except (TypeError, ValueError):
        return "(...)"


def main() -> int:
    """Writes all pages anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES)
    sources = [*(ROOT / name for name in _MOVED), *sorted((ROOT / "docs").rglob("*.md"))]
    for source in sources:
        page = _place(source)
        assert page is not None
        page.write_text(turned(source.read_text(), source))
    (PAGES / "api.md").write_text(reference())
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
