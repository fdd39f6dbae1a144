"""The training loop: one for dense networks, masked ones and shared ones."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from compressor.data.augmentation import mix
from compressor.data.images import ImageSet
from compressor.errors import CheckpointError, CompressorError
from compressor.training.average import MovingAverage
from compressor.training.constraint import Constraint, Unconstrained
from compressor.training.evaluation import accuracy_of, normalise
from compressor.training.files import load_tensors, save_tensors
from compressor.training.layout import with_layout
from compressor.training.lessons import Lessons
from compressor.training.processes import (
    mean_over_processes,
    own_share,
    rank,
    take_from_first,
    with_shared_gradients,
)
from compressor.training.recipe import TrainRecipe
from model_store.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pictures as they are trained on.

    Attributes:
        images: normalised and augmented, float32 [batch, channels, height, width].
        labels: int64 [batch], or float32 [batch, classes] where they are mixed.
        taught: what the teacher said of them beforehand, logits float32 [batch, classes].
    """

    images: Tensor
    labels: Tensor
    taught: Tensor | None


class Trainer:
    """Trains `network` by `recipe`; with a `checkpoint` path it goes on where the last finished epoch left it.

    The order of pictures and their augmentation depend on (seed, epoch) alone, so a resumed run repeats an
    uninterrupted one. A teacher sees every batch, or has seen a few views of every picture beforehand (`Lessons`).
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        recipe: TrainRecipe,
        *,
        name: str = "train",
        constraint: Constraint | None = None,
        teacher: nn.Module | Lessons | None = None,
        checkpoint: Path | None = None,
        progress: bool = True,
    ) -> None:
        self.device = next(network.parameters()).device
        self.network = with_layout(network, torch.channels_last)
        self.preprocessing = preprocessing
        self.recipe = recipe
        self.name = name
        self.constraint = constraint or Unconstrained()
        self.lessons = teacher if isinstance(teacher, Lessons) else None
        self.teacher = teacher.eval().requires_grad_(False) if isinstance(teacher, nn.Module) else None
        self.checkpoint = checkpoint
        self.progress = progress
        self.optimizer = _optimizer(network, recipe)
        self.average = MovingAverage(network, recipe.ema_decay) if recipe.ema_decay else None
        self.classes = 0  # of the pictures that are fitted
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self._share = own_share(recipe.batch_size)
        self._forward = with_shared_gradients(self.network)
        if recipe.compile:
            self._forward = torch.compile(self._forward, dynamic=False)  # type: ignore[assignment]
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)

    @property
    def result(self) -> nn.Module:
        """The network to keep: the moving average, within the constraint, or the trained weights themselves."""
        if self.average is None:
            return self.network
        with torch.no_grad():
            self.constraint.project(dict(self.average.network.named_parameters()))
        return self.average.network

    def fit(self, images: ImageSet, holdout: ImageSet) -> nn.Module:
        """Train the remaining epochs, checkpointing each, and return `result`."""
        self.classes = len(images.class_names)
        pixels = images.pixels.to(self.device)
        labels = images.labels.to(self.device)
        bar = tqdm(
            total=self.recipe.epochs * (len(images) // self.recipe.batch_size),
            initial=self.epoch * (len(images) // self.recipe.batch_size),
            desc=self.name,
            unit=" steps",
            disable=not self.progress,
            mininterval=2.0,
        )
        with bar:
            while self.epoch < self.recipe.epochs:
                loss = self._run_epoch(pixels, labels, bar)
                self._agree()
                self.epoch += 1
                accuracy = accuracy_of(self.result, holdout, self.preprocessing)
                self.history.append({"epoch": self.epoch, "loss": round(loss, 4), "holdout_accuracy": accuracy})
                done = f"{self.name} epoch {self.epoch}/{self.recipe.epochs}"
                bar.write(f"{done}: loss {loss:.4f}, holdout {accuracy:.2%}")
                self._save()
        return self.result

    def _run_epoch(self, pixels: Tensor, labels: Tensor, bar: "tqdm[Any]") -> float:
        torch.manual_seed(self.recipe.seed * 100_003 + self.epoch)
        generator = torch.Generator().manual_seed(self.recipe.seed * 100_003 + self.epoch)
        size = self.recipe.batch_size
        steps = len(pixels) // size
        if steps == 0:
            raise CompressorError(f"{len(pixels)} pictures to train on, must be at least batch_size = {size}")
        order = torch.randperm(len(pixels), generator=generator).to(pixels.device)
        if rank():  # other crops than those of the first process, whose draws are those of a process alone
            generator.manual_seed((self.recipe.seed * 100_003 + self.epoch) * 1_009 + rank())
        self.network.train()
        total = torch.zeros((), device=pixels.device)
        for step in range(steps):
            chosen = order[step * size : (step + 1) * size][self._share]
            total += self._step(self._batch(pixels, labels, chosen, generator), step, steps)
            bar.update()
        mean = float(mean_over_processes(total) / steps)
        if not mean < float("inf"):
            raise CompressorError(f"{self.name}: epoch {self.epoch + 1} diverged, loss {mean}; lower the learning rate")
        return mean

    def _agree(self) -> None:
        take_from_first(self.network)
        if self.average is not None:
            take_from_first(self.average.network)

    def _batch(self, pixels: Tensor, labels: Tensor, chosen: Tensor, generator: torch.Generator) -> Batch:
        augmentation = self.recipe.augmentation
        pixels, labels = pixels[chosen], labels[chosen]
        taught: Tensor | None = None
        if self.lessons is not None:
            drawn, taught = self.lessons.choose(chosen, generator)
        else:
            count, _, height, width = pixels.shape
            drawn = augmentation.draw(count, height, width, generator)
        images = augmentation.apply(normalise(pixels, self.preprocessing), drawn)
        side = self.recipe.side_at(self.epoch)
        if side is not None:
            images = functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
        if augmentation.mixup:
            mixture = mix(images, augmentation.mixup, generator)
            single = functional.one_hot(labels, self.classes).float()
            images, labels = mixture.images, torch.lerp(single[mixture.partners], single, mixture.share)
        return Batch(images.contiguous(memory_format=torch.channels_last), labels, taught)

    def _step(self, batch: Batch, step: int, steps: int) -> Tensor:
        begun, done = ((self.epoch + count / steps) / self.recipe.epochs for count in (step, step + 1))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(begun)
        self.optimizer.zero_grad()
        loss = self._loss(batch)
        loss.backward()
        self.constraint.before_step(self.network)
        self.optimizer.step()
        self.constraint.after_step(self.network, done)
        if self.average is not None:
            self.average.update(self.network)
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            logits = self._forward(batch.images).float()
            loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.recipe.label_smoothing)
            taught = self._taught(batch) if self.recipe.teacher_share else None
        if taught is None:
            return loss
        return torch.lerp(loss, _distillation(logits, taught, self.recipe.temperature), self.recipe.teacher_share)

    @torch.no_grad()
    def _taught(self, batch: Batch) -> Tensor | None:
        """The teacher's logits, float32 [batch, classes]; None where there is no teacher."""
        return batch.taught if self.teacher is None else self.teacher(batch.images).float()

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{k}": v for k, v in self.average.network.state_dict().items()}
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.network.named_parameters()}
        for parameter, state in self.optimizer.state.items():
            if state.get("momentum_buffer") is not None:
                tensors[f"momentum.{names[parameter]}"] = state["momentum_buffer"]
        tensors |= {f"constraint.{k}": v for k, v in self.constraint.state().items()}
        metadata = {
            "epoch": self.epoch,
            "history": self.history,
            "recipe": dataclasses.asdict(self.recipe),
            "average_steps": self.average.steps if self.average else 0,
        }
        save_tensors(self.checkpoint, tensors, metadata)

    def _resume(self, path: Path) -> None:
        tensors, metadata = load_tensors(path)
        if metadata.get("recipe") != dataclasses.asdict(self.recipe):
            raise CheckpointError(f"{path}: belongs to another recipe; remove it or give the same hyper-parameters")
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = tensor
        try:
            self.network.load_state_dict(groups["network"])
            if self.average is not None:
                self.average.network.load_state_dict(groups["average"])
                self.average.steps = metadata["average_steps"]
            parameters = dict(self.network.named_parameters())
            for name, buffer in groups.get("momentum", {}).items():
                self.optimizer.state[parameters[name]]["momentum_buffer"] = buffer.to(self.device)
            self.constraint.restore(groups.get("constraint", {}))
            self.epoch, self.history = metadata["epoch"], metadata["history"]
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path}: not a checkpoint of this network ({error})") from error


def _optimizer(network: nn.Module, recipe: TrainRecipe) -> torch.optim.SGD:
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    nesterov = recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=nesterov)


def _distillation(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """KL divergence to the teacher's softened answer, scaled by T^2 (Hinton et al. 2015, section 2)."""
    student = functional.log_softmax(logits / temperature, 1)
    teacher = functional.log_softmax(taught / temperature, 1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
