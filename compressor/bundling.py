"""From a pruned network that shares weights to a bundle, and from a bundle back to a network that can be measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from compressor.errors import CompressorError
from compressor.networks.card import NetworkCard
from compressor.pruning.masks import prunable_parameters
from compressor.sharing.codebooks import exact_codebook
from compressor.tracing import Oracle, trace_network
from compressor.vector_quantization.groups import VectorAssignment
from compressor.vector_quantization.tensors import vector_tensors
from model_store.affine import affine_bytes, fit_affine
from model_store.bundle import Bundle
from model_store.limits import MAX_CODEBOOK_ENTRIES
from model_store.tensors import FloatTensor, SharedTensor, Tensor

FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class DenseSize:
    """What a bundle is held against: parameters, and bytes of the fp32 state_dict, of the dense network."""

    parameters: int
    size_bytes: int

    @classmethod
    def of(cls, network: nn.Module) -> "DenseSize":
        return cls(sum(parameter.numel() for parameter in network.parameters()), dense_bytes_of(network))


def bundle_of(
    network: nn.Module,
    card: NetworkCard,
    provenance: dict[str, Any] | None = None,
    scale_bits: int = 16,
    dense_size: DenseSize | None = None,
    *,
    one_codebook: bool = False,
    vectors: VectorAssignment | None = None,
) -> Bundle:
    """Trace the network; prunable weights become shared tensors, all else float16.

    With `scale_bits` of 8, vectors (scale and bias) that get smaller by it are rounded to 256 steps between their least
    and their largest value: off by 1/510 of that range, and float16's rounding, at most.

    Args:
        one_codebook: whether all shared tensors get the codebook of all their values, which the file then has once.
        vectors: which weights consist of codewords; they become vector tensors.
        dense_size: of the network that this one was made from, where layers have been split or removed since.

    Raises:
        NetworkError: the network cannot be traced.
        CompressorError: a layer has more distinct weights than a codebook holds.
        BundleError: a value passes float16, or a limit of the format.
    """
    dense = dense_size or DenseSize.of(network)
    traced = trace_network(network, card.preprocessing.input_shape)
    shared = prunable_parameters(network).keys() - (vectors.layers if vectors is not None else ())
    tensors = [
        _tensor(values, source, shared=source in shared, scale_bits=scale_bits)
        for values, source in zip(traced.tensors, traced.sources, strict=True)
    ]
    if vectors is not None:
        coded = vector_tensors(dict(prunable_parameters(network)), vectors)
        tensors = [coded.get(source, tensor) for tensor, source in zip(tensors, traced.sources, strict=True)]
    if one_codebook:
        tensors = _with_one_codebook(tensors)
    return Bundle(
        card.network,
        card.preprocessing,
        card.class_names,
        dense.parameters,
        dense.size_bytes,
        traced.graph,
        tuple(tensors),
        provenance or {},
    )


def _with_one_codebook(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same values, as codes of the union of all codebooks; unchanged where that would be too long."""
    shared = [tensor for tensor in tensors if isinstance(tensor, SharedTensor) and tensor.nonzeros]
    union = np.unique(np.concatenate([tensor.codebook for tensor in shared])) if shared else np.empty(0)
    if not 0 < len(union) <= MAX_CODEBOOK_ENTRIES:
        return list(tensors)

    def recoded(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, SharedTensor):
            return tensor
        codes = np.searchsorted(union, tensor.codebook)[tensor.codes] if tensor.nonzeros else tensor.codes
        return SharedTensor(tensor.shape, tensor.positions, codes.astype(np.uint16), union)

    return [recoded(tensor) for tensor in tensors]


def _tensor(values: np.ndarray, source: str, *, shared: bool, scale_bits: int) -> Tensor:
    with np.errstate(over="ignore"):  # an infinite float16 is refused by the tensor itself
        rounded = values.astype(np.float16)
    if not shared:
        smaller = affine_bytes(rounded.size) < rounded.nbytes
        return fit_affine(values) if scale_bits == 8 and rounded.ndim == 1 and smaller else FloatTensor(rounded)
    distinct = len(np.unique(rounded))
    if distinct > MAX_CODEBOOK_ENTRIES:
        raise CompressorError(f"{source}: {distinct} distinct weights, must share at most {MAX_CODEBOOK_ENTRIES}")
    return exact_codebook(rounded)


def dense_bytes_of(network: nn.Module) -> int:
    """Bytes of the dense state_dict in fp32: parameters and floating-point buffers."""
    floating = (tensor for tensor in network.state_dict().values() if tensor.is_floating_point())
    return FLOAT32_BYTES * sum(tensor.numel() for tensor in floating)


def oracle_of(bundle: Bundle) -> Oracle:
    """The decoded bundle as a torch network, independent of the service's engines."""
    return Oracle(bundle.graph, [tensor.to_dense() for tensor in bundle.tensors])


def same_tensors(first: Bundle, second: Bundle) -> bool:
    """Whether two bundles compute the same: equal graphs and bit-identical tensors."""
    if first.graph != second.graph or len(first.tensors) != len(second.tensors):
        return False
    pairs = zip(first.tensors, second.tensors, strict=True)
    return all(type(a) is type(b) and np.array_equal(a.to_dense(), b.to_dense()) for a, b in pairs)
