"""What templates use."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from zkrpc.dashboard.templates import form_maker, lasting, make_environment, milliseconds, moment


def test_times_are_for_people() -> None:
    """Moments to the second in UTC, durations by their two largest units, latencies in milliseconds."""
    assert (moment(0.0), moment(None)) == ("1970-01-01 00:00:00", "")
    assert [lasting(seconds) for seconds in (-1, 59.9, 61, 3600, 90_061)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "1 d 1 h",
    ]
    assert (milliseconds(0.0012), milliseconds(None)) == ("1.2 ms", "–")


def test_everything_shown_is_escaped_and_legible() -> None:
    """And a value that was forgotten is an error and not an empty place."""
    templates = make_environment()
    assert templates.from_string("{{ text }}").render(text="<b>\x1b[0m") == "&lt;b&gt;\\x1b[0m"
    with pytest.raises(UndefinedError):
        templates.from_string("{{ text }}").render()


def test_form_brings_what_it_is_about_and_its_proof() -> None:
    """Escaped; those that colleagues will wonder about ask for a reason."""
    form = form_maker("/services/a", "proof")
    made = form("offline", '"><script>', "Take offline")
    assert "<script>" not in made and 'action="/actions/a/offline"' in made and 'value="proof"' in made
    assert 'name="reason"' in made and 'name="reason"' not in form("online", "w1", "Put online")
