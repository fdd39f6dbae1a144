import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compressor.data import ImageSet
from compressor.data.augmentation import Augmentation, mix
from compressor.errors import CheckpointError, CompressorError
from compressor.pruning.magnitude import CubicSchedule, GradualPruning
from compressor.training.constraint import Constraint, Unconstrained
from compressor.training.evaluation import accuracy_of, normalise
from compressor.training.files import load_tensors, save_tensors
from compressor.training.recipe import SmallPhase, TrainRecipe
from compressor.training.trainer import Trainer
from model_store.preprocessing import Preprocessing
from tests.compressor.toys import TOY_PREPROCESSING, exactly, toy_images, toy_net

RECIPE = TrainRecipe(
    epochs=3, batch_size=16, learning_rate=0.1, ema_decay=0.9, augmentation=Augmentation(padding=1, cutout=2)
)


class Growing(Unconstrained):
    """Keeps weights within a limit that grows with every step: its state matters after an interruption."""

    def __init__(self) -> None:
        self.steps = torch.zeros(())
        self.progress: list[float] = []

    def before_step(self, network: nn.Module) -> None:
        assert all(parameter.grad is not None for parameter in network.parameters())

    def after_step(self, network: nn.Module, progress: float) -> None:
        self.steps += 1
        self.progress.append(progress)
        with torch.no_grad():
            self.project(dict(network.named_parameters()))

    def project(self, tensors: dict[str, Tensor]) -> None:
        for tensor in tensors.values():
            tensor.clamp_(-0.1 - 0.01 * float(self.steps), 0.1 + 0.01 * float(self.steps))

    def state(self) -> dict[str, Tensor]:
        return {"steps": self.steps}

    def restore(self, state: dict[str, Tensor]) -> None:
        if state:
            self.steps = state["steps"]


class Killed(Unconstrained):
    """Another constraint, interrupted after some steps."""

    def __init__(self, inner: Constraint, steps: int) -> None:
        self.inner = inner
        self.left = steps

    def before_step(self, network: nn.Module) -> None:
        self.inner.before_step(network)

    def after_step(self, network: nn.Module, progress: float) -> None:
        self.inner.after_step(network, progress)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def project(self, tensors: dict[str, Tensor]) -> None:
        self.inner.project(tensors)

    def state(self) -> dict[str, Tensor]:
        return self.inner.state()


def network() -> nn.Module:
    """With dropout: torch's own random numbers matter too."""
    return nn.Sequential(toy_net(), nn.Dropout(0.1))


def trainer(recipe: TrainRecipe = RECIPE, **keywords: Any) -> Trainer:
    return Trainer(keywords.pop("network", None) or network(), TOY_PREPROCESSING, recipe, progress=False, **keywords)


IMAGES, HOLDOUT = toy_images(64), toy_images(30, seed=1)


def test_a_separable_set_is_learned() -> None:
    recipe = dataclasses.replace(RECIPE, epochs=8)
    learned = trainer(recipe, network=toy_net())
    result = learned.fit(IMAGES, HOLDOUT)
    assert accuracy_of(toy_net(), HOLDOUT, TOY_PREPROCESSING) < 0.7
    assert accuracy_of(result, HOLDOUT, TOY_PREPROCESSING) > 0.95
    assert [row["epoch"] for row in learned.history] == list(range(1, 9))
    assert learned.history[-1]["holdout_accuracy"] == accuracy_of(result, HOLDOUT, TOY_PREPROCESSING)
    assert learned.history[-1]["loss"] < learned.history[0]["loss"] / 2


@pytest.mark.parametrize("ema_decay", [0.9, 0.0])
@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_an_interrupted_run_that_goes_on_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path: Path, ema_decay: float, constrained: bool, momentum: float
) -> None:
    recipe = dataclasses.replace(RECIPE, ema_decay=ema_decay, momentum=momentum)
    path = tmp_path / "run.safetensors"

    def constraint() -> Growing | None:
        return Growing() if constrained else None

    whole = trainer(recipe, constraint=constraint())
    expected = {name: value.clone() for name, value in whole.fit(IMAGES, HOLDOUT).state_dict().items()}

    killed = Killed(constraint() or Unconstrained(), steps=4 + 2)  # in the middle of the second epoch
    with pytest.raises(KeyboardInterrupt):
        trainer(recipe, constraint=killed, checkpoint=path).fit(IMAGES, HOLDOUT)
    torch.rand(5)  # a new process starts with another state of torch's generator
    resumed = trainer(
        recipe, constraint=constraint(), checkpoint=path, network=nn.Sequential(toy_net(9), nn.Dropout(0.1))
    )
    assert resumed.epoch == 1
    result = resumed.fit(IMAGES, HOLDOUT)

    assert resumed.history == whole.history
    assert all(torch.equal(value, expected[name]) for name, value in result.state_dict().items())
    trained = whole.network.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in resumed.network.state_dict().items())
    if resumed.average is not None and whole.average is not None:
        assert resumed.average.steps == whole.average.steps == 12


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    done = trainer(checkpoint=path).fit(IMAGES, HOLDOUT).state_dict()
    again = trainer(checkpoint=path)
    assert again.epoch == 3
    assert all(torch.equal(value, done[name]) for name, value in again.fit(IMAGES, HOLDOUT).state_dict().items())


def test_runs_differ_by_their_seed() -> None:
    first, again, other = (
        trainer(dataclasses.replace(RECIPE, epochs=1, seed=seed)).fit(IMAGES, HOLDOUT).state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["0.conv1.weight"], other["0.conv1.weight"])


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    recipe = dataclasses.replace(RECIPE, epochs=1)
    trainer(recipe, checkpoint=path).fit(IMAGES, HOLDOUT)
    message = f"{path}: belongs to another recipe; remove it or give the same hyper-parameters"
    for change in ({"epochs": 2}, {"augmentation": Augmentation()}, {"small_phase": SmallPhase(1, 4)}):
        with pytest.raises(CheckpointError, match=exactly(message)):
            trainer(dataclasses.replace(recipe, **change), checkpoint=path)


def test_a_recipe_with_a_small_phase_knows_its_own_checkpoint(tmp_path: Path) -> None:
    path, recipe = tmp_path / "run.safetensors", dataclasses.replace(RECIPE, epochs=1, small_phase=SmallPhase(1, 4))
    trainer(recipe, checkpoint=path).fit(IMAGES, HOLDOUT)
    assert trainer(recipe, checkpoint=path).epoch == 1


@pytest.mark.parametrize("group", ["network", "average", "epoch"])
def test_a_checkpoint_of_another_network_or_with_parts_missing_is_refused(tmp_path: Path, group: str) -> None:
    path = tmp_path / "run.safetensors"
    recipe = dataclasses.replace(RECIPE, epochs=1)
    trainer(recipe, checkpoint=path).fit(IMAGES, HOLDOUT)
    tensors, metadata = load_tensors(path)
    tensors = {name: value for name, value in tensors.items() if not name.startswith(f"{group}.")}
    metadata.pop(group, None)
    save_tensors(path, tensors, metadata)
    with pytest.raises(CheckpointError, match=exactly(f"{path}: not a checkpoint of this network ('{group}')")):
        trainer(recipe, checkpoint=path)


def test_a_checkpoint_of_other_shapes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    recipe = dataclasses.replace(RECIPE, epochs=1)
    trainer(recipe, checkpoint=path).fit(IMAGES, HOLDOUT)
    other = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(
        CheckpointError, match=re.escape(f"{path}: not a checkpoint of this network (Error(s) in loading")
    ):
        trainer(recipe, checkpoint=path, network=other)


def test_a_loss_that_is_no_number_ends_training_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    diverging = toy_net()
    nn.init.constant_(diverging.fc.bias, math.nan)
    with pytest.raises(CompressorError, match=exactly("prune: epoch 1 diverged, loss nan; lower the learning rate")):
        trainer(network=diverging, name="prune", checkpoint=path).fit(IMAGES, HOLDOUT)
    assert not path.exists()


def test_fewer_pictures_than_a_batch_are_refused() -> None:
    few = IMAGES.subset(torch.arange(15))
    with pytest.raises(CompressorError, match=exactly("15 pictures to train on, must be at least batch_size = 16")):
        trainer().fit(few, HOLDOUT)


def test_the_small_phase_trains_on_shrunk_pictures_and_evaluates_on_whole_ones() -> None:
    seen: list[tuple[bool, int]] = []
    watched = toy_net()
    watched.register_forward_pre_hook(lambda module, inputs: seen.append((module.training, inputs[0].shape[-1])))
    recipe = dataclasses.replace(RECIPE, epochs=2, ema_decay=0.0, small_phase=SmallPhase(epochs=1, side=4))
    trainer(recipe, network=watched).fit(IMAGES, HOLDOUT)
    assert seen == [(True, 4)] * 4 + [(False, 8)] + [(True, 8)] * 4 + [(False, 8)]


def test_every_step_has_the_learning_rate_of_its_progress() -> None:
    rates, constraint = [], Growing()
    recipe = dataclasses.replace(RECIPE, epochs=2, warmup=0.25, schedule="cosine")
    watched = trainer(recipe, constraint=constraint)
    watched.optimizer.register_step_pre_hook(
        lambda optimizer, arguments, keywords: rates.append({group["lr"] for group in optimizer.param_groups})
    )
    watched.fit(IMAGES, HOLDOUT)
    assert constraint.progress == [(step + 1) / 8 for step in range(8)]
    assert rates == [{recipe.learning_rate_at(step / 8)} for step in range(8)]


def test_pruning_that_ends_within_the_last_step_is_fixed_all_the_same() -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1)
    net = network()
    constraint = GradualPruning(net, CubicSchedule(0.5, 0.0, 0.9))
    trainer(recipe, network=net, constraint=constraint).fit(IMAGES, HOLDOUT)
    assert constraint.frozen
    assert constraint.sparsity == pytest.approx(0.5, abs=0.005)


def test_only_weights_of_rank_two_and_more_decay() -> None:
    decayed, others = trainer(network=toy_net()).optimizer.param_groups
    assert [parameter.ndim for parameter in decayed["params"]] == [4, 4, 2]
    assert [parameter.ndim for parameter in others["params"]] == [1] * 5
    assert (decayed["weight_decay"], others["weight_decay"]) == (5e-4, 0.0)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.0, False)])
def test_momentum_is_nesterovs_where_there_is_any(momentum: float, nesterov: bool) -> None:
    optimizer = trainer(dataclasses.replace(RECIPE, momentum=momentum)).optimizer
    assert {group["nesterov"] for group in optimizer.param_groups} == {nesterov}


def test_the_result_is_the_average_within_the_constraint_or_the_trained_network() -> None:
    constraint = Growing()
    with_average = trainer(constraint=constraint)
    assert with_average.average is not None
    nn.init.constant_(with_average.average.network.get_parameter("0.fc.bias"), 5.0)
    assert with_average.result is with_average.average.network
    assert with_average.result.get_parameter("0.fc.bias").tolist() == pytest.approx([0.1] * 3)
    plain = trainer(dataclasses.replace(RECIPE, ema_decay=0.0))
    assert plain.result is plain.network


def one_step_loss(recipe: TrainRecipe, student: nn.Module, teacher: nn.Module) -> tuple[float, Tensor]:
    """The loss of one step over six copies of a picture (rounded, as in the history), and what the network saw."""
    seen: list[Tensor] = []
    student.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pixels = torch.randint(0, 256, (1, 3, 2, 2), dtype=torch.uint8).repeat(6, 1, 1, 1)
    images = ImageSet(pixels, torch.zeros(6, dtype=torch.int64), ("a", "b", "c"))
    preprocessing = Preprocessing(2, 2, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    taught = Trainer(student, preprocessing, recipe, teacher=teacher, progress=False)
    taught.fit(images, images)
    return taught.history[0]["loss"], seen[0]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_loss_mixes_cross_entropy_and_distillation_by_the_formula(share: float) -> None:
    torch.manual_seed(3)
    student, teacher = (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)) for _ in range(2))
    weights = {name: value.clone() for name, value in student.state_dict().items()}
    recipe = TrainRecipe(
        epochs=1,
        batch_size=6,
        label_smoothing=0.1,
        teacher_share=share,
        temperature=3.0,
        ema_decay=0.0,
        augmentation=Augmentation(padding=0, flip=False),
    )
    loss, images = one_step_loss(recipe, student, teacher)
    flat = images.flatten(1).double()
    logits = flat @ weights["1.weight"].double().T + weights["1.bias"].double()
    taught = flat @ teacher.state_dict()["1.weight"].double().T + teacher.state_dict()["1.bias"].double()
    smoothed = torch.tensor([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3], dtype=torch.float64)
    cross_entropy = -(smoothed * functional.log_softmax(logits, 1)).sum(1).mean()
    soft, student_soft = (functional.softmax(values / 3.0, 1) for values in (taught, logits))
    divergence = (soft * (soft.log() - student_soft.log())).sum(1).mean() * 9.0
    assert float(divergence) > 0.01
    assert loss == pytest.approx(float((1 - share) * cross_entropy + share * divergence), abs=1e-4)


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_mixed_pictures_have_mixed_labels(mixup: float) -> None:
    watched = trainer(dataclasses.replace(RECIPE, augmentation=Augmentation(padding=0, flip=False, mixup=mixup)))
    watched.classes = 3
    chosen = torch.arange(16).flip(0)
    batch = watched._batch(IMAGES.pixels, IMAGES.labels, chosen, torch.Generator().manual_seed(4))
    images, targets, labels = batch.images, batch.labels, IMAGES.labels[chosen]
    plain = normalise(IMAGES.pixels[chosen], TOY_PREPROCESSING)
    assert batch.taught is None
    if not mixup:
        assert torch.equal(images, plain)
        assert torch.equal(targets, labels)
        return
    mixture = mix(plain, mixup, torch.Generator().manual_seed(4))
    assert torch.equal(images, mixture.images)
    single = functional.one_hot(labels, 3).float()
    torch.testing.assert_close(targets, mixture.share * single + (1 - mixture.share) * single[mixture.partners])


def test_a_run_with_mixup_learns_and_repeats_itself() -> None:
    recipe = dataclasses.replace(RECIPE, epochs=8, augmentation=Augmentation(padding=1, mixup=0.2))
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        results.append(trainer(recipe))
        results[-1].fit(IMAGES, HOLDOUT)
    assert results[0].history == results[1].history
    assert results[0].history[-1]["holdout_accuracy"] > 0.8


def test_the_teacher_is_not_trained() -> None:
    student, teacher = toy_net(1), toy_net(2)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    recipe = dataclasses.replace(RECIPE, epochs=1, teacher_share=0.5)
    trainer(recipe, network=student, teacher=teacher).fit(IMAGES, HOLDOUT)
    assert not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_bf16_computes_in_half_the_width_and_keeps_full_weights() -> None:
    computed = []
    watched = toy_net()
    watched.conv1.register_forward_hook(lambda module, inputs, output: computed.append(output.dtype))
    recipe = dataclasses.replace(RECIPE, epochs=1, precision="bf16", ema_decay=0.0)
    result = trainer(recipe, network=watched).fit(IMAGES, HOLDOUT)
    assert computed == [torch.bfloat16] * 4 + [torch.float32]
    assert {parameter.dtype for parameter in result.parameters()} == {torch.float32}


def test_an_epoch_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    reported = trainer(dataclasses.replace(RECIPE, epochs=1), name="prune")
    reported.fit(IMAGES, HOLDOUT)
    row = reported.history[0]
    expected = f"prune epoch 1/1: loss {row['loss']:.4f}, holdout {row['holdout_accuracy']:.2%}\n"
    assert capsys.readouterr().out == expected
