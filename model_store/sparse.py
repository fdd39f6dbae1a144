"""Compressed sparse rows, checked once at the boundary."""

from dataclasses import dataclass

import numpy as np

from model_store.errors import MalformedBundle


@dataclass(frozen=True, slots=True, eq=False)
class CsrMatrix:
    """A sparse matrix.

    Attributes:
        shape: (rows, columns).
        indptr: int64 [rows + 1], from 0 to the number of non-zeros, never falling.
        indices: int32 [nonzeros], columns, strictly rising within a row.
        values: float32 [nonzeros], finite.

    Raises:
        MalformedBundle: any of these does not hold.
    """

    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        rows, columns = self.shape
        if rows < 1 or columns < 1 or columns > np.iinfo(np.int32).max:
            raise MalformedBundle(f"CSR: shape {self.shape}, must be positive, with int32 columns")
        for name, array, dtype in (("indptr", self.indptr, np.int64), ("indices", self.indices, np.int32)):
            if array.dtype != dtype or array.ndim != 1:
                raise MalformedBundle(f"CSR: {name} is {array.dtype} of rank {array.ndim}, must be {np.dtype(dtype)}")
        if self.values.dtype != np.float32 or self.values.shape != self.indices.shape:
            raise MalformedBundle(f"CSR: values are {self.values.dtype} {self.values.shape}, must be float32 an index")
        if len(self.indptr) != rows + 1 or self.indptr[0] != 0 or self.indptr[-1] != len(self.indices):
            raise MalformedBundle(
                f"CSR: indptr of {len(self.indptr)}, must be {rows + 1}, from 0 to {len(self.indices)}"
            )
        falling = self.indptr[1:] < self.indptr[:-1]
        if falling.any():
            row = int(np.argmax(falling))
            raise MalformedBundle(f"CSR: indptr[{row + 1}] = {self.indptr[row + 1]}, must be >= {self.indptr[row]}")
        self._check_indices(columns)

    def _check_indices(self, columns: int) -> None:
        if not len(self.indices):
            return
        if int(self.indices.min()) < 0 or int(self.indices.max()) >= columns:
            at = int(np.argmax((self.indices < 0) | (self.indices >= columns)))
            raise MalformedBundle(f"CSR: indices[{at}] = {self.indices[at]}, must be in 0..{columns - 1}")
        rising = np.diff(self.indices) > 0
        starts = self.indptr[1:-1]
        rising[starts[(starts > 0) & (starts < len(self.indices))] - 1] = True
        if not rising.all():
            at = int(np.argmin(rising)) + 1
            raise MalformedBundle(f"CSR: indices[{at}] = {self.indices[at]}, must be > {self.indices[at - 1]}")
        if not np.isfinite(self.values).all():
            raise MalformedBundle("CSR: a value is not finite, must be")

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.indptr.nbytes + self.indices.nbytes + self.values.nbytes
