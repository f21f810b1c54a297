"""The types of an IDL as a stub of Python writes them, with the imports and aliases that they need.

A stub is read like any Python: in the body of a class, ``list[int]`` means the class's own ``list``, if it has a field
or a method of that name. An IDL may use any word as a name, so each name that a hint needs is looked up among those of
the file first, and has another one where it is taken.
"""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Mapping
from pathlib import PurePath

from zkrpc.errors import IdlError
from zkrpc.idl.classes import is_special
from zkrpc.idl.modules import is_speakable, protocol_names
from zkrpc.idl.names import resolve
from zkrpc.idl.outline import Definition, TypeName
from zkrpc.idl.source import Source

_BASE = {
    **dict.fromkeys(("byte", "i8", "i16", "i32", "i64"), "int"),
    **dict.fromkeys(("string", "slist"), "str"),
    "bool": "bool",
    "double": "float",
    "binary": "bytes",
}


def names_of(source: Source) -> list[str]:
    """What the module of a file holds, apart from protocols, in the order of the file; typedefs leave nothing there."""
    defined = [one.name for one in source.outline.definitions if one.kind != "typedef"]
    return [name for name in (*source.includes, *defined) if not is_special(name)]


def services_of(source: Source) -> list[str]:
    """The services of a file, in its order."""
    services = (one.name for one in source.outline.definitions if one.kind == "service")
    return [name for name in services if not is_special(name)]


def free_name(name: str, taken: set[str]) -> str:
    """The name, or one like it that is nobody else's; notes it as taken. Two underscores at its beginning would make it
    private in a class."""
    if name in taken:
        name = f"_{name.lstrip('_')}"
    while name in taken:
        name += "_"
    taken.add(name)
    return name


class Hints:
    """Writes the types of one file.

    Args:
        source: the file.
        modules: the path of each file's module, without a suffix, for the file and all it includes.
        top_level: whether modules import each other by their bare names, instead of relatively to their package.
    """

    def __init__(self, source: Source, modules: Mapping[Source, PurePath], *, top_level: bool = False) -> None:
        self._source = source
        self._modules = modules
        self._top_level = top_level
        definitions = source.outline.definitions
        self._members = _members(source)
        """Names in classes; in the body of a class they stand before those of the module."""
        self.protocols = protocol_names(services_of(source), names_of(source))
        """The names of each service's protocols."""
        self.taken = {*self._members, *(one.name for one in definitions), *source.includes}
        self.taken.update(name for names in self.protocols.values() for name in names)
        self._homes: dict[str, str] = {}
        """The name in the stub of each module of Python's that it imports."""
        self._included: dict[tuple[Source, str], str] = {}
        """The name in the stub of each module of a file, by the file and the name that was wished for."""
        self._aliases: dict[str, str] = {}
        """Other names for classes of this file whose own name means something else in a class."""

    def of(self, some: TypeName, home: Source | None = None, *, key: bool = False) -> str:
        """The hint for values of a type that is written in the file ``home``. In the key of a map, lists are tuples and
        sets frozensets."""
        found = resolve(home or self._source, some)
        assert found is not None, "the checks let no unknown type through"
        home, target = found
        if isinstance(target, Definition):
            return self.builtin("int") if target.kind == "enum" else self._reference(home, target)
        if not target.inner:
            return self.builtin(_BASE[target.name]) if target.name in _BASE else f"{self.module('uuid')}.UUID"
        inner = [
            self.of(part, home, key=key or (place == 0 and target.name != "list"))
            for place, part in enumerate(target.inner)
        ]
        if target.name == "map":
            return f"{self.builtin('dict')}[{', '.join(inner)}]"
        if target.name == "list":
            return f"{self.builtin('tuple')}[{inner[0]}, ...]" if key else f"{self.builtin('list')}[{inner[0]}]"
        return f"{self.builtin('frozenset' if key else 'set')}[{inner[0]}]"

    def builtin(self, name: str) -> str:
        """A builtin of Python's."""
        return f"{self.module('builtins')}.{name}" if name in self.taken else name

    def module(self, name: str) -> str:
        """A module that is imported, such as ``typing``."""
        if name not in self._homes:
            self._homes[name] = free_name(name, self.taken)
        return self._homes[name]

    def class_name(self, name: str) -> str:
        """The name in the stub of a class that this file defines; one of its own if Python's grammar has no room for
        it."""
        return name if is_speakable(name) else _private(name, self._source)

    def includes(self) -> dict[str, str]:
        """The included files that the module holds, by name: how the stub names each, or its type if it is several
        files."""
        found = {}
        for stem, homes in self._source.includes.items():
            if stem in self._source.definitions or not is_speakable(stem):
                continue
            if len(homes) > 1:
                found[stem] = f"{stem}: {self.module('types')}.ModuleType"
            else:
                self._included[homes[0], stem] = stem
                found[stem] = ""
        return found

    def aliases(self) -> list[str]:
        """The lines that give classes another name."""
        return [f"{alias}: {self.module('typing')}.TypeAlias = {name}" for name, alias in self._aliases.items()]

    def imports(self) -> list[str]:
        """The stub's imports, in groups: of Python's, of zkrpc, of other files' modules."""
        own = [f"import {_as(name, alias)}" for name, alias in sorted(self._homes.items())]
        groups = [[line for line in own if "zkrpc" not in line], [line for line in own if "zkrpc" in line]]
        groups.append(sorted(self._import(home, alias) for (home, _), alias in self._included.items()))
        return "\n\n".join("\n".join(group) for group in groups if group).splitlines()

    def _reference(self, home: Source, definition: Definition) -> str:
        name = definition.name
        if home is not self._source:
            there = name if is_speakable(name) else _private(name, home)
            return f"{self._include(home)}.{there}"
        if not is_speakable(name):
            return self.class_name(name)
        if name in self._members:
            if name not in self._aliases:
                self._aliases[name] = free_name(f"_{name}", self.taken)
            return self._aliases[name]
        return name

    def _include(self, home: Source) -> str:
        """The name of the module of another file, in the body of a class."""
        stem = home.stem
        public = (home, stem)
        if self._source.includes.get(stem) == (home,) and stem not in self._members | set(self._source.definitions):
            if is_speakable(stem):
                return self._included.setdefault(public, stem)
        wished = (home, f"_{module_name_of(home)}")
        if wished not in self._included:
            self._included[wished] = free_name(wished[1], self.taken)
        return self._included[wished]

    def _import(self, home: Source, alias: str) -> str:
        mine, theirs = self._modules[self._source], self._modules[home]
        if self._top_level:
            return f"import {_as(theirs.name, alias)}"
        way = os.path.relpath(theirs.parent, mine.parent).split(os.sep)
        up = way.count("..")
        down = [part for part in way if part not in ("..", ".")]
        for part in down:
            if not part.isidentifier() or keyword.iskeyword(part):
                message = f"its folder {part} has no name that Python can import; write all stubs to one folder, --out"
                raise IdlError(message, file=home.name)
        return f"from .{'.' * up}{'.'.join(down)} import {_as(theirs.name, alias)}"


def module_name_of(source: Source) -> str:
    """A file's name as an identifier."""
    return re.sub(r"\W", "_", source.stem, flags=re.ASCII)


def _members(source: Source) -> set[str]:
    """The names of everything inside a definition."""
    found: set[str] = set()
    for one in source.outline.definitions:
        for inside in (one.fields, one.items, one.functions):
            found.update(some.name for some in inside)
    return found


def _private(name: str, source: Source) -> str:
    """The name in stubs of a class whose own name Python's grammar has no room for."""
    return free_name(f"_{name.strip('_')}", {*_members(source), *source.definitions, *source.includes})


def _as(name: str, alias: str) -> str:
    return name if name == alias else f"{name} as {alias}"
