"""The whole way, on drawn pictures: what is published is what was measured, once, and a kill changes nothing."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compressor import pipeline
from compressor.bundling import dense_bytes_of, same_tensors
from compressor.citation import read_citation
from compressor.data.augmentation import Augmentation
from compressor.data.images import ImageSet
from compressor.errors import CheckpointError, CompressorError
from compressor.networks import build_network
from compressor.networks.card import NetworkCard
from compressor.pipeline import Compression
from compressor.pruning.masks import prunable_parameters
from compressor.pruning.recipe import PruneRecipe
from compressor.publication import Publication
from compressor.recipes import CompressRecipe
from compressor.record import csrve_version
from compressor.sharing.recipe import ShareRecipe
from compressor.staged_run import CompressData, StagedRun
from compressor.training.evaluation import normalise
from compressor.training.files import load_tensors
from compressor.training.lessons import Teaching
from compressor.training.teachers import Teacher
from compressor.training.trainer import Trainer
from model_store.bundle import decode_bundle, encode_bundle
from model_store.preprocessing import Preprocessing
from model_store.store import Store, StoredBundle
from model_store.tensors import SharedTensor
from service.engine import compile_plan
from tests.compressor.blobs import (
    CLASSES,
    TINY_CARD,
    TINY_PREPROCESSING,
    TinyNetwork,
    draw,
    quick_training,
    tiny_network,
)

TRAIN, HOLDOUT, TEST = draw(128, 1), draw(60, 2, noise=115), draw(90, 3, noise=115)
RECIPE = CompressRecipe(
    PruneRecipe(sparsity=0.5, refresh_steps=2, floors=(("first", 0.6), ("*", 0.1))),
    quick_training(teacher_share=0.3),
    ShareRecipe((("*", 8),), entropy_penalty=0.005),
    quick_training(epochs=1, learning_rate=0.005, weight_decay=0.0),
)
STAGES = ("prune", "share", "centroids")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class CountedPictures:
    """Hands the test pictures out, and counts how often."""

    def __init__(self, images: ImageSet = TEST) -> None:
        self.images = images
        self.loads = 0

    def __call__(self) -> ImageSet:
        self.loads += 1
        return self.images


def no_test_pictures() -> ImageSet:
    raise AssertionError("the test pictures are loaded")


@pytest.fixture(scope="module")
def dense() -> dict[str, torch.Tensor]:
    """The weights of a trained network."""
    recipe = quick_training(epochs=5, learning_rate=0.1)
    return dict(Trainer(tiny_network(), TINY_PREPROCESSING, recipe, progress=False).fit(TRAIN, HOLDOUT).state_dict())


def compression(
    dense: dict[str, torch.Tensor],
    folder: Path,
    test: Callable[[], ImageSet],
    *,
    recipe: CompressRecipe = RECIPE,
    teachers: Sequence[Teacher] = (),
    lessons: Path | None = None,
    progress: bool = False,
) -> Compression:
    network = TinyNetwork()
    network.load_state_dict(dense)
    data = CompressData(TRAIN, HOLDOUT, test, "d1" * 32)
    card = dataclasses.replace(TINY_CARD, training={"test_accuracy": 0.5})
    return Compression(
        network, card, data, recipe, folder / "run", teachers=teachers, lessons=lessons, progress=progress
    )


@dataclasses.dataclass
class Published:
    """A finished run."""

    folder: Path
    store: Store
    stored: StoredBundle
    compression: Compression
    test: CountedPictures

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "run" / "record.json").read_text()))


@pytest.fixture(scope="module")
def published(dense: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("pipeline")
    store, test = Store.create(folder / "store"), CountedPictures()
    run = compression(dense, folder, test)
    return Published(folder, store, run.publish(store, "tiny"), run, test)


def accuracy_by_the_service(data: bytes, images: ImageSet) -> float:
    """The file's accuracy by the service's numpy engine."""
    bundle = decode_bundle(data)
    logits = compile_plan(bundle).run(normalise(images.pixels, bundle.preprocessing).contiguous().numpy())
    return float(np.mean(logits.argmax(1) == images.labels.numpy()))


def test_the_published_accuracy_is_that_of_the_file_in_the_services_engine(published: Published) -> None:
    data = published.store.read("tiny", 1).data
    assert data == published.stored.data
    assert decode_bundle(data).provenance["accuracy"] == pytest.approx(accuracy_by_the_service(data, TEST), abs=1e-6)
    assert 0.5 < decode_bundle(data).provenance["accuracy"] < 1, "of no use to tell networks apart"


def test_the_file_is_as_sparse_and_as_shared_as_the_recipe_says(published: Published) -> None:
    bundle = decode_bundle(published.stored.data)
    assert bundle.sparsity == pytest.approx(0.5, abs=1 / 510)
    codebooks = [len(tensor.codebook) for tensor in bundle.tensors if isinstance(tensor, SharedTensor)]
    assert len(codebooks) == 3
    assert max(codebooks) <= 8
    first = bundle.tensors[bundle.graph.nodes[0].tensors[0]]
    assert first.nonzeros >= 0.6 * 54
    weights = prunable_parameters(published.compression.network)
    assert sum(int((weight != 0).sum()) for weight in weights.values()) == bundle.weight_nonzeros


def test_the_test_pictures_are_loaded_once_and_after_everything_else(
    dense: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    there: set[str] = set()

    def load_test() -> ImageSet:
        there.update(path.name for path in (tmp_path / "run").iterdir())
        return TEST

    test = CountedPictures()
    run = compression(dense, tmp_path, lambda: (test(), load_test())[1])
    run.compress()
    assert test.loads == 0
    compression(dense, tmp_path, lambda: (test(), load_test())[1]).publish(Store.create(tmp_path / "store"), "tiny")
    assert test.loads == 1
    assert {f"{stage}.safetensors" for stage in STAGES} <= there
    assert "record.json" not in there


def test_the_same_call_again_publishes_nothing_and_loads_no_test_pictures(
    dense: dict[str, torch.Tensor], published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "fit", None)
    test = CountedPictures()
    again = compression(dense, published.folder, test).publish(published.store, "tiny")
    assert again == published.stored
    assert published.store.versions("tiny") == [1]
    assert test.loads == 0
    assert published.test.loads == 1


def test_under_another_name_the_same_run_is_published_without_training(
    dense: dict[str, torch.Tensor], published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "run").mkdir()
    for path in (published.folder / "run").iterdir():
        (folder / "run" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(Trainer, "fit", None)
    store = Store.create(folder / "store")
    other = compression(dense, folder, CountedPictures()).publish(store, "other")
    assert other.data == published.stored.data
    assert store.models() == ["other"]


def test_a_run_killed_between_publishing_and_its_record_publishes_no_second_version(
    dense: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> None:
        raise Killed

    store = Store.create(tmp_path / "store")
    with monkeypatch.context() as patch:
        patch.setattr(Publication, "_write_record", killed)
        with pytest.raises(Killed):
            compression(dense, tmp_path, CountedPictures()).publish(store, "tiny")
    assert store.versions("tiny") == [1]
    stored = compression(dense, tmp_path, CountedPictures()).publish(store, "tiny")
    assert (stored.version, store.versions("tiny")) == (1, [1])
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert (record["version"], record["sha256"]) == (1, stored.sha256)


@pytest.mark.parametrize("killed_in", ["share", "centroids", "measure"])
def test_a_run_killed_between_stages_and_resumed_gives_the_same_file(
    dense: dict[str, torch.Tensor],
    published: Published,
    tmp_path: Path,
    killed_in: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*arguments: object, **keywords: object) -> None:
        raise Killed

    place = {"share": "share_network", "centroids": "SharedCentroids", "measure": "bundle_of"}[killed_in]
    store, test = Store.create(tmp_path / "store"), CountedPictures()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, place, killed)
        with pytest.raises(Killed):
            compression(dense, tmp_path, test).publish(store, "tiny")
    assert (tmp_path / "run" / "prune.safetensors").exists()
    assert (tmp_path / "run" / "centroids.safetensors").exists() == (killed_in == "measure")
    assert store.models() == []
    resumed = compression(dense, tmp_path, test)
    assert resumed.publish(store, "tiny").data == published.stored.data
    assert test.loads == 1
    assert resumed.accuracies == published.compression.accuracies
    for stage in STAGES:  # fp32, where the file's float16 would hide a last bit
        first, second = (load_tensors(run / "run" / f"{stage}.safetensors")[0] for run in (tmp_path, published.folder))
        used = [name for name in first if not name.endswith("num_batches_tracked")]  # a counter that nothing reads
        assert all(torch.equal(first[name], second[name]) for name in used)


def test_a_run_killed_within_a_training_goes_on_from_its_last_epoch_to_the_same_file(
    dense: dict[str, torch.Tensor], published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, int]] = []
    run_epoch = Trainer._run_epoch

    def counted(trainer: Trainer, *arguments: Any) -> float:
        begun.append((trainer.name, trainer.epoch))
        if len(begun) == 2:
            raise Killed
        return run_epoch(trainer, *arguments)

    monkeypatch.setattr(Trainer, "_run_epoch", counted)
    store = Store.create(tmp_path / "store")
    with pytest.raises(Killed):
        compression(dense, tmp_path, CountedPictures()).publish(store, "tiny")
    assert compression(dense, tmp_path, CountedPictures()).publish(store, "tiny").data == published.stored.data
    assert begun == [("prune", 0), ("prune", 1), ("prune", 1), ("centroids", 0)]


def other_teacher(seed: int) -> Teacher:
    return Teacher(tiny_network(seed), TINY_CARD, f"{seed}.safetensors", f"{seed}" * 64)


def test_another_teacher_teaches_other_weights_and_is_recorded(
    dense: dict[str, torch.Tensor], published: Published, tmp_path: Path
) -> None:
    taught = compression(dense, tmp_path, CountedPictures(), teachers=[other_teacher(8), other_teacher(9)])
    data = taught.publish(Store.create(tmp_path / "store"), "tiny").data
    assert data != published.stored.data
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert [teacher["file"] for teacher in record["teachers"]] == ["8.safetensors", "9.safetensors"]
    resumed = compression(dense, tmp_path, CountedPictures(), teachers=[other_teacher(8)])
    with pytest.raises(CheckpointError, match="stage 'prune' was begun with another"):
        resumed.compress()


def test_the_dense_network_as_a_file_teaches_what_it_teaches_by_default(
    dense: dict[str, torch.Tensor], published: Published, tmp_path: Path
) -> None:
    itself = tiny_network()
    itself.load_state_dict(dense)
    teacher = Teacher(itself, TINY_CARD, "dense.safetensors", "0" * 64)
    data = compression(dense, tmp_path, CountedPictures(), teachers=[teacher]).publish(
        Store.create(tmp_path / "store"), "tiny"
    )
    assert data.data == published.stored.data


def test_a_teacher_asked_beforehand_is_asked_once_by_all_runs_that_share_its_lessons(
    dense: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    answer = Teaching._answer
    monkeypatch.setattr(
        Teaching, "_answer", lambda self, images, drawn: (asked.append(len(images)), answer(self, images, drawn))[1]
    )
    recipe = dataclasses.replace(RECIPE, teacher_views=3)
    lessons, store = tmp_path / "lessons", Store.create(tmp_path / "store")
    for run in ("first", "second"):
        again = compression(dense, tmp_path / run, CountedPictures(), recipe=recipe, lessons=lessons)
        again.publish(store, run)
    assert asked == [len(TRAIN)] * 3
    first, second = (decode_bundle(store.read(name, 1).data) for name in ("first", "second"))
    assert same_tensors(first, second)
    assert read_citation(first.provenance["recipe"]).teacher_views == 3
    compression(dense, tmp_path / "alone", CountedPictures(), recipe=recipe).publish(store, "alone")
    assert [path.parent.parent.name for path in tmp_path.glob("*/run/lessons-*.safetensors")] == ["alone"]


def test_views_belong_to_what_a_stage_was_given(dense: dict[str, torch.Tensor], published: Published) -> None:
    recipe = dataclasses.replace(RECIPE, teacher_views=3)
    with pytest.raises(CheckpointError, match="stage 'prune' was begun with another"):
        compression(dense, published.folder, CountedPictures(), recipe=recipe).compress()


def test_a_teacher_that_is_not_listened_to_is_refused(dense: dict[str, torch.Tensor], tmp_path: Path) -> None:
    alone = RECIPE.with_both(teacher_share=0.0)
    with pytest.raises(CompressorError, match="teacher_share = 0.0 and teachers given"):
        compression(dense, tmp_path, no_test_pictures, recipe=alone, teachers=[other_teacher(8)])


def test_a_folder_begun_with_another_recipe_network_or_data_is_refused(
    dense: dict[str, torch.Tensor], published: Published
) -> None:
    other = dataclasses.replace(RECIPE, prune=PruneRecipe(sparsity=0.6))
    changed = {name: value + 1 if name == "linear.bias" else value for name, value in dense.items()}
    data = compression(dense, published.folder, no_test_pictures)
    data.data = dataclasses.replace(data.data, digest="e2" * 32)
    runs = [
        compression(dense, published.folder, no_test_pictures, recipe=other),
        compression(changed, published.folder, no_test_pictures),
        data,
    ]
    for run in runs:
        with pytest.raises(CheckpointError, match="prune.json: stage 'prune' was begun with another recipe, network"):
            run.publish(published.store, "tiny")


def test_other_sharing_begins_after_the_pruning_that_is_done(
    dense: dict[str, torch.Tensor], published: Published
) -> None:
    other = dataclasses.replace(RECIPE, share=ShareRecipe((("*", 4),)))
    with pytest.raises(CheckpointError, match="share.json: stage 'share' was begun with another"):
        compression(dense, published.folder, no_test_pictures, recipe=other).compress()


def test_another_coder_publishes_the_same_weights_of_the_stages_that_are_done(
    dense: dict[str, torch.Tensor], published: Published, tmp_path: Path
) -> None:
    shutil.copytree(published.folder / "run", tmp_path / "run")
    other = dataclasses.replace(RECIPE, coder="arithmetic")
    store = Store.create(tmp_path / "store")
    store.publish("tiny", published.stored.data)
    stored = compression(dense, tmp_path, CountedPictures(), recipe=other).publish(store, "tiny")
    before, bundle = decode_bundle(published.stored.data), decode_bundle(stored.data)
    assert same_tensors(bundle, before)
    assert stored.data == encode_bundle(bundle, "arithmetic") != encode_bundle(bundle, "huffman")
    assert read_citation(bundle.provenance["recipe"]) == other
    assert bundle.provenance["accuracy"] == before.provenance["accuracy"]
    assert stored.version == 2
    again = compression(dense, tmp_path, CountedPictures(), recipe=other).publish(store, "tiny")
    assert again == stored, "which is published already"


def test_test_pictures_of_other_classes_are_refused_and_nothing_is_published(
    dense: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    store = Store.create(tmp_path / "store")
    other = CountedPictures(ImageSet(TEST.pixels, TEST.labels, ("a", "b", "c")))
    with pytest.raises(CompressorError) as caught:
        compression(dense, tmp_path, other).publish(store, "tiny")
    assert str(caught.value) == f"test has classes ('a', 'b', 'c'), must be {CLASSES}"
    assert store.models() == []
    assert not (tmp_path / "run" / "record.json").exists()


def test_the_bundle_cites_its_recipe_data_and_stages(published: Published) -> None:
    provenance = decode_bundle(published.stored.data).provenance
    assert read_citation(provenance["recipe"]) == RECIPE
    assert provenance["test_pictures"] == 90
    assert provenance["seed"] == 0
    assert provenance["data"] == {"train": "d1" * 8, "test": TEST.digest[:16]}
    assert provenance["stages"].keys() == {"dense", *STAGES, "decoded"}
    assert provenance["stages"] == {name: round(v, 4) for name, v in published.compression.accuracies.items()}
    assert provenance["csrve"] == csrve_version()


def test_the_record_has_every_field_a_table_needs(published: Published) -> None:
    record, bundle = published.record, decode_bundle(published.stored.data)
    assert record.keys() == {
        "name", "version", "sha256", "architecture", "accuracy", "holdout_accuracies", "bundle_bytes", "dense_bytes",
        "bytes_by_kind", "bytes_by_coder", "parameters", "parameters_left", "nonzeros", "sparsity", "multiply_adds",
        "multiply_adds_of_structure", "dense_multiply_adds", "dense", "recipe", "teachers", "data", "minutes",
        "command", "processor", "cores", "threads", "processes", "accelerator", "python", "torch", "csrve", "git",
    }  # fmt: skip
    assert (record["name"], record["version"], record["sha256"]) == ("tiny", 1, published.stored.sha256)
    assert record["accuracy"] == bundle.provenance["accuracy"]
    assert record["bundle_bytes"] == len(published.stored.data) == sum(record["bytes_by_kind"].values())
    assert record["bytes_by_coder"]["huffman"] == len(published.stored.data)
    assert record["bytes_by_coder"]["arithmetic"] == len(encode_bundle(bundle, "arithmetic"))
    assert record["dense_bytes"] == dense_bytes_of(tiny_network())
    assert (record["nonzeros"], record["sparsity"]) == (bundle.weight_nonzeros, bundle.sparsity)
    assert record["dense"] == {"test_accuracy": 0.5}
    assert record["recipe"] == json.loads(json.dumps(dataclasses.asdict(RECIPE)))
    assert record["teachers"] == []
    assert record["data"] == {"train": "d1" * 32, "test": TEST.digest}
    assert record["minutes"].keys() == set(STAGES)
    assert record["holdout_accuracies"].keys() == {"dense", *STAGES, "decoded"}


def test_the_accuracy_after_each_stage_is_said_unless_asked_not_to(
    dense: dict[str, torch.Tensor], published: Published, capsys: pytest.CaptureFixture[str]
) -> None:
    compression(dense, published.folder, no_test_pictures).compress()
    assert capsys.readouterr().out == ""
    run = compression(dense, published.folder, no_test_pictures, progress=True)
    run.compress()
    warning, *said = capsys.readouterr().out.splitlines()
    assert warning.startswith("holdout: nothing says what the network was trained on; ")
    names = ["dense", *STAGES, "decoded"]
    assert said == [f"{name.replace('decoded', 'decoded file')}: {run.accuracies[name]:.2%}" for name in names]


def test_lenet_300_by_two_rounds_of_thresholds_ends_in_the_same_accuracy_in_the_service(tmp_path: Path) -> None:
    card = NetworkCard("lenet300", Preprocessing(28, 28, (0.2,), (0.3,)), CLASSES)
    train, test = draw(96, 4, 28), draw(60, 6, 28)
    training = quick_training(epochs=1, batch_size=32, augmentation=Augmentation(padding=2, flip=False))
    torch.manual_seed(0)
    dense = build_network("lenet300", 3)
    Trainer(dense, card.preprocessing, training, progress=False).fit(train, train)
    recipe = CompressRecipe(
        PruneRecipe(method="threshold", quality=(("last", 0.5), ("*", 1.0)), rounds=2),
        training,
        ShareRecipe((("*", 8),)),
        quick_training(epochs=1, batch_size=32, learning_rate=0.002, weight_decay=0.0),
    )
    data = CompressData(train, draw(30, 5, 28), lambda: test, train.digest)
    run = Compression(dense, card, data, recipe, tmp_path / "run", progress=False)
    stored = run.publish(Store.create(tmp_path / "store"), "lenet300")
    bundle = decode_bundle(stored.data)
    assert bundle.provenance["accuracy"] == pytest.approx(accuracy_by_the_service(stored.data, test), abs=1e-6)
    assert list(run.accuracies) == ["dense", "prune-1", "prune-2", "share", "centroids", "decoded"]
    assert 0.4 < bundle.sparsity < 0.9
    assert bundle.dense_bytes > 8 * len(stored.data)


def test_a_holdout_that_the_network_may_have_learnt_is_warned_of(
    dense: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = tiny_network()
    network.load_state_dict(dense)
    training = {"data": "the pictures", "recipe": {"seed": RECIPE.seed, "holdout": RECIPE.holdout}}
    for name, said in (("the pictures", ""), ("others", "holdout: the network was trained on other pictures, or ")):
        card = dataclasses.replace(TINY_CARD, training=training)
        StagedRun(network, card, CompressData(TRAIN, HOLDOUT, lambda: TEST, name), RECIPE, tmp_path / name)
        printed = capsys.readouterr().out
        assert printed.startswith(said)
        assert bool(printed) == bool(said)
