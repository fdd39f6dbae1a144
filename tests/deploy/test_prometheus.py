"""A real Prometheus scrapes a real service under load, and is asked what the dashboard and the alerts ask."""

import json
import math
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import COMPARED
from tests.deploy.test_monitoring import ALERTS, DASHBOARD, DEPLOY, queries
from tests.service.drawings import png
from tests.service.processes import Service, free_port, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus, which Debian's package brings"),
]

RATE_INTERVAL = "8s"


def _send(service: Service, path: str, body: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}{path}", body, headers, method="POST")
    try:
        urllib.request.urlopen(request, timeout=20).read()
    except urllib.error.HTTPError as error:
        error.read()
    except OSError:  # the service is gone, which is how the test ends
        pass


@contextmanager
def load(service: Service) -> Iterator[None]:
    """Predictions of every protocol and both models, and bad ones, for as long as the block lasts."""

    def ask() -> None:
        number = 0
        while not done.is_set():
            number += 1
            headers = {"Content-Type": "image/png", "X-Request-ID": f"id{number}"}
            _send(service, f"/predict?model={('colour', 'grey')[number % 2]}", png(), headers)
            _send(service, "/v2/models/colour/infer", png(), {"Inference-Header-Content-Length": "0"})
            _send(service, "/predict", b"<html>", headers)
            done.wait(0.02)

    done = threading.Event()
    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        done.set()
        for client in clients:
            client.join()


class Prometheus:
    """One that scrapes a service every half second, with the alerts of deploy/ loaded."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._address}/{path}?{query}", timeout=20) as answer:
            return json.loads(answer.read())["data"]

    def ask(self, expression: str) -> list[float]:
        """The values of an expression now."""
        return [float(result["value"][1]) for result in self.get("query", query=expression)["result"]]


@contextmanager
def prometheus(service: Service, folder: Path) -> Iterator[Prometheus]:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    job |= {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
    job["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    config["rule_files"] = [str(DEPLOY / "prometheus" / "alerts.yml")]
    config["global"] = {"evaluation_interval": "1s"}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    until_s = time.monotonic() + 60
    while True:
        try:
            if condition():
                return
        except OSError:  # it does not listen yet
            pass
        assert time.monotonic() < until_s, what
        time.sleep(0.2)


def substituted(expression: str) -> str:
    """An expression as Grafana sends it, with all models chosen."""
    for variable in DASHBOARD["templating"]["list"]:
        expression = expression.replace(f"${variable['name']}", ".*")
    return expression.replace("$__rate_interval", RATE_INTERVAL)


def test_every_query_returns_data_and_every_alert_is_evaluated(published: Path, tmp_path: Path) -> None:
    flags = [part for name, value in COMPARED.items() for part in (f"--{name}", value)]
    with (
        serving(published, "--default-model", "colour", *flags) as service,
        prometheus(service, tmp_path) as server,
        load(service),
    ):
        wait_for(lambda: server.ask('up{job="csrve"}') == [1], "no scrape")
        # the scrapes that a rate is made of
        wait_for(lambda: server.ask('count_over_time(up{job="csrve"}[1m]) > 15') != [], "too few scrapes")
        for place, expression in queries():
            values = server.ask(substituted(expression))
            assert values, f"{place}: {expression} has no data"
            assert any(math.isfinite(value) for value in values), f"{place}: {expression} is {values}"
        rates = server.ask(f'sum by (protocol) (rate(csrve_requests_total{{outcome="ok"}}[{RATE_INTERVAL}])) > 0')
        assert len(rates) == 2
        (group,) = server.get("rules")["groups"]
        assert {rule["name"]: rule["health"] for rule in group["rules"]} == {rule["alert"]: "ok" for rule in ALERTS}
        service.process.kill()
        wait_for(lambda: server.ask('ALERTS{alertname="CsrveDown",alertstate="pending"}') == [1], "nobody was alarmed")
