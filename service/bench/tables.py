"""A report as tables of text cells, the first row of each the heading."""

from collections.abc import Iterable
from itertools import groupby

from service.bench.comparison import best_dense
from service.bench.report import DecoderRow, LoadRow, Report, Row, Subject
from service.bench.rounds import Timing

Table = list[list[str]]

_RUN_HEADS = ["engine", "threads", "batch", "median ms", "quartiles ms", "pictures/s", "ratio", "FMA peak", "remark"]
_LOAD_HEADS = ["engine", "threads", "file bytes", "parts, median ms", "ready ms", "quartiles ms", "first picture ms"]
_DECODER_HEADS = ["network", "threads", "symbols", "median ms", "quartiles ms", "Msymbols/s"]
_SUBJECT_HEADS = ["network", "bundle bytes", "dense bytes", "parameters", "weights left", "MMAC", "dense MMAC"]


def subjects_table(report: Report) -> Table:
    """What was measured: sizes, and multiply-adds for one picture in millions."""
    return [_SUBJECT_HEADS, *(_subject_cells(subject) for subject in report.networks)]


def _subject_cells(subject: Subject) -> list[str]:
    sizes = (subject.bundle_bytes, subject.dense_bytes, subject.parameters, subject.weight_nonzeros)
    counts = (subject.multiply_adds, subject.dense_multiply_adds)
    return [subject.name, *(f"{size:,}" for size in sizes), *(f"{count / 1e6:.1f}" for count in counts)]


def summary_table(report: Report) -> Table:
    """Our fastest engine beside the best dense runtime: a row for each network and number of threads."""
    batches = sorted({row.batch for row in report.rows})
    table = [["network", "threads", *(f"batch {batch}" for batch in batches)]]
    for (network, threads), rows in groupby(report.rows, lambda row: (row.network, row.threads)):
        mine = list(rows)
        cells = [_summary_cell([row for row in mine if row.batch == batch]) for batch in batches]
        table.append([network, str(threads), *cells])
    return table


def _summary_cell(rows: list[Row]) -> str:
    best = best_dense(rows)
    own = max((row for row in rows if not row.dense and row.ratio), key=lambda row: row.ratio or 0.0, default=None)
    if best is None or own is None or own.ratio is None:
        return "-"
    return f"{own.ratio:.2f}x ({own.engine} : {best.engine})"


def runs_table(report: Report, network: str) -> Table:
    """All engines with one network."""
    rows = [row for row in report.rows if row.network == network]
    table = [_RUN_HEADS]
    for _, cell in groupby(rows, lambda row: (row.threads, row.batch)):
        together = list(cell)
        best = best_dense(together)
        table += [_run_cells(row, row is best) for row in together]
    return table


def _run_cells(row: Row, is_best: bool) -> list[str]:
    remark = "best dense" if is_best else row.problem.partition(":")[0] if row.problem else ""
    cells = [row.engine, str(row.threads), str(row.batch)]
    if row.timing is None:
        return [*cells, "-", "-", "-", "-", "-", "failed"]
    return [
        *cells,
        _milliseconds(row.timing.median_s),
        _spread(row.timing),
        f"{row.batch / row.timing.median_s:.0f}",
        "-" if row.ratio is None else f"{row.ratio:.2f}x",
        "-" if row.share_of_peak is None else f"{row.share_of_peak:.1%}",
        remark,
    ]


def loads_table(report: Report, network: str) -> Table:
    """From file to ready, for one network."""
    return [_LOAD_HEADS, *(_load_cells(row) for row in report.loads if row.network == network)]


def _load_cells(row: LoadRow) -> list[str]:
    cells = [row.engine, str(row.threads), f"{row.file_bytes:,}"]
    if row.ready is None or row.first_picture is None:
        return [*cells, "failed", "-", "-", "-"]
    parts = " + ".join(f"{name} {_milliseconds(seconds)}" for name, seconds in row.parts.items())
    ready = (_milliseconds(row.ready.median_s), _spread(row.ready))
    return [*cells, parts, *ready, _milliseconds(row.first_picture.median_s)]


def decoders_table(report: Report) -> Table:
    """Huffman streams to symbols, for every network and number of threads."""
    return [_DECODER_HEADS, *(_decoder_cells(row) for row in report.decoders)]


def _decoder_cells(row: DecoderRow) -> list[str]:
    cells = [row.network, str(row.threads)]
    if row.timing is None:
        return [*cells, "-", "failed", "-", "-"]
    speed = f"{row.symbols / row.timing.median_s / 1e6:,.0f}"
    return [*cells, f"{row.symbols:,}", _milliseconds(row.timing.median_s), _spread(row.timing), speed]


def problems(report: Report, network: str) -> list[str]:
    """Why engines have no times, or times that do not count; the same reason once."""
    rows: Iterable[Row | LoadRow] = (*report.rows, *report.loads)
    found = [f"{row.engine}: {row.problem}" for row in rows if row.network == network and row.problem]
    found += [f"decoder: {row.problem}" for row in report.decoders if row.network == network and row.problem]
    return list(dict.fromkeys(found))


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def _spread(timing: Timing) -> str:
    return f"{_milliseconds(timing.lower_quartile_s)}..{_milliseconds(timing.upper_quartile_s)}"
