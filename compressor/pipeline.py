"""From a dense network to a published bundle: prune, remove, share, train centroids, encode; then `publication`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from compressor.bundling import bundle_of, oracle_of
from compressor.factorization.network import factorize_network
from compressor.factorization.recipe import FactorizeRecipe
from compressor.pruning.iterative import pruning_rounds
from compressor.pruning.masks import FixedMasks, nonzero_masks
from compressor.publication import Publication
from compressor.recipes import Round
from compressor.removal import RemoveRecipe, remove_dead
from compressor.sharing.centroids import SharedCentroids
from compressor.sharing.network import share_network
from compressor.sharing.recipe import LatentRecipe
from compressor.sharing.straight_through import LatentWeights
from compressor.staged_run import StagedRun
from compressor.stages import REMOVE, fingerprint_of
from compressor.training.batchnorm import reestimate_batchnorm
from compressor.training.constraint import Constraint, Together
from compressor.training.evaluation import accuracy_of
from compressor.training.layout import with_layout
from compressor.training.processes import first_before_others
from compressor.training.recipe import TrainRecipe
from compressor.vector_quantization import (
    TrainedCodewords,
    VectorAssignment,
    check_vectors,
    input_moments,
    quantize_vectors,
)
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.interface import BundleStore, StoredBundle

VECTORS = "vectors.safetensors"


class Compression(StagedRun):
    """One run of a recipe on one network, in one folder; the same call after a kill goes on where it stopped.

    Takes what `StagedRun` takes, and raises what it raises.
    """

    _vectors: VectorAssignment | None = None

    def publish(self, store: BundleStore, name: str) -> StoredBundle:
        """Run every stage that is not done, measure the decoded file, and publish it.

        Raises:
            CompressorError, StoreError: what a stage refuses.
        """
        bundle = self.compress()
        publication = Publication(
            self.network, self.card, self.recipe, self.folder, self.tutor, self.accuracies, self.dense_multiply_adds
        )
        with first_before_others():
            stored = publication.already_in(store, name, bundle)
            if stored is None:
                test = self.data.load_test()
                accuracy = publication.measure(bundle, test)
                self._say("decoded file, test", accuracy)
                stored = publication.publish(store, name, bundle, accuracy, test, self.data.digest)
        return stored

    def compress(self) -> Bundle:
        """The stages up to the decoded file, without provenance; `accuracies` holds the holdout's after each."""
        if self.recipe.factorize is not None:
            self._factorize(self.recipe.factorize)
        if self.recipe.vectors is not None:
            check_vectors(self.network, self.recipe.vectors)
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
        if self.recipe.latent is not None:
            self._train_latent(self.recipe.latent)
        self._stage("centroids", self._sharing(), self._train_centroids, self.recipe.centroids)
        bundle = decode_bundle(encode_bundle(self._bundle(), self.recipe.coder))
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
            dense_size=self.dense_size,
            one_codebook=self._together,
            vectors=self._vectors,
        )

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
        training = self._retraining(max(1, recipe.epochs), recipe.learning_rate)
        part = dataclasses.asdict(recipe)
        if self.recipe.prunes_what_is_left:
            part["prune"] = dataclasses.asdict(self.recipe.prune)

        def work(checkpoint: Path) -> None:
            if recipe.epochs:
                self._train(REMOVE, training, self._within_what_is_left(), checkpoint)
            else:
                reestimate_batchnorm(self.network, self.data.images, self.card.preprocessing)

        self._stage(REMOVE, part, work, training if recipe.epochs else None)

    def _retraining(self, epochs: int, learning_rate: float) -> TrainRecipe:
        """As the network was retrained, all of it at full size."""
        return dataclasses.replace(self.recipe.retrain, epochs=epochs, learning_rate=learning_rate, small_phase=None)

    def _within_what_is_left(self) -> Constraint:
        """What is zero stays zero, and more goes where the recipe says so."""
        if not self.recipe.prunes_what_is_left:
            return FixedMasks(nonzero_masks(self.network))
        (pruning,) = pruning_rounds(self.recipe.prune)
        return pruning.go_on(self.network, self._samples)

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

    def _train_latent(self, recipe: LatentRecipe) -> None:
        """Without a moving average: what that would keep, brought back to shared values, is no network that was
        trained, and its BatchNorm's statistics are another's."""
        training = dataclasses.replace(self._retraining(recipe.epochs, recipe.learning_rate), ema_decay=0)

        def work(checkpoint: Path) -> None:
            penalty = self.recipe.share.entropy_penalty
            constraint = LatentWeights(self.network, penalty, together=self._together)
            self._train("latent", training, constraint, checkpoint)

        self._stage("latent", self._sharing(gradient="mean"), work, training)

    def _train_centroids(self, checkpoint: Path) -> None:
        skip = self._vectors.layers if self._vectors is not None else ()
        constraint: Constraint = SharedCentroids(
            self.network, self.recipe.share.gradient, together=self._together, skip=skip
        )
        if self._vectors is not None:
            constraint = Together(constraint, TrainedCodewords(self._vectors))
        self._train("centroids", self.recipe.centroids, constraint, checkpoint)
