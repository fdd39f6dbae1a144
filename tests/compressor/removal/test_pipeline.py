"""Removal as a stage of the whole way: the file's graph is smaller, a resumed run ends at the same bytes."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from compressor import pipeline
from compressor.pipeline import Compression
from compressor.recipes import CompressRecipe
from compressor.removal import PurifyRecipe, RemoveRecipe
from compressor.staged_run import CompressData
from compressor.structured.recipe import StructuredRecipe
from compressor.training.trainer import Trainer
from model_store.bundle import Bundle, decode_bundle
from model_store.store import Store
from tests.compressor.blobs import TINY_CARD, tiny_network
from tests.compressor.test_pipeline_methods import HOLDOUT, NOTHING_PRUNED, TEST, TRAIN, dense, published

__all__ = ["dense"]

HALF = dataclasses.replace(
    NOTHING_PRUNED,
    structure=StructuredRecipe(method="l1", kept=(("conv1", 0.5), ("*", 1.0)), end=0.2),
    remove=RemoveRecipe(epochs=1, learning_rate=0.02),
)


def widths(bundle: Bundle) -> dict[str, tuple[int, ...]]:
    return {name: bundle.tensors[index].shape for index, name in bundle.weights().items()}


def test_what_is_empty_is_not_in_the_file(dense: dict, tmp_path: Path) -> None:  # type: ignore[type-arg]
    bundle = published(dense, tmp_path, HALF)
    assert widths(bundle) == {"conv1.weight": (3, 1, 3, 3), "conv2.weight": (8, 3, 3, 3), "linear.weight": (3, 8)}
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["parameters"] == sum(parameter.numel() for parameter in tiny_network().parameters())
    assert record["parameters_left"] == record["parameters"] - 3 * (9 + 8 * 9 + 2)
    assert record["dense_multiply_adds"] == 54 * 64 + 432 * 16 + 24
    assert record["multiply_adds_of_structure"] == 27 * 64 + 216 * 16 + 24
    assert record["multiply_adds"] <= record["multiply_adds_of_structure"]
    assert "remove" in record["holdout_accuracies"]


def test_without_training_statistics_are_taken_anew(
    dense: dict,  # type: ignore[type-arg]
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []
    original = pipeline.reestimate_batchnorm

    def spied(network: nn.Module, *rest: Any) -> None:
        before = network.bn2.running_mean.clone()
        original(network, *rest)
        taken.append("changed" if not torch.equal(before, network.bn2.running_mean) else "as before")

    monkeypatch.setattr(pipeline, "reestimate_batchnorm", spied)
    bundle = published(dense, tmp_path, dataclasses.replace(HALF, remove=RemoveRecipe()))
    assert widths(bundle)["conv2.weight"] == (8, 3, 3, 3)
    assert taken[0] == "changed", "after removal, which took constants away"
    assert len(taken) == 2, "and after sharing"


def test_a_run_without_removal_goes_on_with_it(
    dense: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[type-arg]
) -> None:
    recipes = (dataclasses.replace(HALF, remove=None), HALF)
    whole = run(dense, tmp_path / "whole", recipes[1])

    def interrupted(self: Compression, recipe: RemoveRecipe) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Compression, "_remove", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(dense, tmp_path / "parts", HALF)
    original = Compression._train

    def train(self: Compression, name: str, *rest: Any) -> None:
        assert name in {"remove", "centroids"}  # the pruning is done already
        original(self, name, *rest)

    monkeypatch.setattr(Compression, "_train", train)
    assert run(dense, tmp_path / "parts", recipes[1]) == whole


def run(dense: dict, folder: Path, recipe: CompressRecipe) -> bytes:  # type: ignore[type-arg]
    network = tiny_network()
    network.load_state_dict(dense)
    data = CompressData(TRAIN, HOLDOUT, lambda: TEST, "d1" * 32)
    found = Compression(network, TINY_CARD, data, recipe, folder / "run", progress=False)
    return found.publish(Store.create(folder / "store"), "tiny").data


def test_what_purification_empties_is_not_in_the_file(dense: dict, tmp_path: Path) -> None:  # type: ignore[type-arg]
    weakest = float(dense["conv2.weight"].flatten(1).norm(dim=1).median())
    purified = dataclasses.replace(HALF, remove=RemoveRecipe(purify=PurifyRecipe(0.0, 1.0, 0.0, weakest)))
    kept, left = (
        widths(decode_bundle(run(dense, tmp_path / name, recipe)))["conv2.weight"][0]
        for name, recipe in (("as it was", HALF), ("purified", purified))
    )
    assert kept == 8
    assert 0 < left < kept


def test_training_is_the_recipes_own(dense: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[type-arg]
    seen = []
    original = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda self, *data: seen.append(self.recipe) or original(self, *data))
    run(dense, tmp_path, HALF)
    assert [recipe.epochs for recipe in seen] == [4, 1, 1]
    assert seen[1].learning_rate == 0.02
