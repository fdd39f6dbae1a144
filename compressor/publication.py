"""What becomes of a decoded file: measured once on the test pictures, published, recorded."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from compressor.bundling import DenseSize, oracle_of, same_tensors
from compressor.citation import cite
from compressor.coders import BYTES_BY_CODER, bytes_by_coder
from compressor.data.images import ImageSet
from compressor.errors import CompressorError
from compressor.networks.card import NetworkCard
from compressor.recipes import CompressRecipe
from compressor.record import csrve_version, surroundings
from compressor.stages import RunFolder
from compressor.training.evaluation import accuracy_of
from compressor.tutor import Tutor
from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.interface import BundleStore, StoredBundle

RECORD = "record.json"
DIGEST_DIGITS = 16  # of the data's SHA-256 in a bundle; the record has all 64


@dataclass(frozen=True, slots=True, eq=False)
class Publication:
    """A finished run on its way into a store.

    Attributes:
        network: as the last stage left it.
        accuracies: on the holdout, after each stage.
    """

    network: nn.Module
    card: NetworkCard
    recipe: CompressRecipe
    folder: RunFolder
    tutor: Tutor
    accuracies: Mapping[str, float]
    dense_multiply_adds: int

    def already_in(self, store: BundleStore, name: str, bundle: Bundle) -> StoredBundle | None:
        """What an earlier session published of this very bundle, by this coder."""
        record = self.folder.read(RECORD)
        if record.get("name") != name or name not in store.models():
            return None
        if record.get("version") not in store.versions(name):
            return None
        stored = store.read(name, int(record["version"]))
        if stored.sha256 != record.get("sha256") or self._coder_of(record) != self.recipe.coder:
            return None
        return stored if same_tensors(decode_bundle(stored.data), bundle) else None

    @staticmethod
    def _coder_of(record: Mapping[str, Any]) -> str:
        """Of the earliest records too, which name none: there was one only."""
        return str(record["recipe"].get("coder", "huffman"))

    def measure(self, bundle: Bundle, test: ImageSet) -> float:
        """The decoded file's accuracy on the test pictures.

        Raises:
            CompressorError: they have other classes.
        """
        if test.class_names != self.card.class_names:
            raise CompressorError(f"test has classes {test.class_names}, must be {self.card.class_names}")
        oracle = oracle_of(bundle).to(next(self.network.parameters()).device)
        return accuracy_of(oracle, test, self.card.preprocessing)

    def publish(
        self, store: BundleStore, name: str, bundle: Bundle, accuracy: float, test: ImageSet, train_digest: str
    ) -> StoredBundle:
        """Publish the file with what is known of it, and write the record.

        Raises:
            CompressorError: a fault of the encoder: what is published decodes to other weights.
            StoreError: the store does not take it.
        """
        digests = {"train": train_digest, "test": test.digest}
        final = dataclasses.replace(bundle, provenance=self._provenance(accuracy, len(test), digests))
        data = encode_bundle(final, self.recipe.coder)
        if not same_tensors(decode_bundle(data), bundle):
            raise CompressorError("the file with provenance decodes to other weights than the one measured")
        # A session killed after it published and before it wrote the record left these very bytes in the store.
        stored = _stored_already(store, name, data) or store.publish(name, data)
        self._write_record(stored, final, digests)
        return stored

    def _provenance(self, accuracy: float, pictures: int, digests: Mapping[str, str]) -> dict[str, Any]:
        return {
            "accuracy": round(accuracy, 6),
            "test_pictures": pictures,
            "recipe": cite(self.recipe),
            "seed": self.recipe.seed,
            "data": {part: digest[:DIGEST_DIGITS] for part, digest in digests.items()},
            "stages": {name: round(value, 4) for name, value in self.accuracies.items()},
            "csrve": csrve_version(),
        }

    def _write_record(self, stored: StoredBundle, bundle: Bundle, digests: Mapping[str, str]) -> None:
        record = {
            "name": stored.name,
            "version": stored.version,
            "sha256": stored.sha256,
            "architecture": bundle.architecture,
            "accuracy": bundle.provenance["accuracy"],
            "holdout_accuracies": dict(self.accuracies),
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
            "dense_multiply_adds": self.dense_multiply_adds,
            "dense": self.card.training,
            "recipe": dataclasses.asdict(self.recipe),
            "teachers": self.tutor.provenance(),
            "data": dict(digests),
            "minutes": self.folder.minutes(),
            **surroundings(),
        }
        self.folder.write(RECORD, record)


def _stored_already(store: BundleStore, name: str, data: bytes) -> StoredBundle | None:
    """The version of `name` that has these bytes, the newest first."""
    digest = hashlib.sha256(data).hexdigest()
    versions = store.versions(name) if name in store.models() else []
    found = (version for version in reversed(versions) if store.digest(name, version) == digest)
    version = next(found, None)
    return store.read(name, version) if version is not None else None
