"""The door to Jinja: templates that escape whatever they show."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from zkrpc.legible import lasting, legible, moment


def universal(seconds: float | None) -> str:
    """A moment in UTC, whatever the time of this machine is; empty for none."""
    return "" if seconds is None else moment(seconds, datetime.UTC)


def milliseconds(seconds: float | None) -> str:
    """A latency; a dash if there is none."""
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"


def _shown(value: Any) -> Any:
    """Text from elsewhere without characters that would mislead a reader; Jinja escapes what HTML acts on."""
    return legible(value, 100_000) if isinstance(value, str) and not hasattr(value, "__html__") else value


def make_environment() -> Environment:
    """The templates of the package."""
    environment = Environment(
        loader=PackageLoader("zkrpc.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(moment=universal, lasting=lasting, milliseconds=milliseconds)
    return environment


def form_maker(path: str, proof: str) -> Callable[..., Markup]:
    """Makes what templates of the page at ``path`` call for a button that does something: a form, as it works without
    scripts, too. ``proof`` shows that it is one of ours."""

    def form(kind: str, subject: str, label: str, service: str = "", detail: str = "") -> Markup:
        service = service or path.split("/")[2]
        fields = {"proof": proof, "subject": subject, "detail": detail, "back": path}
        inputs = Markup("").join(
            Markup('<input type="hidden" name="{}" value="{}">').format(name, value) for name, value in fields.items()
        )
        reason = (
            Markup('<input name="reason" required maxlength="200" aria-label="Reason" placeholder="Reason">')
            if kind in ("offline", "rollback")
            else Markup("")
        )
        return Markup(
            '<form method="post" action="/actions/{}/{}">{}{}<button type="submit">{}</button></form>'
        ).format(service, kind, inputs, reason, label)

    return form
