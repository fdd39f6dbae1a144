"""The kernels compiled for real GPUs, which needs none: what Triton's interpreter lets pass, its compiler may not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PROGRAM = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from service.engine.gpu.direct import warps_of
from service.engine.gpu.direct_kernel import UNROLLED, convolve
from service.engine.gpu.lane_kernel import decode

POINTERS = {
    convolve: dict.fromkeys(["indptr", "offsets", "order"], "*i32")
    | dict.fromkeys(["padded", "values", "scale", "bias", "residual", "output"], "*fp32")
    | dict.fromkeys(["low", "high"], "fp32"),
    decode: dict.fromkeys(["starts", "counts", "tables", "firsts", "ends"], "*i64")
    | {"payload": "*u8", "lookup": "*i16", "symbols": "*i16"},
}

def compiled(kernel, capability, warps, **constants):
    kinds = {p.name: "constexpr" if p.is_constexpr else POINTERS[kernel].get(p.name, "i32") for p in kernel.params}
    source = ASTSource(kernel, kinds, constexprs=constants)
    found = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    return len(found.asm["cubin"]) > 0

def convolution(capability, block, parts):
    flags = dict.fromkeys(["HAS_SCALE", "HAS_BIAS", "HAS_RESIDUAL", "HAS_BOUNDS"], parts)
    return compiled(convolve, capability, warps_of(block), BLOCK=block, UNROLL=UNROLLED, **flags)

def lanes(capability):
    return compiled(decode, capability, 1, CODE_BITS=12, BLOCK=32)
"""


def run(what: str, cache: Path) -> str:
    """A process of its own: this one's triton interprets."""
    environment = {"PATH": "/usr/bin:/bin", "TRITON_CACHE_DIR": str(cache), "HOME": str(cache)}
    command = [sys.executable, "-c", f"{PROGRAM}\nprint(({what}))"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_both_kernels_compile_for_an_h100(tmp_path: Path) -> None:
    assert run("convolution(90, 64, True), lanes(90)", tmp_path) == "(True, True)"


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_every_variant_compiles(capability: int, tmp_path: Path) -> None:
    variants = "[convolution(c, block, parts) for block in (64, 256, 1024) for parts in (True, False)] + [lanes(c)]"
    assert run(f"(lambda c: {variants})({capability})", tmp_path) == str([True] * 7)
