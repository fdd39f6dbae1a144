"""A shared tensor that was decoded on a device, and stays there."""

import numpy as np
import torch
from torch import Tensor

from model_store.tensors import SharedTensor
from service.engine.gpu.csr import DeviceCsr


class ResidentTensor(SharedTensor):
    """A `SharedTensor` whose positions and codes lie on a device; the host gets copies where it asks for them.

    Made by `decode_on_device`, which has checked that positions rise strictly within the shape and that codes lie
    within the codebook. Shape and codebook are checked here, like those of every shared tensor.
    """

    __slots__ = ("_codes", "_positions")
    _codes: Tensor
    _positions: Tensor

    def __init__(self, shape: tuple[int, ...], positions: Tensor, codes: Tensor, codebook: np.ndarray) -> None:
        """Take positions int64 and codes int64 [nonzeros] of one device.

        Raises:
            MalformedBundle, BundleTooLarge: shape or codebook are none of a shared tensor.
        """
        SharedTensor(shape, np.zeros(0, np.int32), np.zeros(0, np.uint16), codebook)
        for name, value in (("shape", shape), ("codebook", codebook), ("_positions", positions), ("_codes", codes)):
            object.__setattr__(self, name, value)

    @property
    def positions(self) -> np.ndarray:
        """int32 [nonzeros], copied from the device."""
        copied: np.ndarray = self._positions.to(torch.int32).cpu().numpy()
        return copied

    @property
    def codes(self) -> np.ndarray:
        """uint16 [nonzeros], copied from the device."""
        return self._codes.cpu().numpy().astype(np.uint16)

    @property
    def nonzeros(self) -> int:
        return len(self._positions)

    @property
    def csr(self) -> DeviceCsr:
        """Its rows, on the device."""
        codebook = torch.from_numpy(self.codebook.astype(np.float32)).to(self._codes.device)
        return DeviceCsr.of_positions(self.shape, self._positions, codebook[self._codes])
