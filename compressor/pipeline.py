"""The whole way from a dense network to a published bundle: prune, remove, share, train centroids, encode, measure."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compressor.bundling import DenseSize, bundle_of, oracle_of, same_tensors
from compressor.citation import cite
from compressor.coders import BYTES_BY_CODER, bytes_by_coder
from compressor.data.images import ImageSet
from compressor.errors import CompressorError
from compressor.factorization.network import factorize_network
from compressor.factorization.recipe import FactorizeRecipe
from compressor.networks.card import NetworkCard
from compressor.networks.weights import weights_digest
from compressor.operations import multiply_adds_of
from compressor.pruning.masks import FixedMasks, nonzero_masks
from compressor.recipes import CompressRecipe, Round
from compressor.record import csrve_version, surroundings
from compressor.removal import RemoveRecipe, remove_dead
from compressor.sharing.centroids import SharedCentroids
from compressor.sharing.network import share_network
from compressor.stages import REMOVE, RunFolder, fingerprint_of
from compressor.training.batchnorm import reestimate_batchnorm
from compressor.training.constraint import Constraint, Together
from compressor.training.evaluation import accuracy_of
from compressor.training.layout import with_layout
from compressor.training.lessons import Lessons
from compressor.training.processes import first_before_others, take_from_first
from compressor.training.recipe import TrainRecipe
from compressor.training.samples import Samples
from compressor.training.teachers import Teacher
from compressor.training.trainer import Trainer
from compressor.tutor import Tutor
from compressor.vector_quantization import TrainedCodewords, VectorAssignment, input_moments, quantize_vectors
from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.interface import BundleStore, StoredBundle

RECORD = "record.json"
VECTORS = "vectors.safetensors"
DIGEST_DIGITS = 16  # of the data's SHA-256 in a bundle; the record has all 64


@dataclass(frozen=True, slots=True, eq=False)
class CompressData:
    """Pictures to train on and to choose by, and how to get the test pictures, which are touched once, at the end."""

    images: ImageSet
    holdout: ImageSet
    load_test: Callable[[], ImageSet]
    digest: str


class Compression:
    """One run of a recipe on one network, in one folder; the same call after a kill goes on where it stopped.

    Args:
        teachers: what teaches it, where the recipe asks for a teacher; without any the dense network itself does.
        lessons: the folder of what teachers said beforehand, which runs can share; `folder` where it is None.

    Raises:
        CompressorError: a teacher has other classes or takes other pictures, or the recipe listens to none.
    """

    def __init__(
        self,
        network: nn.Module,
        card: NetworkCard,
        data: CompressData,
        recipe: CompressRecipe,
        folder: Path,
        *,
        teachers: Sequence[Teacher] = (),
        lessons: Path | None = None,
        progress: bool = True,
    ) -> None:
        # The layout that training leaves, from the start: a resumed run must add in the same order, to the last bit.
        self.network = with_layout(network, torch.channels_last)
        self.card = card
        self.data = data
        self.recipe = recipe
        self.folder = RunFolder(folder)
        self.lessons_folder = lessons if lessons is not None else folder
        self.progress = progress
        self.accuracies: dict[str, float] = {}
        self._vectors: VectorAssignment | None = None
        self.tutor = Tutor.of(network, card, recipe, teachers)
        self._fingerprint = weights_digest(network)
        self._dense_size = DenseSize.of(network)
        self._dense_multiply_adds = multiply_adds_of(network, card.preprocessing.input_shape)
        if recipe.factorize is not None:
            self._factorize(recipe.factorize)

    def publish(self, store: BundleStore, name: str) -> StoredBundle:
        """Run every stage that is not done, measure the decoded file, and publish it.

        Raises:
            CompressorError, StoreError: what a stage refuses.
        """
        bundle = self.compress()
        with first_before_others():
            return self._already_published(store, name, bundle) or self._measure_and_publish(store, name, bundle)

    def compress(self) -> Bundle:
        """The stages up to the decoded file, without provenance; `accuracies` holds the holdout's after each."""
        self.accuracies["dense"] = accuracy_of(self.network, self.data.holdout, self.card.preprocessing)
        self._say("dense", self.accuracies["dense"])
        for one in self.recipe.rounds():
            self._stage(one.name, one.recipe, self._prune(one), self.recipe.retrain)
        if self.recipe.remove is not None:
            self._remove(self.recipe.remove)
        self._stage("share", self._sharing(gradient="mean"), self._share)
        if self.recipe.vectors is not None:
            device = next(self.network.parameters()).device
            self._vectors = VectorAssignment.load(self.folder.path / VECTORS, device)
        self._stage("centroids", self._sharing(), self._train_centroids, self.recipe.centroids)
        bundle = decode_bundle(encode_bundle(self._bundle()))
        oracle = oracle_of(bundle).to(next(self.network.parameters()).device)
        self.accuracies["decoded"] = accuracy_of(oracle, self.data.holdout, self.card.preprocessing)
        self._say("decoded file", self.accuracies["decoded"])
        return bundle

    def _sharing(self, **changes: Any) -> dict[str, Any]:
        """What the stages of sharing depend on; vectors are named only where there are some."""
        share = dataclasses.asdict(dataclasses.replace(self.recipe.share, **changes))
        vectors = self.recipe.vectors
        return share | ({"vectors": dataclasses.asdict(vectors)} if vectors is not None else {})

    def _bundle(self) -> Bundle:
        return bundle_of(
            self.network,
            self.card,
            scale_bits=self.recipe.scale_bits,
            dense_size=self._dense_size,
            one_codebook=self._together,
            vectors=self._vectors,
        )

    @property
    def _samples(self) -> Samples:
        return Samples(self.data.images, self.card.preprocessing)

    @property
    def _together(self) -> bool:
        return self.recipe.share.codebooks == "network"

    def _factorize(self, recipe: FactorizeRecipe) -> None:
        """Split layers now; every stage depends on it, and the retraining that follows mends what it cost."""
        replaced = factorize_network(self.network, recipe)
        self.network = with_layout(self.network, torch.channels_last)
        self._fingerprint = fingerprint_of({"before": self._fingerprint, "factorize": dataclasses.asdict(recipe)})
        if self.progress:
            saved = sum(layer.weights_before - layer.weights_after for layer in replaced)
            print(f"factorized: {len(replaced)} layers, {saved} weights fewer", flush=True)

    def _remove(self, recipe: RemoveRecipe) -> None:
        """Go on with a smaller network. Which one follows from the weights, so a resumed run finds it again."""
        smaller, removed = remove_dead(self.network, self.card.preprocessing.input_shape, recipe.purify)
        self.network = with_layout(smaller, torch.channels_last)
        if self.progress:
            print(f"removed: {removed.filters} filters, {removed.parameters} parameters", flush=True)
        training = dataclasses.replace(
            self.recipe.retrain, epochs=max(1, recipe.epochs), learning_rate=recipe.learning_rate, small_phase=None
        )

        def work(checkpoint: Path) -> None:
            if recipe.epochs:
                self._train(REMOVE, training, FixedMasks(nonzero_masks(self.network)), checkpoint)
            else:
                reestimate_batchnorm(self.network, self.data.images, self.card.preprocessing)

        self._stage(REMOVE, recipe, work, training if recipe.epochs else None)

    def _stage(self, name: str, part: Any, work: Callable[[Path], None], training: TrainRecipe | None = None) -> None:
        inputs = {
            "before": self._fingerprint,
            "recipe": part if isinstance(part, dict) else dataclasses.asdict(part),
            "training": dataclasses.asdict(training) if training else None,
            "data": self.data.digest,
            "card": dataclasses.asdict(self.card)["preprocessing"],
        }
        inputs |= self.tutor.stage_inputs(trains=training is not None)

        def run(checkpoint: Path) -> float:
            work(checkpoint)
            take_from_first(self.network)
            return accuracy_of(self.network, self.data.holdout, self.card.preprocessing)

        result = self.folder.run_stage(name, inputs, self.network, run)
        self._fingerprint = result.fingerprint
        self.accuracies[name] = result.holdout_accuracy
        self._say(name, result.holdout_accuracy)

    def _prune(self, one: Round) -> Callable[[Path], None]:
        def work(checkpoint: Path) -> None:
            self._train(one.name, self.recipe.retrain, one.begin(self.network, self._samples), checkpoint)

        return work

    def _share(self, checkpoint: Path) -> None:
        done: frozenset[str] = frozenset()
        if self.recipe.vectors is not None:
            moments = input_moments(self.network, self._samples)
            assignment = quantize_vectors(self.network, self.recipe.vectors, moments, self.recipe.seed)
            assignment.save(self.folder.path / VECTORS)
            done = assignment.layers
        share_network(self.network, self.recipe.share, self.recipe.seed, done)
        reestimate_batchnorm(self.network, self.data.images, self.card.preprocessing)

    def _train_centroids(self, checkpoint: Path) -> None:
        skip = self._vectors.layers if self._vectors is not None else ()
        constraint: Constraint = SharedCentroids(
            self.network, self.recipe.share.gradient, together=self._together, skip=skip
        )
        if self._vectors is not None:
            constraint = Together(constraint, TrainedCodewords(self._vectors))
        self._train("centroids", self.recipe.centroids, constraint, checkpoint)

    def _train(self, name: str, recipe: TrainRecipe, constraint: Constraint, checkpoint: Path) -> None:
        trainer = Trainer(
            self.network,
            self.card.preprocessing,
            recipe,
            name=name,
            constraint=constraint,
            teacher=self._taught_by if recipe.teacher_share else None,
            checkpoint=checkpoint,
            progress=self.progress,
        )
        self.network.load_state_dict(trainer.fit(self.data.images, self.data.holdout).state_dict())

    @functools.cached_property
    def _taught_by(self) -> nn.Module | Lessons | None:
        return self.tutor.teaching(
            self.data.images, self.card, self.recipe, self.lessons_folder, progress=self.progress
        )

    def _already_published(self, store: BundleStore, name: str, bundle: Bundle) -> StoredBundle | None:
        """What an earlier session published of this very bundle."""
        record = self.folder.read(RECORD)
        if record.get("name") != name or name not in store.models():
            return None
        if record.get("version") not in store.versions(name):
            return None
        stored = store.read(name, int(record["version"]))
        same = stored.sha256 == record.get("sha256") and same_tensors(decode_bundle(stored.data), bundle)
        return stored if same else None

    def _measure_and_publish(self, store: BundleStore, name: str, bundle: Bundle) -> StoredBundle:
        test = self.data.load_test()
        if test.class_names != self.card.class_names:
            raise CompressorError(f"test has classes {test.class_names}, must be {self.card.class_names}")
        oracle = oracle_of(bundle).to(next(self.network.parameters()).device)
        accuracy = accuracy_of(oracle, test, self.card.preprocessing)
        self._say("decoded file, test", accuracy)
        final = dataclasses.replace(bundle, provenance=self._provenance(accuracy, test))
        data = encode_bundle(final)
        if not same_tensors(decode_bundle(data), bundle):
            raise CompressorError("the file with provenance decodes to other weights than the one measured")
        # A session killed after it published and before it wrote the record left these very bytes in the store.
        stored = _stored_already(store, name, data) or store.publish(name, data)
        self._write_record(stored, final, test)
        return stored

    def _provenance(self, accuracy: float, test: ImageSet) -> dict[str, Any]:
        return {
            "accuracy": round(accuracy, 6),
            "test_pictures": len(test),
            "recipe": cite(self.recipe),
            "seed": self.recipe.seed,
            "data": {"train": self.data.digest[:DIGEST_DIGITS], "test": test.digest[:DIGEST_DIGITS]},
            "stages": {name: round(value, 4) for name, value in self.accuracies.items()},
            "csrve": csrve_version(),
        }

    def _write_record(self, stored: StoredBundle, bundle: Bundle, test: ImageSet) -> None:
        record = {
            "name": stored.name,
            "version": stored.version,
            "sha256": stored.sha256,
            "architecture": bundle.architecture,
            "accuracy": bundle.provenance["accuracy"],
            "holdout_accuracies": self.accuracies,
            "bundle_bytes": len(stored.data),
            "dense_bytes": bundle.dense_bytes,
            "bytes_by_kind": account(stored.data).by_kind(),
            BYTES_BY_CODER: bytes_by_coder(bundle),
            "parameters": bundle.parameters,
            "nonzeros": bundle.weight_nonzeros,
            "sparsity": bundle.sparsity,
            "parameters_left": DenseSize.of(self.network).parameters,
            "multiply_adds": bundle.multiply_adds(),
            "multiply_adds_of_structure": bundle.multiply_adds(dense=True),
            "dense_multiply_adds": self._dense_multiply_adds,
            "dense": self.card.training,
            "recipe": dataclasses.asdict(self.recipe),
            "teachers": self.tutor.provenance(),
            "data": {"train": self.data.digest, "test": test.digest},
            "minutes": self.folder.minutes(),
            **surroundings(),
        }
        self.folder.write(RECORD, record)

    def _say(self, what: str, accuracy: float) -> None:
        if self.progress:
            print(f"{what}: {accuracy:.2%}", flush=True)


def _stored_already(store: BundleStore, name: str, data: bytes) -> StoredBundle | None:
    """The version of `name` that has these bytes, the newest first."""
    digest = hashlib.sha256(data).hexdigest()
    versions = store.versions(name) if name in store.models() else []
    found = (version for version in reversed(versions) if store.digest(name, version) == digest)
    version = next(found, None)
    return store.read(name, version) if version is not None else None
