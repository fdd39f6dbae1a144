"""The kinds of tensor a bundle holds: float16, float16 from 8 bits, weights that share a codebook's values, and those
of `model_store.vectors`, which share whole vectors."""

import math
from dataclasses import dataclass

import numpy as np

from model_store.errors import BundleTooLarge, MalformedBundle
from model_store.limits import MAX_CODEBOOK_ENTRIES
from model_store.shape_limits import check_shape
from model_store.sparse import CsrMatrix
from model_store.vectors import VectorTensor


@dataclass(frozen=True, slots=True, eq=False)
class FloatTensor:
    """Finite float16 values of any shape: scale and bias, and weights nobody pruned."""

    values: np.ndarray

    def __post_init__(self) -> None:
        if self.values.dtype != np.float16:
            raise MalformedBundle(f"float tensor: {self.values.dtype}, must be float16")
        check_shape(self.values.shape, "float tensor")
        if not np.isfinite(self.values).all():
            raise MalformedBundle("float tensor: a value is not finite, must be")

    @classmethod
    def checked(cls, values: np.ndarray) -> "FloatTensor":
        """One whose values the decoder has checked: they are not looked at again."""
        tensor = object.__new__(cls)
        object.__setattr__(tensor, "values", values)
        return tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def nonzeros(self) -> int:
        return int(np.count_nonzero(self.values))

    def to_dense(self) -> np.ndarray:
        """float32 of the same shape."""
        return self.values.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SharedTensor:
    """Weights whose non-zeros share the values of a codebook (Han et al. 2016, section 3).

    Attributes:
        shape: [outputs, inputs] or [outputs, inputs / group, height, width].
        positions: int32 [nonzeros], row-major, strictly rising.
        codes: uint16 [nonzeros], indices into the codebook.
        codebook: float16, strictly rising, finite, without 0.

    Raises:
        MalformedBundle, BundleTooLarge: any of these does not hold, or a limit is passed.
    """

    shape: tuple[int, ...]
    positions: np.ndarray
    codes: np.ndarray
    codebook: np.ndarray

    def __post_init__(self) -> None:
        elements = check_shape(self.shape, "shared tensor")
        if len(self.shape) < 2:
            raise MalformedBundle(f"shared tensor: shape {self.shape}, must have rank 2 or more")
        check_codebook(self.codebook, "shared tensor")
        if self.positions.dtype != np.int32 or self.codes.dtype != np.uint16:
            raise MalformedBundle(f"shared tensor: positions {self.positions.dtype}, codes {self.codes.dtype}")
        if self.positions.ndim != 1 or self.positions.shape != self.codes.shape:
            raise MalformedBundle(f"shared tensor: {self.positions.shape} positions, {self.codes.shape} codes")
        if not len(self.positions):
            return
        if np.any(self.positions[1:] <= self.positions[:-1]) or self.positions[0] < 0 or self.positions[-1] >= elements:
            raise MalformedBundle(f"shared tensor: positions must rise strictly within 0..{elements - 1}")
        if int(self.codes.max()) >= len(self.codebook):
            raise MalformedBundle(f"shared tensor: code {int(self.codes.max())}, must be < {len(self.codebook)}")

    @classmethod
    def checked(
        cls, shape: tuple[int, ...], positions: np.ndarray, codes: np.ndarray, codebook: np.ndarray
    ) -> "SharedTensor":
        """One whose fields the decoder has checked as it made them: they are not looked at again."""
        tensor = object.__new__(cls)
        for name, value in (("shape", shape), ("positions", positions), ("codes", codes), ("codebook", codebook)):
            object.__setattr__(tensor, name, value)
        return tensor

    @property
    def nonzeros(self) -> int:
        return len(self.positions)

    def to_dense(self) -> np.ndarray:
        """float32 of `shape`."""
        dense = np.zeros(math.prod(self.shape), dtype=np.float32)
        dense[self.positions] = self.codebook.astype(np.float32)[self.codes]
        return dense.reshape(self.shape)

    def to_csr(self) -> CsrMatrix:
        """Rows are outputs, columns the rest, row-major."""
        rows, columns = self.shape[0], math.prod(self.shape[1:])
        row_of, column_of = np.divmod(self.positions, columns)
        indptr = np.zeros(rows + 1, dtype=np.int64)
        np.cumsum(np.bincount(row_of, minlength=rows), out=indptr[1:])
        values = self.codebook.astype(np.float32)[self.codes]
        return CsrMatrix((rows, columns), indptr, column_of.astype(np.int32), values)


@dataclass(frozen=True, slots=True, eq=False)
class AffineTensor:
    """float16 values `offset + step * code`, for scale and bias where 8 bits are enough.

    Attributes:
        offset: what float16 holds, finite, not -0.
        step: likewise, above 0.
        codes: uint8, of the tensor's shape.

    Raises:
        MalformedBundle, BundleTooLarge: any of these does not hold, or a value passes float16.
    """

    offset: float
    step: float
    codes: np.ndarray

    def __post_init__(self) -> None:
        if self.codes.dtype != np.uint8:
            raise MalformedBundle(f"8-bit tensor: codes {self.codes.dtype}, must be uint8")
        check_shape(self.codes.shape, "8-bit tensor")
        with np.errstate(over="ignore"):
            exact = all(float(np.float16(value)) == value for value in (self.offset, self.step))
        if not exact or not math.isfinite(self.offset) or (self.offset == 0 and math.copysign(1, self.offset) < 0):
            raise MalformedBundle(f"8-bit tensor: offset {self.offset}, step {self.step}, must be float16 and not -0")
        if not (math.isfinite(self.step) and self.step > 0):
            raise MalformedBundle(f"8-bit tensor: step {self.step}, must be finite and above 0")
        if not np.isfinite(self.values).all():
            raise MalformedBundle("8-bit tensor: a value is not finite, must be")

    @property
    def values(self) -> np.ndarray:
        """float16 of `shape`: the exact sum, rounded once, ties to even."""
        exact = self.offset + self.step * self.codes.astype(np.float64)  # 48 bits are enough for any float16
        with np.errstate(over="ignore"):
            rounded: np.ndarray = exact.astype(np.float16)
        return rounded

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def nonzeros(self) -> int:
        return int(np.count_nonzero(self.values))

    def to_dense(self) -> np.ndarray:
        """float32 of `shape`."""
        return self.values.astype(np.float32)


Tensor = FloatTensor | AffineTensor | SharedTensor | VectorTensor


def check_codebook(codebook: np.ndarray, place: str) -> None:
    """Refuse a codebook that is not float16, strictly rising, finite, without 0, of 1 to the limit's entries."""
    if codebook.dtype != np.float16 or codebook.ndim != 1:
        raise MalformedBundle(f"{place}: codebook is {codebook.dtype} of rank {codebook.ndim}, must be float16, rank 1")
    if not 1 <= len(codebook) <= MAX_CODEBOOK_ENTRIES:
        raise BundleTooLarge(f"{place}: codebook of {len(codebook)} entries, must be 1..{MAX_CODEBOOK_ENTRIES}")
    rises = (codebook[1:] > codebook[:-1]).all()  # and so holds no NaN, nor an infinity but at an end
    if not (rises and codebook.all() and math.isfinite(codebook[0]) and math.isfinite(codebook[-1])):
        raise MalformedBundle(f"{place}: codebook must rise strictly, be finite and hold no 0")
