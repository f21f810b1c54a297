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
    bare_of,
    fields_of,
    has_negative_ids,
    holds_uuids,
    is_union,
    mark_bare,
    mark_refused,
    mark_union,
    reachable,
    refusal_of,
    type_of,
)
from zkrpc.errors import IdlError


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


def test_class_that_is_refused_says_why_and_so_does_what_holds_it() -> None:
    """Asked again and again it is the same error, which does not gather the places where it was raised."""
    refused = type("Refused", (), {"thrift_spec": {1: (8, "x", False)}})
    holder = type("Holder", (), {"thrift_spec": {1: (15, "all", (12, refused), False)}})
    assert refusal_of(refused) is None and len(fields_of(refused)) == 1
    reason = IdlError("some.thrift:1: no")
    mark_refused(refused, reason)
    depths = set()
    for ask in (lambda: fields_of(refused), lambda: reachable(fields_of(holder)), lambda: fields_of(refused)):
        with pytest.raises(IdlError) as caught:
            ask()
        assert caught.value is reason is refusal_of(refused)
        depths.add(len(caught.traceback))
    assert max(depths) <= 4
    with pytest.raises(IdlError, match="some.thrift:1: no"):
        ApacheSpecs().of_class(holder)


def test_union_with_a_default_is_decoded_into_its_bare_class() -> None:
    """The C module makes an object of it wherever the union is; other structs are their own."""
    union = mark_union(type("Some", (), {"thrift_spec": {1: (8, "x", False)}}))
    holder = type("Holder", (), {"thrift_spec": {1: (12, "some", union, False)}})
    assert bare_of(union) is union
    bare = type("Some", (union,), {})
    mark_bare(union, bare)
    assert bare_of(union) is bare_of(bare) is bare and is_union(bare) and bare_of(holder) is holder
    specs = ApacheSpecs()
    assert specs.of_class(holder)[1][1][3] is specs.of_class(union) and specs.of_class(union)[0] is bare


class Interrupted(ApacheSpecs):
    """Specifications whose making is broken off after ``left`` structs."""

    left = 1

    def _written(self, fields: tuple[Field, ...]) -> tuple[Any, ...]:
        self.left -= 1
        if self.left < 0:
            raise RecursionError
        return super()._written(fields)


@pytest.mark.parametrize("left", range(4))
def test_conversion_that_was_broken_off_leaves_nothing_half_made(left: int) -> None:
    """The C module believes what it finds; what was whole before stays, and the next attempt begins anew."""
    specs = Interrupted()
    node = specs.of_class(idl().Node)
    specs.left = left
    if left < 3:
        with pytest.raises(RecursionError):
            specs.of_class(idl().Rich)
        specs.left = 3
    rich, whole = (some.of_class(idl().Rich) for some in (specs, ApacheSpecs()))
    assert repr(rich) == repr(whole) and specs.left == 0
    assert specs.of_class(idl().Node) is node is rich[1][12][3]


def test_fields_of_negative_ids_stand_behind_all_others() -> None:
    """They are written, and never found by an id as the index."""
    fields = tuple(
        Field(id=number, name=name, type=FieldType(kind=Kind.I32)) for number, name in ((-1, "a"), (1, "b"), (-2, "c"))
    )
    a, b, c = (-1, 8, "a", None, None), (1, 8, "b", None, None), (-2, 8, "c", None, None)
    assert ApacheSpecs().specification(fields) == (None, b, a, c)
    assert ApacheSpecs().specification(fields[:1]) == (a,)
    assert has_negative_ids(fields) and not has_negative_ids(fields[1:2])
    deep = type("Deep", (), {"thrift_spec": {-1: (8, "x", False)}})
    inside = FieldType(kind=Kind.LIST, inner=(FieldType(kind=Kind.STRUCT, cls=deep),))
    assert has_negative_ids((Field(id=1, name="deep", type=inside),))


def test_uuids_are_found_however_deep() -> None:
    """In a map in a list in a struct."""
    uuid = FieldType(kind=Kind.UUID)
    inside = FieldType(kind=Kind.LIST, inner=(FieldType(kind=Kind.MAP, inner=(FieldType(kind=Kind.I8), uuid)),))
    assert holds_uuids((Field(id=1, name="a", type=inside),)) and not holds_uuids(fields_of(idl().Rich))
    deep = type("Deep", (), {"thrift_spec": {1: (16, "x", False)}})
    assert holds_uuids((Field(id=1, name="deep", type=FieldType(kind=Kind.STRUCT, cls=deep)),))
