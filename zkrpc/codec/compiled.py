"""Describes structs, arguments and results to the compiled part, which then encodes and decodes them in one pass each.

A ``Shape`` of it is what :class:`~zkrpc.codec.shape.Field` and ``thrift_spec`` say, in C. Its functions give None for
whatever does not fit, and for a few things that do fit and are rare (below); the Python path then does it again, words
the error, or takes it. So there is one place for words, and both paths refuse the same.

Left to the Python path, though it takes them:

- integers that are no ``int``, such as numpy's; doubles that are neither ``float`` nor ``int``, such as decimals;
- containers of derived classes, such as ``OrderedDict``; objects that only claim to be of a struct's class;
- a bool that is sent as a byte other than 0 and 1 (2 for false in the compact encoding), as libraries disagree about
  it; numbers with more bits than their type has; bodies of more than 128 levels;
- a wrong value that a later duplicate of its field replaces, which the Python path does not see;
- structs that hold a map in a key.

Long strings are where the order of fields on the wire differs: the compiled part has no reason to write them last.

The compiled part keeps the last 512 keys of maps and members of sets that it has read, if they are ASCII of at most 32
bytes, and gives the same object for those that come again, as nearly all do.
"""

from __future__ import annotations

import copy
import functools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from zkrpc import compiled
from zkrpc.codec.shape import (
    Field,
    FieldType,
    Kind,
    bare_of,
    fields_of,
    has_negative_ids,
    is_mutable,
    is_union,
)
from zkrpc.codec.shape import reachable as structs_of


class Shape(Protocol):
    """What the compiled part makes of a struct, of arguments or of results. Positional arguments only."""

    def define(
        self,
        cls: type | None,
        fields: tuple[Any, ...],
        order: tuple[int, ...],
        union: bool,
        makes: bool,
        counted: bool,
    ) -> None:
        """Says what it is, once. ValueError if that cannot be compiled."""

    def encode(self, it: object, compact: bool) -> bytes | None:
        """The bytes of an object; None if it does not fit."""

    def encode_one(self, place: int, value: object, compact: bool) -> bytes | None:
        """The bytes of a struct of which only one field is set, given its place in the declaration."""

    def pack(self, bag: type, values: tuple[Any, ...]) -> tuple[Any, bytes] | None:
        """An object that holds all these values, in the order of the declaration, and its bytes in binary; None if they
        do not fit. Where None stands for a default, that is an attribute of the class, or made anew."""

    def decode(self, buffer: bytes, offset: int, compact: bool, max_elements: int) -> Any:
        """The object, or tuple of values, that fills the bytes from an offset on; None if they do not fit."""

    def result(self, buffer: bytes, offset: int, compact: bool, max_elements: int) -> Any:
        """The value of the field 0, or raises the exception in another one; None if there is none or it does not
        fit."""


class Shapes:
    """Shapes of struct classes, each made once, so that recursive structs work.

    Args:
        make: makes one that is to be defined, as the compiled part does; None for pure Python, where there are none.
    """

    def __init__(self, make: Any) -> None:
        self._make = make
        self._by_class: dict[type, Shape] = {}

    def of_class(self, struct: type) -> Shape | None:
        """The shape of a struct class; None if it is left to the Python path."""
        fields = fields_of(struct) if self._make else ()
        return self._by_class[struct] if self._make and self._know({struct: fields, **structs_of(fields)}) else None

    def of_fields(self, fields: Sequence[Field], defaults: Mapping[str, Any]) -> Shape | None:
        """The shape of arguments or results, which are any object with these attributes when they are encoded and a
        tuple of values when they are decoded; ``defaults`` are the values of fields that have not come.
        """
        if not self._make or not self._know(structs_of(tuple(fields))):
            return None
        # A default that must be copied does not count as having come, where it is required.
        defaults = {
            field.name: None if field.required and is_mutable(value) else value
            for field in fields
            if (value := defaults.get(field.name)) is not None
        }
        shape: Shape = self._make()
        return shape if self._define(shape, None, tuple(fields), defaults) else None

    def _know(self, structs: Mapping[type, tuple[Field, ...]]) -> bool:
        """Whether all these have shapes, as they now do unless one of them cannot."""
        fresh = [struct for struct in structs if struct not in self._by_class]
        self._by_class.update({struct: self._make() for struct in fresh})
        known = False
        try:
            known = all(
                self._define(self._by_class[it], it, structs[it], _defaults_of(it, structs[it])) for it in fresh
            )
        finally:
            if not known:  # some are not defined, which is safe, and of no use
                for struct in fresh:
                    self._by_class.pop(struct)
        return known

    def _define(
        self,
        shape: Shape,
        cls: type | None,
        fields: tuple[Field, ...],
        defaults: Mapping[str, Any] | None,
    ) -> bool:
        """Defines a shape. Without ``defaults`` its class is called for its objects."""
        if cls is not None and defaults is None and bare_of(cls) is not cls:
            return False
        # As Apache's library writes them: by their ids, and the negative ones behind all others as they are declared.
        ordered = sorted(
            range(len(fields)),
            key=lambda place: (fields[place].id < 0, max(fields[place].id, 0)),
        )
        described = tuple(self._field(fields[place], (defaults or {}).get(fields[place].name)) for place in ordered)
        order = tuple(sorted(range(len(fields)), key=ordered.__getitem__))
        union = cls is not None and is_union(cls)
        try:
            shape.define(cls, described, order, union, defaults is None, has_negative_ids(fields))
        except ValueError:
            return False
        return True

    def _field(self, field: Field, default: Any) -> tuple[Any, ...]:
        fresh = default is not None and is_mutable(default)
        initial = functools.partial(copy.deepcopy, default) if fresh else default
        return (
            field.id,
            field.name,
            field.required,
            initial,
            fresh,
            self._describe(field.type),
        )

    def _describe(self, of: FieldType) -> tuple[Any, ...]:
        if of.kind is Kind.STRUCT and of.cls is not None:
            return (int(of.kind), self._by_class[of.cls])
        if of.kind is Kind.UUID:
            return (int(of.kind), uuid.UUID)
        return (int(of.kind), *map(self._describe, of.inner))


def _defaults_of(struct: type, fields: Sequence[Field]) -> dict[str, Any] | None:
    """What an object of a class holds at first; None if that is only known to its constructor."""
    spec = getattr(struct, "default_spec", None)
    if spec is None or {name for name, _ in spec} != {field.name for field in fields}:
        return None
    return dict(spec)


def _make() -> Any:
    module = compiled.load("zkrpc.codec._compiled")
    return None if module is None else module.Shape


SHAPES = Shapes(_make())
