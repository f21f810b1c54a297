"""Templates: what belongs where, as JSON."""

from __future__ import annotations

import shlex

from tests.jsonform.every import field, idl, type_of
from zkrpc.idl import load_text
from zkrpc.jsonform.template import command_line, template, template_of
from zkrpc.jsonform.text import dump


def test_a_template_names_the_type_of_each_field() -> None:
    """With what is required and what is there by default; maps and sets have the form that values of them have."""
    made = template(idl().S.methods["swap"])
    assert [*made] == ["value", "numbers", "top", "color"]
    assert made["numbers"] == ["<i32, required>"]
    assert made["top"] == "<i64, by default 5>"
    assert made["color"] == '<RED | BLUE | CRIMSON, by default "RED">'
    assert made["value"]["address"] == {
        "zip": "<i32, required>",
        "city": '<string, by default "Rome">',
        "lines": ['<string, by default ["a"]>'],
    }
    assert made["value"]["blob"] == "<binary in base64>"
    assert made["value"]["by_color"] == {"<RED | BLUE | CRIMSON>": "<string>"}
    assert made["value"]["by_point"] == [[{"x": "<i32>", "y": "<i32>"}, "<string>"]]
    assert made["value"]["families"] == [["<i8>"]]
    assert template(idl().S.methods["ping"]) == {}


def test_a_default_that_is_empty_is_not_told() -> None:
    """Nothing is lost by leaving it out."""
    text = "service T { void go(1: list<string> a = [], 2: map<i32, bool> b = {}, 3: i32 c = 0, 4: string d = '') }"
    assert template(load_text(text, name="empty.thrift").T.methods["go"]) == {
        "a": ["<string>"],
        "b": {"<i32>": "<bool>"},
        "c": "<i32, by default 0>",
        "d": '<string, by default "">',
    }


def test_of_a_union_one_member_is_to_be_kept() -> None:
    """Each says so."""
    assert template_of(field("chosen")) == {
        "number": "<i32, keep one of Chosen>",
        "text": "<string, keep one of Chosen>",
    }


def test_a_struct_that_holds_itself_is_shown_once() -> None:
    """Further inside only its name stands."""
    assert template_of(type_of("Node")) == {
        "label": "<string, required>",
        "children": ["<Node>"],
        "by_name": {"<string>": "<Node>"},
        "next": "<Node>",
    }


def test_a_command_line_can_be_pasted_into_a_shell() -> None:
    """With a template, or with arguments; whatever is in them, the shell takes it as it is."""
    methods = idl().S.methods
    assert command_line("s", methods["note"]) == """zkrpc call s.note '{"text": "<string>"}'"""
    assert command_line("s", methods["ping"]) == "zkrpc call s.ping"
    line = command_line("s", methods["note"], {"text": "it's $HOME `now`"})
    assert shlex.split(line) == ["zkrpc", "call", "s.note", '{"text": "it\'s $HOME `now`"}']


def test_a_template_has_a_bound() -> None:
    """Structs that hold each other many times do not make a template without end."""
    structs = "".join(
        f"struct S{level} {{ {', '.join(f'{place}: S{level + 1} f{place}' for place in range(1, 9))} }}\n"
        for level in range(12)
    )
    text = f"struct S12 {{ 1: i32 x }}\n{structs}service T {{ void go(1: S0 it) }}"
    assert len(dump(template(load_text(text, name="wide.thrift").T.methods["go"]))) < 200_000


def test_a_template_of_an_enum_is_short() -> None:
    """Of many items the first are named."""
    items = ", ".join(f"ITEM{number}" for number in range(20))
    method = load_text(f"enum E {{ {items} }} service T {{ void go(1: E it) }}", name="many.thrift").T.methods["go"]
    assert template(method)["it"].endswith("ITEM11 | 8 more>")
