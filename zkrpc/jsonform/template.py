"""A plain value to fill in, which names the type of each field in its place."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from zkrpc.codec.shape import Field, FieldType, Kind, fields_of, is_union
from zkrpc.idl import Method
from zkrpc.jsonform.reading import WORDS
from zkrpc.jsonform.text import dump
from zkrpc.jsonform.writing import write

_MOST_ITEMS = 12
_LARGEST = 2000
"""Fields in a template: structs that hold each other many times over would make one without end."""


def template(method: Method) -> dict[str, Any]:
    """The arguments of a method, as an object in which each value is the text ``<type>`` of what belongs there."""
    defaults = {parameter.name: parameter.default for parameter in method.parameters}
    return _Template().fields(method.arguments, defaults, ())


def template_of(of: FieldType) -> Any:
    """The same for a value of any type."""
    return _Template().value(of, "", ())


def command_line(service: str, method: Method, arguments: Any = None, *, name: str = "") -> str:
    """The ``zkrpc call`` for a method of a service, as a shell takes it: with these plain arguments, or with a template
    to fill in. ``name`` is what the method is called there, if that is not its own name."""
    plain = template(method) if arguments is None else arguments
    text = f" {shlex.quote(dump(plain))}" if plain else ""
    return f"zkrpc call {service}.{name or method.name}{text}"


class _Template:
    """Makes one template."""

    def __init__(self) -> None:
        self._left = _LARGEST

    def fields(self, fields: Sequence[Field], defaults: Mapping[str, Any], above: tuple[type, ...]) -> dict[str, Any]:
        """The fields of a struct, or the parameters of a method."""
        made = {}
        for field in fields:
            note = ", required" if field.required else ""
            default = defaults.get(field.name)
            if default not in (None, [], {}, set()):
                note += f", by default {_brief(write(field.type, default))}"
            made[field.name] = self.value(field.type, note, above)
        return made

    def value(self, of: FieldType, note: str, above: tuple[type, ...]) -> Any:
        """The placeholder of a value; ``above`` are the structs that it is in, each of which is shown once."""
        self._left -= 1
        match of.kind:
            case Kind.LIST | Kind.SET:
                return [self.value(of.inner[0], note, above)]
            case Kind.MAP:
                key, value = (self.value(inner, note, above) for inner in of.inner)
                return {key: value} if of.inner[0].kind in WORDS else [[key, value]]
            case Kind.STRUCT:
                return self._struct(of.cls, note, above)
            case Kind.BINARY:
                return f"<binary in base64{note}>"
            case _:
                return f"<{_items(of)}{note}>"

    def _struct(self, cls: Any, note: str, above: tuple[type, ...]) -> Any:
        if cls in above or self._left < 0:
            return f"<{cls.__name__}{note}>"
        if is_union(cls):
            # Of the members one is to stay, and each says so: JSON has no comments.
            keep = f", keep one of {cls.__name__}"
            return {field.name: self.value(field.type, keep, (*above, cls)) for field in fields_of(cls)}
        return self.fields(fields_of(cls), dict(cls.default_spec), (*above, cls))


def _items(of: FieldType) -> str:
    """The type's name, or the items of an enum."""
    items = [*getattr(of.cls, "_NAMES_TO_VALUES", ())]
    if not items:
        return str(of)
    return " | ".join(items[:_MOST_ITEMS]) + (f" | {len(items) - _MOST_ITEMS} more" if len(items) > _MOST_ITEMS else "")


def _brief(plain: Any) -> str:
    text = dump(plain)
    return text if len(text) <= 40 else f"{text[:37]}..."
