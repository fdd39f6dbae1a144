"""`check`: decode every bundle of a store, and measure it anew where its test pictures are at hand."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from compressor.bundling import oracle_of
from compressor.commands.options import add_device, add_store, choose_device
from compressor.data import ImageSet, load_images
from compressor.data.pictures import find_pictures
from compressor.errors import CompressorError, DataError
from compressor.publication import DIGEST_DIGITS
from compressor.training.evaluation import accuracy_of
from model_store.bundle import Bundle, decode_bundle
from model_store.description import figures_of
from model_store.interface import BundleStore
from model_store.opening import open_store

NAME = "check"
SUMMARY = "Decode every bundle of a store, and measure it anew where its test pictures are at hand."
DATA_VARIABLE = "CSRVE_DATA"
TOLERANCE = 0.0005  # of accuracy: five pictures of 10,000 whose two best logits another processor's sums may swap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_store(parser, required=True)
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get(DATA_VARIABLE) or None,
        help=f"folder with a folder for each data set, such as cifar10/test.zip (${DATA_VARIABLE})",
    )
    add_device(parser)


def run(options: argparse.Namespace) -> None:
    """Print a line for each bundle.

    Raises:
        CompressorError: a bundle does not measure what it says. BundleError: one does not decode.
    """
    device, data = choose_device(options), _DataSets(options.data, progress=not options.quiet)
    if options.data is None:
        print(f"{DATA_VARIABLE} is not set: bundles are decoded, but nothing is measured")
    differing, count = 0, 0
    for place, bundle, size_bytes in _bundles(open_store(options.store)):
        count += 1
        recorded = figures_of(bundle, size_bytes).accuracy
        images = data.for_bundle(bundle)
        if images is None or recorded is None:
            reason = "no accuracy in its provenance" if recorded is None else "no test pictures of its classes"
            print(f"{place}: decodes; not measured, {reason}")
            continue
        measured = accuracy_of(oracle_of(bundle).to(device), images, bundle.preprocessing)
        agrees = abs(measured - recorded) <= TOLERANCE
        differing += not agrees
        verdict = "agrees" if agrees else "DIFFERS"
        others = "" if _same_pictures(bundle, images) else ", on other pictures than recorded"
        print(f"{place}: {measured:.2%} of {len(images)} test pictures, recorded {recorded:.2%}: {verdict}{others}")
    if differing:
        raise CompressorError(f"{options.store}: {differing} of {count} bundles do not measure what they say")


def _bundles(store: BundleStore) -> Iterator[tuple[str, Bundle, int]]:
    for name in store.models():
        for version in store.versions(name):
            data = store.read(name, version).data
            yield f"{name}/{version}", decode_bundle(data), len(data)


def _same_pictures(bundle: Bundle, images: ImageSet) -> bool:
    data = bundle.provenance.get("data")
    return isinstance(data, dict) and data.get("test") == images.digest[:DIGEST_DIGITS]


class _DataSets:
    """The test pictures below a folder, by the classes they are of; decoded once for each picture size."""

    def __init__(self, root: Path | None, *, progress: bool) -> None:
        self._progress = progress
        self._folders: dict[frozenset[str], Path] = {}
        self._loaded: dict[tuple[Path, tuple[int, int, int]], ImageSet] = {}
        if root is not None and not root.is_dir():
            raise DataError(f"--data {root}: no such folder")
        for folder in sorted(root.iterdir()) if root is not None else ():
            self._add(folder)

    def _add(self, folder: Path) -> None:
        try:
            classes = frozenset(picture.class_name for picture in find_pictures(folder, "test"))
        except DataError:
            return  # something else than a data set with a test split
        self._folders.setdefault(classes, folder)

    def for_bundle(self, bundle: Bundle) -> ImageSet | None:
        folder = self._folders.get(frozenset(bundle.class_names))
        if folder is None:
            return None
        key = (folder, bundle.preprocessing.input_shape)
        if key not in self._loaded:
            self._loaded[key] = load_images(str(folder), "test", key[1], progress=self._progress)
        images = self._loaded[key]
        return images if images.class_names == bundle.class_names else None
