"""The surface (which addresses there are), and how the application starts."""

import ast
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from model_store.store import Store
from service.app import build_app
from service.errors import SettingsError
from service.settings import Settings
from tests.service.asgi import parts_of
from tests.service.drawings import png

WITH_TORCH = {"torch_network.py", "torch_peers.py", "cuda_engines.py", "litserve_peer.py", "bentoml_peer.py"}
OF_A_MODEL = {("GET", ""), ("GET", "/ready"), ("GET", "/config"), ("GET", "/stats"), ("POST", "/infer")}
SURFACE = {
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("GET", "/v2/models/stats"),
    *((method, "/v2/models/{name}" + path) for method, path in OF_A_MODEL),
    *((method, "/v2/models/{name}/versions/{version}" + path) for method, path in OF_A_MODEL),
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/{name}/load"),
    ("POST", "/v2/repository/models/{name}/unload"),
    ("POST", "/predict"),
    ("GET", "/models"),
    ("GET", "/models/{name}"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
}


def test_the_addresses_are_these_and_no_others(steady_client: TestClient) -> None:
    paths = steady_client.get("/openapi.json").json()["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == SURFACE
    assert steady_client.get("/docs").status_code == 200
    for path in (
        "/page",
        "/page/",
        "/page/x",
        "/page/assets.py",
        "/page/..%2f__init__.py",
        "/redoc",
        "/docs/oauth2-redirect",
        "http://testserver//models",
        "/models/",
        "/MODELS",
        "/x/%2e%2e/models",
        "/predict/x",
        "/v2/models",
        "/v2/models/",
        "/v2/health",
        "/v2/logging",
        "/v2/trace/setting",
        "/v2/systemsharedmemory/status",
        "/v2/repository/x/models/colour/load",
    ):
        assert steady_client.get(path).status_code == 404, path


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"])
def test_other_methods_are_refused_and_the_right_one_named(steady_client: TestClient, method: str) -> None:
    for path, allowed in (("/predict", "POST"), ("/models", "GET"), ("/healthz", "GET")):
        answer = steady_client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_every_error_is_documented_as_a_problem(steady_client: TestClient) -> None:
    schema = steady_client.get("/openapi.json").json()
    responses = schema["paths"]["/predict"]["post"]["responses"]
    assert set(responses) == {"200", "400", "404", "408", "413", "415", "422", "500", "503", "504"}
    for status, response in responses.items():
        if status != "200":
            content = response["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert "Problem" in schema["components"]["schemas"]
    assert "HTTPValidationError" not in str(schema)


def test_the_body_of_a_prediction_is_documented(steady_client: TestClient) -> None:
    body = steady_client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    kinds = {"image/png", "image/jpeg", "image/webp", "multipart/form-data", "application/json"}
    assert set(body["content"]) == kinds


def test_a_store_without_a_model_that_can_be_served_is_refused(tmp_path: Path) -> None:
    for root in (tmp_path / "missing", Path(__file__)):
        with pytest.raises(SettingsError, match=r'^store ".*"'):
            build_app(Settings(store=root))
    Store.create(tmp_path / "empty")
    with pytest.raises(SettingsError) as caught:
        build_app(Settings(store=tmp_path / "empty"))
    assert str(caught.value) == f'store "{tmp_path / "empty"}": no model that can be served, must have one'


def test_a_default_model_that_is_not_there_is_refused(settings: Settings) -> None:
    with pytest.raises(SettingsError) as caught:
        build_app(replace(settings, default_model="nothing"))
    assert str(caught.value) == 'default_model "nothing", must be one of colour, grey'


def test_nothing_need_be_loaded_at_start(settings: Settings) -> None:
    app = build_app(replace(settings, preload="none"))
    assert parts_of(app).models.all() == []
    with TestClient(app) as client:
        assert client.get("/readyz").status_code == 200
        answer = client.post("/predict", content=png(), headers={"Content-Type": "image/png"})
        assert (answer.status_code, answer.json()["model"]) == (200, "colour")


def test_the_versions_named_must_be_there_at_start(settings: Settings, store: Store, tmp_path: Path) -> None:
    chosen = replace(settings, store=tmp_path / "store", preload="colour:1,grey")
    assert [model.key for model in parts_of(build_app(chosen)).models.all()] == [("colour", 1), ("grey", 1)]
    for preload, message in (
        ("colour:9", 'no version 9 of model "colour"'),
        ("nothing", 'no model "nothing"'),
    ):
        with pytest.raises(SettingsError) as caught:
            build_app(replace(chosen, preload=preload))
        assert str(caught.value) == message
    with pytest.raises(SettingsError, match="^resident_bytes .* no room beside the plans that are loaded$"):
        build_app(replace(chosen, max_resident_bytes=1))


def test_two_applications_live_side_by_side(settings: Settings) -> None:
    with TestClient(build_app(settings)) as first, TestClient(build_app(settings)) as second:
        assert first.get("/models").json() != {} != second.get("/models").json()


def test_a_device_that_is_not_there_is_refused(settings: Settings) -> None:
    if pytest.importorskip("torch").cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SettingsError, match=r'^device "cuda": torch cannot use it: '):
        build_app(replace(settings, device="cuda"))


@pytest.mark.gpu
def test_on_a_gpu_pictures_are_answered_alike_and_the_kernels_are_told(settings: Settings) -> None:
    if not pytest.importorskip("torch").cuda.is_available():
        pytest.skip("needs a GPU that torch can use")
    answers = []
    for device in ("cpu", "cuda"):
        with TestClient(build_app(replace(settings, device=device))) as client:
            answers.append(client.post("/predict", content=png(), headers={"Content-Type": "image/png"}).json())
            layers = client.get("/models/colour").json()["layers"]
            kernels = {layer["name"]: layer["kernels"] for layer in layers}
    on_the_cpu, on_the_gpu = answers
    assert on_the_gpu["label"] == on_the_cpu["label"]
    assert on_the_gpu["probability"] == pytest.approx(on_the_cpu["probability"], rel=1e-3)
    assert list(kernels["stem"]) == ["1", "4", "16"]


def test_no_request_takes_a_thread_of_the_frameworks(
    steady_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI calls what is not async in a thread; there would be forty of them, for a moment of work."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a thread")

    monkeypatch.setattr("anyio.to_thread.run_sync", refuse)
    png_type = {"Content-Type": "image/png"}
    assert steady_client.post("/predict", content=png(), headers=png_type).status_code == 200
    infer = {"Inference-Header-Content-Length": "0"}
    for path in ("/v2/models/colour/infer", "/v2/models/colour/versions/1/infer"):
        assert steady_client.post(path, content=png(), headers=infer).status_code == 200
    for path in ("/models", "/models/colour", "/metrics", "/healthz", "/readyz", "/docs", "/v2", "/v2/models/colour"):
        assert steady_client.get(path).status_code == 200


def test_the_service_opens_no_connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """I1, V18: whatever is asked, with addresses in it too."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("a connection to elsewhere")

    with TestClient(build_app(settings)) as client:
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "connect_ex", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        png_type = {"Content-Type": "image/png"}
        assert client.post("/predict", content=png(), headers=png_type).status_code == 200
        address = "http://127.0.0.1:1/model"
        assert client.post("/predict", json={"image": address}).status_code == 400
        assert client.get(f"/models/{address}").status_code == 404
        assert (
            client.post("/v2/repository/models/colour/load", json={"parameters": {"url": address}}).status_code == 403
        )
        for path in ("/models", "/metrics", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_the_cpu_path_imports_no_torch(published: Path) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from service.app import build_app; from service.settings import Settings; "
        f"build_app(Settings(store=Path({str(published)!r}), default_model='colour')); import service.server; "
        "print(sorted({'torch', 'torchvision', 'triton', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_service_code_loads_no_code_from_data_and_nothing_of_the_compressor() -> None:
    banned_modules = {"pickle", "marshal", "shelve", "yaml", "compressor", "dill"}
    for path in Path("service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "__import__"}, path
            roots = {name.partition(".")[0] for name in names}
            assert not roots & banned_modules, path
            assert not {"torch", "triton"} & roots or path.name in WITH_TORCH or path.parent.name == "gpu", path
