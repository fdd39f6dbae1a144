"""`show`: the layers of a network or a bundle, with parameters and multiply-adds."""

import argparse
import math
from dataclasses import dataclass

from compressor.commands.options import add_store
from compressor.commands.sources import BUNDLE_SUFFIX, is_bundle, read_bundle
from compressor.errors import CompressorError
from compressor.networks import NETWORKS, build_network, input_shape_of
from compressor.tracing import trace_network
from model_store.bundle import Bundle
from model_store.graph import Graph
from model_store.shapes import infer_shapes, multiply_adds_per_weight

NAME = "show"
SUMMARY = "Print the layers of a network (by name or module:callable) or of a bundle."
HEADINGS = ("layer", "operator", "weights", "output", "parameters", "non-zero", "multiply-adds", "of non-zeros")


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer: shapes without the batch; `nonzeros` and counts of multiply-adds for one picture."""

    layer: str
    operator: str
    weights: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int
    nonzeros: int
    multiply_adds: int
    nonzero_multiply_adds: int

    def cells(self) -> tuple[str, ...]:
        shapes = ("x".join(map(str, self.weights)), "x".join(map(str, self.output)))
        counts = (self.parameters, self.nonzeros, self.multiply_adds, self.nonzero_multiply_adds)
        return (self.layer, self.operator, *shapes, *(f"{count:,}" for count in counts))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", help="a network's name, module:callable, or a bundle (FILE, NAME or NAME:VERSION)")
    parser.add_argument("--classes", type=int, default=10, help="of a network (default: 10)")
    add_store(parser, required=False)


def run(options: argparse.Namespace) -> None:
    """Print the table and its sums."""
    rows = _rows_of(options)
    total = LayerRow(
        "total", "", (), (),
        *(sum(getattr(row, name) for row in rows) for name in LayerRow.__slots__[4:]),
    )  # fmt: skip
    print(_render([HEADINGS, *(row.cells() for row in [*rows, total])]))


def _rows_of(options: argparse.Namespace) -> list[LayerRow]:
    if options.target in NETWORKS or (":" in options.target and options.store is None):
        traced = trace_network(build_network(options.target, options.classes), input_shape_of(options.target))
        shapes = [tensor.shape for tensor in traced.tensors]
        dense = [math.prod(shape) for shape in shapes]
        return layer_rows(traced.graph, input_shape_of(options.target), shapes, dense)
    named = "/" in options.target or options.target.endswith(BUNDLE_SUFFIX) or options.store is not None
    if not named or not is_bundle(options.target):
        raise CompressorError(f"{options.target}: must be a bundle, module:callable, or one of {', '.join(NETWORKS)}")
    bundle: Bundle = read_bundle(options.target, options.store)
    nonzeros = [tensor.nonzeros for tensor in bundle.tensors]
    shapes = [tensor.shape for tensor in bundle.tensors]
    return layer_rows(bundle.graph, bundle.preprocessing.input_shape, shapes, nonzeros)


def layer_rows(
    graph: Graph, input_shape: tuple[int, int, int], shapes: list[tuple[int, ...]], nonzeros: list[int]
) -> list[LayerRow]:
    """A row for each node that has tensors."""
    outputs = infer_shapes(graph, shapes, input_shape)
    rows = []
    for index, node in enumerate(graph.nodes):
        if not node.tensors:
            continue
        roles, output = dict(node.tensor_roles()), outputs[index + 1]
        weight = roles.get("weight")
        uses = multiply_adds_per_weight(output) if weight is not None else 0
        main = node.tensors[0]
        rows.append(
            LayerRow(
                node.name,
                node.operator,
                shapes[main],
                output,
                sum(math.prod(shapes[tensor]) for tensor in node.tensors),
                sum(nonzeros[tensor] for tensor in node.tensors),
                uses * math.prod(shapes[main]),
                uses * nonzeros[main],
            )
        )
    return rows


def _render(rows: list[tuple[str, ...]]) -> str:
    """Names to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
