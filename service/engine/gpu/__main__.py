"""`python -m service.engine.gpu BUNDLE`: how long each kernel of each layer takes on a GPU, and which were chosen."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from model_store.bundle import check_bundle, decode_coded
from model_store.description import render_table
from model_store.errors import StoreError
from service.engine.gpu import TorchPlan, decode_on
from service.engine.gpu.options import TorchOptions
from service.errors import EngineError
from service.precisions import PRECISIONS


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status: 2 where it could not be done, and one line says why."""
    parser = argparse.ArgumentParser(prog="python -m service.engine.gpu", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(_report(options.bundle.read_bytes(), options.device, options.precision)))
    except (OSError, StoreError, EngineError) as error:
        print(f"csrve: {error}", file=sys.stderr)
        return 2
    return 0


def _report(data: bytes, device: str, precision: str) -> list[str]:
    coded = check_bundle(data)
    seconds = [_median_s(lambda: decode_on(device, coded)), _median_s(lambda: decode_coded(coded))]
    lines = [f"decode: {1000 * seconds[0]:.3f} ms on {device}, {1000 * seconds[1]:.3f} ms on the host", ""]
    plan = TorchPlan(decode_on(device, coded), device, TorchOptions(precision))
    rows = [["layer", "batch", "kernel", "microseconds of each"]]
    for layer, found in plan.choices.items():
        for batch, choice in found.items():
            times = [f"{name} {1e6 * seconds:.1f}" for name, seconds in choice.seconds.items()]
            refused = [f"{name}: {reason}" for name, reason in choice.refused.items()]
            rows.append([layer, str(batch), choice.chosen.name, "; ".join([*times, *refused]) or "not measured"])
    return [*lines, *render_table(rows)]


def _median_s(run: Callable[[], object]) -> float:
    """Of five calls, after one that compiles what there is to compile."""
    seconds = []
    for _ in range(6):
        started_s = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started_s)
    return float(np.median(seconds[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
