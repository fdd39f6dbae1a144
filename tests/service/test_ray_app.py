"""The service on a cluster of two nodes, and on what is left when one is lost."""

import ast
import json
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.cluster import ROOT, two_nodes
from tests.service.drawings import png

PORT = 18_423
WAIT_S = 90


def ask(path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, object]]:
    """(status, the answer's JSON)."""
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except HTTPError as error:
        with error:
            text = error.read()
        return error.code, json.loads(text) if text.startswith(b"{") else {}


def predict(**headers: str) -> tuple[int, object]:
    status, answer = ask("/predict", png(), **{"content-type": "image/png", **headers})
    return status, answer.get("model", answer.get("code"))


def answers_steadily(times: int) -> bool:
    """Whether, before long, so many predictions in a row are answered."""
    ends, row = time.monotonic() + WAIT_S, 0
    while row < times and time.monotonic() < ends:
        try:
            row = row + 1 if predict() == (200, "colour") else 0
        except OSError:  # what was with the lost replica is cut off
            row = 0
    return row == times


def test_nothing_of_ours_imports_what_needs_ray() -> None:
    for path in (
        found for package in ("compressor", "model_store", "service") for found in (ROOT / package).rglob("*.py")
    ):
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        }
        assert not names & {"service.ray_app", "ray_app"}, path
        if path.name not in {"ray_app.py", "on_ray.py"}:
            assert not {name for name in names if name.partition(".")[0] == "ray"}, path


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_replicas_serve_everything_and_one_is_enough_when_a_node_is_lost(published: Path) -> None:
    variables = {
        "CSRVE_STORE": str(published),
        "CSRVE_DEFAULT_MODEL": "colour",
        "CSRVE_THREADS": "1",
        "CSRVE_LOG_LEVEL": "error",
        "CSRVE_RAY_MIN_REPLICAS": "2",
        "CSRVE_RAY_MAX_REPLICAS": "2",
    }
    with two_nodes(variables) as (cluster, nodes):
        from ray import serve

        from service.ray_app import app

        try:
            serve.start(http_options={"host": "127.0.0.1", "port": PORT})
            serve.run(app)
            assert [ask(path)[0] for path in ("/healthz", "/readyz", "/v2/health/ready", "/openapi.json")] == [200] * 4
            assert ask("/models/grey")[1]["name"] == "grey"
            assert ask("/v2/models/grey/ready")[0] == 200
            tensor = {"name": "input", "shape": [1, 1, 12, 10], "datatype": "FP32", "data": [0.5] * 120}
            body = json.dumps({"inputs": [tensor]}).encode()
            status, answer = ask("/v2/models/grey/infer", body, **{"content-type": "application/json"})
            assert (status, answer.get("model_name")) == (200, "grey"), answer
            assert predict() == (200, "colour")
            assert predict(serve_multiplexed_model_id="grey") == (200, "grey")
            assert predict(serve_multiplexed_model_id="none") == (404, "model_not_found")
            cluster.remove_node(nodes[0], allow_graceful=False)
            assert answers_steadily(20)
        finally:
            serve.shutdown()
