from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compressor.data import ImageSet, load_images, split_images
from compressor.data import images as images_module
from compressor.errors import DataError
from tests.compressor.toys import encoded, exactly, plain, toy_images, write_folder, write_zip

SHAPE = (3, 4, 4)


def load(data: Path, shape: tuple[int, int, int] = SHAPE, split: str = "train") -> ImageSet:
    return load_images(str(data), split, shape, progress=False)


def test_labels_follow_the_sorted_class_names(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/cat/1.png": plain(10), "train/ant/1.png": plain(20), "train/bee/1.png": plain(30)})
    images = load(tmp_path)
    assert images.class_names == ("ant", "bee", "cat")
    assert images.labels.tolist() == [0, 1, 2]
    assert images.labels.dtype == torch.int64
    assert images.pixels[:, 0, 0, 0].tolist() == [20, 30, 10]
    assert images.pixels.shape == (3, 3, 4, 4)


def test_a_class_spread_over_zips_is_one_class(tmp_path: Path) -> None:
    write_zip(tmp_path / "1.zip", {"train/cat/1.png": plain(10), "train/ant/1.png": plain(20)})
    write_zip(tmp_path / "2.zip", {"train/ant/2.png": plain(30), "train/cat/2.png": plain(40)})
    images = load(tmp_path)
    assert images.labels.tolist() == [0, 1, 0, 1]
    assert images.pixels[:, 0, 0, 0].tolist() == [20, 10, 30, 40]


def test_a_folder_and_a_zip_of_the_same_pictures_are_the_same_set(tmp_path: Path) -> None:
    files = {"train/cat/1.png": plain(10), "train/ant/1.png": plain(20)}
    folder, archive = write_folder(tmp_path / "folder", files), write_zip(tmp_path / "data.zip", files)
    assert load(folder).digest == load(archive).digest


def test_pixels_are_channels_first_and_unchanged_where_the_size_fits(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    write_folder(tmp_path, {"train/a/1.png": encoded(drawn), "train/b/1.png": encoded(drawn[::-1].copy())})
    images = load(tmp_path, (3, 4, 5))
    assert np.array_equal(images.pixels[0].numpy(), drawn.transpose(2, 0, 1))
    assert np.array_equal(images.pixels[1].numpy(), drawn[::-1].transpose(2, 0, 1))


def test_pictures_of_another_size_are_resized_bilinearly(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1).integers(0, 256, (9, 6, 3), np.uint8)
    write_folder(tmp_path, {"train/a/1.png": encoded(drawn), "train/b/1.png": plain(77, height=7, width=3)})
    images = load(tmp_path, (3, 4, 5))
    expected = np.asarray(Image.fromarray(drawn).resize((5, 4), Image.Resampling.BILINEAR))
    assert np.array_equal(images.pixels[0].numpy(), expected.transpose(2, 0, 1))
    assert images.pixels[1].unique().tolist() == [77]


def test_grey_pictures_become_three_equal_channels(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/a/1.png": plain(50, channels=1), "train/b/1.png": plain(60)})
    assert load(tmp_path).pixels[0].unique().tolist() == [50]


def test_colours_become_grey_by_their_luma(tmp_path: Path) -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    write_folder(tmp_path, {"train/a/1.png": encoded(red), "train/b/1.png": plain(60, channels=1)})
    images = load(tmp_path, (1, 4, 4))
    assert images.pixels.shape == (2, 1, 4, 4)
    assert images.pixels[0].unique().tolist() == [76]  # 0.299 * 255
    assert images.pixels[1].unique().tolist() == [60]


def test_an_alpha_channel_is_dropped(tmp_path: Path) -> None:
    drawn = np.full((4, 4, 4), 90, np.uint8)
    write_folder(tmp_path, {"train/a/1.png": encoded(drawn), "train/b/1.png": plain(60)})
    assert load(tmp_path).pixels[0].unique().tolist() == [90]


def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/cat/1.png": b"no picture"})
    with pytest.raises(DataError, match=r"\Acat/1\.png: not a readable picture \(cannot identify image file <.*>\)\Z"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "bmp"])
def test_a_picture_cut_off_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    drawn = np.random.default_rng(2).integers(0, 256, (6, 6, 3), np.uint8)
    whole = encoded(drawn, suffix)
    path = tmp_path / f"train/cat/1.{suffix}"
    for length in range(0, len(whole) * 3 // 4, 7):
        write_folder(tmp_path, {f"train/cat/1.{suffix}": whole[:length]})
        with pytest.raises(DataError, match=rf"\Acat/{path.name}: not a readable picture \("):
            load(tmp_path, (3, 6, 6))


def test_a_picture_that_is_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7)
    write_folder(tmp_path, {"train/cat/1.png": plain(1)})
    with pytest.raises(DataError, match=r"\Acat/1\.png: not a readable picture \(Image size \(16 pixels\)"):
        load(tmp_path)


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/cat/1.png": plain(1), "train/cat/2.png": plain(2)})
    message = f"--data {tmp_path}: train has only the class 'cat', must have two or more"
    with pytest.raises(DataError, match=exactly(message)):
        load(tmp_path)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=exactly("split 'validation', must be one of train, test")):
        load(tmp_path, split="validation")


def test_a_split_that_is_absent_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train/cat/1.png": plain(1), "train/ant/2.png": plain(2)})
    with pytest.raises(
        DataError, match=exactly(f"--data {tmp_path}: no pictures under test or val/<class>/, in folders or zips")
    ):
        load(tmp_path, split="test")


def test_a_torchvision_set_keeps_its_own_labels_and_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, split: str) -> tuple[list[tuple[Image.Image, int]], tuple[str, ...]]:
        asked.append((name, split))
        return [(Image.new("L", (28, 28), 9), 1), (Image.new("L", (28, 28), 5), 0)], ("zero", "one")

    monkeypatch.setattr(images_module, "download", download)
    images = load_images("mnist", "test", (3, 8, 8))
    assert asked == [("mnist", "test")]
    assert images.class_names == ("zero", "one")
    assert images.labels.tolist() == [1, 0]
    assert images.pixels.shape == (2, 3, 8, 8)
    assert images.pixels[:, 2, 7, 7].tolist() == [9, 5]


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2), "pixels: torch.float32 of rank 4, must be uint8 of rank 4"),
        (
            torch.zeros(2, 4, 4, dtype=torch.uint8),
            torch.zeros(2),
            "pixels: torch.uint8 of rank 3, must be uint8 of rank 4",
        ),
        (
            torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
            torch.zeros(3),
            "2 pictures and 3 labels, must be equally many, not 0",
        ),
        (
            torch.zeros(0, 3, 4, 4, dtype=torch.uint8),
            torch.zeros(0),
            "0 pictures and 0 labels, must be equally many, not 0",
        ),
    ],
)
def test_an_image_set_refuses_tensors_that_break_a_rule(
    pixels: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(DataError, match=exactly(message)):
        ImageSet(pixels, labels, ("a", "b"))


def test_the_digest_of_an_image_set_is_stable() -> None:
    pixels = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)
    images = ImageSet(pixels, torch.tensor([0, 1]), ("a", "b"))
    assert images.digest == "972db8798876e6acd661b4b7bccc1cca0baeac1677aff3f5f3f32ae1f2fb01c0"
    strided = ImageSet(pixels.contiguous(memory_format=torch.channels_last), torch.tensor([0, 1]), ("a", "b"))
    assert strided.digest == images.digest


def test_the_digest_tells_pixels_labels_and_shape_apart() -> None:
    pixels, labels = torch.arange(24, dtype=torch.uint8), torch.tensor([0, 1])
    sets = [
        ImageSet(pixels.view(2, 3, 2, 2), labels, ("a", "b")),
        ImageSet(pixels.view(2, 3, 1, 4), labels, ("a", "b")),
        ImageSet(pixels.view(2, 3, 2, 2), labels.flip(0), ("a", "b")),
        ImageSet(pixels.view(2, 3, 2, 2) + 1, labels, ("a", "b")),
    ]
    assert len({images.digest for images in sets}) == 4


def test_statistics_are_the_mean_and_deviation_of_each_channel() -> None:
    images = toy_images(30)
    mean, std = images.statistics()
    values = images.pixels.numpy().astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1) / 255
    assert mean == tuple(np.round(values.mean(1), 4))
    assert std == tuple(np.round(values.std(1, ddof=1), 4))


def test_a_subset_keeps_the_order_it_is_asked_for() -> None:
    images = toy_images(6)
    chosen = images.subset(torch.tensor([4, 0]))
    assert len(chosen) == 2
    assert torch.equal(chosen.pixels, images.pixels[[4, 0]])
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.class_names == images.class_names


def numbered(count: int) -> ImageSet:
    pixels = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1)
    return ImageSet(pixels, torch.arange(count) % 2, ("even", "odd"))


def test_a_split_is_disjoint_and_loses_nothing() -> None:
    rest, holdout = split_images(numbered(50), 12, seed=3)
    assert (len(rest), len(holdout)) == (38, 12)
    assert sorted(rest.pixels.flatten().tolist() + holdout.pixels.flatten().tolist()) == list(range(50))
    assert torch.equal(holdout.labels, holdout.pixels.flatten().long() % 2)


def test_a_split_is_drawn_by_its_seed() -> None:
    first, again, other = (split_images(numbered(50), 12, seed)[1].digest for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("holdout", [0, -1, 5, 6])
def test_a_split_must_leave_something_on_both_sides(holdout: int) -> None:
    with pytest.raises(DataError, match=exactly(f"holdout = {holdout}, must be in 1..4")):
        split_images(numbered(5), holdout, seed=0)
