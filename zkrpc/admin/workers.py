"""One page made of those of all workers: the supervisor's. Pure, but for the asking, which is handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from zkrpc.admin.http import Request, Response
from zkrpc.admin.pages import Page, Pause, verdict

LABEL = "worker"
"""The label that tells the workers' series apart: the slot's number."""
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Said(NamedTuple):
    """What a worker's door answered."""

    status: int
    """0 if it did not."""
    text: str
    """The page, or why there is none."""


Ask = Callable[[str], Mapping[str, Said]]
"""Asks every worker for the page of a path; returns what they said by their slots. A slot without a worker that can be
asked is there with the status 0."""


def worker_pages(ask: Ask) -> dict[str, Page]:
    """The pages of a supervisor."""

    def livez(request: Request, pause: Pause) -> Response:
        # Workers that hang are the supervisor's own care: ending all for one of them would help nobody.
        return verdict(())

    def readyz(request: Request, pause: Pause) -> Response:
        said = ask("/readyz")
        return verdict(f"worker {slot}: {one.text.strip()}" for slot, one in said.items() if one.status != 200)

    def metrics(request: Request, pause: Pause) -> Response:
        said = ask("/metrics")
        pages = {slot: one.text for slot, one in said.items() if one.status == 200}
        up = [f"# HELP {_UP} 1 if the worker could be asked.", f"# TYPE {_UP} gauge"]
        up += [f'{_UP}{{{LABEL}="{slot}"}} {int(one.status == 200)}' for slot, one in said.items()]
        body = "".join(f"{line}\n" for line in [*up, *merge(pages)])
        return Response(status=200, body=body.encode(), content_type=_TEXT)

    return {"/livez": livez, "/readyz": readyz, "/metrics": metrics}


_UP = "zkrpc_worker_up"


def merge(pages: Mapping[str, str]) -> Iterable[str]:
    """The lines of one page of metrics, made of one for each worker in Prometheus's text format: what belongs to one
    metric together, each series with the worker's label."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for slot, text in pages.items():
        name = ""
        for line in text.splitlines():
            if line.startswith("# HELP ") or line.startswith("# TYPE "):
                name = line.split(" ", 3)[2]
                known = heads.setdefault(name, [])
                if line not in known and len(known) < 2:
                    known.append(line)
            elif line and not line.startswith("#"):
                samples.setdefault(name, []).append(_labelled(line, slot))
    for name in dict.fromkeys((*heads, *samples)):
        yield from heads.get(name, ())
        yield from samples.get(name, ())


def _labelled(line: str, slot: str) -> str:
    """A sample's line with the label in front of the others."""
    brace, space = line.find("{"), line.find(" ")
    if 0 <= brace < space:
        return f'{line[: brace + 1]}{LABEL}="{slot}",{line[brace + 1 :]}'
    return f'{line[:space]}{{{LABEL}="{slot}"}}{line[space:]}'
