"""A real Prometheus and its promtool: the ones on ``PATH``, or Debian's."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.debian import program
from tests.support.programs import Program, Programs
from tests.support.waiting import eventually


def find_tool(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``; skips the test if there is neither that nor an apt to get it with."""
    return program(name, "prometheus")


def promtool(*arguments: str, given: str = "") -> str:
    """What promtool writes; fails the test, with that, if it complains."""
    command = [find_tool("promtool"), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus:
    """A Prometheus that scrapes as a config says."""

    def __init__(self, programs: Programs, folder: Path, config: str) -> None:
        file = folder / "prometheus.yml"
        file.write_text(config)
        self.program: Program = programs.start(
            find_tool("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--enable-feature=exemplar-storage",
        )

    def _address(self) -> str:
        # It listens before it has opened its storage, and answers 503 until then.
        eventually(lambda: "Server is ready to receive web requests" in self.program.output, 60)
        found = re.search(r'msg="Listening on" address=(\S+)', self.program.output)
        assert found is not None
        return found[1]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The series of an instant query with their labels."""
        return [(one["metric"], float(one["value"][1])) for one in self._ask(expression)]

    def samples(self, selector: str, window: str) -> list[tuple[float, float]]:
        """What was scraped of the one series that a selector names, during the last ``window``: when, in seconds since
        1970, and the value."""
        (series,) = self._ask(f"{selector}[{window}]")
        return [(float(at), float(value)) for at, value in series["values"]]

    def _ask(self, expression: str) -> list[dict[str, Any]]:
        text = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{self._address()}/api/v1/query?{text}", timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found
