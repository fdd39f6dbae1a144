import pytest
import torch
from torch import Tensor

from compressor.data.augmentation import Augmentation, mix
from compressor.errors import RecipeError
from tests.compressor.toys import exactly


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int = 32, height: int = 6, width: int = 5) -> Tensor:
    """No two pixels alike, none 0."""
    return torch.arange(1.0, count * 3 * height * width + 1).view(count, 3, height, width)


def augmented(augmentation: Augmentation, images: Tensor, seed: int = 0) -> Tensor:
    return augmentation.apply(images, augmentation.draw(len(images), *images.shape[2:], seeded(seed)))


def test_a_crop_is_a_slice_of_the_padded_picture() -> None:
    images = numbered()
    cropped = augmented(Augmentation(padding=2, flip=False), images)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    offsets = set()
    for picture, around in zip(cropped, padded, strict=True):
        places = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(around[:, top : top + 6, left : left + 5], picture)
        ]
        assert len(places) == 1
        offsets.add(places[0])
    assert {top for top, _ in offsets} == set(range(5))
    assert {left for _, left in offsets} == set(range(5))


def test_a_flip_mirrors_about_half_of_the_pictures_left_to_right() -> None:
    images = numbered(200)
    flipped = augmented(Augmentation(padding=0, flip=True), images)
    mirrored = [torch.equal(after, before.flip(2)) for after, before in zip(flipped, images, strict=True)]
    kept = [torch.equal(after, before) for after, before in zip(flipped, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130


def test_cutout_blanks_one_rectangle_of_at_most_its_size_and_nothing_else() -> None:
    images = numbered(300, 9, 8)
    cut = augmented(Augmentation(padding=0, flip=False, cutout=4), images)
    areas = set()
    for after, before in zip(cut, images, strict=True):
        blank = after[0] == 0
        assert torch.equal(after == 0, blank.expand(3, -1, -1))
        assert torch.equal(after[:, ~blank], before[:, ~blank])
        rows, columns = blank.any(1).nonzero().flatten(), blank.any(0).nonzero().flatten()
        assert torch.equal(blank, blank.any(1)[:, None] & blank.any(0)[None])
        assert (rows.diff() == 1).all()
        assert (columns.diff() == 1).all()
        assert 1 <= len(rows) <= 4
        assert 1 <= len(columns) <= 4
        areas.add(int(blank.sum()))
    assert max(areas) == 16
    assert min(areas) < 4


def test_without_any_part_pictures_stay_as_they_are() -> None:
    images = numbered()
    assert torch.equal(augmented(Augmentation(padding=0, flip=False, cutout=0), images), images)


def test_augmentation_leaves_its_input_alone() -> None:
    images = numbered()
    augmented(Augmentation(padding=2, flip=True, cutout=3), images)
    assert torch.equal(images, numbered())


def test_augmentation_is_reproduced_by_the_generator_and_by_nothing_else() -> None:
    augmentation = Augmentation(padding=2, flip=True, cutout=3)
    torch.manual_seed(1)
    first = augmented(augmentation, numbered(), 7)
    torch.manual_seed(2)
    again = augmented(augmentation, numbered(), 7)
    assert torch.equal(first, again)
    assert not torch.equal(first, augmented(augmentation, numbered(), 8))


@pytest.mark.parametrize(("padding", "cutout"), [(-1, 0), (0, -1)])
def test_negative_sizes_are_refused(padding: int, cutout: int) -> None:
    message = f"augmentation: padding {padding}, cutout {cutout}, must not be negative"
    with pytest.raises(RecipeError, match=exactly(message)):
        Augmentation(padding=padding, cutout=cutout)


def test_mixing_blends_every_picture_with_one_of_the_batch_by_one_share() -> None:
    images = numbered()
    mixture = mix(images, 1.0, seeded())
    assert 0 < mixture.share < 1
    assert sorted(mixture.partners.tolist()) == list(range(len(images)))
    expected = mixture.share * images + (1 - mixture.share) * images[mixture.partners]
    torch.testing.assert_close(mixture.images, expected)


def test_shares_are_drawn_from_beta_and_follow_the_generator_alone() -> None:
    generator = seeded()
    shares = torch.tensor([mix(numbered(2), 0.2, generator).share for _ in range(2000)], dtype=torch.float64)
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.04)
    assert float(shares.var()) == pytest.approx(0.25 / 1.4, abs=0.02)  # of Beta(a, a): 1 / (4 (2 a + 1))
    torch.manual_seed(5)
    again = seeded()
    assert [mix(numbered(2), 0.2, again).share for _ in range(3)] == shares[:3].tolist()


@pytest.mark.parametrize("mixup", [-0.1, 100.5])
def test_a_mixup_outside_its_range_is_refused(mixup: float) -> None:
    with pytest.raises(RecipeError, match=exactly(f"augmentation: mixup {mixup}, must be in 0..100")):
        Augmentation(mixup=mixup)
