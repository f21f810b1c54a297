"""What templates use."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from zkrpc.dashboard.templates import form_maker, make_environment, milliseconds, universal


def test_times_are_for_people() -> None:
    """Moments to the second in UTC, latencies in milliseconds; a dash or nothing in the place of none."""
    assert (universal(0.0), universal(None)) == ("1970-01-01 00:00:00", "")
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
