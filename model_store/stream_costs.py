"""What each stream of a bundle takes, what its symbols' entropy is, and what the other coder would take."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle, encode_bundle
from model_store.coded import CodedBundle, CodedContexts, CodedFloat, streams_of
from model_store.description import render_table
from model_store.lanes import decode_streams
from model_store.lock_step import lookup_of
from model_store.serialization import parse
from model_store.tensors import SharedTensor
from model_store.vectors import VectorTensor

STREAMS = ("indices", "values")
OTHER = {"huffman": "arithmetic", "arithmetic": "huffman"}


@dataclass(frozen=True, slots=True)
class StreamCost:
    """One stream of a layer, as it stands in the file.

    Attributes:
        stream: "indices" (gaps, or a mask) or "values" (for layout CODES both in one).
        coder: "huffman" or "arithmetic".
        size_bytes: of its codes and its fields; Huffman tables, which streams share, are not in it.
        entropy_bytes: zeroth-order entropy of its symbols by their own counts: a code of symbols alone is no smaller.
        other_bytes: the same weights, coded by the other coder.
    """

    layer: str
    stream: str
    coder: str
    size_bytes: int
    entropy_bytes: float
    other_bytes: int


def stream_costs(data: bytes) -> tuple[StreamCost, ...]:
    """The streams in file order. Encodes the bundle with each coder that is not its own.

    Raises:
        BundleError: it is not a bundle.
    """
    coded, bundle = parse(data), decode_bundle(data)
    here, names = account(data).by_layer(), coded.graph.tensor_names()
    coders = {
        names[index].rpartition(".")[0]: "arithmetic" if isinstance(tensor, CodedContexts) else "huffman"
        for index, tensor in enumerate(coded.tensors)
        if not isinstance(tensor, CodedFloat)
    }
    entropies = _entropies(coded, bundle)
    others = {
        "huffman": account(encode_bundle(bundle, "huffman")).by_layer() if "arithmetic" in coders.values() else {},
        "arithmetic": account(encode_bundle(bundle, "arithmetic")).by_layer() if "huffman" in coders.values() else {},
    }
    return tuple(
        StreamCost(layer, stream, coder, size, entropies.get((layer, stream), 0.0), other)
        for layer, coder in coders.items()
        for stream in STREAMS
        if (size := here[layer].get(stream, 0)) + (other := others[OTHER[coder]][layer].get(stream, 0))
    )


def _entropies(coded: CodedBundle, bundle: Bundle) -> dict[tuple[str, str], float]:
    """(layer, stream) -> bytes."""
    names = coded.graph.tensor_names()
    entropies: dict[tuple[str, str], float] = {}
    for index, (tensor, decoded) in enumerate(zip(coded.tensors, bundle.tensors, strict=True)):
        if isinstance(decoded, VectorTensor):  # one stream a stage, told as one
            layer = names[index].rpartition(".")[0]
            entropies[layer, STREAMS[-1]] = sum(entropy_bytes(np.bincount(codes)) for codes in decoded.codes)
        if not isinstance(decoded, SharedTensor):
            continue
        if isinstance(tensor, CodedContexts):
            mask = np.array([int(np.prod(tensor.shape)) - decoded.nonzeros, decoded.nonzeros])
            counts: Iterable[np.ndarray] = (mask, np.bincount(decoded.codes))
        else:
            streams = [stream for stream in streams_of(tensor) if stream.count]
            found = decode_streams(streams, lookup_of(coded.tables), coded.lane_log2, [names[index]] * len(streams))
            counts = [np.bincount(symbols) for symbols in found]
        layer, used = names[index].rpartition(".")[0], STREAMS[-len(streams_of(tensor)) :]
        entropies |= {(layer, stream): entropy_bytes(item) for stream, item in zip(used, counts, strict=False)}
    return entropies


def entropy_bytes(counts: np.ndarray) -> float:
    """Zeroth-order entropy of symbols counted int64 [alphabet]."""
    used = counts[counts > 0]
    return float(-(used * np.log2(used / used.sum())).sum() / 8) + 0.0 if len(used) else 0.0


def render_stream_costs(costs: tuple[StreamCost, ...]) -> str:
    """A line for each stream, and the totals."""
    rows = [["layer", "stream", "coder", "bytes", "entropy", "other coder"]]
    for cost in costs:
        entropy = f"{cost.entropy_bytes:.0f}"
        rows.append([cost.layer, cost.stream, cost.coder, str(cost.size_bytes), entropy, str(cost.other_bytes)])
    for stream in STREAMS:
        mine = [cost for cost in costs if cost.stream == stream]
        sizes = (sum(cost.size_bytes for cost in mine), sum(cost.other_bytes for cost in mine))
        entropy = f"{sum(cost.entropy_bytes for cost in mine):.0f}"
        rows.append(["total", stream, "", str(sizes[0]), entropy, str(sizes[1])])
    return "\n".join(render_table(rows))
