"""What operators load into Prometheus and Grafana is right, as Prometheus's own tool sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from tests.support.programs import ROOT
from tests.support.prometheus import promtool
from zkrpc.metrics.table import TABLE

OPS = ROOT / "docs" / "ops"
NAMES = {family.name for family in TABLE}


def metrics_in(text: str) -> set[str]:
    """The metrics of ours that a text names."""
    found = set(re.findall(r"\b(?:zk)?rpc_[a-z_]+[a-z]\b", text)) - {label for one in TABLE for label in one.labels}
    return {re.sub(r"_(bucket|count|sum)$", "", name) if name not in NAMES else name for name in found}


def expressions() -> list[str]:
    """What the dashboard asks Prometheus, with its variables put in."""
    dashboard = json.loads((OPS / "dashboard.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found = [expression.replace("$__rate_interval", "5m") for expression in found]
    return [re.sub(r"\$(service|target|job)", ".*", expression) for expression in found]


def test_rules_fire_when_they_should_and_not_otherwise() -> None:
    """By promtool: the rules can be read, and their own tests hold."""
    promtool("check", "rules", str(OPS / "alerts.yml"))
    promtool("test", "rules", str(OPS / "alerts_test.yml"))


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """So a rule that can never fire, or that always does, is noticed."""
    alerts = re.findall(r"- alert: (\w+)", (OPS / "alerts.yml").read_text())
    tests = yaml.safe_load((OPS / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    for fires in (True, False):
        named = {case["alertname"] for case in cases if bool(case["exp_alerts"]) is fires}
        assert sorted(named) == sorted(alerts), "fires" if fires else "does not fire"


def test_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    """Each of its expressions, as promtool reads it; each panel says what it shows."""
    rules = [{"record": f"zkrpc:panel{number}", "expr": one} for number, one in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert len(rules) > 30
    promtool("check", "rules", str(file))
    panels = json.loads((OPS / "dashboard.json").read_text())["panels"]
    assert [one["title"] for one in panels if one["type"] != "row" and not one["description"].endswith(".")] == []
    assert len({one["id"] for one in panels}) == len(panels)


def test_rules_and_dashboard_name_metrics_that_there_are() -> None:
    """And every alert has its row in the runbook."""
    rules = (OPS / "alerts.yml").read_text()
    named = metrics_in("\n".join(expressions())) | metrics_in(re.sub(r"zkrpc:\S+", "", rules))
    assert named - NAMES == set() and len(named) > 30
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert re.findall(r"^\| `(\w+)` \|", (OPS / "README.md").read_text(), re.MULTILINE) == alerts
