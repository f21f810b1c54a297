"""Types and fields, read from thriftpy2's specifications."""

from __future__ import annotations

from typing import Any

import pytest

from tests.codec.rich import idl
from zkrpc.codec.shape import (
    ApacheSpecs,
    Field,
    FieldType,
    Kind,
    fields_of,
    is_union,
    mark_union,
    reachable,
    type_of,
)


def test_types_read_as_the_idl_writes_them() -> None:
    """str() of a type is IDL again, with the names of structs and enums."""
    types = {field.name: str(field.type) for field in fields_of(idl().Rich)}
    assert types["tiny"] == "i8" and types["blob"] == "binary" and types["color"] == "Color"
    assert types["places"] == "map<Point, string>" and types["nested"] == "list<list<binary>>"


def test_type_of_reads_pairs_and_numbers() -> None:
    """thriftpy2 writes base types as numbers and containers as pairs."""
    assert type_of(8) == FieldType(kind=Kind.I32)
    inner = (FieldType(kind=Kind.STRING), FieldType(kind=Kind.SET, inner=(FieldType(kind=Kind.I64),)))
    assert type_of((13, (11, (14, 10)))) == FieldType(kind=Kind.MAP, inner=inner)


def test_apache_specification_has_holes_for_ids_that_are_not_used() -> None:
    """The id is the index, binary is a string on the wire, and text is named apart from it."""
    fields = (
        Field(id=2, name="text", type=FieldType(kind=Kind.STRING)),
        Field(id=4, name="blob", type=FieldType(kind=Kind.BINARY)),
    )
    text, blob = (2, 11, "text", "UTF8", None), (4, 11, "blob", "BINARY", None)
    assert ApacheSpecs().specification(fields) == (None, None, text, None, blob)
    assert ApacheSpecs(strict_text=True).specification(fields)[2] == (2, 11, "text", "BINARY", None)
    assert ApacheSpecs().specification(()) == ()


def test_apache_specification_of_a_recursive_struct_holds_itself() -> None:
    """A struct inside itself is the same list, converted once."""
    specs = ApacheSpecs()
    node = specs.of_class(idl().Node)
    assert node[0] is idl().Node and node[1][2] == (2, 15, "children", (12, node, False), None)
    assert node[1][3][3] == (11, "UTF8", 12, node, False)
    assert specs.of_class(idl().Node) is node


def test_reachable_finds_structs_however_deep() -> None:
    """Inside lists, as keys, as members of unions, and inside themselves."""
    assert set(reachable(fields_of(idl().Rich))) == {idl().Point, idl().Shape, idl().Node}
    assert set(reachable(fields_of(idl().Node))) == {idl().Node}


class Odd:
    """A class that is no usable struct."""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, "no thrift_spec"),
        ({1: (8, "no good", False)}, "cannot be used"),
        ({-40000: (8, "number", False)}, "cannot be used"),
        ({40000: (8, "number", False)}, "cannot be used"),
        ({1: (-1, "number", False)}, "never defined"),
        ({1: (15, "numbers", -1, False)}, "never defined"),
        ({1: (13, "numbers", None, False)}, "never defined"),
    ],
)
def test_fields_of_an_unusable_class_is_refused(spec: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that are no Python, ids that do not fit, and types that thriftpy2 never found."""
    monkeypatch.setattr(Odd, "thrift_spec", spec, raising=False)
    with pytest.raises(ValueError, match=message):
        fields_of(Odd)


def test_union_is_a_struct_with_a_mark() -> None:
    """thriftpy2 makes them alike, so they are marked."""
    assert is_union(idl().Shape) and not is_union(idl().Point)
    assert is_union(mark_union(type("Some", (), {})))
