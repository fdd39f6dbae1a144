"""Set-up files agree with one another and with the sources: what is imported is declared, and pinned."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = {"compressor", "model_store", "service", "tests"}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "opentelemetry": "opentelemetry-sdk",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
    "yaml": "pyyaml",
}
EXTRAS = {  # module -> the extra that it needs
    "model_store/export_onnx.py": ["export"],
    "model_store/export_safetensors.py": ["export"],
    "model_store/objects.py": ["remote"],
    "service/bench/onnx_peers.py": ["bench"],
    "service/tracing.py": ["otel"],
    "service/ray_app.py": ["scale"],
    "compressor/experiments/on_ray.py": ["scale"],
    "service/bench/torch_network.py": ["bench"],
    "service/bench/torch_peers.py": ["bench", "export"],
    "service/bench/cuda_engines.py": ["bench", "export"],
    "service/bench_serve/bentoml_peer.py": ["bench"],
    "service/bench_serve/litserve_peer.py": ["bench"],
    "service/bench_serve/torch_peers.py": ["bench"],
}


ELSEWHERE = {"service/bench_serve/bentoml_peer.py": {"bentoml"}}  # runs in an environment of its own


def declared(*extras: str) -> set[str]:
    """Names of the core dependencies and those of some extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def third_party(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in names - OWN - sys.stdlib_module_names}


@pytest.mark.parametrize("package", ["model_store", "service", "compressor", "tests"])
def test_every_import_is_declared(package: str) -> None:
    extras = {"compressor": ["compressor", "report"], "tests": ["compressor", "export", "otel", "scale", "dev"]}.get(
        package, []
    )
    for path in sorted((ROOT / package).rglob("*.py")):
        place = str(path.relative_to(ROOT))
        # packaging comes with pytest, which could not do without it
        on_gpu = ["gpu"] if place.startswith("service/engine/gpu/") else []
        missing = (
            third_party(path)
            - declared(*extras, *on_gpu, *EXTRAS.get(place, []))
            - ({"packaging"} if package == "tests" else set())
            - ELSEWHERE.get(place, set())
        )
        assert not missing, f"{place} imports {missing}"


def test_every_dependency_is_imported_somewhere() -> None:
    imported = {name for package in OWN for path in (ROOT / package).rglob("*.py") for name in third_party(path)}
    tools = {"csrve", "mypy", "ruff", "schemathesis", "types-tqdm", "httpx2"}  # run, or imported by others
    tools |= {"opentelemetry-exporter-otlp-proto-http"}  # shares a name with opentelemetry-sdk
    tools |= {"cmake", "nanobind", "ninja"}  # of `.ci/sanitize`
    optional = {"torchvision"}  # imported by name, after a guard
    known = declared("compressor", "gpu", "export", "bench", "otel", "remote", "report", "scale", "dev")
    assert known - imported - tools - optional == set()


def test_every_dependency_says_what_it_is_for() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lines = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
    for line in lines:
        assert re.search(rf'"{re.escape(line)}", +# \S+', text), f"{line}: no comment"


def test_every_dependency_is_pinned_within_its_range() -> None:
    versions = {canonicalize_name(name): version for name, version in pins().items()}
    lines = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
    for requirement in map(Requirement, lines):
        if requirement.name != "csrve":
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), str(requirement)


FLOORS = {  # the first version without what was found: SECURITY.md, I5 and I13
    "h11": "0.16",  # GHSA-vqfr-h8mv-ghfj
    "python-multipart": "0.0.18",  # CVE-2024-24762, CVE-2024-53981
    "starlette": "0.49.1",  # CVE-2024-47874, CVE-2025-54121, CVE-2025-62727
    "torch": "2.10",  # CVE-2025-32434, CVE-2026-24747
}


def test_floors_are_above_what_was_found_elsewhere() -> None:
    lines = [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]
    found = {name: {str(each.specifier) for each in map(Requirement, lines) if each.name == name} for name in FLOORS}
    assert found == {name: {f">={floor}"} for name, floor in FLOORS.items()}


def test_the_service_tells_the_version_of_the_package() -> None:
    assert __version__ == PROJECT["version"]


def test_serving_needs_no_torch() -> None:
    assert not {name for name in declared() if "torch" in name or name.startswith("nvidia")}


def test_torch_and_torchvision_are_the_pair_that_was_tried() -> None:
    assert (pins()["torch"], pins()["torchvision"]) == ("2.13.0", "0.28.0")


def dockerfile() -> list[list[str]]:
    """Each instruction's words, continuation lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    copies = [words[1:-1] for words in dockerfile() if words[0] == "COPY" and not words[1].startswith("--from")]
    copied = {name.rstrip("/") for names in copies for name in names}
    assert {name for name in copied if not (ROOT / name).exists()} == set()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= copied


def test_the_image_is_slim_and_runs_as_nobody_special() -> None:
    lines = dockerfile()
    assert [words[1] for words in lines if words[0] == "FROM"] == ["python:3.11-slim"] * 2
    assert not [words for words in lines if "torch" in " ".join(words)]
    (user,) = [words[1] for words in lines if words[0] == "USER"]
    assert user.split(":")[0] not in {"0", "root"}
    assert ["ENTRYPOINT", '["python",', '"-m",', '"service"]'] in lines
    assert ["EXPOSE", "8000"] in lines
    assert "HEALTHCHECK" in {words[0] for words in lines}


def make_says(*arguments: str) -> str:
    """What make would run, were there nothing yet."""
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_serve_installs_the_core_only_and_serves_the_bundled_store() -> None:
    said = make_says("serve")
    assert "python -m service --host 127.0.0.1 --port 8000 --store store --default-model resnet20-cifar10\n" in said
    (install,) = [shlex.split(line) for line in said.splitlines() if " install " in line]
    assert install[-4:] == ["--constraint", "constraints.txt", "--editable", "."]
    assert " --port 9000 --store elsewhere\n" in make_says("serve", "PORT=9000", "STORE=elsewhere")
    named = make_says("serve", "STORE=elsewhere", "DEFAULT_MODEL=mine")
    assert " --store elsewhere --default-model mine\n" in named


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_test_and_make_check_install_what_they_run() -> None:
    targets = {
        "test": '-m pytest -m "not slow" tests\n',
        "test-slow": "-m pytest -m slow tests\n",
        "check": "ruff format --check .\n",
        "results-check": "-m compressor check --store store\n",
    }
    for target, command in targets.items():
        said = make_says(target)
        assert '--constraint constraints.txt --editable ".[dev]"\n' in said
        assert command in said


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_bench_measures_the_bundled_network_and_two_synthetic_ones_and_makes_the_page() -> None:
    said = make_says("bench", "BENCH=elsewhere/found.json")
    networks = "store/resnet20-cifar10/1.csrve synthetic:sparse95 synthetic:uniform95"
    assert '--constraint constraints.txt --editable ".[bench]"\n' in said
    assert f"-m service bench {networks} --json elsewhere/found.json\n" in said
    assert "-m service bench --render elsewhere/found.json > elsewhere/found.md\n" in said
    assert " --json docs/benchmarks.json\n" in make_says("bench")


def test_make_bench_serve_measures_services_overload_too_and_makes_the_page() -> None:
    said = make_says("bench-serve", "BENCH_SERVE=elsewhere/found.json")
    assert "-m service bench-serve --overload --json elsewhere/found.json\n" in said
    assert "-m service bench-serve --render elsewhere/found.json > elsewhere/found.md\n" in said
    assert " --json docs/serving-benchmarks.json\n" in make_says("bench-serve")
    assert " --overload --bentoml-python bento/bin/python --json " in make_says(
        "bench-serve", "BENTOML_PYTHON=bento/bin/python"
    )


def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "make check", "make test"]


def test_the_script_for_a_gpu_refuses_parts_it_does_not_have(tmp_path: Path) -> None:
    script = ROOT / ".ci" / "gpu"
    assert os.access(script, os.X_OK)
    environment = {"PATH": os.environ["PATH"], "OUT": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run([script, "wrong"], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, 'gpu: no part "wrong", must be tests, kernels or bench\n')
