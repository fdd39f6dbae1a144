"""Importance from the final responses back to every filter, against sums written out by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compressor.errors import RecipeError
from compressor.networks import build_network
from compressor.structured import propagation
from compressor.structured.feature_selection import MIXING, REGULARIZATION, rank_features
from compressor.structured.propagation import filter_importance
from compressor.structured.recipe import StructuredRecipe
from compressor.structured.rounds import structured_rounds
from compressor.training.samples import Samples
from model_store.preprocessing import Preprocessing
from tests.compressor.blobs import TINY_SAMPLES, draw, tiny_network

GREY = Samples(draw(40, 5, side=4), Preprocessing(4, 4, (0.3,), (0.25,)))


class Residual(nn.Module):
    """A stem, a block around a shortcut, and two linear layers, without BatchNorm, over 4 x 4 grey pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 1, bias=False)
        self.inner = nn.Conv2d(3, 5, 1)
        self.outer = nn.Conv2d(5, 3, 1)
        self.hidden = nn.Linear(3 * 4, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        added = (self.outer(self.inner(stem).relu()) + stem).relu()
        logits: Tensor = self.last(self.hidden(nn.functional.max_pool2d(added, 2).flatten(1)).relu())
        return logits


def matrix(layer: nn.Conv2d | nn.Linear) -> np.ndarray:
    return np.abs(layer.weight.detach().double().flatten(1).numpy())


def test_importance_is_the_sum_over_all_paths_of_absolute_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = Residual()
    final = torch.tensor([3.0, 0.0, 1.0, 0.5, 0.0, 2.0], dtype=torch.float64)
    monkeypatch.setattr(propagation, "rank_features", lambda responses: final)
    found = filter_importance(network, GREY)

    pooled = matrix(network.hidden).T @ final.numpy()  # of channel c at the places 4c .. 4c + 3
    added = pooled.reshape(3, 4).sum(1)  # 4 neurons a window share it: their sum over a channel is the window's
    inner = matrix(network.outer).T @ added
    stem = added + matrix(network.inner).T @ inner
    assert found.keys() == {"stem.weight", "inner.weight", "outer.weight", "hidden.weight"}
    for name, expected in (("hidden", final.numpy()), ("outer", added), ("inner", inner), ("stem", stem)):
        np.testing.assert_allclose(found[f"{name}.weight"].numpy(), expected, rtol=1e-6)


def test_batchnorm_passes_its_absolute_scale_on(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network().eval()
    with torch.no_grad():
        network.bn2.weight.copy_(torch.linspace(-2, 2, 8))
    monkeypatch.setattr(propagation, "rank_features", lambda responses: torch.ones(8, dtype=torch.float64))
    found = filter_importance(network, TINY_SAMPLES)["conv2.weight"]
    expected = network.bn2.weight.detach().abs() / (network.bn2.running_var + network.bn2.eps).sqrt()
    torch.testing.assert_close(found, expected.double(), rtol=1e-5, atol=1e-7)


def test_final_responses_that_are_maps_are_ranked_by_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    seen: list[torch.Size] = []

    def ranked(responses: Tensor) -> Tensor:
        seen.append(responses.shape)
        return torch.arange(4, dtype=torch.float64)

    monkeypatch.setattr(propagation, "rank_features", ranked)
    assert filter_importance(network, GREY)["0.weight"].tolist() == [0, 4, 8, 12]  # of 2 x 2 neurons each
    assert seen == [(40, 4)]


class Twice(nn.Module):
    """One layer, used twice in a row, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Conv2d(1, 1, 1, bias=False)
        self.last = nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.again(self.again(images).relu()).flatten(1))
        return logits


def test_a_layer_that_is_used_twice_has_the_importance_of_both_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Twice()
    monkeypatch.setattr(propagation, "rank_features", lambda responses: torch.ones(16, dtype=torch.float64))
    weight = abs(float(network.again.weight.detach()))
    found = filter_importance(network, GREY)
    assert list(found) == ["again.weight"]
    assert found["again.weight"].tolist() == [pytest.approx(16 + 16 * weight, rel=1e-6)]


def test_a_classifier_alone_has_no_filter_before_it() -> None:
    assert filter_importance(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), GREY) == {}


@pytest.mark.parametrize("name", ["resnet20", "lenet5"])
def test_every_filter_of_real_networks_has_an_importance(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, 10)
    channels, side = (3, 32) if name == "resnet20" else (1, 28)
    pixels = torch.randint(0, 256, (12, channels, side, side), dtype=torch.uint8)
    images = type(GREY.images)(pixels, torch.zeros(12, dtype=torch.int64), ("a",))
    found = filter_importance(
        network, Samples(images, Preprocessing(side, side, (0.5,) * channels, (0.25,) * channels))
    )
    weights = dict(network.named_parameters())
    assert all(importance.shape == weights[layer].shape[:1] for layer, importance in found.items())
    assert all(bool((importance >= 0).all()) and float(importance.sum()) > 0 for importance in found.values())
    assert (
        len(found)
        == (21 if name == "resnet20" else 3) - (name == "resnet20" and "layer2.0.shortcut.0.weight" not in weights) * 2
    )


def test_features_are_ranked_by_the_sum_over_paths_of_any_length() -> None:
    random = np.random.default_rng(0)
    responses = random.normal(size=(60, 5)) * np.array([1.0, 3.0, 0.2, 1.0, 1.0])
    responses[:, 4] = responses[:, 1] ** 3  # the same ranks: redundant, whatever their distance
    spread = responses.std(0, ddof=1)
    spread = spread / spread.max()
    ranks = responses.argsort(0).argsort(0)
    graph = MIXING * np.maximum(spread[:, None], spread) + (1 - MIXING) * (1 - np.abs(np.corrcoef(ranks.T)))
    scaled = REGULARIZATION / np.abs(np.linalg.eigvalsh(graph)).max() * graph
    expected, power = np.zeros(5), np.eye(5)
    for _ in range(400):
        power = power @ scaled
        expected += power.sum(1)
    np.testing.assert_allclose(rank_features(torch.from_numpy(responses)).numpy(), expected, rtol=1e-6)


def test_constant_features_have_no_energy_and_ties_share_a_rank() -> None:
    random = np.random.default_rng(1)
    responses = np.column_stack([random.normal(size=30), np.full(30, 7.0), random.integers(0, 3, 30)])
    energy = rank_features(torch.from_numpy(responses))
    assert energy[1] == 0
    assert bool((energy[[0, 2]] > 0).all())
    assert rank_features(torch.ones(4, 3)).tolist() == [0, 0, 0]


def test_the_least_important_filters_are_empty_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = tiny_network()
    recipe = StructuredRecipe("nisp", kept=(("last", 1.0), ("*", 0.5)))
    importance = filter_importance(network, TINY_SAMPLES)
    (one,) = structured_rounds(recipe, lambda progress: 0.1)
    one.begin(network, TINY_SAMPLES)
    for name, kept in (("conv1.weight", 3), ("conv2.weight", 4)):
        alive = dict(network.named_parameters())[name].detach().flatten(1).any(1)
        best = importance[name].argsort(descending=True)[:kept]
        assert sorted(alive.nonzero().squeeze(1).tolist()) == sorted(best.tolist())


def test_only_filters_have_an_importance() -> None:
    with pytest.raises(RecipeError, match="must be filters alone for nisp"):
        StructuredRecipe("nisp", kinds=("columns",))
