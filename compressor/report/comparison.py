"""The comparison of all methods: one table and the plots, from records and measured latencies and nothing else."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.errors import CompressorError
from compressor.experiments.aims import costs_of, method_of
from compressor.plots.canvas import rendered
from compressor.plots.costs import Axes, Point, plot_costs
from compressor.report.page import STYLE, Picture
from compressor.report.published import CIFAR_NETWORKS, PUBLISHED, PUBLISHED_COSTS
from compressor.results import Record

HEADS = (
    "network", "method", "bundle", "bytes", "ratio", "accuracy", "drop, points", "parameters left", "weights not zero",
    "multiply-adds, M", "of the dense",
)  # fmt: skip
NOTE = (
    "Accuracy is that of the decoded file on the test pictures. Multiply-adds are those that weights which are not "
    "zero need; their share is of the dense network's. Milliseconds a picture: the service's C++ engine, one at "
    "a time on one thread, median, as `python -m service bench` measured them with that instruction set; a dash where "
    "it has not measured that file. Two instruction sets are two processors: times compare within a column."
)

Latencies = Mapping[str, float]  # instruction set to seconds a picture


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """One recorded bundle, and how long it takes where somebody measured it."""

    fields: Mapping[str, Any]
    latencies: Latencies

    @property
    def name(self) -> str:
        return str(self.fields["name"])

    @property
    def method(self) -> str:
        return method_of(self.fields)

    @property
    def drop(self) -> float | None:
        """Accuracy below the dense network's, a share."""
        dense = self.fields["dense"].get("test_accuracy")
        return None if dense is None else float(dense - self.fields["accuracy"])

    @property
    def operations_left(self) -> float | None:
        """Multiply-adds of its non-zero weights, of those of the dense network."""
        if "dense_multiply_adds" not in self.fields:
            return None
        return float(self.fields["multiply_adds"] / self.fields["dense_multiply_adds"])

    def point(self, cost: float, value: float) -> Point:
        """Where it lies in a plot."""
        return Point(self.name, cost, value, self.method, network=self.fields["architecture"])


def compared(records: Sequence[Record], latencies: Mapping[str, Latencies]) -> list[Compared]:
    """Every record with its latencies, by network and bytes."""
    found = [Compared(record.fields, latencies.get(record.fields["sha256"], {})) for record in records]
    return sorted(found, key=lambda each: (each.fields["architecture"], each.fields["bundle_bytes"]))


def read_latencies(paths: Sequence[Path]) -> dict[str, Latencies]:
    """SHA-256 of a bundle to its latencies, of what `python -m service bench --json` wrote; the last file of an
    instruction set counts.

    Raises:
        CompressorError: a file is there and is none of those.
    """
    found: dict[str, dict[str, float]] = {}
    for path in paths:
        if not path.exists():
            continue
        try:
            report = json.loads(path.read_text())
            fastest = str(report["conditions"]["instruction_sets"][0])  # which the engine takes unless told otherwise
            digests = {subject["name"]: subject["sha256"] for subject in report["networks"]}
            for row in report["rows"]:
                if (row["engine"], row["batch"], row["threads"]) == ("native", 1, 1) and row["timing"]:
                    latencies = found.setdefault(digests[row["network"]], {})
                    latencies[fastest] = float(row["timing"]["median_s"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CompressorError(f"{path}: not what `python -m service bench --json` writes ({error!r})") from error
    return dict(found)


def _instruction_sets(bundles: Sequence[Compared]) -> list[str]:
    """Those that any of them was measured with, in the order of the bundles."""
    return list(dict.fromkeys(name for each in bundles for name in each.latencies))


def comparison_pictures(bundles: Sequence[Compared]) -> list[Picture]:
    """For pictures of things and for digits: accuracy against bytes, operations and latency, as far as there is any."""
    pictures = []
    for title, mine, published in (
        ("CIFAR-10", [each for each in bundles if each.fields["architecture"] in CIFAR_NETWORKS], True),
        ("MNIST", [each for each in bundles if each.fields["architecture"] not in CIFAR_NETWORKS], False),
    ):
        if mine:
            pictures += [picture for picture in _pictures(title, mine, published=published) if picture is not None]
    return pictures


def _pictures(title: str, mine: Sequence[Compared], *, published: bool) -> list[Picture | None]:
    sizes = [each.point(each.fields["bundle_bytes"] / 1000, each.fields["accuracy"]) for each in mine]
    if published:
        sizes += [Point(f"{p.method}, {p.network}", p.size_bytes / 1000, p.accuracy, p.method, True) for p in PUBLISHED]
    costs = [
        each.point(each.operations_left, -each.drop)
        for each in mine
        if each.operations_left is not None and each.drop is not None
    ]
    if published:
        costs += [
            Point(f"{p.method}, {p.network}", p.operations_left, -p.drop, p.method, True) for p in PUBLISHED_COSTS
        ]
    accuracy, methods = "accuracy on the test pictures", list(dict.fromkeys(each.method for each in mine))
    drawn = {
        "bytes": (sizes, Axes("kilobytes on disk", accuracy, f"{title}: bytes", logarithmic=True)),
        "operations": (
            costs,
            Axes("share of multiply-adds left", "accuracy against the dense", f"{title}: operations", shares=True),
        ),
    }
    for instruction_set in _instruction_sets(mine):
        axes = Axes(f"ms a picture, one thread, {instruction_set}", accuracy, f"{title}: latency", logarithmic=True)
        drawn[f"latency-{instruction_set}"] = (_times(mine, instruction_set), axes)
    return [_picture(title, what, points, axes, methods) for what, (points, axes) in drawn.items()]


def _times(bundles: Sequence[Compared], instruction_set: str) -> list[Point]:
    return [
        each.point(1000 * each.latencies[instruction_set], each.fields["accuracy"])
        for each in bundles
        if instruction_set in each.latencies
    ]


def _picture(title: str, what: str, points: Sequence[Point], axes: Axes, methods: Sequence[str]) -> Picture | None:
    if not any(not point.published for point in points):
        return None
    hollow = " Hollow: published, sources below." if any(point.published for point in points) else ""
    named = "Those have a name that no other of their method and network beats in both."
    caption = f"Filled: recorded bundles, a colour and a shape a method. {named}{hollow}"
    name = f"comparison-{title.lower().replace('-', '')}-{what}.png"
    return Picture(name, rendered(plot_costs(points, axes, methods)), axes.title, caption)


def comparison_page(bundles: Sequence[Compared], pictures: Sequence[Picture]) -> str:
    """The page: the table, every picture inside, and where the published points are from."""
    measured = _instruction_sets(bundles)
    cells = [_cells(each, measured) for each in bundles]
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
    heads = (*HEADS, *(f"ms, {instruction_set}" for instruction_set in measured))
    head = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in heads)
    sources = sorted({f"{each.method}: {each.source}" for each in (*PUBLISHED, *PUBLISHED_COSTS)})
    listed = "".join(f"<li>{html.escape(source)}</li>" for source in sources)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>csrve: methods compared</title>\n<style>{STYLE}'
        "body { max-width: 80rem } td:nth-child(2), td:nth-child(3) { text-align: left }</style>\n"
        f"<h1>Methods compared</h1>\n<p>{html.escape(NOTE)}</p>\n<table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>\n{''.join(picture.to_html() for picture in pictures)}\n"
        f"<h2>Published points</h2>\n<ul>{listed}</ul>\n</html>\n"
    )


def _cells(each: Compared, instruction_sets: Sequence[str]) -> list[str]:
    fields, costs = each.fields, costs_of(each.fields)
    left = fields.get("parameters_left")
    return [
        fields["architecture"],
        each.method,
        each.name,
        f"{fields['bundle_bytes']:,}",
        f"{costs['file_ratio']:.1f}x",
        f"{fields['accuracy']:.2%}",
        f"{100 * each.drop:.2f}" if each.drop is not None else "-",
        f"{left:,}" if left is not None else "-",
        f"{fields['nonzeros']:,}",
        f"{fields['multiply_adds'] / 1e6:.2f}" if "multiply_adds" in fields else "-",
        f"{each.operations_left:.1%}" if each.operations_left is not None else "-",
        *(f"{1000 * each.latencies[name]:.3f}" if name in each.latencies else "-" for name in instruction_sets),
    ]
