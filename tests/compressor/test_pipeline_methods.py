"""The whole way by every method: the file is measured, holds what the method promises, and the service computes it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compressor.citation import read_citation
from compressor.errors import RecipeError
from compressor.factorization.recipe import FactorizeRecipe
from compressor.pipeline import Compression
from compressor.pruning.recipe import PruneRecipe
from compressor.quantization.recipe import METHODS as QUANTIZATIONS
from compressor.quantization.recipe import QuantizeRecipe
from compressor.recipes import CompressRecipe
from compressor.removal.recipe import RemoveRecipe
from compressor.sharing.recipe import CODEBOOKS, LatentRecipe, ShareRecipe
from compressor.staged_run import CompressData
from compressor.structured.recipe import METHODS as STRUCTURES
from compressor.structured.recipe import StructuredRecipe
from compressor.training.evaluation import normalise
from compressor.training.recipe import TrainRecipe
from compressor.training.trainer import Trainer
from compressor.vector_quantization import VectorRecipe
from model_store.bundle import Bundle, decode_bundle
from model_store.preprocessing import Preprocessing
from model_store.store import Store
from model_store.tensors import SharedTensor
from model_store.vectors import VectorTensor
from service.engine import compile_plan
from tests.compressor.blobs import TINY_CARD, TINY_PREPROCESSING, draw, quick_training, tiny_network
from tests.compressor.toys import exactly

TRAIN, HOLDOUT, TEST = draw(128, 1), draw(60, 2, noise=115), draw(90, 3, noise=115)
NOTHING_PRUNED = CompressRecipe(
    PruneRecipe(method="none"),
    quick_training(epochs=4),
    ShareRecipe((("*", 8),)),
    quick_training(epochs=1, learning_rate=0.005, weight_decay=0.0),
)


@pytest.fixture(scope="module")
def dense() -> dict[str, torch.Tensor]:
    recipe = quick_training(epochs=5, learning_rate=0.1)
    return dict(Trainer(tiny_network(), TINY_PREPROCESSING, recipe, progress=False).fit(TRAIN, HOLDOUT).state_dict())


def published(dense: dict[str, torch.Tensor], folder: Path, recipe: CompressRecipe) -> Bundle:
    """The file that a recipe makes, whose accuracy the service's engine has too."""
    network = tiny_network()
    network.load_state_dict(dense)
    data = CompressData(TRAIN, HOLDOUT, lambda: TEST, "d1" * 32)
    run = Compression(network, TINY_CARD, data, recipe, folder / "run", progress=False)
    bundle = decode_bundle(run.publish(Store.create(folder / "store"), "tiny").data)
    logits = compile_plan(bundle).run(normalise(TEST.pixels, bundle.preprocessing).contiguous().numpy())
    accuracy = float(np.mean(logits.argmax(1) == TEST.labels.numpy()))
    assert bundle.provenance["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert accuracy > 0.4
    assert read_citation(bundle.provenance["recipe"]) == recipe
    return bundle


def shared(bundle: Bundle) -> list[SharedTensor]:
    return [tensor for tensor in bundle.tensors if isinstance(tensor, SharedTensor)]


@pytest.mark.parametrize("method", STRUCTURES)
def test_half_of_the_filters_are_empty_in_the_file(method: str, dense: dict[str, torch.Tensor], tmp_path: Path) -> None:
    structure = StructuredRecipe(method, kept=(("last", 1.0), ("*", 0.5)), refresh_steps=3)
    bundle = published(dense, tmp_path, dataclasses.replace(NOTHING_PRUNED, structure=structure))
    rows = [np.abs(tensor.to_dense()).reshape(tensor.shape[0], -1).sum(1) > 0 for tensor in shared(bundle)]
    assert [int(row.sum()) for row in rows] == [3, 4, 3]
    assert "prune-filters" in bundle.provenance["stages"]


def test_columns_then_filters_are_two_stages(dense: dict[str, torch.Tensor], tmp_path: Path) -> None:
    structure = StructuredRecipe("admm", ("columns", "filters"), (("last", 1.0), ("*", 0.6)), refresh_steps=3)
    bundle = published(dense, tmp_path, dataclasses.replace(NOTHING_PRUNED, structure=structure))
    middle = shared(bundle)[1].to_dense()
    assert int((np.abs(middle).sum(axis=0) > 0).sum()) <= 32  # of 54 columns
    assert int((np.abs(middle).reshape(8, -1).sum(axis=1) > 0).sum()) == 4
    assert {"prune-columns", "prune-filters"} <= bundle.provenance["stages"].keys()


@pytest.mark.parametrize("method", QUANTIZATIONS)
def test_quantized_layers_have_two_values_and_perhaps_zero(
    method: str, dense: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    bundle = published(dense, tmp_path, dataclasses.replace(NOTHING_PRUNED, quantize=QuantizeRecipe(method)))
    first, middle, last = shared(bundle)
    assert len(middle.codebook) <= 2
    assert (middle.nonzeros == middle.to_dense().size) == (method == "binary")
    assert max(len(first.codebook), len(last.codebook)) <= 8
    assert "quantize" in bundle.provenance["stages"]


def test_factors_are_in_the_file_and_the_ratio_is_over_the_whole_network(
    dense: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    factorize = FactorizeRecipe((("first", 1.0), ("*", 0.7)))
    bundle = published(dense, tmp_path, dataclasses.replace(NOTHING_PRUNED, factorize=factorize))
    whole = tiny_network()
    assert bundle.parameters == sum(parameter.numel() for parameter in whole.parameters())
    assert sum(tensor.to_dense().size for tensor in shared(bundle)) < 54 + 432 + 24
    assert len(shared(bundle)) > 3
    assert "retrain" in bundle.provenance["stages"]


def test_factors_can_be_pruned_too(dense: dict[str, torch.Tensor], tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        NOTHING_PRUNED, prune=PruneRecipe(sparsity=0.4, refresh_steps=2), factorize=FactorizeRecipe((("*", 0.9),))
    )
    assert published(dense, tmp_path, recipe).sparsity == pytest.approx(0.4, abs=0.02)


VECTORS = {
    "pq": VectorRecipe("pq", (("*", 9),), (("conv2", 12), ("*", 0))),
    "rq": VectorRecipe("rq", (("*", 9),), (("conv2", 8), ("*", 0)), stages=2),
    "network": VectorRecipe("pq", (("linear", 8), ("*", 9)), (("*", 16),), codebooks="network"),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_share_codewords_in_the_file(name: str, dense: dict[str, torch.Tensor], tmp_path: Path) -> None:
    recipe = dataclasses.replace(NOTHING_PRUNED, vectors=VECTORS[name])
    bundle = published(dense, tmp_path, recipe)
    vectors = [tensor for tensor in bundle.tensors if isinstance(tensor, VectorTensor)]
    assert len(vectors) == (3 if name == "network" else 1)
    assert len(shared(bundle)) == 3 - len(vectors)
    assert {len(tensor.books) for tensor in vectors} == {2 if name == "rq" else 1}


def test_vectors_that_fit_no_layer_are_refused_before_any_training(
    dense: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compression, "_train", lambda *arguments: pytest.fail("it trains"))
    recipe = dataclasses.replace(NOTHING_PRUNED, vectors=VectorRecipe("pq", (("*", 7),), (("conv2", 4), ("*", 0))))
    with pytest.raises(RecipeError, match=exactly("length: conv2 = 7, must divide its rows of 54 weights")):
        published(dense, tmp_path, recipe)


def test_a_run_of_vectors_that_is_killed_resumes_to_the_same_file(
    dense: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(NOTHING_PRUNED, vectors=VECTORS["rq"])
    whole = published(dense, tmp_path / "whole", recipe)
    with monkeypatch.context() as patch:
        patch.setattr(Compression, "_train_centroids", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            published(dense, tmp_path / "killed", recipe)
    again = published(dense, tmp_path / "killed", recipe)
    for first, second in zip(whole.tensors, again.tensors, strict=True):
        assert np.array_equal(first.to_dense(), second.to_dense())


LATENT = dataclasses.replace(
    NOTHING_PRUNED, prune=PruneRecipe(sparsity=0.4, refresh_steps=2), latent=LatentRecipe(epochs=2, learning_rate=0.05)
)


@pytest.mark.parametrize("codebooks", CODEBOOKS)
def test_weights_trained_one_by_one_share_values_in_the_file(
    codebooks: str, dense: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    share = dataclasses.replace(LATENT.share, codebooks=codebooks, entropy_penalty=0.01)
    bundle = published(dense, tmp_path, dataclasses.replace(LATENT, share=share))
    assert bundle.sparsity == pytest.approx(0.4, abs=0.02)
    assert all(len(tensor.codebook) <= 8 for tensor in shared(bundle))
    stages = bundle.provenance["stages"]
    assert list(stages) == ["centroids", "decoded", "dense", "latent", "prune", "share"]


def test_latent_weights_are_trained_as_in_retraining_but_without_a_moving_average(
    dense: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: dict[str, TrainRecipe] = {}

    class Noted(Trainer):
        def __init__(self, network: torch.nn.Module, preprocessing: Preprocessing, recipe: TrainRecipe, **rest: Any):
            super().__init__(network, preprocessing, recipe, **rest)
            recipes[self.name] = recipe

    monkeypatch.setattr("compressor.staged_run.Trainer", Noted)
    published(dense, tmp_path, LATENT)
    expected = dataclasses.replace(LATENT.retrain, epochs=2, learning_rate=0.05, ema_decay=0)
    assert recipes == {"prune": LATENT.retrain, "latent": expected, "centroids": LATENT.centroids}


def test_a_run_killed_after_its_latent_weights_resumes_to_the_same_file(
    dense: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = published(dense, tmp_path / "whole", LATENT)
    with monkeypatch.context() as patch:
        patch.setattr(Compression, "_train_centroids", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            published(dense, tmp_path / "killed", LATENT)
    with monkeypatch.context() as patch:
        patch.setattr("compressor.pipeline.LatentWeights", _interrupted)  # it is not trained again
        again = published(dense, tmp_path / "killed", LATENT)
    for first, second in zip(whole.tensors, again.tensors, strict=True):
        assert np.array_equal(first.to_dense(), second.to_dense())


def _interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_pruned_kernels_stay_empty_among_vectors(dense: dict[str, torch.Tensor], tmp_path: Path) -> None:
    structure = StructuredRecipe("l1", kept=(("last", 1.0), ("*", 0.5)), end=0.0)
    recipe = dataclasses.replace(NOTHING_PRUNED, structure=structure, vectors=VECTORS["pq"])
    bundle = published(dense, tmp_path, recipe)
    (vectors,) = (tensor for tensor in bundle.tensors if isinstance(tensor, VectorTensor))
    assert int((np.abs(vectors.to_dense()).reshape(8, -1).sum(1) > 0).sum()) == 4


def test_single_weights_go_after_whole_filters_and_none_comes_back(
    dense: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    structure = StructuredRecipe("l1", kept=(("last", 1.0), ("*", 0.5)), end=0.0)
    recipe = dataclasses.replace(
        NOTHING_PRUNED, structure=structure, remove=RemoveRecipe(epochs=4),
        prune=PruneRecipe(sparsity=0.6, refresh_steps=2, floors=(("*", 0.05),)),
    )  # fmt: skip
    bundle = published(dense, tmp_path, recipe)
    assert bundle.sparsity == pytest.approx(0.6, abs=0.01)
    assert bundle.shapes()[1][0] == 3  # of 6 filters: they are gone, not empty
    assert list(bundle.provenance["stages"]) == ["centroids", "decoded", "dense", "prune-filters", "remove", "share"]


def test_two_methods_at_once_are_refused() -> None:
    with pytest.raises(RecipeError, match=exactly("vectors and latent: must be one of them alone")):
        dataclasses.replace(NOTHING_PRUNED, vectors=VectorRecipe("pq"), latent=LatentRecipe())
    with pytest.raises(RecipeError, match=exactly("prune and quantize: must be one of them alone")):
        CompressRecipe(quantize=QuantizeRecipe())
