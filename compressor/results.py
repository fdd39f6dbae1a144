"""The tables of README and docs/results.md, made from the records in docs/results, the declared experiments, and
nothing else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.coders import BYTES_BY_CODER
from compressor.errors import CompressorError
from compressor.experiments.tables import experiments_table, methods_table, targets_table
from compressor.holdout import holdout_doubt
from compressor.markdown import kilobytes, table
from compressor.stages import STAGES
from model_store.accounting import KINDS

BEGIN, END = "<!-- results -->", "<!-- /results -->"
HEAD = """# Results

Made by `python -m compressor results` from the records in [results/](results); nothing is typed in by hand. A kilobyte
is 1,000 bytes. *Ratio* is the dense network's fp32 state_dict over the bundle's bytes on disk, all of them counted.
*Accuracy* is that of the decoded file on the test pictures, without test-time augmentation; thresholds and epochs are
chosen on a part of train held out, and the test pictures are touched once, at the end.
"""
TARGETS = """## Targets

What there is to reach: at most so many bytes on disk (for LeNet the ratio of Han et al. 2016), at such an accuracy of
the decoded file. A cell names the recorded bundle that comes nearest; where its recipe was run with several seeds, the
largest file of all of them, their mean accuracy and its standard deviation.
"""
METHODS = """## Other methods

Structure, quantization and low rank, declared like the rest. *Parameters* that have gone from the network's structure,
and how many times fewer weights are not zero; *operations*, multiply-accumulates of the structure that is left. A row
names the recorded bundle that comes nearest, of the experiment itself or of a run of that network and method that no
experiment was named for; *drop* is in points, below the dense network. Seeds as above.
"""
EXPERIMENTS = """## Experiments

Declared in `compressor/experiments`; `python -m compressor experiment NAME` runs one, `--resume` goes on with it.
*Bundle* is the largest file of the seeds that were run, *accuracy* their mean, with the standard deviation where there
are several.
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded compression run, as `compress` writes it."""

    name: str
    fields: Mapping[str, Any]

    @property
    def ratio(self) -> float:
        return float(self.fields["dense_bytes"] / self.fields["bundle_bytes"])

    def row(self) -> list[str]:
        """The cells of the summary table."""
        fields = self.fields
        dense = fields["dense"].get("test_accuracy")
        return [
            f"{fields['architecture']}, `{fields['name']}`",
            kilobytes(fields["dense_bytes"]),
            kilobytes(fields["bundle_bytes"]),
            f"{self.ratio:.1f}x",
            f"{fields['sparsity']:.1%}",
            f"{dense:.2%}" if dense is not None else "not recorded",
            f"{fields['accuracy']:.2%}",
        ]


SUMMARY = ("network, bundle", "dense", "bundle", "ratio", "sparsity", "dense accuracy", "accuracy of the file")


def read_records(folder: Path) -> list[Record]:
    """All records of a folder, by name.

    Raises:
        CompressorError: one is not a record.
    """
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = Record(path.stem, json.loads(path.read_text()))
            record.row(), _section(record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise CompressorError(f"{path}: not a record of a compression ({error!r})") from error
        records.append(record)
    if not records:
        raise CompressorError(f"{folder}: no records (*.json)")
    return records


def summary_table(records: Iterable[Record]) -> str:
    """One row a bundle, Markdown."""
    return table(SUMMARY, [record.row() for record in records])


def unbeaten(records: Iterable[Record]) -> list[Record]:
    """Of each network the bundles than which no other is both as small and as accurate, by falling bytes; of equal ones
    the first."""
    kept: list[Record] = []
    smallest: dict[str, int] = {}  # of each network, so far
    most_accurate_first = sorted(
        records,
        key=lambda record: (record.fields["architecture"], -record.fields["accuracy"], record.fields["bundle_bytes"]),
    )
    for record in most_accurate_first:
        network, size_bytes = record.fields["architecture"], record.fields["bundle_bytes"]
        if size_bytes < smallest.get(network, size_bytes + 1):
            smallest[network] = size_bytes
            kept.append(record)
    return kept


def results_page(records: Iterable[Record]) -> str:
    """All of docs/results.md."""
    records = list(records)
    fields = [record.fields for record in records]
    parts = [HEAD.strip(), summary_table(records), TARGETS.strip(), targets_table(fields)]
    parts += [METHODS.strip(), methods_table(fields), EXPERIMENTS.strip()]
    return "\n\n".join([*parts, experiments_table(fields), *(_section(record) for record in records)]) + "\n"


def with_summary(readme: str, records: Iterable[Record]) -> str:
    """README's text with what stands between its markers made anew: a row for each unbeaten bundle, and the targets.

    Raises:
        CompressorError: the markers are missing.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise CompressorError(f"README: must hold {BEGIN} and {END}")
    records = list(records)
    tables = (summary_table(unbeaten(records)), targets_table([record.fields for record in records]))
    return f"{head}{BEGIN}\n{tables[0]}\n\n{tables[1]}\n{END}{tail}"


def write_results(folder: Path, page: Path, readme: Path) -> None:
    """Make both documents anew from the records."""
    records = read_records(folder)
    made = with_summary(readme.read_text(), records)
    page.write_text(results_page(records))
    readme.write_text(made)


def _section(record: Record) -> str:
    fields = record.fields
    total = fields["bundle_bytes"]
    kinds = [[kind, f"{size:,}", f"{size / total:.1%}"] for kind, size in _in_order(fields["bytes_by_kind"], KINDS)]
    kinds.append(["**file**", f"{sum(fields['bytes_by_kind'].values()):,}", "100.0%"])
    stages = [[stage, f"{accuracy:.2%}"] for stage, accuracy in _in_order(fields["holdout_accuracies"], STAGES)]
    return "\n\n".join(
        [
            f"## {fields['architecture']}, `{fields['name']}`",
            f"{fields['parameters']:,} parameters, {fields['nonzeros']:,} weights left; the bundle's SHA-256 begins "
            f"`{fields['sha256'][:16]}`.",
            table(("bytes", "size", "share"), kinds),
            *_coders(fields),
            table(("stage", "accuracy on the part held out"), stages),
            *_doubt(fields),
            _conditions(fields),
        ]
    )


def _doubt(fields: Mapping[str, Any]) -> list[str]:
    """Why these accuracies may be too high, as one paragraph; none where training set the pictures aside."""
    dense, recipe = fields["dense"], fields["recipe"]["retrain"]
    seed = dense.get("recipe", recipe)["seed"]
    doubt = holdout_doubt(dense, fields["data"]["train"], recipe["holdout"], seed)
    return [f"They may be too high: {doubt}."] if doubt is not None else []


CODED = {"huffman": "Huffman's codes", "arithmetic": "the arithmetic coder's", "smallest": "the smaller"}


def _coders(fields: Mapping[str, Any]) -> list[str]:
    """What Huffman costs, as one paragraph; none where the record does not have it."""
    sizes = fields.get(BYTES_BY_CODER)
    if not sizes:
        return []
    huffman, arithmetic = sizes["huffman"], sizes["arithmetic"]
    return [
        f"The whole file by coder: Huffman {huffman:,} bytes, the adaptive arithmetic coder {arithmetic:,} "
        f"({arithmetic / huffman - 1:+.1%}). This one has {CODED[fields['recipe'].get('coder', 'huffman')]}."
    ]


def _in_order(values: Mapping[str, Any], order: Sequence[str]) -> list[tuple[str, Any]]:
    """Items by the entry of `order` that their name begins with, which JSON with sorted keys has lost."""

    def rank(item: tuple[str, Any]) -> tuple[int, str]:
        begins = [index for index, name in enumerate(order) if item[0].startswith(name)]
        return (begins[0] if begins else len(order), item[0])

    return sorted(values.items(), key=rank)


def _conditions(fields: Mapping[str, Any]) -> str:
    minutes = f"{sum(fields['minutes'].values()):.0f} minutes of compression"
    recipe, trained = fields["recipe"], fields["dense"].get("minutes")
    if trained is not None:
        minutes = f"{trained:.0f} minutes of training and {minutes}"
    if fields.get("git"):
        commit, dash, changed = fields["git"].partition("-")
        minutes = f"revision `{commit[:12]}{dash}{changed}`; {minutes}"
    return (
        f"Seed {recipe['retrain']['seed']}; {fields['processor']}, {fields['cores']} cores, "
        f"{fields['accelerator'] or 'no accelerator'}; torch {fields['torch']}; {minutes}. "
        f"Command:\n\n    {fields['command']}"
    )
