#!/usr/bin/env python3
"""The shape of the code: every module has a test module of its own, nothing grows past the house's sizes, and there are
few tiny modules.

Sizes are lines of code: without docstrings, comments and blank lines, so that nobody saves on explanations. It reads
source text only and imports nothing of zkrpc.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path
from typing import Iterator, Mapping, NamedTuple

from shape_exceptions import LARGER, SMALL_MODULES, UNTESTED

MODULE_LINES, FUNCTION_LINES, CLASS_METHODS = 300, 60, 25
SMALL_MODULE_LINES = 40
_NOT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Size(NamedTuple):
    """How large one module, class or function is, and how large such a thing may be."""

    name: str
    value: int
    limit: int
    unit: str


def code_lines(source: str, tree: ast.AST) -> set[int]:
    """The numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        # Any statement that is only a string explains something: docstrings, and those under a field.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def sizes(module: str, source: str) -> Iterator[Size]:
    """The size of the module and of everything defined in it."""
    tree = ast.parse(source)
    code = code_lines(source, tree)
    yield Size(module, len(code), MODULE_LINES, "code lines")
    yield from _sizes_within(tree, f"{module}:", code)


def _sizes_within(parent: ast.AST, prefix: str, code: set[int]) -> Iterator[Size]:
    """The sizes of the classes and functions directly or deeper inside ``parent``."""
    for node in ast.iter_child_nodes(parent):
        inner = prefix
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            name, inner = prefix + node.name, f"{prefix}{node.name}."
            if isinstance(node, ast.ClassDef):
                methods = [child.name for child in node.body if isinstance(child, _FUNCTIONS)]
                yield Size(name, sum(not _is_dunder(name) for name in methods), CLASS_METHODS, "methods")
            else:
                lines = sum(line in code for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))
                yield Size(name, lines, FUNCTION_LINES, "code lines")
        yield from _sizes_within(node, inner, code)


def _is_dunder(name: str) -> bool:
    """Whether a method is Python's own protocol, such as ``__repr__``, which says nothing about a class's size."""
    return name.startswith("__") and name.endswith("__")


def too_small(modules: list[Size], most: int) -> Iterator[str]:
    """A line if more modules than ``most`` are tiny, or fewer: the number only comes down.

    What a tiny module holds is often found sooner in the module that it belongs to.
    """
    tiny = sorted((size.value, size.name) for size in modules if size.value < SMALL_MODULE_LINES)
    if len(tiny) > most:
        names = ", ".join(f"{name} ({value})" for value, name in tiny)
        yield f"{len(tiny)} modules have under {SMALL_MODULE_LINES} lines, at most {most} may: merge one of {names}"
    elif len(tiny) < most:
        yield f"{len(tiny)} modules have under {SMALL_MODULE_LINES} code lines: lower SMALL_MODULES from {most} to that"


def too_large(found: list[Size], larger: Mapping[str, tuple[int, str]]) -> Iterator[str]:
    """One line for each size over its limit or ceiling, and for each exception that has served its time."""
    names = {size.name for size in found}
    for size in found:
        limit = larger[size.name][0] if size.name in larger else size.limit
        if size.value > limit:
            yield f"{size.name}: {size.value} {size.unit}, at most {limit}: split it"
        elif size.name in larger and size.value <= size.limit:
            yield f"{size.name}: {size.value} {size.unit} are fine without an exception: take it out"
    for name in larger.keys() - names:
        yield f"{name}: named in shape_exceptions.py, but there is no such thing"


def untested(root: Path, exceptions: Mapping[str, str]) -> Iterator[str]:
    """One line for each module without a test module: the one that mirrors it, or one in a tier that mirrors nothing.

    Shells are tested where their outside world is (tests/live, ...); a namesake in another package's tests is no
    test of theirs.
    """
    packages = {path.name for path in (root / "zkrpc").rglob("*") if path.is_dir()}
    tiers = [path for path in (root / "tests").iterdir() if path.is_dir() and path.name not in packages]
    modules = {module_name(root, path): path.relative_to(root / "zkrpc") for path in modules_under(root)}
    for module, path in modules.items():
        mirror = root / "tests" / path.parent / f"test_{path.stem.strip('_')}.py"
        places = [mirror, *(tier / mirror.name for tier in tiers)]
        if path.name != "__init__.py" and module not in exceptions and not any(place.exists() for place in places):
            yield f"{module}: no {mirror.relative_to(root)}"
    for module in exceptions.keys() - modules.keys():
        yield f"{module}: named in shape_exceptions.py, but there is no such module"


def modules_under(root: Path) -> list[Path]:
    """The source files of zkrpc."""
    return sorted((root / "zkrpc").rglob("*.py"))


def module_name(root: Path, path: Path) -> str:
    """``root/zkrpc/wire/frames.py`` -> ``zkrpc.wire.frames``; a package's ``__init__`` has the package's name."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def main() -> int:
    """Prints every complaint and a closing line; 1 if there was a complaint."""
    root = Path(__file__).resolve().parent.parent
    paths = modules_under(root)
    found = [size for path in paths for size in sizes(module_name(root, path), path.read_text("utf-8"))]
    # A package's __init__ lists names, and __main__ is what a command needs: their size is no choice.
    named = {module_name(root, path) for path in paths if not path.name.startswith("__")}
    modules = [size for size in found if size.name in named]
    complaints = [*too_large(found, LARGER), *too_small(modules, SMALL_MODULES), *untested(root, UNTESTED)]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    functions = sorted(size.value for size in found if size.limit == FUNCTION_LINES)
    p50, p90, p99 = (functions[int(share * len(functions))] for share in (0.5, 0.9, 0.99))
    small = sum(size.value < SMALL_MODULE_LINES for size in modules)
    print(
        f"{len(paths)} modules, {small} under {SMALL_MODULE_LINES} lines; {len(functions)} functions of {p50} lines, "
        f"p90 {p90}, p99 {p99}, longest {functions[-1]}; {len(complaints)} complaints"
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
