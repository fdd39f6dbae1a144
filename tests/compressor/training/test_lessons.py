"""What a teacher says beforehand: of the views that training draws, once, resumable, the same as live."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compressor.data.augmentation import Augmentation
from compressor.errors import CheckpointError
from compressor.training.evaluation import normalise
from compressor.training.files import save_tensors
from compressor.training.lessons import Lessons, Teaching
from compressor.training.recipe import TrainRecipe
from compressor.training.trainer import Trainer
from tests.compressor.toys import TOY_PREPROCESSING, exactly, toy_images, toy_net

IMAGES, HOLDOUT = toy_images(600), toy_images(30, seed=1)
AUGMENTATION = Augmentation(padding=1, cutout=2)


class Counting(nn.Module):
    """A teacher that counts the pictures it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.network = toy_net(5)
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        self.asked += len(images)
        logits: Tensor = self.network(images)
        return logits


def teaching(teacher: nn.Module) -> Teaching:
    return Teaching(teacher, TOY_PREPROCESSING, AUGMENTATION, progress=False)


def test_an_answer_is_the_teachers_to_the_very_picture_that_is_trained_on(tmp_path: Path) -> None:
    teacher = toy_net(5)
    lessons = teaching(teacher).lessons(IMAGES, 3, tmp_path / "lessons.safetensors")
    assert teacher.training
    assert lessons.logits.shape == (3, 600, 3)
    pictures = torch.tensor([17, 599, 2, 501])
    drawn, logits = lessons.choose(pictures, torch.Generator().manual_seed(4))
    seen = AUGMENTATION.apply(normalise(IMAGES.pixels[pictures], TOY_PREPROCESSING), drawn)
    with torch.no_grad():
        assert torch.allclose(logits, teacher.eval()(seen), atol=2e-3)  # float16
    assert logits.dtype == torch.float32


def test_every_view_is_chosen_and_views_differ(tmp_path: Path) -> None:
    lessons = teaching(toy_net(5)).lessons(IMAGES, 4, tmp_path / "lessons.safetensors")
    assert len({tuple(view.flatten().tolist()) for view in lessons.drawn}) == 4
    numbered = Lessons(torch.arange(4)[:, None, None].expand(4, 600, 5).short(), lessons.logits)
    drawn, logits = numbered.choose(torch.arange(600), torch.Generator().manual_seed(1))
    views = drawn[:, 0].long()
    assert all(100 < int(count) < 200 for count in views.bincount())
    assert torch.equal(logits, lessons.logits[views, torch.arange(600)].float())


def test_what_was_asked_before_a_kill_is_not_asked_again(tmp_path: Path) -> None:
    whole = teaching(toy_net(5)).lessons(IMAGES, 4, tmp_path / "whole.safetensors")
    file = tmp_path / "lessons.safetensors"
    teaching(toy_net(5)).lessons(IMAGES, 1, file)
    for views, asked in ((4, 3), (4, 0), (2, 0)):
        teacher = Counting()
        lessons = teaching(teacher).lessons(IMAGES, views, file)
        assert teacher.asked == asked * 600
        assert torch.equal(lessons.logits, whole.logits[:views])
        assert torch.equal(lessons.drawn, whole.drawn[:views])


def test_a_file_of_other_pictures_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lessons.safetensors"
    teaching(toy_net(5)).lessons(HOLDOUT, 1, file)
    message = f"{file}: logits (1, 30, 3), must be (views, 600, classes)"
    with pytest.raises(CheckpointError, match=exactly(message)):
        teaching(toy_net(5)).lessons(IMAGES, 1, file)
    save_tensors(file, {"other": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=exactly(f"{file}: logits None, must be (views, 600, classes)")):
        teaching(toy_net(5)).lessons(IMAGES, 1, file)


def test_bf16_is_how_the_teacher_computes(tmp_path: Path) -> None:
    teacher, computed = toy_net(5), []
    teacher.conv1.register_forward_hook(lambda module, inputs, output: computed.append(output.dtype))
    dataclasses.replace(teaching(teacher), bf16=True).lessons(HOLDOUT, 1, tmp_path / "lessons.safetensors")
    assert computed == [torch.bfloat16]


def test_without_augmentation_lessons_teach_what_the_live_teacher_does(tmp_path: Path) -> None:
    plain = Augmentation(padding=0, flip=False)
    recipe = TrainRecipe(epochs=2, batch_size=100, learning_rate=0.05, teacher_share=0.7, augmentation=plain)
    taught = dataclasses.replace(teaching(toy_net(5)), augmentation=plain)
    lessons = taught.lessons(IMAGES, 2, tmp_path / "lessons.safetensors")
    losses = [
        [entry["loss"] for entry in trained(recipe, teacher).history] for teacher in (lessons, toy_net(5), toy_net(6))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != pytest.approx(losses[2], rel=0.02)


def trained(recipe: TrainRecipe, teacher: nn.Module | Lessons) -> Trainer:
    trainer = Trainer(toy_net(), TOY_PREPROCESSING, recipe, teacher=teacher, progress=False)
    trainer.fit(IMAGES, HOLDOUT)
    return trainer
