"""What the machine of the way to one endpoint orders, story by story."""

from __future__ import annotations

from tests.support.transcript import Transcript
from zkrpc.client.connectivity import ConnectivityMachine, Report
from zkrpc.policies.backoff import Backoff


def story(intent: str, *, asks: bool = True) -> Transcript:
    """A machine that has not been told anything. Its pauses are 0.05 s, 0.1 s, 0.2 s, 0.4 s and then 0.5 s."""
    backoff = Backoff(first=0.1, longest=1.0)
    return Transcript(ConnectivityMachine(backoff, asks=asks, rng=lambda: 0.5), intent, show=_show)


def _show(value: object) -> str:
    if not isinstance(value, Report):
        return repr(value)
    changed = value.was is not value.standing
    return f"Report({value.standing.name}{f', was {value.was.name}' if changed else ''})"


def test_first_dial() -> None:
    """Two calls, one dial."""
    told = story("Two calls find no connection. One dial serves both; when the connection ends, the next call dials.")
    told.tell("connect", 0.0)
    told.tell("connect", 0.01)
    told.tell("receive_connected", 0.02)
    told.tell("receive_closed", 9.0, silent=False, connected=False)
    told.tell("connect", 10.0)
    told.tell("receive_connected", 10.01)
    told.check("connectivity/first_dial")


def test_refused_and_backed_off() -> None:
    """And again, with longer pauses, until a proof."""
    told = story(
        "A dial is refused. Calls fail at once from then on, and the endpoint is dialled until it answers a ping."
    )
    told.tell("connect", 0.0)
    told.tell("receive_refused", "Connection refused", 0.01)
    told.tell("connect", 0.02)
    told.tell("handle_timer", 0.07)
    told.tell("receive_refused", "Connection refused", 0.08)
    told.tell("handle_timer", 0.19)
    told.tell("receive_refused", "it accepts connections and gives no sign of life", 1.2)
    told.tell("handle_timer", 1.4)
    told.tell("receive_connected", 1.41)
    told.tell("receive_closed", 2.0, silent=False, connected=False)
    told.tell("connect", 2.0)
    told.tell("receive_refused", "Connection refused", 2.01)
    told.check("connectivity/refused_and_backed_off")


def test_silent_and_proved_alive() -> None:
    """First only late, then mute to the end, then back."""
    told = story(
        "A connection is silent and then heard; silent again, and given up. A ping proves that the server is back."
    )
    told.tell("connect", 0.0)
    told.tell("receive_connected", 0.01)
    told.tell("receive_silent", 5.0)
    told.tell("receive_heard", 6.0)
    told.tell("receive_silent", 20.0)
    told.tell("receive_silent", 22.0)
    told.tell("receive_closed", 30.0, silent=True, connected=False)
    told.tell("connect", 30.01)
    told.tell("handle_timer", 30.05)
    told.tell("receive_refused", "it accepts connections and gives no sign of life", 31.05)
    told.tell("handle_timer", 31.16)
    told.tell("receive_connected", 31.2)
    told.check("connectivity/silent_and_proved_alive")


def test_mute_server_that_cannot_be_asked() -> None:
    """Others are preferred, longer each time."""
    told = story(
        "A server that is not zkrpc's takes a call and sends no byte. It cannot be asked, only left alone.", asks=False
    )
    told.tell("connect", 0.0)
    told.tell("receive_connected", 0.01)
    told.tell("receive_silent", 8.0)
    told.tell("receive_closed", 8.0, silent=True, connected=False)
    told.tell("handle_timer", 10.0)
    told.tell("connect", 11.0)
    told.tell("receive_connected", 11.01)
    told.tell("receive_silent", 19.0)
    told.tell("receive_closed", 19.0, silent=True, connected=False)
    told.tell("connect", 20.0)
    told.tell("receive_connected", 20.01)
    told.check("connectivity/mute_and_left_alone")


def test_draining_and_replaced() -> None:
    """By a call in need, and after a rest."""
    told = story("The server drains its connection. Others are preferred for a while; a call that has none dials anew.")
    told.tell("connect", 0.0)
    told.tell("receive_connected", 0.01)
    told.tell("receive_draining", 60.0)
    told.tell("receive_closed", 60.2, silent=False, connected=False)
    told.tell("connect", 60.3)
    told.tell("receive_connected", 60.31)
    told.tell("receive_draining", 120.0)
    told.tell("receive_closed", 120.1, silent=False, connected=False)
    told.tell("handle_timer", 121.0)
    told.tell("connect", 125.0)
    told.tell("receive_refused", "Connection refused", 125.01)
    told.check("connectivity/draining_and_replaced")


def test_retired_while_dialling() -> None:
    """Nothing comes of the dial."""
    told = story("The endpoint leaves the list while it is dialled. What still comes of the dial is nobody's business.")
    told.tell("connect", 0.0)
    told.tell("retire", 0.01)
    told.tell("receive_refused", "Connection refused", 0.02)
    told.tell("receive_connected", 0.03)
    told.tell("connect", 0.04)
    told.tell("retire", 0.05)
    told.check("connectivity/retired_while_dialling")


def test_kept_and_verified() -> None:
    """One that no list has any more must show that it takes calls."""
    told = story(
        "A list has lost the endpoint, with most others. Whether it takes calls is found out by a dial and a ping."
    )
    told.tell("verify", 0.0)
    told.tell("handle_timer", 0.05)
    told.tell("connect", 0.06)
    told.tell("receive_connected", 0.07)
    told.tell("receive_closed", 3.0, silent=False, connected=False)
    told.tell("verify", 3.0)
    told.tell("handle_timer", 3.05)
    told.tell("receive_refused", "Connection refused", 3.06)
    told.tell("retire", 3.06)
    told.check("connectivity/kept_and_verified")
