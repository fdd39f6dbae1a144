"""Torch devices, and what can run on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch

from service.errors import EngineUnavailable


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        EngineUnavailable: torch knows no such device, or it is not there.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise EngineUnavailable(f'device "{name}": torch cannot use it: {reason}') from None
    return device


@contextmanager
def using(device: torch.device) -> Iterator[None]:
    """No gradients; and Triton's kernels go to this device, which need not be the first."""
    with torch.inference_mode():
        if device.type != "cuda":
            yield
            return
        with torch.cuda.device(device):
            yield


def set_precision(precision: str) -> None:
    """Tell torch how float32 products are made on GPUs in this process, from now on.

    By default cuDNN's convolutions round their operands to TF32, which has 13 bits less than float32. The switches are
    the process's: plans of different precision have no place in one.
    """
    rounds = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = rounds
    torch.set_float32_matmul_precision("high" if rounds else "highest")
    torch.backends.cudnn.benchmark = True  # cuDNN looks for its fastest kernel, once a shape


def runs_triton(device: torch.device) -> bool:
    """Whether Triton's kernels run there: on a GPU with triton installed, elsewhere only in Triton's interpreter."""
    if find_spec("triton") is None:
        return False
    if device.type == "cuda":
        return True
    from triton import knobs

    return bool(knobs.runtime.interpret)
