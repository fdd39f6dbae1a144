"""One teacher and several: each sees pictures as it was trained to, and they teach by their mean."""

import dataclasses

import pytest
import torch

from compressor.errors import CompressorError
from compressor.networks.card import NetworkCard
from compressor.training.evaluation import normalise
from compressor.training.teachers import Ensemble, Teacher
from model_store.preprocessing import Preprocessing
from tests.compressor.blobs import CLASSES, TINY, TINY_CARD, TINY_PREPROCESSING, draw, tiny_network

OTHER = Preprocessing(8, 8, (0.1,), (0.7,))


def teacher(seed: int, preprocessing: Preprocessing = TINY_PREPROCESSING) -> Teacher:
    network = tiny_network(seed).eval()
    return Teacher(network, NetworkCard(TINY, preprocessing, CLASSES), f"{seed}.safetensors", f"{seed}" * 64)


@torch.no_grad()
def test_several_teach_by_the_mean_of_their_logits_each_with_its_own_preprocessing() -> None:
    pixels = draw(20, 1).pixels
    teachers = teacher(1), teacher(2, OTHER)
    together = Ensemble(teachers, TINY_PREPROCESSING).eval()(normalise(pixels, TINY_PREPROCESSING))
    alone = [one.network(normalise(pixels, one.card.preprocessing)) for one in teachers]
    torch.testing.assert_close(together, (alone[0] + alone[1]) / 2, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-2)


@torch.no_grad()
def test_one_with_the_students_preprocessing_sees_the_very_same_pictures() -> None:
    images = normalise(draw(9, 2).pixels, TINY_PREPROCESSING)
    one = teacher(3)
    assert torch.equal(Ensemble([one], TINY_PREPROCESSING).eval()(images), one.network(images))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": ("a", "b", "c")}, "7.safetensors: knows the classes ('a', 'b', 'c'), must be ('bar', 'dot'"),
        ({"preprocessing": Preprocessing(9, 8, (0.3,), (0.25,))}, "takes pictures of (1, 9, 8), must be (1, 8, 8)"),
    ],
)
def test_a_teacher_of_other_classes_or_pictures_is_refused(change: dict[str, object], message: str) -> None:
    one = teacher(7)
    one.check(TINY_CARD)
    other = dataclasses.replace(one, card=dataclasses.replace(one.card, **change))  # type: ignore[arg-type]
    with pytest.raises(CompressorError) as caught:
        other.check(TINY_CARD)
    assert message in str(caught.value)
