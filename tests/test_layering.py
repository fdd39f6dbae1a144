"""The one rule between the packages, and what none of them may do: read from the sources, and from a fresh process."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("compressor", "model_store", "service")
FORBIDDEN = {  # package -> what it may not import
    "compressor": {"service"},
    "model_store": {"compressor", "service", "torch", "torchvision"},
    "service": {"compressor", "torch", "torchvision", "triton"},
}
WITH_GPU = "service/engine/gpu/"  # imported only when a bundle is put on a torch device
WITH_TORCH = {
    "service/bench/torch_network.py",  # imported only in a process that measures torch
    "service/bench/torch_peers.py",
    "service/bench/cuda_engines.py",
    "service/bench_serve/bentoml_peer.py",
    "service/bench_serve/litserve_peer.py",  # services of their own, which are never imported, only started
    "service/bench_serve/torch_peers.py",
}
EXECUTING_MODULES = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code"}
EXECUTING_CALLS = {"eval", "exec", "compile", "__import__"}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def imports(tree: ast.AST) -> Iterator[str]:
    """The top-level package of every import, in functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            yield (node.module or "").split(".")[0]


def executions(tree: ast.AST) -> Iterator[str]:
    """Whatever could run code that came as data."""
    yield from EXECUTING_MODULES.intersection(imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EXECUTING_CALLS:
            yield node.func.id
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield "allow_pickle"
        if isinstance(node, ast.Attribute) and (
            ast.unparse(node) in {"yaml.load", "torch.load", "numpy.load", "np.load"}
        ):
            yield ast.unparse(node)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_in_the_allowed_direction(package: str) -> None:
    for path in sources(package):
        place = str(path.relative_to(ROOT))
        with_gpu = place.startswith(WITH_GPU)
        allowed = {"torch", "triton"} if with_gpu else {"torch"} if place in WITH_TORCH else set()
        forbidden = FORBIDDEN[package] - allowed
        found = forbidden.intersection(imports(ast.parse(path.read_text())))
        assert not found, f"{place} imports {found}"


@pytest.mark.parametrize("package", ["model_store", "service"])
def test_what_reads_bundles_and_requests_cannot_run_code_from_them(package: str) -> None:
    for path in sources(package):
        found = sorted(set(executions(ast.parse(path.read_text()))))
        assert not found, f"{path.relative_to(ROOT)} uses {found}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", ["pickle"]),
        ("def f():\n from marshal import loads", ["marshal"]),
        ("x = eval('1')", ["eval"]),
        ("np.array(f, allow_pickle=True)", ["allow_pickle"]),
        ("numpy.load(f)", ["numpy.load"]),
        ("import re; re.compile('a'); plan = compile_plan(b)", []),
    ],
)
def test_this_check_finds_what_it_looks_for(source: str, found: list[str]) -> None:
    assert list(executions(ast.parse(source))) == found


@pytest.mark.parametrize(
    "module",
    [
        "model_store.cli",
        "model_store.store",
        "service.app",
        "service.__main__",
        "service.bench.command",
        "service.bench.worker",
    ],
)
def test_importing_what_serves_imports_no_torch(module: str) -> None:
    heavy = {"torch", "torchvision", "triton", "onnx", "safetensors"}
    command = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
