import pytest
import torch
from torch import Tensor, nn

from compressor.data import ImageSet
from compressor.training import evaluation
from compressor.training.evaluation import accuracy_of, logits_of, normalise
from model_store.preprocessing import Preprocessing
from tests.compressor.toys import TOY_PREPROCESSING, perturb_batchnorm, toy_images, toy_net


class FirstPixels(nn.Module):
    """The logits are the first pixel of each channel, as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(255.0))
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        self.sizes.append(len(images))
        return images[:, :, 0, 0] * self.scale


PLAIN = Preprocessing(1, 1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def rows(*values: tuple[int, int, int], labels: tuple[int, ...]) -> ImageSet:
    pixels = torch.tensor(values, dtype=torch.uint8)[:, :, None, None]
    return ImageSet(pixels, torch.tensor(labels), ("a", "b", "c"))


def test_pixels_are_scaled_and_normalised_channel_by_channel() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 1, 4)
    values = normalise(pixels, Preprocessing(1, 4, (0.5, 0.2, 0.1), (0.25, 0.1, 0.3)))
    assert values.dtype == torch.float32
    assert values.shape == (2, 3, 1, 4)
    assert values[1, :, 0, 3].tolist() == pytest.approx([-2.0, 0.0, 3.0], abs=1e-6)


def test_accuracy_is_the_share_of_highest_logits_that_are_the_label() -> None:
    images = rows((9, 1, 2), (1, 9, 2), (1, 2, 9), (9, 8, 7), labels=(0, 1, 0, 2))
    assert accuracy_of(FirstPixels(), images, PLAIN) == 0.5


def test_logits_come_in_order_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "CPU_BATCH", 3)
    network = FirstPixels()
    images = rows(*((number, 0, 0) for number in range(8)), labels=(0,) * 8)
    logits = logits_of(network, images, PLAIN)
    assert network.sizes == [3, 3, 2]
    assert logits[:, 0].tolist() == pytest.approx(list(range(8)), abs=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_uses_and_keeps_the_running_statistics(training: bool) -> None:
    network = toy_net()
    perturb_batchnorm(network)
    network.train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = toy_images(10)
    logits = logits_of(network, images, TOY_PREPROCESSING)
    assert network.training is training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not logits.requires_grad
    alone = logits_of(network, images.subset(torch.tensor([7])), TOY_PREPROCESSING)
    assert torch.allclose(alone, logits[7:8], atol=1e-5)
