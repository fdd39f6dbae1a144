"""`report`: one HTML page, and its pictures as PNG files, about bundles of a store."""

import argparse
from pathlib import Path

from compressor.commands.options import add_store
from compressor.commands.sources import bundle_data
from compressor.errors import CompressorError
from compressor.plots.canvas import new_figure
from compressor.report.comparison import compared, comparison_page, comparison_pictures, read_latencies
from compressor.report.page import overview, page_of, pictures_of
from compressor.report.subject import subject_of
from compressor.results import read_records
from compressor.training.files import write_bytes, write_text

NAME = "report"
SUMMARY = "Write one HTML page with plots about bundles: bytes, bits, weights, centroids, accuracy."
PAGE, COMPARISON_PAGE = "report.html", "comparison.html"
COMPARISON = "comparison"
RECORDS = Path("docs/results")
LATENCIES = tuple(
    Path("docs", f"{name}.json")
    for name in ("latency-earlier", "benchmarks", "latency", "benchmarks-avx2", "latency-avx2")
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = "NAME or NAME:VERSION of the store, a .csrve file; or `comparison` alone: all records against each other"
    parser.add_argument("names", nargs="+", metavar="NAME", help=what)
    add_store(parser, required=False)
    parser.add_argument("--records", type=Path, default=RECORDS, help=f"of `comparison` (default: {RECORDS})")
    latency = (
        f"what `python -m service bench --json` wrote, for `comparison` (default: {', '.join(map(str, LATENCIES))})"
    )
    parser.add_argument("--latency", type=Path, action="append", metavar="FILE", help=latency)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs, one a NAME (default: runs)")
    parser.add_argument("--weights", type=Path, help="the dense network of the only NAME (default: what its run notes)")
    parser.add_argument("--output", type=Path, default=Path("runs/report"), help="a folder (default: runs/report)")


def run(options: argparse.Namespace) -> None:
    """Write OUTPUT/report.html and a PNG for each picture."""
    if options.weights is not None and len(options.names) > 1:
        raise CompressorError(f"--weights {options.weights}: belongs to one NAME, {len(options.names)} are given")
    new_figure(1, 1)  # a missing matplotlib is said before the work, not after it
    if options.names == [COMPARISON]:
        _compare(options)
        return
    subjects = []
    for target in options.names:
        name = _plain_name(target)
        data = bundle_data(target, options.store)
        subjects.append(subject_of(name, data, options.runs / name, options.weights))
    if len({subject.name for subject in subjects}) < len(subjects):
        raise CompressorError(f"{', '.join(options.names)}: two have the same name, must differ")
    pictures = {"": overview(subjects), **{subject.name: pictures_of(subject) for subject in subjects}}
    for picture in (picture for group in pictures.values() for picture in group):
        write_bytes(options.output / picture.name, picture.png)
    write_text(options.output / PAGE, page_of(subjects, pictures))
    print(f"{options.output / PAGE}: {sum(map(len, pictures.values()))} pictures, and as PNG files beside it")


def _compare(options: argparse.Namespace) -> None:
    bundles = compared(read_records(options.records), read_latencies(options.latency or LATENCIES))
    pictures = comparison_pictures(bundles)
    for picture in pictures:
        write_bytes(options.output / picture.name, picture.png)
    write_text(options.output / COMPARISON_PAGE, comparison_page(bundles, pictures))
    print(f"{options.output / COMPARISON_PAGE}: {len(bundles)} bundles, {len(pictures)} pictures")


def _plain_name(target: str) -> str:
    """What a bundle is called here: the model's name, or that of its folder in a store."""
    path = Path(target)
    if path.suffix != ".csrve":
        return target.partition(":")[0]
    return path.parent.name if path.stem.isdigit() and path.parent.name else path.stem
