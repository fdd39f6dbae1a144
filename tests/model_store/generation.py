"""Sound bundles drawn at random: graphs of every operator, and codings that csrve's own encoder would not choose."""

import itertools
from collections.abc import Iterator

import numpy as np

from model_store.affine import encode_affine, fit_affine
from model_store.bundle import Bundle
from model_store.coded import (
    CodedBundle,
    CodedCodes,
    CodedContexts,
    CodedFloat,
    CodedSparse,
    CodedStage,
    CodedTensor,
    CodedVectors,
    Layout,
)
from model_store.contexts import ContextModel
from model_store.gaps import encode_gaps
from model_store.graph import Graph, Node
from model_store.huffman import HuffmanTable, fit_table
from model_store.lanes import CodedStream, encode_stream
from model_store.layout import scan_positions
from model_store.preprocessing import Preprocessing
from model_store.sections.streams import NO_TABLE
from model_store.shapes import infer_shapes
from model_store.tensors import AffineTensor, FloatTensor, SharedTensor, Tensor
from model_store.vectors import VectorTensor
from tests.model_store.examples import random_shared, random_vectors

TEXTS = ("cat", "é", "日本", "a b", "0", "C-3PO", "\u2603", "🦊")
PROVENANCES: tuple[dict[str, object], ...] = ({}, {"accuracy": 0.9, "seed": 1}, {"z": [1, {"a": "é"}], "b": 1e-07})


class _Growth:
    """A graph that grows node by node, with the shape of its last value."""

    def __init__(self, generator: np.random.Generator, input_shape: tuple[int, int, int]) -> None:
        self.generator = generator
        self.input_shape = input_shape
        self.nodes: list[Node] = []
        self.tensors: list[Tensor] = []

    @property
    def last(self) -> int:
        return len(self.nodes)

    @property
    def shape(self) -> tuple[int, ...]:
        if not self.nodes:
            return self.input_shape
        return infer_shapes(Graph(tuple(self.nodes)), [tensor.shape for tensor in self.tensors], self.input_shape)[-1]

    def add(self, operator: str, *values: int, tensors: tuple[int, ...] = (), **attributes: tuple[float, ...]) -> None:
        name = f"layer{self.last}.{operator.lower()}" if tensors else ""
        self.nodes.append(Node(operator, values or (self.last,), tensors, attributes, name))

    def tensor(self, *shape: int) -> int:
        if len(shape) == 1 or self.generator.random() < 0.2:
            values = (self.generator.normal(size=shape) * (self.generator.random(shape) < 0.8)).astype(np.float16)
            eight_bits = self.generator.random() < 0.3
            self.tensors.append(fit_affine(values) if eight_bits else FloatTensor(values))
        elif self.generator.random() < 0.2:
            self.tensors.append(random_vectors(self.generator, shape))
        else:
            density = float(self.generator.choice((0, 0.05, 0.3, 1), p=(0.1, 0.4, 0.4, 0.1)))
            entries = int(self.generator.choice((1, 2, 7, 40)))
            self.tensors.append(random_shared(self.generator, shape, density, entries))
        return len(self.tensors) - 1

    def grow(self) -> None:
        """One node or a small block."""
        channels, height, width = self.shape
        here = self.last
        kind = int(self.generator.integers(11))
        if kind <= 2:
            self._convolve(channels, height, width)
        elif kind == 3:
            self.add("BatchNormalization", tensors=(self.tensor(channels), self.tensor(channels)))
        elif kind == 4:
            self.add("Relu")
            self.add("Add", here, self.last)
        elif kind == 5:
            self.add("GlobalAveragePool")
            self.add("Sigmoid")
            self.add("Mul", here, self.last)
        elif kind == 6:
            low, high = sorted(self.generator.normal(size=2).tolist())
            self.add("Clip", bounds=(float(np.float32(low)), float(np.float32(high + 1))))
        elif kind == 7:
            self._pool(height, width)
        elif kind == 8:
            self.add("Relu")
            self.add("Concat", here, self.last, here)
        elif kind == 9:
            self.add("Pad", pads=tuple(self.generator.integers(0, 3, 6).tolist()))
        else:
            self._slice((channels, height, width))

    def _convolve(self, channels: int, height: int, width: int) -> None:
        group = channels if self.generator.random() < 0.3 else 1
        kernel = [int(self.generator.integers(1, min(side, 3) + 1)) for side in (height, width)]
        outputs = group * int(self.generator.integers(1, 4))
        tensors = [self.tensor(outputs, channels // group, *kernel)]
        if self.generator.random() < 0.5:
            tensors.append(self.tensor(outputs))
        pads = tuple(self.generator.integers(0, 3, 4).tolist())
        strides = tuple(self.generator.integers(1, 3, 2).tolist())
        self.add("Conv", tensors=tuple(tensors), strides=strides, pads=pads, dilations=(1, 1), group=(group,))

    def _pool(self, height: int, width: int) -> None:
        kernel = tuple(int(self.generator.integers(1, side + 1)) for side in (height, width))
        pads = tuple(int(self.generator.integers(0, side)) for side in kernel * 2)
        window = {"kernel_shape": kernel, "strides": tuple(self.generator.integers(1, 4, 2).tolist()), "pads": pads}
        if self.generator.random() < 0.5:
            self.add("MaxPool", **window)
        else:
            self.add("AveragePool", **window, count_include_pad=(int(self.generator.integers(2)),))

    def _slice(self, shape: tuple[int, ...]) -> None:
        starts = tuple(int(self.generator.integers(0, side)) for side in shape)
        ends = tuple(
            int(self.generator.integers(start + 1, side + 1)) for start, side in zip(starts, shape, strict=True)
        )
        self.add("Slice", starts=starts, ends=ends, steps=tuple(self.generator.integers(1, 4, 3).tolist()))


def random_bundle(seed: int) -> Bundle:
    """A small network of up to a dozen blocks over a small picture."""
    generator = np.random.default_rng(seed)
    channels, height, width = (int(generator.integers(1, high)) for high in (5, 7, 7))
    growth = _Growth(generator, (channels, height, width))
    for _ in range(int(generator.integers(0, 9))):
        growth.grow()
    growth.add("Flatten")
    classes = int(generator.integers(1, len(TEXTS) + 1))
    tensors = [growth.tensor(classes, growth.shape[0])]
    if generator.random() < 0.5:
        tensors.append(growth.tensor(classes))
    growth.add("Gemm", tensors=tuple(tensors))
    mean, std = (tuple(generator.uniform(0.1, 1, channels).astype(np.float32).tolist()) for _ in range(2))
    return Bundle(
        TEXTS[seed % len(TEXTS)],
        Preprocessing(height, width, mean, std),
        tuple(generator.permutation(TEXTS)[:classes].tolist()),
        int(generator.integers(1, 1 << 40)),
        int(generator.integers(1, 1 << 40)),
        Graph(tuple(growth.nodes)),
        tuple(growth.tensors),
        dict(PROVENANCES[seed % len(PROVENANCES)]),
    )


class _Coder:
    """Gives each stream a table of its own or the last one, fitted to it or to something else."""

    def __init__(self, generator: np.random.Generator, lane_log2: int) -> None:
        self.generator = generator
        self.lane_log2 = lane_log2
        self.tables: list[HuffmanTable] = []

    def code(self, symbols: np.ndarray) -> CodedStream:
        if not len(symbols):
            return CodedStream(NO_TABLE, 0, (), b"")
        counts = np.bincount(symbols)
        for number, table in enumerate(self.tables):
            fits = len(table.lengths) >= len(counts) and all(np.array(table.lengths)[: len(counts)][counts > 0] > 0)
            if fits and self.generator.random() < 0.5:
                return encode_stream(symbols, number, table, self.lane_log2)
        if self.generator.random() < 0.5:  # codes that nobody uses, and lengths that do not fit
            counts = np.pad(counts, (0, int(self.generator.integers(0, 30))))
            counts = counts + self.generator.integers(0, 5, len(counts))
        self.tables.append(fit_table(counts))
        return encode_stream(symbols, len(self.tables) - 1, self.tables[-1], self.lane_log2)


def random_coding(bundle: Bundle, seed: int) -> CodedBundle:
    """The bundle in layouts, gap limits, tables and lanes drawn at random."""
    generator = np.random.default_rng(seed)
    lane_log2 = int(generator.integers(8, 13))
    coder = _Coder(generator, lane_log2)
    model = ContextModel()
    codebooks: list[np.ndarray] = []
    coded: list[CodedTensor] = []
    books = itertools.count()
    for tensor in bundle.tensors:
        if isinstance(tensor, AffineTensor):
            coded.append(CodedFloat(tensor.shape, encode_affine(tensor), Layout.AFFINE8))
        elif isinstance(tensor, FloatTensor):
            coded.append(CodedFloat(tensor.shape, tensor.values.astype("<f2").tobytes()))
        elif isinstance(tensor, VectorTensor):
            coded.append(_every_book_anew(tensor, coder, books))
        else:
            codebooks.append(tensor.codebook)
            coded.append(_random_layout(tensor, len(codebooks) - 1, coder, generator, model))
    return CodedBundle(
        bundle.identity(),
        bundle.graph,
        tuple(coder.tables),
        tuple(codebooks),
        lane_log2,
        tuple(coded),
        bundle.provenance,
    )


def _every_book_anew(tensor: VectorTensor, coder: _Coder, numbers: Iterator[int]) -> CodedVectors:
    """Equal books are one in what csrve writes, and need not be in a file."""
    pairs = zip(tensor.codes, tensor.books, strict=True)
    stages = [CodedStage(next(numbers), book.astype("<f2").tobytes(), coder.code(codes)) for codes, book in pairs]
    return CodedVectors(tensor.shape, tensor.length, tuple(stages))


def _random_layout(
    tensor: SharedTensor, codebook: int, coder: _Coder, generator: np.random.Generator, model: ContextModel
) -> CodedTensor:
    layout = Layout(int(generator.choice((1, 2, 3, 5))))
    if layout is Layout.CONTEXTS:
        return CodedContexts(tensor.shape, codebook, *model.encode(tensor))
    if layout is Layout.CODES:
        symbols = np.zeros(int(np.prod(tensor.shape)), np.uint16)
        symbols[tensor.positions] = tensor.codes + 1
        return CodedCodes(tensor.shape, codebook, coder.code(symbols))
    limit = int(generator.choice((1, 2, 3, 7, 30, 1022)))
    positions = scan_positions(tensor.positions, tensor.shape, layout)
    order = np.argsort(positions)
    gaps = coder.code(encode_gaps(positions[order], limit))
    return CodedSparse(layout, tensor.shape, codebook, limit, gaps, coder.code((tensor.codes + 1)[order]))
