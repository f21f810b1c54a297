"""The rules, as values and as the page for people has them."""

from __future__ import annotations

import re

from tests.support.programs import ROOT
from zkrpc.idl.compatibility import RULES


def test_page_has_every_rule_as_it_is() -> None:
    """Level, severity, reason and remedy, in this order."""
    page = (ROOT / "docs" / "idl-compatibility.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    words = {"error": "", "warning": " (a warning)"}
    wanted = [
        (rule.name, rule.level.word, rule.reason + words[rule.severity.value], rule.remedy) for rule in RULES.values()
    ]
    assert rows == wanted


def test_reasons_are_said_in_one_clause() -> None:
    """They end a line of output, so they neither begin as sentences nor end as such."""
    for rule in RULES.values():
        for text in (rule.reason, rule.remedy):
            assert not text.endswith(".") and text[:1].islower() or text.startswith("JSON"), text
