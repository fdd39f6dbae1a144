import pytest

from service.engine.gpu.options import TorchOptions
from service.errors import EngineUnavailable


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "half"}, 'precision "half", must be one of float32, tf32, bfloat16'),
        (
            {"kernels": ("winograd",)},
            'kernel "winograd", must be one of sparse-product, direct-64, direct-256, direct-1024, '
            "dense-float32, dense-tf32, dense-bfloat16",
        ),
        ({"batches": ()}, "batches (), must be one or more that rise, from 1 on"),
        ({"batches": (0, 1)}, "batches (0, 1), must be one or more that rise, from 1 on"),
        ({"batches": (4, 4)}, "batches (4, 4), must be one or more that rise, from 1 on"),
        ({"graphs": -1}, "graphs -1, must be 0 or more"),
    ],
)
def test_what_is_outside_its_range_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        TorchOptions(**settings)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_batch_runs_as_the_next_measured_size_and_larger_ones_as_the_largest() -> None:
    options = TorchOptions(batches=(1, 4, 16))
    assert [options.measured_for(count) for count in (1, 2, 4, 5, 16, 17, 1000)] == [1, 4, 4, 16, 16, 16, 16]


def test_dense_layers_are_exact_unless_rounding_is_asked_for() -> None:
    precisions = {name: TorchOptions(name).dense_precisions for name in ("float32", "tf32", "bfloat16")}
    assert precisions == {"float32": ("float32",), "tf32": ("tf32",), "bfloat16": ("float32", "bfloat16")}
