"""What a bundle is and where its bytes go, as plain values and as text."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from model_store.accounting import account
from model_store.bundle import Bundle, decode_bundle

_HEADINGS = {
    "architecture": "architecture",
    "parameters": "parameters of the dense network",
    "nonzeros": "non-zeros",
    "sparsity": "sparsity of the weights",
    "dense_bytes": "bytes of the dense network in float32",
    "bundle_bytes": "bytes of this file",
    "compression_ratio": "dense bytes / file bytes",
    "bits_per_weight": "file bits / parameter",
    "accuracy": "accuracy on the test set",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a bundle wherever it is described.

    Attributes:
        nonzeros: non-zero values of all tensors.
        sparsity: share of the weights that is zero.
        bits_per_weight: bits of the file for each parameter of the dense network, pruned ones too.
        accuracy: a share; None where none was recorded.
    """

    architecture: str
    parameters: int
    nonzeros: int
    sparsity: float
    dense_bytes: int
    bundle_bytes: int
    compression_ratio: float
    bits_per_weight: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Description:
    """A bundle's figures and its byte table.

    Attributes:
        summary: the fields of `Figures` by name.
        by_layer: layer -> kind of byte -> bytes; "" for what belongs to no layer. Sums to bundle_bytes.
        by_kind: kind of byte -> bytes. Sums to bundle_bytes.
    """

    summary: Mapping[str, Any]
    by_layer: Mapping[str, Mapping[str, int]]
    by_kind: Mapping[str, int]


def describe(data: bytes) -> Description:
    """Decode a bundle and account for its bytes. Raises BundleError where it is not sound."""
    accounting = account(data)
    return Description(asdict(figures_of(decode_bundle(data), len(data))), accounting.by_layer(), accounting.by_kind())


def figures_of(bundle: Bundle, size_bytes: int) -> Figures:
    """The figures of a bundle whose file has `size_bytes`."""
    return Figures(
        bundle.architecture,
        bundle.parameters,
        bundle.nonzeros,
        bundle.sparsity,
        bundle.dense_bytes,
        size_bytes,
        bundle.dense_bytes / size_bytes,
        8 * size_bytes / bundle.parameters,
        _accuracy(bundle),
    )


def _accuracy(bundle: Bundle) -> float | None:
    """The recorded accuracy, which is whatever the bundle's maker wrote: anything but a share is none."""
    accuracy = bundle.provenance.get("accuracy")
    if isinstance(accuracy, bool) or not isinstance(accuracy, int | float):
        return None
    return float(accuracy) if 0 <= accuracy <= 1 else None


def render_description(description: Description) -> str:
    """The figures one a line, then the byte table with its totals."""
    width = max(len(heading) for heading in _HEADINGS.values())
    lines = [f"{_HEADINGS[key]:<{width}}  {_text(key, value)}" for key, value in description.summary.items()]
    return "\n".join([*lines, "", *_byte_table(description)])


def render_table(rows: list[list[str]]) -> list[str]:
    """Lines of aligned columns, the first to the left, the others to the right. The first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells))
        for cells in ([*zip(row, widths, strict=True)] for row in rows)
    ]


def _byte_table(description: Description) -> list[str]:
    kinds = list(description.by_kind)
    rows = [["bytes per layer", *kinds, "total"]]
    for layer, sizes in description.by_layer.items():
        cells = [str(sizes.get(kind) or "-") for kind in kinds]
        rows.append([layer or "(whole file)", *cells, str(sum(sizes.values()))])
    totals = [str(size) for size in description.by_kind.values()]
    rows.append(["total", *totals, str(sum(description.by_kind.values()))])
    return render_table(rows)


def _text(key: str, value: object) -> str:
    if value is None:
        return "not recorded"
    if key in {"sparsity", "accuracy"}:
        return f"{100 * float(str(value)):.2f} %"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
