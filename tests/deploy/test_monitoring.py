"""The dashboard and the alerts name what the service exports, and nothing else."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Series
from tests.deploy.promql import grouped, selectors

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "csrve.json").read_text())
ALERTS: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"][0]["rules"]
PROMETHEUS_OWN = {"up"}
TARGET_LABELS = {"job", "instance"}  # those of whatever Prometheus scrapes

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, which Prometheus brings")


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    """(panel's title, expression) of everything that the dashboard asks."""
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]


EXPRESSIONS = [*queries(), *((rule["alert"], rule["expr"]) for rule in ALERTS)]


@pytest.mark.parametrize(("place", "expression"), EXPRESSIONS)
def test_every_metric_label_and_value_is_one_that_the_service_exports(
    exported: Series, place: str, expression: str
) -> None:
    found = selectors(expression)
    assert found
    labels = set(TARGET_LABELS)
    for selector in found:
        if selector.metric in PROMETHEUS_OWN:
            continue
        assert selector.metric in exported, f"{place}: {selector.metric}"
        series = exported[selector.metric]
        labels |= set(series[0])
        for label, how, value in selector.matchers:
            assert label in series[0] or label in TARGET_LABELS, f"{place}: {selector.metric} has no label {label}"
            if label not in TARGET_LABELS and not value.startswith("$"):
                values = value.split("|") if how == "=~" else [value]
                assert set(values) <= {each[label] for each in series}, f"{place}: {label} {how} {value}"
    assert grouped(expression) <= labels, place


def test_the_dashboard_is_classic_and_can_be_provisioned() -> None:
    assert DASHBOARD["uid"] == "csrve"
    assert DASHBOARD["schemaVersion"] <= 41
    assert not {"__inputs", "__requires", "id"} & set(DASHBOARD)
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "model", "version"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    for panel in panels():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_variables_ask_for_labels_that_are_exported(exported: Series) -> None:
    for variable in DASHBOARD["templating"]["list"][1:]:
        inside = variable["definition"].removeprefix("label_values(").removesuffix(")")
        expression, _, label = inside.rpartition(", ")
        (selector,) = selectors(expression)
        assert label in exported[selector.metric][0]


def test_panels_do_not_overlap() -> None:
    taken = [
        (panel["title"], column, row)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len({cell[1:] for cell in taken}) == len(taken)
    assert max(column for _, column, _ in taken) == 23


def test_every_metric_of_ours_is_on_the_dashboard(exported: Series) -> None:
    shown = {selector.metric for _, expression in queries() for selector in selectors(expression)}
    families = {name.removesuffix("_bucket") for name in exported if name.startswith("csrve_")}
    families -= {name for name in families if name.endswith(("_created", "_sum", "_count"))}
    shown_families = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in shown}
    # the variables ask for csrve_model_ready
    assert families - shown_families == {"csrve_model_ready"}


@needs_promtool
@pytest.mark.parametrize(
    ("command", "file"),
    [("check rules", "alerts.yml"), ("check config", "prometheus.yml"), ("test rules", "alerts_test.yml")],
)
def test_prometheus_own_tool_finds_nothing_wrong(command: str, file: str) -> None:
    done = subprocess.run(
        ["promtool", *command.split(), file], cwd=DEPLOY / "prometheus", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_told_and_tried() -> None:
    tried = (DEPLOY / "prometheus" / "alerts_test.yml").read_text()
    for rule in ALERTS:
        assert set(rule["labels"]) == {"severity"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert f"alertname: {rule['alert']}\n" in tried
