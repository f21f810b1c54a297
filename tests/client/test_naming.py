"""By which names methods are called, and by which they cannot be."""

from __future__ import annotations

import pytest

from zkrpc.client.naming import PLAIN, Naming
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import ConfigError
from zkrpc.idl import load_text

AUDIT = load_text("service Audit { void log() }").Audit
LOG = AUDIT.methods["log"]
SILENT = Instance(id="a", endpoint=Endpoint("10.0.0.1", 1))
WAYS = (None, True, False)


def serving(*services: str, port: int = 1) -> Instance:
    """A member whose record names these services."""
    return Instance(id=f"m{port}", endpoint=Endpoint("10.0.0.1", port), services=services)


def listing(*instances: Instance) -> Snapshot:
    """A list of members."""
    return Snapshot(service="users", instances=instances)


@pytest.mark.parametrize("multiplexed", [None, False])
def test_methods_have_their_own_names(multiplexed: bool | None) -> None:
    """Unless somebody says something else."""
    assert Naming("Audit", multiplexed).names_at(SILENT) is None and PLAIN.names_at(SILENT) is None
    assert repr(Naming("Audit", multiplexed)) == f"<Naming Audit multiplexed={multiplexed}>"
    assert repr(PLAIN) == "<Naming * multiplexed=None>"


@pytest.mark.parametrize(("multiplexed", "wanted"), [(True, "Audit:log"), ("audit-v2", "audit-v2:log"), ("ä", "ä:log")])
def test_name_of_a_service_stands_before_a_method_s(multiplexed: bool | str, wanted: str) -> None:
    """The interface's own or another one; made once."""
    names = Naming("Audit", multiplexed).names_at(SILENT)
    assert names is not None and names[LOG] == wanted.encode() and names[LOG] is names[LOG]
    assert repr(names) == f"<Names {wanted.removesuffix(':log')}>"


@pytest.mark.parametrize("multiplexed", ["", "a:b", "a\n", "x" * 129, "\x00", 7, ["Audit"], b"Audit"])
def test_what_is_no_service_s_name_is_refused(multiplexed: object) -> None:
    """When the client is made, and not by each server."""
    with pytest.raises(ConfigError, match="^multiplexed"):
        Naming("Audit", multiplexed)  # type: ignore[arg-type]  # the mistake to be explained


def test_control_messages_are_no_service_s() -> None:
    """A server would take a oneway call for one of them."""
    for naming in (("Audit", "zkrpc"), ("zkrpc", True)):
        with pytest.raises(ConfigError, match="multiplex by another name"):
            Naming(*naming)
    assert Naming("zkrpc").names_at(SILENT) is None


def test_names_follow_the_record_unless_somebody_says_otherwise() -> None:
    """The default service of a port is called by plain names, as ever; others by theirs."""
    default, beside = serving("Audit", "Users"), serving("Users", "Audit")
    naming = Naming("Audit")
    names = naming.names_at(beside)
    assert names is not None and names[LOG] == b"Audit:log" and naming.names_at(beside) is names
    assert naming.names_at(default) is naming.names_at(SILENT) is naming.names_at(serving("Users")) is None
    assert [Naming("Audit", False).names_at(one) for one in (default, beside, SILENT)] == [None] * 3
    always = Naming("Audit", True)
    assert all(always.names_at(one) is not None for one in (default, beside, SILENT))
    assert PLAIN.names_at(beside) is None


def test_members_that_serve_something_else_are_not_called() -> None:
    """As far as their records say what they serve; with False, whoever serves what."""
    members = silent, fitting, other = SILENT, serving("Users", "Audit", port=2), serving("Users", "Base", port=3)
    assert [[Naming("Audit", way).fits(one) for one in members] for way in WAYS] == [[True, True, False]] * 2 + [
        [True] * 3
    ]
    narrowed, others = Naming("Audit").narrow(listing(*members))
    assert (narrowed.instances, narrowed.service, others) == ((silent, fitting), "users", (other,))
    whole = listing(silent, fitting)
    assert Naming("Audit").narrow(whole) == (whole, ()) and Naming("Audit").narrow(whole)[0] is whole
    for anybody in (Naming("Audit", False), PLAIN):
        assert anybody.narrow(listing(*members)) == (listing(*members), ())


def test_name_in_the_registry_is_one_that_its_members_know() -> None:
    """zkrpc's servers take it for their default service; a name that nobody has said is another matter."""
    other = serving("Users")
    assert Naming("Users", "users").narrow(listing(other)) == (listing(other), ())
    assert Naming("Users", "audit").narrow(listing(other))[1] == (other,)
    assert not Naming("users").fits(other, "users")


def test_errors_say_what_is_served_instead() -> None:
    """Of one, and of all together; what records say is cut and made legible."""
    one, two = serving("Users", "Base"), serving("Users\n", "x" * 500, port=2)
    naming = Naming("Audit")
    assert naming.obstacle(one) == "it serves Users, Base, and not Audit"
    assert naming.absence("users", [one]) == (
        "the only instance of 'users' does not serve Audit: it serves Users, Base; "
        "connect(..., multiplexed=False) would call it all the same"
    )
    assert naming.absence("users", [one, one]).startswith(
        "none of the 2 instances of 'users' serves Audit: they serve Users, Base; connect("
    )
    assert "\n" not in naming.absence("users", [one, two]) and len(naming.absence("users", [one, two])) < 400


def test_labels_are_the_names_that_records_may_have() -> None:
    """Of methods that only a primary serves."""
    assert Naming("Audit").labels("log") == ("log", "Audit:log")
