"""Where the engine's tests run: on a GPU where there is one, else on the CPU, kernels in Triton's interpreter."""

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU that torch can use")
