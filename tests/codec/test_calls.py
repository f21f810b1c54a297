"""Arguments and results of methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from tests.codec.both import compiled_shapes
from tests.codec.rich import idl, riches
from zkrpc.codec import ArgumentsCodec, Payload, ResultCodec, calls
from zkrpc.codec.shape import Field, fields_of, type_of
from zkrpc.errors import RemoteProtocolError
from zkrpc.idl import load_text

Rich, Point, Node, Oops = (getattr(idl(), name) for name in ("Rich", "Point", "Node", "Oops"))


def fields(**types: Any) -> list[Field]:
    """Optional fields of these types, numbered from 1."""
    return [Field(id=number, name=name, type=type_of(raw)) for number, (name, raw) in enumerate(types.items(), 1)]


ECHO = ArgumentsCodec("S.echo", fields(text=11), {})
ADD = ArgumentsCodec("S.add", fields(key=11, amount=8, tags=(15, 11)), {"amount": 5, "tags": ["new"], "key": None})
PING = ArgumentsCodec("S.ping", [], {})
FULL = ArgumentsCodec("S.full", [Field(id=3, name="value", type=type_of((12, Rich)), required=True)], {})


@pytest.mark.parametrize(
    ("codec", "args", "kwargs", "message"),
    [
        (ECHO, (), {}, r"S.echo\(\) missing 1 required positional argument: 'text'"),
        (ECHO, ("a", "b"), {}, r"S.echo\(\) takes 1 positional argument but 2 were given"),
        (ECHO, ("a",), {"text": "b"}, r"S.echo\(\) got multiple values for argument 'text'"),
        (ECHO, (), {"txt": "b"}, r"S.echo\(\) got an unexpected keyword argument 'txt'"),
        (ECHO, (b"bytes",), {}, r"S.echo\(\) argument 'text' must be a str, got b'bytes'"),
        (ADD, ("a", 1.5), {}, r"S.add\(\) argument 'amount' must be an i32, got 1.5"),
        (ADD, ("a", 1 << 31), {}, r"S.add\(\) argument 'amount' must be an i32"),
        (ADD, ("a", 1, "tags"), {}, r"S.add\(\) argument 'tags' must be a list or tuple"),
        (ADD, ("a", 1, [5]), {}, r"S.add\(\) argument 'tags'\[\] must be a str, got 5"),
        (PING, (1,), {}, r"S.ping\(\) takes 0 positional arguments but 1 was given"),
        (FULL, (None,), {}, r"S.full\(\) argument 'value' is required and cannot be None"),
        (FULL, ({"normal": 1},), {}, r"S.full\(\) argument 'value' must be a Rich, got {'normal': 1}"),
        (FULL, (Point(1, 2),), {}, r"S.full\(\) argument 'value' must be a Rich, got Point"),
        (FULL, (Rich(tree=Node()),), {}, "Node.label is required"),
    ],
)
def test_bind_refuses_what_does_not_fit(
    codec: ArgumentsCodec, args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    """Before anything is sent, in Python's own words where the mistake is Python's."""
    with pytest.raises(TypeError, match=message):
        codec.bind(args, kwargs)


def test_bind_takes_arguments_as_python_does() -> None:
    """By place, by name, and with defaults where nothing or None is given."""
    expected = ("k", 5, ["new"])
    for args, kwargs in ((("k",), {}), ((), {"key": "k"}), (("k", None, None), {}), (("k",), {"amount": 5})):
        assert ADD.decode(ADD.encode(ADD.bind(args, kwargs)), 0) == expected
    assert ADD.bind(("k", 6), {}) != ADD.bind(("k",), {}) == ADD.bind((), {"key": "k"})
    assert repr(ADD.bind(("k",), {})) == "S.add.arguments(key='k', tags=['new'])"


def test_parameter_without_default_may_follow_one_with() -> None:
    """Thrift allows it; it must be given all the same."""
    codec = ArgumentsCodec("S.odd", fields(first=8, second=11), {"first": 1})
    assert codec.decode(codec.encode(codec.bind((), {"second": "x"})), 0) == (1, "x")
    for args in ((), (5,)):
        with pytest.raises(TypeError, match=r"S.odd\(\) missing a required argument: 'second'"):
            codec.bind(args, {})


def test_parameter_may_have_any_name() -> None:
    """Names of builtins, and names that the generated code uses itself."""
    codec = ArgumentsCodec(
        "S.f", fields(it=11, type=11, isinstance=(15, 11), str=11, args=8, bag=2, read=11, a1=11), {}
    )
    values = ("a", "b", ["c"], "d", 5, True, "e", "f")
    assert codec.decode(codec.encode(codec.bind(values, {})), 0) == values
    with pytest.raises(TypeError, match="argument 'type' must be a str"):
        codec.bind(("a", 1, *values[2:]), {})


def test_none_is_not_sent() -> None:
    """An argument that is None is left out, and comes as None."""
    assert ECHO.encode(ECHO.bind((None,), {})) == b"\0"
    assert ECHO.decode(b"\0", 0) == (None,)


@pytest.mark.parametrize("codec", [ECHO, ADD, FULL])
def test_bytes_that_checking_has_made_are_those_of_the_arguments(codec: ArgumentsCodec) -> None:
    """Where it has made any, for arguments by place and by name, with defaults, or left out."""
    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = {
        ECHO: [(("text",), {}), ((), {"text": "text"}), ((None,), {})],
        ADD: [(("k", 6, ["a"]), {}), (("k",), {}), (("k",), {"tags": ("b",)}), ((None,) * 3, {})],
        FULL: [((Rich(numbers=[1]),), {})],
    }[codec]
    for args, kwargs in given:
        bag, body = codec.pack(args, kwargs)
        assert bag == codec.bind(args, kwargs)
        assert body in (None, codec.encode(bag))
        if codec.attempt_pack is not None:
            assert body is not None and (kwargs or codec.attempt_pack(args) in (None, (bag, body)))


def test_defaults_are_fresh_for_each_call() -> None:
    """What one handler does to its default is not seen by the next, on either side."""
    body = b"\x0b\0\1\0\0\0\1k\0"
    ADD.decode(body, 0)[2].append("mine")
    assert ADD.decode(body, 0) == ("k", 5, ["new"])
    ADD.bind(("k",), {}).tags.append("mine")
    assert ADD.bind(("k",), {}).tags == ["new"]


def test_required_argument_that_did_not_come_is_the_peers_mistake() -> None:
    """The server refuses the call without asking the handler."""
    with pytest.raises(RemoteProtocolError, match="S.full.value is required and did not come"):
        FULL.decode(b"\0", 0)


def test_numbers_deep_inside_are_found_when_encoding() -> None:
    """Binding does not look at every number of a list; the C module does, and the field is named then."""
    bound = FULL.bind((Rich(numbers=[1, 2.5]),), {})
    with pytest.raises(TypeError, match=r"Rich.numbers\[\] must be an i32, got 2.5"):
        FULL.encode(bound)


@settings(max_examples=40, deadline=None)
@given(riches())
def test_arguments_and_results_come_back(value: Any) -> None:
    """Any struct, in both encodings, at any offset."""
    result = ResultCodec("S.full", type_of((12, Rich)), [])
    for payload in Payload:
        assert FULL.decode(b"xy" + FULL.encode(FULL.bind((value,), {}), payload), 2, payload) == (value,)
        assert result.read(b"xy" + result.encode_value(value, payload), 2, payload) == value


def test_method_without_parameters_still_reads_unknown_ones() -> None:
    """A newer caller may send more than we know."""
    assert PING.encode(PING.bind((), {})) == b"\0"
    assert PING.decode(b"xx\0", 2) == PING.decode(b"\x08\0\1\0\0\0\1\0", 0) == ()
    with pytest.raises(RemoteProtocolError):
        PING.decode(b"xx", 2)


def exceptions(*classes: type) -> Sequence[Field]:
    """Exceptions, declared from 1 on."""
    return fields(**{f"e{number}": (12, cls) for number, cls in enumerate(classes)})


TEXT = ResultCodec("S.echo", type_of(11), exceptions(Oops))
VOID = ResultCodec("S.ping", None, exceptions(Oops))
PLAIN = ResultCodec("S.done", None, [])


@pytest.mark.parametrize("value", ["", "text", "é"])
def test_value_comes_back(value: str) -> None:
    """Empty ones too."""
    assert TEXT.read(TEXT.encode_value(value), 0) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (2, False),
        (8, 0),
        (4, 0.0),
        (11, ""),
        (18, b""),
        ((15, 8), []),
        ((14, 8), set()),
        ((13, (8, 8)), {}),
    ],
)
def test_falsy_values_are_values(raw: Any, value: Any) -> None:
    """False, 0, and empty things are answers."""
    codec = ResultCodec("S.f", type_of(raw), [])
    for payload in Payload:
        came = codec.read(codec.encode_value(value, payload), 0, payload)
        assert came == value and type(came) is type(value)


@pytest.mark.parametrize(
    ("codec", "value", "message"),
    [
        (TEXT, None, r"S.echo\(\) returned None and must return string"),
        (TEXT, 5, r"the result of S.echo\(\) must be a str, got 5"),
        (TEXT, "\ud800", r"the result of S.echo\(\) must be text without surrogates"),
        (ResultCodec("S.n", type_of(8), []), 1.5, r"the result of S.n\(\) must be an i32, got 1.5"),
        (ResultCodec("S.n", type_of((15, 8)), []), [1, None], r"the result of S.n\(\)\[\] must be an i32, got None"),
        (ResultCodec("S.n", type_of((12, Node)), []), Node(), "Node.label is required"),
        (ResultCodec("S.n", type_of((12, Node)), []), Oops("x"), r"the result of S.n\(\) must be a Node"),
    ],
)
def test_result_that_does_not_fit_is_a_type_error(codec: ResultCodec, value: Any, message: str) -> None:
    """The handler's mistake, named for its log."""
    with pytest.raises(TypeError, match=message):
        codec.encode_value(value)


def test_void_has_no_value() -> None:
    """Whatever the handler returned; what an old or newer peer put there is skipped."""
    for codec in (VOID, PLAIN):
        assert codec.encode_value("dropped") == codec.encode_value(None, Payload.COMPACT) == b"\0"
        assert codec.read(b"xx\0", 2) is None
        assert codec.read(b"\x08\0\0\0\0\0\1\0", 0) is None


def test_declared_exception_is_raised_as_itself() -> None:
    """With its fields, its defaults, and in both encodings."""
    for payload in Payload:
        for codec in (TEXT, VOID):
            body = codec.encode_exception(Oops("why"), payload)
            assert body is not None
            with pytest.raises(Oops) as caught:
                codec.read(body, 0, payload)
            assert caught.value.why == "why" and caught.value.code == 5


def test_undeclared_exception_has_no_bytes() -> None:
    """The server has other words for it."""
    assert TEXT.encode_exception(ValueError()) is None and PLAIN.encode_exception(Oops("x")) is None


def test_most_specific_declared_exception_wins() -> None:
    """Whatever the order of declaration; a subclass of the program's own goes as its parent."""
    worse = type("Worse", (Oops,), {})
    codec = ResultCodec("S.f", None, exceptions(Oops, worse))
    for raised, expected in ((worse("a"), worse), (Oops("a"), Oops), (type("Mine", (Oops,), {})("a"), Oops)):
        body = codec.encode_exception(raised)
        assert body is not None
        with pytest.raises(Oops) as caught:
            codec.read(body, 0)
        assert type(caught.value) is expected


def test_each_declared_exception_is_checked_as_what_it_is() -> None:
    """What one of them requires is not asked of another, nor is its text looked for there."""
    text = "exception A { 1: required string a } exception B { 1: required i64 b, 2: string why }"
    file = load_text(f"{text} service S {{ void f() throws (1: A a, 2: B b) }}")
    method = file.S.methods["f"]
    for payload in Payload:
        for raised in (file.A(a="\u00e9"), file.B(b=1, why="\u00e9"), file.B(b=1)):
            body = method.encode_exception(raised, payload)
            with pytest.raises(type(raised)) as caught:
                method.read_result(body, 0, payload)
            assert repr(caught.value) == repr(raised)


def test_exception_that_does_not_fit_is_a_type_error() -> None:
    """The handler raised it wrongly made."""
    with pytest.raises(TypeError, match="Oops.why is required"):
        TEXT.encode_exception(Oops())
    with pytest.raises(TypeError, match="Oops.code must be an i32"):
        TEXT.encode_exception(Oops("x", "five"))


def test_reply_without_result_is_a_protocol_error() -> None:
    """Neither value nor exception: a newer exception that we do not know, or a broken server."""
    for body in (b"\0", b"\x0c\0\x09\0\0"):
        with pytest.raises(RemoteProtocolError, match=r"the reply to S.echo\(\) holds no result"):
            TEXT.read(body, 0)
    with pytest.raises(RemoteProtocolError, match="Oops.why is required and did not come"):
        TEXT.read(b"\x0c\0\1\0\0", 0)


def test_struct_default_of_a_parameter_is_fresh() -> None:
    """Structs can be defaults, and can change."""
    some = load_text("struct P { 1: i32 x } service S { void f(1: P p = {'x': 3}) }").S.methods["f"]
    (first,) = some.decode_arguments(b"\0", 0)
    first.x = 9
    assert some.decode_arguments(b"\0", 0)[0].x == 3
    assert fields_of(type(first))[0].name == "x"


@pytest.mark.parametrize("payload", Payload)
def test_compiled_part_is_tried_first(payload: Payload, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it does not take is done, or refused, in the usual way."""
    monkeypatch.setattr(calls, "SHAPES", compiled_shapes())
    add = ArgumentsCodec("S.add", fields(key=11, amount=8, tags=(15, 11)), {"amount": 5, "tags": ["new"]})
    for args in (("k", 1, ["t"]), ("\u00e9", None, None), (None, 7, type("Mine", (list,), {})(["a"]))):
        body = add.encode(add.bind(args, {}), payload)
        assert body == ADD.encode(ADD.bind(args, {}), payload)
        assert add.decode(body, 0, payload) == ADD.decode(body, 0, payload)
    text = ResultCodec("S.echo", type_of((15, 11)), exceptions(Oops))
    for value in (["a", "\u00e9"], ("t",), type("Mine", (list,), {})(["a"])):
        assert text.read(text.encode_value(value, payload), 0, payload) == list(value)
    for wrong in ([1], "a", ["\ud800"]):
        with pytest.raises(TypeError, match="the result of S.echo"):
            text.encode_value(wrong, payload)
    body = text.encode_exception(Oops("why"), payload) or b""
    with pytest.raises(Oops, match="why"):
        text.read(body, 0, payload)
    with pytest.raises(TypeError, match="Oops.why is required"):
        text.encode_exception(Oops(), payload)
    for read in (add.decode, text.read):
        with pytest.raises(RemoteProtocolError):
            read(body[:-1], 0, payload)
