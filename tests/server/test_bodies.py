"""What may be shown of a server's calls: each one who has a say takes something away."""

from __future__ import annotations

import pytest

from zkrpc.errors import ConfigError
from zkrpc.idl import Interface, load_text
from zkrpc.server.bodies import Bodies, maskable

IDL = """
struct Card { 1: string number (zkrpc.masked = "true"), 2: string owner }
union Means { 1: Card card, 2: string iban (zkrpc.masked = "true"), 3: i64 cash }
exception Refused { 1: string why, 2: Card card }
struct Account { 1: i64 id, 2: list<Means> means, 3: string email, 4: map<string, Card> by_name }
service Bank {
  Account open(1: string owner, 2: string pin (zkrpc.masked = "true", note = "x"), 3: list<Means> means)
    throws (1: Refused refused),
  string token(1: i64 id),
  void close(1: i64 id),
  void odd(1: map<map<i32, i32>, i32> odd),
}
"""


def idl() -> Interface:
    """The interface."""
    found = load_text(IDL, name="bank.thrift").Bank
    assert isinstance(found, Interface)
    return found


def test_nothing_is_shown_unless_the_service_says_so() -> None:
    """By the names of methods."""
    assert not Bodies(idl()).allows("open")
    refusal = Bodies(idl()).refusal("")
    assert refusal is not None and refusal.startswith("the service does not allow bodies of any method to be shown")
    some = Bodies(idl(), ["open"])
    assert some.allows("open") and not some.allows("token") and some.refusal("open") is some.refusal("") is None
    assert "bodies of token" in str(some.refusal("token")) and repr(some) == "<Bodies open>"


def test_operators_switch_it_off_and_not_on() -> None:
    """Until they are heard, nothing is shown."""
    bodies = Bodies(idl(), ["open"])
    bodies.withhold("not known yet")
    assert not bodies.allows("open") and bodies.refusal("open") == "bodies are not shown: not known yet"
    versions = {bodies.version}
    bodies.narrow(True, ())
    assert bodies.allows("open") and not bodies.allows("token")
    versions.add(bodies.version)
    bodies.narrow(False, ())
    assert not bodies.allows("open") and "config in ZooKeeper switches it off" in str(bodies.refusal("open"))
    assert len(versions | {bodies.version}) == 3 and "withheld" in repr(bodies)


def test_idl_masks_fields_parameters_members_and_what_is_in_exceptions() -> None:
    """Wherever they are."""
    names = load_text(IDL, name="bank.thrift")
    bodies = Bodies(idl(), ["open"])
    means = [names.Means(card=names.Card(number="4711", owner="Ada")), names.Means(iban="DE1"), names.Means(cash=5)]
    assert bodies.arguments("open", ("Ada", "1234", means)).text == (
        '{"owner": "Ada", "pin": "<masked>", '
        '"means": [{"card": {"number": "<masked>", "owner": "Ada"}}, {"iban": "<masked>"}, {"cash": 5}]}'
    )
    account = names.Account(id=7, means=[], email="a@b", by_name={"Ada": names.Card(number="4711")})
    shown = bodies.result("open", account)
    assert shown is not None and shown.text == (
        '{"id": 7, "means": [], "email": "a@b", "by_name": {"Ada": {"number": "<masked>"}}}'
    )
    raised = bodies.exception("open", names.Refused(why="no", card=names.Card(number="4711")))
    assert raised is not None and raised.text == (
        '{"type": "Refused", "value": {"why": "no", "card": {"number": "<masked>"}}}'
    )
    assert bodies.exception("open", ValueError("secret")) is bodies.exception("close", KeyboardInterrupt()) is None


def test_service_and_operators_mask_by_names() -> None:
    """A field wherever it is, a struct's, a parameter, a result."""
    names = load_text(IDL, name="bank.thrift")
    bodies = Bodies(idl(), ["open", "token", "close"], ["owner", "Account.email", "token.result"])
    assert bodies.arguments("open", ("Ada", None, None)).text == '{"owner": "<masked>"}'
    account = names.Account(email="a@b", by_name={"x": names.Card(owner="Ada")})
    shown = bodies.result("open", account)
    assert shown is not None and shown.text == '{"email": "<masked>", "by_name": {"x": {"owner": "<masked>"}}}'
    secret, nothing = bodies.result("token", "s3cret"), bodies.result("token", None)
    assert secret is not None and secret.text == '"<masked>"' and nothing is not None and nothing.text == "null"
    assert bodies.result("close", None) is None and bodies.arguments("close", (7,)).text == '{"id": 7}'
    bodies.narrow(True, ["close.id", "by_name"])
    assert bodies.arguments("close", (7,)).text == '{"id": "<masked>"}'
    shown = bodies.result("open", account)
    assert shown is not None and shown.text == '{"email": "<masked>", "by_name": "<masked>"}'
    bodies.narrow(True, [])
    assert bodies.arguments("close", (7,)).text == '{"id": 7}'


@pytest.mark.parametrize(
    ("allowed", "masked", "complaint"),
    [
        (["opne"], [], "tap_bodies has 'opne', which is not in the IDL; did you mean open"),
        (["open"], ["Acount.email"], "tap_masked has 'Acount.email', which is not in the IDL; did you mean Account.em"),
        (["open"], ["zzz"], "which is not in the IDL; there are Account.by_name, "),
        ("open", [], "tap_bodies must be a list of names, got 'open'"),
        ([5], [], "tap_bodies must be a list of names"),
    ],
)
def test_name_that_stands_for_nothing_is_refused(allowed: list[str], masked: list[str], complaint: str) -> None:
    """As what it was to hide would be seen."""
    with pytest.raises(ConfigError, match=complaint):
        Bodies(idl(), allowed, masked)


def test_every_name_in_the_calls_may_be_masked() -> None:
    """Of methods that Python can call."""
    known = maskable(idl())
    assert {"pin", "open.pin", "Card.number", "iban", "Refused.why", "token.result", "open.result"} <= known
    assert not {"odd", "close.result"} & known
