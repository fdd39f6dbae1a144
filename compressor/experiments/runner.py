"""Run an experiment at one seed: dense training, compression, publication, record; resumable at every epoch."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from compressor.data import ImageSet, load_images, preprocessing_of, split_images
from compressor.dense import DenseTraining
from compressor.errors import CompressorError
from compressor.experiments.experiment import SMOKE_PICTURES, Experiment
from compressor.networks import input_shape_of
from compressor.networks.card import NetworkCard, card_of, load_network
from compressor.networks.weights import load_weights
from compressor.pipeline import Compression
from compressor.publication import RECORD
from compressor.recipes import inherit_split, split_seed
from compressor.staged_run import CompressData
from compressor.stages import RunFolder
from compressor.teaching import load_teachers
from compressor.training.files import write_text
from compressor.training.processes import wait_for_all
from model_store.store import Store

CLAIM = "experiment.json"
LESSONS = "lessons"


@dataclass(frozen=True, slots=True)
class Places:
    """Where an experiment reads and writes.

    Attributes:
        data: what `load_images` takes.
        runs: the folder of all runs; dense trainings are shared between experiments below `dense/`, and what teachers
            say beforehand below `lessons/`.
        records: where the record goes; None writes none.
    """

    data: str
    runs: Path
    store: Path
    records: Path | None


class ExperimentRun:
    """One experiment at one seed.

    Args:
        smoke: whether only the first few pictures are read, to see that everything works.
    """

    def __init__(
        self,
        experiment: Experiment,
        places: Places,
        device: torch.device,
        *,
        smoke: bool = False,
        progress: bool = True,
    ) -> None:
        self.experiment = experiment
        self.places = places
        self.device = device
        self.smoke = smoke
        self.progress = progress
        self.folder = places.runs / experiment.run_name()

    def run(self, *, resume: bool) -> Path:
        """Do what is not done; return the record's path.

        Raises:
            CompressorError: the run has begun and `resume` is not set, or what a stage refuses.
        """
        if (self.folder / CLAIM).exists() and not resume:
            raise CompressorError(f"{self.folder}: begun already; give --resume to go on, or remove it")
        wait_for_all()  # before the first process claims it
        folder = RunFolder(self.folder)
        claim = {"experiment": self.experiment.name, "seed": self.experiment.seeds[0]}
        folder.write(CLAIM, claim)
        images = self._images("train")
        weights, card = self._dense(images)
        folder.write(CLAIM, {**claim, "dense": str(weights)})
        recipe = self.experiment.compress
        if not self.smoke:  # whose few pictures are split as its own recipe says
            recipe = inherit_split(recipe, card).with_both(seed=recipe.seed)
        rest, holdout = split_images(images, recipe.holdout, split_seed(recipe, card))
        network = load_network(weights, self.experiment.network, len(images.class_names)).to(self.device)
        data = CompressData(rest, holdout, self._test, images.digest)
        compression = Compression(
            network, card, data, recipe, self.folder,
            teachers=load_teachers(self.experiment.teacher_files), lessons=self.places.runs / LESSONS,
            progress=self.progress,
        )  # fmt: skip
        compression.publish(Store.create(self.places.store), self.experiment.run_name())
        return self._record(folder)

    def _images(self, split: str) -> ImageSet:
        shape = input_shape_of(self.experiment.network)
        images = load_images(self.places.data, split, shape, progress=self.progress)
        if not self.smoke:
            return images
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        return images.subset(order[:SMOKE_PICTURES])

    @property
    def _test(self) -> Callable[[], ImageSet]:
        return lambda: self._images("test")

    def _dense(self, images: ImageSet) -> tuple[Path, NetworkCard]:
        """The dense network's file and card: trained here, by an earlier experiment, or given."""
        experiment = self.experiment
        if experiment.weights is not None:
            card = card_of(load_weights(experiment.weights)[1], str(experiment.weights))
            if card is None or card.network != experiment.network:
                raise CompressorError(f"{experiment.weights}: must be a checkpoint of ours for {experiment.network}")
            return experiment.weights, card
        assert experiment.train is not None
        training = DenseTraining(
            experiment.network,
            experiment.train,
            preprocessing_of(images),
            self.places.runs / "dense" / experiment.dense_name(),
            self.device,
            progress=self.progress,
        )
        return training.result, training.run(images, self._test)

    def _record(self, folder: RunFolder) -> Path:
        """The pipeline's record with the experiment's name, among the project's records."""
        record = {"experiment": self.experiment.name, "tier": self.experiment.tier, **folder.read(RECORD)}
        if self.places.records is None:
            return self.folder / RECORD
        path = self.places.records / f"{self.experiment.run_name()}.json"
        write_text(path, json.dumps(record, indent=2, sort_keys=True) + "\n")
        return path
