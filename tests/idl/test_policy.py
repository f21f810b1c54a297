"""Annotations of functions, and of fields."""

from __future__ import annotations

import pytest

from zkrpc.errors import IdlError
from zkrpc.idl import load_text
from zkrpc.idl.outline import Annotation
from zkrpc.idl.policy import MethodPolicy, is_masked, masked_fields, policy_of


def annotations(**values: str | None) -> list[Annotation]:
    """One annotation per line, each named ``zkrpc.``."""
    return [
        Annotation(name=f"zkrpc.{name}", value=value, line=line) for line, (name, value) in enumerate(values.items(), 1)
    ]


def test_policy_is_read() -> None:
    """Milliseconds become seconds."""
    found = annotations(idempotent="true", timeout_ms="1500", primary="false", hedge_ms="20")
    assert policy_of(found, "f") == MethodPolicy(idempotent=True, timeout=1.5, primary=False, hedge=0.02)


def test_hedge_may_be_a_percentile() -> None:
    """It stays the text it is: which time it means, only the calls themselves will tell."""
    assert policy_of(annotations(idempotent="true", hedge_ms="p95"), "f").hedge == "p95"


def test_list_of_those_who_may_call_is_patterns_with_commas_between() -> None:
    """Each once; spaces do not matter, as long lists are written in several lines."""
    found = annotations(allow="spiffe://prod/ns/*/sa/web,\n  cn:nightly report, cn:nightly report")
    assert policy_of(found, "f").allow == ("spiffe://prod/ns/*/sa/web", "cn:nightly report")


def test_policy_has_defaults_and_leaves_others_alone() -> None:
    """Annotations of other tools are none of our business."""
    assert policy_of([Annotation(name="java.final", value="x", line=1)], "f") == MethodPolicy()


@pytest.mark.parametrize(
    ("values", "line", "message"),
    [
        ({"idempotent": "yes"}, 1, 'zkrpc.idempotent must be "true" or "false", got \'yes\''),
        ({"idempotent": None}, 1, 'must be "true" or "false", got None'),
        ({"primary": "True"}, 1, "zkrpc.primary must be"),
        ({"primary": "true", "timeout_ms": "0"}, 2, "zkrpc.timeout_ms must be a whole number of milliseconds"),
        ({"timeout_ms": "1.5"}, 1, "from 1 to 86400000, got '1.5'"),
        ({"timeout_ms": "-1"}, 1, "got '-1'"),
        ({"timeout_ms": None}, 1, "got None"),
        ({"timeout_ms": "99999999999999"}, 1, "from 1 to 86400000"),
        ({"timeout_ms": "\u0665"}, 1, "whole number"),
        ({"allow": ""}, 1, "zkrpc.allow: a pattern of an allow-list is a SPIFFE ID"),
        ({"allow": None}, 1, "zkrpc.allow: a pattern of an allow-list is a SPIFFE ID"),
        ({"primary": "true", "allow": "cn:a,, cn:b"}, 2, "zkrpc.allow: a pattern of an allow-list is"),
        ({"allow": "spiffe://*/web"}, 1, "zkrpc.allow: after spiffe:// there is a trust domain"),
        (
            {"idempotent": "false", "hedge_ms": "5"},
            2,
            "zkrpc.hedge_ms sends a call twice, so it needs zkrpc.idempotent",
        ),
        (
            {"idempotent": "false", "hedge_ms": "p95"},
            2,
            "zkrpc.hedge_ms sends a call twice, so it needs zkrpc.idempotent",
        ),
        (
            {"idempotent": "true", "hedge_ms": "p5"},
            2,
            'whole number of milliseconds from 1 to 86400000 or a percentile "p50" to "p99", got \'p5\'',
        ),
        ({"idempotent": "true", "hedge_ms": None}, 2, "zkrpc.hedge_ms must be a whole number .*, got None"),
        ({"timeout_ms": "p95"}, 1, "from 1 to 86400000, got 'p95'"),
        ({"hedge": "5"}, 1, "unknown annotation zkrpc.hedge, expected one of zkrpc.idempotent, zkrpc.timeout_ms"),
    ],
)
def test_bad_policy_is_an_error_with_its_line(values: dict[str, str | None], line: int, message: str) -> None:
    """Nothing is overlooked or guessed."""
    with pytest.raises(IdlError, match=message) as caught:
        policy_of(annotations(**values), "users.thrift")
    assert str(caught.value).startswith(f"users.thrift:{line}: ")


def test_policy_given_twice_is_an_error() -> None:
    """thriftpy2 would take the last."""
    with pytest.raises(IdlError, match="f:1: zkrpc.primary is given twice"):
        policy_of(annotations(primary="true") * 2, "f")


def test_field_is_masked_if_it_says_so() -> None:
    """What other tools say of it is none of our business."""
    other = Annotation(name="java.final", value="x", line=1)
    assert is_masked([other, *annotations(masked="true")], "f") is True
    assert is_masked([other], "f") is is_masked(annotations(masked="false"), "f") is False


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (annotations(masked="yes"), 'f:1: zkrpc.masked must be "true" or "false", got \'yes\''),
        (annotations(masked=None), 'zkrpc.masked must be "true" or "false", got None'),
        (annotations(masked="true") * 2, "f:1: zkrpc.masked is given twice"),
        (
            annotations(mask="true"),
            "f:1: zkrpc.mask belongs behind a function; behind a field there may be zkrpc.masked",
        ),
    ],
)
def test_bad_mark_of_a_field_is_an_error_with_its_line(found: list[Annotation], message: str) -> None:
    """As what it was to hide would be seen."""
    with pytest.raises(IdlError, match=message):
        is_masked(found, "f")


def test_masked_fields_are_known_of_a_class() -> None:
    """Also of an exception; a class of somebody else's masks nothing."""
    loaded = load_text(
        'exception E { 1: string a (zkrpc.masked = "true"), 2: string b (zkrpc.masked = "false"), 3: i32 c }'
    )
    assert masked_fields(loaded.E) == {"a"} and masked_fields(object) == frozenset()
