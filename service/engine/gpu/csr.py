"""Sparse weights on a device, in the orders in which its kernels read them."""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from model_store.tensors import SharedTensor


@dataclass(frozen=True, slots=True, eq=False)
class DeviceCsr:
    """A weight of shape [outputs, inputs of a group, ...] as compressed sparse rows, one row an output.

    Built from tensors that were checked: nothing is checked again.

    Attributes:
        shape: (rows, columns).
        indptr: int32 [rows + 1].
        indices: int32 [nonzeros], columns, rising within a row.
        values: float32 [nonzeros].
    """

    shape: tuple[int, int]
    indptr: Tensor
    indices: Tensor
    values: Tensor

    @classmethod
    def of_positions(cls, shape: tuple[int, ...], positions: Tensor, values: Tensor) -> "DeviceCsr":
        """Of strictly rising row-major positions int64, with the values there."""
        rows, columns = shape[0], math.prod(shape[1:])
        starts = torch.arange(rows + 1, device=positions.device) * columns
        indptr = torch.searchsorted(positions, starts).to(torch.int32)
        return cls((rows, columns), indptr, (positions % columns).to(torch.int32), values)

    @classmethod
    def of_tensor(cls, tensor: SharedTensor, device: torch.device) -> "DeviceCsr":
        """Of weights that lie in the host's memory."""
        positions = torch.from_numpy(tensor.positions).to(device, torch.int64)
        codes = torch.from_numpy(tensor.codes.astype("int32")).to(device)
        codebook = torch.from_numpy(tensor.codebook.astype("float32")).to(device)
        return cls.of_positions(tensor.shape, positions, codebook[codes])

    @property
    def row_of(self) -> Tensor:
        """int64 [nonzeros]: the row of each."""
        return torch.repeat_interleave(self.indptr.diff().long())

    def grouped(self, group: int) -> "DeviceCsr":
        """Block diagonal: the rows of each group moved to that group's columns, so that one product does all."""
        if group == 1:
            return self
        rows, columns = self.shape
        shift = (self.row_of // (rows // group) * columns).to(torch.int32)
        return DeviceCsr((rows, columns * group), self.indptr, self.indices + shift, self.values)

    def to_dense(self) -> Tensor:
        """float32 [rows, columns]."""
        dense = torch.zeros(self.shape, device=self.values.device)
        dense[self.row_of, self.indices.long()] = self.values
        return dense

    def to_torch(self) -> Tensor:
        """The same as torch's own type, over the same memory."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state", UserWarning)
            return torch.sparse_csr_tensor(self.indptr, self.indices, self.values, self.shape, check_invariants=True)

    def input_offsets(self, kernel: tuple[int, int], dilations: tuple[int, int], padded: tuple[int, int]) -> Tensor:
        """int32 [nonzeros]: how many positions behind a window's corner each tap lies, in padded planes.

        Args:
            padded: (height, width) of a padded plane. Planes lie one after the other, a position being all pictures.
        """
        indices = self.indices.long()
        column = indices % kernel[1]
        row = indices // kernel[1] % kernel[0]
        channel = indices // math.prod(kernel)
        offsets = (channel * padded[0] + row * dilations[0]) * padded[1] + column * dilations[1]
        return offsets.to(torch.int32)


def size_of(*tensors: Tensor) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
