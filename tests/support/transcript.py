"""What a machine was told and what it wanted done, as text that people read and compare in a diff.

A transcript begins with its intent, and has a paragraph for each input: the call, indented below it the effects in
their order, and last the state and the next timer where they are not what they were::

    # The server refuses once, and takes the next connection.

    connect(0.0)
        Dial(timeout=1.0)
        CONNECTING, timer at 1.0

``scripts/transcripts`` writes them anew; what has changed is then for ``git diff`` to show and for people to judge.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

TRANSCRIPTS = Path(__file__).resolve().parents[1] / "transcripts"
REWRITE = "REWRITE_TRANSCRIPTS"


class Transcript:
    """Tells a machine things and writes down what comes of it.

    Args:
        machine: has ``effects()`` (or what ``drain`` gives), ``next_timer()`` and ``state``.
        intent: what the transcript shows, one sentence or a few.
        drain: gives the effects that are new, and forgets them.
        show: a value as text, given or wanted.
    """

    def __init__(
        self,
        machine: Any,
        intent: str,
        *,
        drain: Callable[[], Iterable[object]] | None = None,
        show: Callable[[object], str] = repr,
    ) -> None:
        self.machine = machine
        self._drain = drain or machine.effects
        self._show = show
        self._seen = ""
        self._lines = [f"# {line}" for line in intent.splitlines()]

    def tell(self, method: str, *args: Any, **kwargs: Any) -> list[object]:
        """Calls the machine's method; the effects. What it raises is written down, and is no error."""
        said = [*map(self._show, args), *(f"{name}={self._show(value)}" for name, value in kwargs.items())]
        self._lines += ["", f"{method}({', '.join(said)})"]
        try:
            answer = getattr(self.machine, method)(*args, **kwargs)
        except Exception as error:
            self._lines.append(f"    raises {type(error).__name__}: {error}")
        else:
            self._lines += [] if answer is None else [f"    -> {self._show(answer)}"]
        effects = list(self._drain())
        self._lines += [f"    {self._show(effect)}" for effect in effects]
        timer = self.machine.next_timer()
        now = f"{self.machine.state.name}{'' if timer is None else f', timer at {timer:g}'}"
        if now != self._seen:
            self._seen = now
            self._lines.append(f"    {now}")
        return effects

    def check(self, name: str) -> None:
        """It is what ``tests/transcripts/NAME.txt`` says; or that is written anew."""
        path, text = TRANSCRIPTS / f"{name}.txt", "\n".join(self._lines) + "\n"
        if os.environ.get(REWRITE):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"there is no transcript {name}: write it with scripts/transcripts"
        assert (
            text == path.read_text()
        ), f"{name} is another transcript now: scripts/transcripts writes it, git shows how"
