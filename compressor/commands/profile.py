"""`profile`: operations, activations, parameters, megabytes and estimated energy of networks and bundles."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

from compressor.bundling import dense_bytes_of
from compressor.commands.options import add_store
from compressor.commands.sources import BUNDLE_SUFFIX, bundle_data, is_bundle
from compressor.energy import ASSUMPTIONS, WORD_BYTES, energy_of
from compressor.errors import CompressorError
from compressor.networks import NETWORKS, build_network, input_shape_of
from compressor.networks.torchvision_models import IMAGENET_CLASSES, MODELS, TORCHVISION
from compressor.operations import CONVENTIONS, Operations, count_operations
from compressor.tracing import trace_network
from model_store.bundle import Bundle, decode_bundle
from model_store.description import render_table

NAME = "profile"
SUMMARY = "Count operations and parameters, and estimate the energy, of networks and bundles."
CIFAR_CLASSES = 10
COUNTS = (
    "multiply-accumulates", "comparisons", "additions", "divisions", "multiplications", "activations", "parameters",
    "MB",
)  # fmt: skip
ENERGIES = ("arithmetic mJ", "SRAM mJ", "DRAM mJ", "mJ in all", "mJ, file in SRAM")


@dataclass(frozen=True, slots=True)
class Profile:
    """One row: a network as it is, or compressed.

    Attributes:
        parameters: trainable ones; of a compressed network the non-zero values of its file.
        size_bytes: fp32 parameters and buffers, or the file.
        idle_parameters: those among them that inference does not read (auxiliary heads).
    """

    name: str
    operations: Operations
    parameters: int
    size_bytes: int
    idle_parameters: int = 0

    def counts(self) -> list[str]:
        o = self.operations
        numbers = (
            o.multiply_adds, o.comparisons, o.additions, o.divisions, o.multiplications, o.activations, self.parameters
        )  # fmt: skip
        return [self.name, *(f"{number:,}" for number in numbers), f"{self.size_bytes / 1e6:.3f}"]

    def energies(self) -> list[str]:
        energy = energy_of(self.operations, self.size_bytes - WORD_BYTES * self.idle_parameters)
        millijoules = (energy.arithmetic_mj, energy.sram_mj, energy.dram_mj, energy.total_mj, energy.on_chip_mj)
        return [self.name, *(f"{number:.4g}" for number in millijoules)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        nargs="+",
        metavar="NETWORK|BUNDLE",
        help=f"a network's name, module:callable, {TORCHVISION}:MODEL, or a bundle (FILE, NAME or NAME:VERSION)",
    )
    parser.add_argument(
        "--classes", type=int, help=f"of a network (default: {CIFAR_CLASSES}, of torchvision's {IMAGENET_CLASSES})"
    )
    add_store(parser, required=False)


def run(options: argparse.Namespace) -> None:
    """Print a row for each network and two for each bundle: operations, then energy, then what both rest on."""
    profiles = [profile for target in options.targets for profile in _profiles_of(target, options)]
    lines = render_table([["one picture", *COUNTS], *(profile.counts() for profile in profiles)])
    lines += ["", *render_table([["one picture", *ENERGIES], *(profile.energies() for profile in profiles)]), ""]
    for profile in profiles:
        if profile.idle_parameters:
            used = profile.parameters - profile.idle_parameters
            lines.append(f"{profile.name}: {used:,} parameters without the auxiliary heads, which inference skips.")
    print("\n".join([*lines, CONVENTIONS, ASSUMPTIONS]))


def _profiles_of(target: str, options: argparse.Namespace) -> Iterator[Profile]:
    if target in NETWORKS or (":" in target and options.store is None) or target.startswith(f"{TORCHVISION}:"):
        yield profile_network(target, options.classes)
        return
    named = "/" in target or target.endswith(BUNDLE_SUFFIX) or options.store is not None
    if not named or not is_bundle(target):
        known = ", ".join([*NETWORKS, *(f"{TORCHVISION}:{name}" for name in MODELS)])
        raise CompressorError(f"{target}: must be a bundle, module:callable, or one of {known}")
    yield from profile_bundle(target, bundle_data(target, options.store))


def profile_network(name: str, classes: int | None = None) -> Profile:
    """The profile of a dense network, by name.

    Raises:
        NetworkError: it is unknown or cannot be traced.
    """
    default = IMAGENET_CLASSES if name.startswith(f"{TORCHVISION}:") else CIFAR_CLASSES
    network = build_network(name, classes or default)
    traced = trace_network(network, input_shape_of(name))
    shapes = [tensor.shape for tensor in traced.tensors]
    elements = [math.prod(shape) for shape in shapes]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    operations = count_operations(traced.graph, input_shape_of(name), shapes, elements)
    return Profile(name, operations, parameters, dense_bytes_of(network), max(0, parameters - sum(elements)))


def profile_bundle(name: str, data: bytes) -> tuple[Profile, Profile]:
    """A bundle's network dense (or the smaller one it became) and compressed: only non-zero weights multiply.

    Raises:
        BundleError: it is not a bundle.
    """
    bundle = decode_bundle(data)
    shapes = [tensor.shape for tensor in bundle.tensors]
    dense, sparse = (
        count_operations(bundle.graph, bundle.preprocessing.input_shape, shapes, weights)
        for weights in ([math.prod(shape) for shape in shapes], [tensor.nonzeros for tensor in bundle.tensors])
    )
    return (
        _structure_of(name, bundle, dense),
        Profile(f"{name}, compressed", sparse, bundle.nonzeros, len(data)),
    )


def _structure_of(name: str, bundle: Bundle, operations: Operations) -> Profile:
    """All weights of a bundle's layers: the dense network, unless layers were split or filters removed."""
    parameters = sum(math.prod(tensor.shape) for tensor in bundle.tensors)
    if parameters == bundle.parameters:
        return Profile(f"{name}, dense", operations, parameters, bundle.dense_bytes)
    return Profile(f"{name}, structure", operations, parameters, WORD_BYTES * parameters)
