from collections.abc import Iterator

import pytest
import torch

from service.engine.gpu.devices import set_precision, using


@pytest.fixture(autouse=True)
def switches_as_they_were() -> Iterator[None]:
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    yield
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_float32_matmul_precision(products)


@pytest.mark.parametrize(("precision", "rounds"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_only_tf32_lets_torch_round_operands(precision: str, rounds: bool) -> None:
    set_precision("float32" if rounds else "tf32")
    set_precision(precision)
    assert torch.backends.cudnn.allow_tf32 is rounds
    assert (torch.get_float32_matmul_precision() == "high") is rounds


def test_no_gradients_are_kept() -> None:
    with using(torch.device("cpu")):
        assert torch.is_inference_mode_enabled()
    assert not torch.is_inference_mode_enabled()
