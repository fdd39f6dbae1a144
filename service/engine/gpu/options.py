"""What the torch engine may do: precision, kernels, batch sizes that are measured, graphs that are kept."""

from dataclasses import dataclass

from service.errors import EngineUnavailable
from service.precisions import PRECISIONS

BLOCKS = (64, 256, 1024)  # output positions of one program of the direct kernel: each a candidate of its own
SPARSE_PRODUCT = "sparse-product"
DIRECT = tuple(f"direct-{block}" for block in BLOCKS)
KERNELS = (SPARSE_PRODUCT, *DIRECT, *(f"dense-{precision}" for precision in PRECISIONS))


@dataclass(frozen=True, slots=True)
class TorchOptions:
    """Settings of one plan.

    Attributes:
        precision: how dense layers may multiply: "float32", "tf32" (19 bits of the operands) or "bfloat16". Beyond
            float32 logits differ from the other engines' by more than 1e-4. Sparse kernels always multiply in float32.
        kernels: those that may be candidates, of `KERNELS`; empty for all that the device runs.
        batches: for which batch sizes the kernels are measured, rising. A batch is run as the smallest that is not
            below it was found best, larger ones as the largest.
        graphs: for how many batch sizes a CUDA graph is kept; 0 for none.

    Raises:
        EngineUnavailable: a value is outside its range.
    """

    precision: str = "float32"
    kernels: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1, 4, 16)
    graphs: int = 16

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise EngineUnavailable(f'precision "{self.precision}", must be one of {", ".join(PRECISIONS)}')
        for kernel in self.kernels:
            if kernel not in KERNELS:
                raise EngineUnavailable(f'kernel "{kernel}", must be one of {", ".join(KERNELS)}')
        if not self.batches or self.batches[0] < 1 or list(self.batches) != sorted(set(self.batches)):
            raise EngineUnavailable(f"batches {self.batches}, must be one or more that rise, from 1 on")
        if self.graphs < 0:
            raise EngineUnavailable(f"graphs {self.graphs}, must be 0 or more")

    @property
    def dense_precisions(self) -> tuple[str, ...]:
        """In which precisions dense layers are candidates. Whether float32 means TF32 is a switch of the process."""
        return ("float32", "bfloat16") if self.precision == "bfloat16" else (self.precision,)

    def allows(self, kernel: str) -> bool:
        """Whether a kernel may be a candidate."""
        return not self.kernels or kernel in self.kernels

    def measured_for(self, count: int) -> int:
        """The measured batch size whose kernels run a batch of `count` pictures."""
        return next((batch for batch in self.batches if batch >= count), self.batches[-1])
