"""A network made ready to be measured: its files, the pictures, and what the numpy engine answers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_store.bundle import digest_of
from model_store.errors import StoreError
from service.bench.inputs import Files, Network, write_files
from service.bench.report import Subject
from service.engine.numpy_engine import NumpyPlan
from service.engine.plan import Array
from service.errors import BenchError


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One network.

    Attributes:
        pictures: float32, as many as the largest batch; smaller batches are the first of them.
        expected: the numpy engine's logits, which all others are compared with.
    """

    network: Network
    files: Files
    pictures: Array
    expected: Array

    @property
    def name(self) -> str:
        return self.network.name

    def subject(self) -> Subject:
        """What the report says of it."""
        bundle = self.network.bundle
        return Subject(
            self.name,
            bundle.architecture,
            digest_of(self.network.data),
            len(self.network.data),
            bundle.dense_bytes,
            bundle.parameters,
            bundle.weight_nonzeros,
            bundle.multiply_adds(),
            bundle.multiply_adds(dense=True),
        )


def prepare_candidate(network: Network, folder: Path, formats: frozenset[str], count: int, seed: int) -> Candidate:
    """Write a network's files to a new folder, draw `count` pictures and run them.

    Raises:
        BenchError: the network does not fit one of the formats.
    """
    try:
        files = write_files(network, folder, formats)
    except StoreError as error:
        raise BenchError(f'"{network.name}": {error}') from None
    shape = (count, *network.bundle.preprocessing.input_shape)
    pictures = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Candidate(network, files, pictures, NumpyPlan(network.bundle).run(pictures))
